//! `proffer agent`.

use std::sync::Arc;

use proffer_agent_network::{BridgeConfig, BridgeNetwork, Network, Subnet};
use proffer_agent_runtime::ContainerRuntime;
use proffer_agent_runtime::containerd::{ContainerdConfig, ContainerdRuntime};
use proffer_agent_runtime::fake::FakeRuntime;
use proffer_agent_server::{Agent, RawConfig};
use proffer_proto_model::{AttributeValue, Resources};

use super::{log, stop_signal, told};
use crate::args::{AgentArgs, Masters, RuntimeKind};
use crate::{CliError, Outcome};

/// Runs until told to stop; its containers go on.
///
/// # Errors
/// Why it could not start or go on.
pub async fn run(args: AgentArgs, masters: Masters) -> Result<Outcome, CliError> {
    log();
    let config = raw_config(&args, &masters).validate().map_err(told)?;
    let runtime = runtime(&args)?;
    let network = network(&args)?;
    let stop = stop_signal()?;
    Agent::run(config, runtime, network, async move { stop.draining().await }).await.map_err(told)?;
    Ok(Outcome::Good)
}

fn runtime(args: &AgentArgs) -> Result<Arc<dyn ContainerRuntime>, CliError> {
    if args.runtime == RuntimeKind::Fake {
        return Ok(Arc::new(FakeRuntime::new()));
    }
    let logger = std::env::current_exe()
        .map_err(|e| CliError::new(format!("cannot find this program's own file: {e}"), "start it by its full path"))?;
    let mut config = ContainerdConfig::new(&args.containerd, &args.namespace, logger);
    config.insecure_registries.extend(args.insecure_registry.iter().cloned());
    config.registry_auth_file.clone_from(&args.registry_auth);
    config.registry_certs_dir.clone_from(&args.registry_certs);
    if let Some(state_dir) = &args.state_dir {
        config.state_dir.clone_from(state_dir);
    }
    Ok(Arc::new(ContainerdRuntime::new(config).map_err(told)?))
}

fn network(args: &AgentArgs) -> Result<Arc<dyn Network>, CliError> {
    let subnet: Subnet = args.bridge_subnet.parse().map_err(told)?;
    let network = BridgeNetwork::open(BridgeConfig::new(&args.bridge, subnet)).map_err(told)?;
    Ok(Arc::new(network))
}

fn raw_config(args: &AgentArgs, masters: &Masters) -> RawConfig {
    let given = args.resources.as_ref().map(|r| r.0.clone()).unwrap_or_default();
    // What was not given is detected.
    let Resources { cpus, memory, disk, gpus, ports, .. } = given;
    RawConfig {
        data_dir: args.data_dir.to_string_lossy().into_owned(),
        listen: Some(args.listen.to_string()),
        masters: masters.0.iter().map(ToString::to_string).collect(),
        hostname: args.hostname.clone(),
        address: args.address.clone(),
        cpus: (cpus.0 > 0).then(|| cpus.to_string()),
        memory: (memory.0 > 0).then(|| memory.0.to_string()),
        disk: (disk.0 > 0).then(|| disk.0.to_string()),
        gpus: (gpus > 0).then(|| gpus.to_string()),
        ports: (!ports.is_empty()).then(|| ports.to_string()),
        attributes: args.attribute.iter().map(attribute).collect(),
        reservations: {
            let of_files = args.reserve_file.iter().flat_map(|file| file.0.clone());
            args.reserve.iter().map(|given| given.0.clone()).chain(of_files).collect()
        },
        region: args.region.clone(),
        zone: args.zone.clone(),
    }
}

fn attribute(given: &crate::args::AttributeArg) -> String {
    let value = match &given.0.value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::ScalarMilli(milli) => proffer_proto_model::resources::format_milli(*milli),
    };
    format!("{}={value}", given.0.name)
}
