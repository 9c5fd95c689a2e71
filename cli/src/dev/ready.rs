//! Waits until all parts are there, applies the example, and tells people what they have.

use std::time::{Duration, Instant};

use proffer_proto_model::Resources;
use proffer_proto_transport::Address;
use proffer_proto_wire::operator::GetClusterRequest;
use proffer_proto_wire::service::ApplyRequest;

use super::plan::Plan;
use super::supervisor::Supervisor;
use super::{HELLO_STACK, told};
use crate::CliError;
use crate::args::PsArgs;
use crate::client::Cluster;
use crate::commands::{apply, ps};
use crate::output::Format;

/// How long the parts may take to come up and find each other.
const COME_UP: Duration = Duration::from_secs(60);
/// How long the example may take.
const STACK: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The bundled frameworks.
const FRAMEWORKS: [&str; 2] = ["service", "batch"];

/// Waits until all agents are attached and both frameworks are connected.
pub async fn wait(plan: &Plan, supervisor: &mut Supervisor) -> Result<(), CliError> {
    let masters =
        if plan.masters.len() == 1 { "the master".to_owned() } else { format!("{} masters", plan.masters.len()) };
    println!("starting {masters}, {} agent(s) and the frameworks", plan.agents.len());
    let cluster = cluster(plan)?;
    let started = Instant::now();
    let mut missing = String::from("the master");
    while started.elapsed() < COME_UP {
        for line in supervisor.look_after() {
            eprintln!("proffer dev: {line}");
        }
        match still_missing(plan, &cluster).await {
            None => return Ok(()),
            Some(what) => missing = what,
        }
        tokio::time::sleep(LOOK).await;
    }
    let fix = format!("see the logs in {}", plan.data_dir.join("logs").display());
    Err(CliError::new(format!("{missing} did not come up within {} s", COME_UP.as_secs()), fix))
}

async fn still_missing(plan: &Plan, cluster: &Cluster) -> Option<String> {
    let Ok(mut operator) = cluster.operator().await else { return Some("the master".to_owned()) };
    let Ok(answer) = operator.get_cluster(GetClusterRequest {}).await else { return Some("the master".to_owned()) };
    let attached = answer.into_inner().agents_attached as usize;
    if attached < plan.agents.len() {
        return Some(format!("{} agent(s)", plan.agents.len() - attached));
    }
    let frameworks = cluster.frameworks().await.unwrap_or_default();
    let is_there =
        |name: &str| frameworks.iter().any(|f| f.connected && f.info.as_ref().is_some_and(|info| info.name == name));
    FRAMEWORKS.into_iter().find(|name| !is_there(name)).map(|name| format!("the framework {name}"))
}

/// Applies the example and waits until it runs. On a later start it is there already.
pub async fn apply_stack(plan: &Plan) -> Result<(), CliError> {
    println!("applying the example stack");
    let file = plan.data_dir.join("hello-stack.yaml");
    std::fs::write(&file, HELLO_STACK).map_err(|e| told("cannot write the example", &e))?;
    let stack = crate::spec::load(&file)?;
    let cluster = cluster(plan)?;
    let mut services = cluster.services().await?;
    let specs: Vec<proffer_proto_wire::service::ServiceSpec> = stack.services.into_iter().map(Into::into).collect();
    let names = specs.iter().map(|spec| spec.name.clone()).collect();
    let request = ApplyRequest { services: specs, dry_run: false };
    services.apply(request).await.map_err(|error| CliError::remote("apply the example", error))?;
    apply::wait(services, names, STACK).await
}

/// What runs, where people look, what they can try.
pub async fn tell(plan: &Plan, share: &Resources) -> Result<(), CliError> {
    let cluster = cluster(plan)?;
    println!();
    ps::run(&cluster, Format::Table, PsArgs { service: None }).await?;
    let masters = plan.masters.join(",");
    let flag = if masters == "127.0.0.1:5050" { String::new() } else { format!(" --master {masters}") };
    println!();
    println!("agents      {}, each offers {share}", plan.agents.len());
    println!("dashboard   http://{}/", plan.masters.first().map_or("", String::as_str));
    println!("try         proffer{flag} ps");
    println!("            proffer{flag} scale web 5");
    println!("            proffer{flag} logs web");
    println!("logs        {}", plan.data_dir.join("logs").display());
    println!("Ctrl-C ends everything; the next start finds its state again");
    Ok(())
}

fn cluster(plan: &Plan) -> Result<Cluster, CliError> {
    let masters = plan.masters.iter().map(|master| master.parse::<Address>()).collect::<Result<_, _>>();
    Ok(Cluster::new(masters.map_err(|e| told("the master's address", &e))?))
}
