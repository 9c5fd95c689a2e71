//! `proffer drain`, and `proffer agents deactivate`, `reactivate` and `gone`: what operators want of an agent.

use std::time::Duration;

use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{
    self, CancelDrainRequest, DeactivateAgentRequest, DrainAgentRequest, MarkAgentGoneRequest, ReactivateAgentRequest,
};
use tonic::transport::Channel;

use super::lists::AgentView;
use crate::args::{AgentsArgs, AgentsCommand, DrainArgs, DrainCommand};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::{CliError, Outcome};

/// How often an agent is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn run(cluster: &Cluster, format: Format, args: DrainArgs) -> Result<Outcome, CliError> {
    let DrainArgs { command, agent, grace, mark_gone, wait, timeout } = args;
    if let Some(DrainCommand::Cancel { agent }) = command {
        let (agent_id, mut client) = find(cluster, &agent).await?;
        let answer = client.cancel_drain(CancelDrainRequest { agent_id: agent_id.clone() }).await;
        answer.map_err(|error| CliError::remote(&format!("cancel the drain of {agent}"), error))?;
        return show(cluster, format, &agent_id).await;
    }
    let agent = agent.unwrap_or_default();
    let (agent_id, mut client) = find(cluster, &agent).await?;
    let max_grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let request = DrainAgentRequest { agent_id: agent_id.clone(), max_grace_ms, mark_gone };
    client.drain_agent(request).await.map_err(|error| CliError::remote(&format!("drain {agent}"), error))?;
    if wait {
        let empty = until_empty(cluster, &agent_id);
        tokio::time::timeout(timeout, empty).await.map_err(|_| {
            CliError::new(
                format!("agent {agent} is still being drained"),
                format!("see `proffer tasks` for what runs there; `proffer drain cancel {agent_id}` ends the drain"),
            )
        })??;
    }
    show(cluster, format, &agent_id).await
}

pub(crate) async fn agents(cluster: &Cluster, format: Format, args: AgentsArgs) -> Result<Outcome, CliError> {
    let Some(command) = args.command else { return super::lists::agents(cluster, format).await };
    let (AgentsCommand::Deactivate { agent } | AgentsCommand::Reactivate { agent } | AgentsCommand::Gone { agent }) =
        &command;
    let (agent_id, mut client) = find(cluster, agent).await?;
    let id = agent_id.clone();
    let (what, answer) = match command {
        AgentsCommand::Deactivate { .. } => {
            ("deactivate", client.deactivate_agent(DeactivateAgentRequest { agent_id: id }).await.map(drop))
        }
        AgentsCommand::Reactivate { .. } => {
            ("reactivate", client.reactivate_agent(ReactivateAgentRequest { agent_id: id }).await.map(drop))
        }
        AgentsCommand::Gone { .. } => {
            ("remove", client.mark_agent_gone(MarkAgentGoneRequest { agent_id: id }).await.map(drop))
        }
    };
    answer.map_err(|error| CliError::remote(&format!("{what} {agent}"), error))?;
    show(cluster, format, &agent_id).await
}

async fn find(cluster: &Cluster, wanted: &str) -> Result<(String, OperatorClient<Channel>), CliError> {
    let id = pick(&cluster.agents().await?, wanted)?;
    Ok((id, cluster.operator().await?))
}

/// The agent of that id or host name. One that is gone is found by its id only, unless no other has the name.
pub(super) fn pick(agents: &[operator::Agent], wanted: &str) -> Result<String, CliError> {
    let mut named: Vec<&operator::Agent> =
        agents.iter().filter(|agent| agent.agent_id == wanted || agent.hostname == wanted).collect();
    if named.iter().any(|agent| agent.mode() != Mode::Gone) {
        named.retain(|agent| agent.mode() != Mode::Gone || agent.agent_id == wanted);
    }
    match named.as_slice() {
        [] => {
            Err(CliError::new(format!("there is no agent {wanted:?}"), "see `proffer agents` for ids and host names"))
        }
        [agent] => Ok(agent.agent_id.clone()),
        several => {
            let ids: Vec<&str> = several.iter().map(|agent| agent.agent_id.as_str()).collect();
            let message = format!("{} agents have the host name {wanted:?}", several.len());
            Err(CliError::new(message, format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// Waits until the agent is drained or gone. A drain that somebody cancels is an error; a master that is away is not.
async fn until_empty(cluster: &Cluster, agent_id: &str) -> Result<(), CliError> {
    loop {
        match look(cluster, agent_id).await? {
            None | Some(Mode::Drained | Mode::Gone) => return Ok(()),
            Some(Mode::Active | Mode::Deactivated) => {
                return Err(CliError::new(
                    format!("the drain of {agent_id} was cancelled"),
                    "somebody else cancelled it; start it again if that was wrong",
                ));
            }
            Some(Mode::Draining | Mode::Unspecified) => tokio::time::sleep(LOOK).await,
        }
    }
}

async fn look(cluster: &Cluster, agent_id: &str) -> Result<Option<Mode>, CliError> {
    let agents = cluster.agents().await?;
    Ok(agents.iter().find(|agent| agent.agent_id == agent_id).map(operator::Agent::mode))
}

/// Says what the agent is now.
async fn show(cluster: &Cluster, format: Format, agent_id: &str) -> Result<Outcome, CliError> {
    let agents = cluster.agents().await?;
    let Some(agent) = agents.into_iter().find(|agent| agent.agent_id == agent_id) else {
        return Err(CliError::new(format!("agent {agent_id} is not known any more"), "see `proffer agents`"));
    };
    let view = AgentView::new(agent)?;
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => output::say(&view.told())?,
    }
    Ok(Outcome::Good)
}
