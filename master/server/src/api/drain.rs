//! Drain, deactivate, reactivate and removal of agents, as operators ask for them over the wire.

use proffer_master_engine::registry::{AgentMode, Drain};
use proffer_master_engine::{AgentCommand, OperatorCall};
use proffer_proto_model::AgentId;
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use proffer_proto_wire::operator::agent::Mode;
use tonic::Status;

use super::change::consequences;
use super::operator::OperatorApi;

/// Longest bound of the tasks' grace: what is longer is no bound, or a mistake.
const MAX_GRACE_MS: u64 = 24 * 3_600_000;

impl OperatorApi {
    /// Asks for a drain.
    pub(super) async fn drain(&self, request: wire::DrainAgentRequest) -> Result<wire::Consequences, Status> {
        let wire::DrainAgentRequest { agent_id, max_grace_ms, mark_gone, dry_run } = request;
        check_grace(max_grace_ms)?;
        self.command(agent_id, AgentCommand::Drain { max_grace_ms, mark_gone }, dry_run).await
    }

    /// Sends a command for one agent to the owner and waits until it is stored.
    pub(super) async fn command(
        &self,
        agent_id: String,
        command: AgentCommand,
        is_dry_run: bool,
    ) -> Result<wire::Consequences, Status> {
        let agent = AgentId::new(agent_id).map_err(|e| to_status(ErrorKind::Invalid, format!("agent_id {e}")))?;
        self.change(OperatorCall::Agent { request: 0, agent, command }, is_dry_run).await.map(consequences)
    }
}

/// A bound of the tasks' grace that makes sense.
pub(super) fn check_grace(max_grace_ms: Option<u64>) -> Result<(), Status> {
    match max_grace_ms.filter(|ms| *ms > MAX_GRACE_MS) {
        Some(ms) => {
            let message = format!("max_grace_ms {ms} is over {MAX_GRACE_MS} (24 h); leave it out to set no bound");
            Err(to_status(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}

/// A mode on the wire, with the drain it may be.
pub(super) fn mode(mode: &AgentMode) -> (Mode, Option<wire::Drain>) {
    match mode {
        AgentMode::Active => (Mode::Active, None),
        AgentMode::Deactivated => (Mode::Deactivated, None),
        AgentMode::Drained => (Mode::Drained, None),
        AgentMode::Gone => (Mode::Gone, None),
        AgentMode::Draining(drain) => {
            let Drain { since, max_grace_ms, mark_gone, was_deactivated } = *drain;
            (Mode::Draining, Some(wire::Drain { since_unix_ms: since.0, max_grace_ms, mark_gone, was_deactivated }))
        }
    }
}
