//! What Ctrl-C takes away: containers, networks, containerd. The state on disk stays.

use proffer_agent_network::{BridgeConfig, BridgeNetwork, Network, Subnet};
use proffer_agent_runtime::containerd::ContainerdRuntime;

use super::containers::Containers;
use super::plan::{AgentPlan, Plan};
use super::told;
use crate::CliError;

/// Removes everything that runs; goes on after an error and returns the first.
pub async fn all(plan: &Plan, containers: &mut Containers) -> Result<(), CliError> {
    // A daemon that died could not tell what is left.
    let mut first = containers.look_after().await.map(|_| ());
    for agent in &plan.agents {
        first = first.and(remove_containers(agent, containers).await);
        first = first.and(remove_network(agent).await);
    }
    first.and(containers.stop().await)
}

async fn remove_containers(agent: &AgentPlan, containers: &Containers) -> Result<(), CliError> {
    let Some(config) = containers.config(agent) else { return Ok(()) };
    let runtime = ContainerdRuntime::new(config).map_err(|e| told("", &e))?;
    runtime.purge().await.map_err(|e| told(&format!("cannot remove the containers of {}", agent.name), &e))
}

async fn remove_network(agent: &AgentPlan) -> Result<(), CliError> {
    let subnet: Subnet = agent.subnet.parse().map_err(|e| told("", &e))?;
    let network = BridgeNetwork::open(BridgeConfig::new(&agent.bridge, subnet)).map_err(|e| told("", &e))?;
    let removed = network.remove_all().await;
    network.close().await;
    removed.map_err(|e| told(&format!("cannot remove the network of {}", agent.name), &e))
}
