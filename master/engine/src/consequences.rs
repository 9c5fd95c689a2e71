//! What comes of what an operator asks for, told without doing it. Looks only: that nothing changes here is what makes a
//! dry run one.

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, FrameworkId, Now, Role, VolumeId};

use crate::state::State;
use crate::{Effect, FatalError, OperatorCall};

/// What comes of a change. Of one that takes time it is all that comes, as things are now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consequences {
    /// Nothing: it is so already.
    pub is_so_already: bool,
    /// Tasks that are told to end, or count as ended.
    pub tasks: usize,
    /// Offers that are withdrawn.
    pub offers: usize,
    /// Volumes that go, with their data.
    pub volumes: BTreeSet<VolumeName>,
    /// The framework it is about, with its name.
    pub framework: Option<(FrameworkId, String)>,
}

/// One volume of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeName {
    /// Where.
    pub agent: AgentId,
    /// Whose.
    pub role: Role,
    /// Its name.
    pub id: VolumeId,
}

impl Consequences {
    /// Nothing changes.
    pub(crate) fn so_already() -> Self {
        Self { is_so_already: true, ..Self::default() }
    }
}

impl State {
    /// Only checks: the answer is the one that doing it would have, and nothing has changed.
    pub fn operator_dry_run(&mut self, now: Now, call: OperatorCall) {
        let request = call.request();
        if let OperatorCall::Why { framework, role, .. } = &call {
            return self.operator_why(now, request, framework, role.as_ref());
        }
        let result = self.look_ahead(now, &call);
        self.send.push(Effect::OperatorReply { request, result });
    }

    fn look_ahead(&self, now: Now, call: &OperatorCall) -> Result<Consequences, FatalError> {
        match call {
            OperatorCall::Maintenance { command, .. } => self.check_maintenance(now, command),
            OperatorCall::TeardownFramework { framework, .. } => self.check_teardown(framework),
            OperatorCall::Roles { call, .. } => self.check_roles_call(call).map(|()| Consequences::default()),
            OperatorCall::Agent { agent, command, .. } => self.check_agent_command(now, agent, *command),
            OperatorCall::Reservation { agent, wish, .. } => self.check_operator_reserve(agent, wish),
            // A question changes nothing.
            OperatorCall::Why { .. } => Ok(Consequences::default()),
        }
    }

    /// The tasks of an agent that have not ended.
    pub(crate) fn living_on(&self, agent: &AgentId) -> usize {
        let tasks = self.agents.get(agent).map(|agent| &agent.tasks).into_iter().flatten();
        tasks.filter(|key| self.tasks.get(key).is_some_and(|task| !task.record.status.state.is_terminal())).count()
    }
}
