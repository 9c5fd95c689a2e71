//! `proffer drain`, and `proffer agents deactivate`, `reactivate` and `gone`: what operators want of an agent.

use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{
    self, CancelDrainRequest, DeactivateAgentRequest, DrainAgentRequest, MarkAgentGoneRequest, ReactivateAgentRequest,
};
use tonic::transport::Channel;

use super::dry_run;
use super::lists::AgentView;
use crate::args::{AgentsArgs, AgentsCommand, DrainArgs, DrainCommand, OneAgentArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::waiting::{Seen, Waiting};
use crate::{CliError, Outcome};

pub(crate) async fn run(cluster: &Cluster, format: Format, args: DrainArgs) -> Result<Outcome, CliError> {
    let DrainArgs { command, agent, grace, mark_gone, dry_run, wait, timeout } = args;
    if let Some(DrainCommand::Cancel { agent, dry_run }) = command {
        let (agent_id, mut client) = find(cluster, &agent).await?;
        let answer = client.cancel_drain(CancelDrainRequest { agent_id: agent_id.clone(), dry_run }).await;
        let answer = answer.map_err(|error| CliError::remote(&format!("cancel the drain of {agent}"), error))?;
        if dry_run {
            let change = format!("the drain of agent {agent_id} would be cancelled");
            return dry_run::show(format, &change, answer.into_inner().consequences);
        }
        return show(cluster, format, &agent_id).await;
    }
    let agent = agent.unwrap_or_default();
    let max_grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let ask = async || {
        let (agent_id, mut client) = find(cluster, &agent).await?;
        let request = DrainAgentRequest { agent_id: agent_id.clone(), max_grace_ms, mark_gone, dry_run };
        let answer = client.drain_agent(request).await;
        let answer = answer.map_err(|error| CliError::remote(&format!("drain {agent}"), error))?;
        Ok((agent_id, answer.into_inner().consequences))
    };
    if !wait {
        let (agent_id, consequences) = ask().await?;
        return match dry_run {
            true => dry_run::show(format, &format!("agent {agent_id} would be drained"), consequences),
            false => show(cluster, format, &agent_id).await,
        };
    }
    let late = || {
        CliError::new(
            format!("agent {agent} is still being drained"),
            format!("see `proffer tasks` for what runs there; `proffer drain cancel {agent}` ends the drain"),
        )
    };
    let mut waiting = Waiting::new(&agent, "tasks", timeout);
    // Asked twice it is the same as once.
    let (agent_id, _) = waiting.ask(ask).await?.ok_or_else(late)?;
    waiting.until(async || look(cluster, &agent_id).await).await?.ok_or_else(late)?;
    drop(waiting);
    show(cluster, format, &agent_id).await
}

pub(crate) async fn agents(cluster: &Cluster, format: Format, args: AgentsArgs) -> Result<Outcome, CliError> {
    let Some(command) = args.command else { return super::lists::agents(cluster, format).await };
    let (AgentsCommand::Deactivate(args) | AgentsCommand::Reactivate(args) | AgentsCommand::Gone(args)) = &command;
    let OneAgentArgs { agent, dry_run } = args;
    let (agent_id, mut client) = find(cluster, agent).await?;
    let (id, dry_run) = (agent_id.clone(), *dry_run);
    let (what, change, answer) = match command {
        AgentsCommand::Deactivate(_) => {
            let answer = client.deactivate_agent(DeactivateAgentRequest { agent_id: id, dry_run }).await;
            ("deactivate", "deactivated", answer.map(|answer| answer.into_inner().consequences))
        }
        AgentsCommand::Reactivate(_) => {
            let answer = client.reactivate_agent(ReactivateAgentRequest { agent_id: id, dry_run }).await;
            ("reactivate", "given work again", answer.map(|answer| answer.into_inner().consequences))
        }
        AgentsCommand::Gone(_) => {
            let answer = client.mark_agent_gone(MarkAgentGoneRequest { agent_id: id, dry_run }).await;
            ("remove", "removed for good", answer.map(|answer| answer.into_inner().consequences))
        }
    };
    let consequences = answer.map_err(|error| CliError::remote(&format!("{what} {agent}"), error))?;
    match dry_run {
        true => dry_run::show(format, &format!("agent {agent_id} would be {change}"), consequences),
        false => show(cluster, format, &agent_id).await,
    }
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

/// How many tasks there are still, until the agent is drained or gone. A drain that somebody cancels is an error.
async fn look(cluster: &Cluster, agent_id: &str) -> Result<Seen<()>, CliError> {
    let agents = cluster.agents().await?;
    let Some(agent) = agents.iter().find(|agent| agent.agent_id == agent_id) else { return Ok(Seen::Done(())) };
    match agent.mode() {
        Mode::Drained | Mode::Gone => Ok(Seen::Done(())),
        Mode::Draining | Mode::Unspecified => Ok(Seen::Left(agent.tasks_active.into())),
        Mode::Active | Mode::Deactivated => Err(CliError::new(
            format!("the drain of {agent_id} was cancelled"),
            "somebody else cancelled it; start it again if that was wrong",
        )),
    }
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
