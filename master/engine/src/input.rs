//! Everything that can happen to the master, in one closed enum.

use crate::agents::drain::AgentCommand;
use crate::maintenance::MaintenanceCommand;
use proffer_proto_model::{
    Accept, AgentId, AgentInfo, ClusterId, DeclineReason, Demand, Epoch, Filter, FrameworkId, FrameworkInfo,
    HeldVolume, InverseReply, OfferId, Quota, Role, TaskId, TaskSource, TaskSpec, TaskState, TaskStatus, VolumeReport,
    Weight, task::KillPolicy,
};

use crate::reservations::OperatorReservation;
use crate::roles::PolicyChange;

/// A live connection, numbered by the server and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Everything that can happen to the master.
// Inputs live a few at a time; a box around the largest one would only cost.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An agent opened a stream and said who it is and all it has.
    AgentAttach {
        /// Its stream.
        session: SessionId,
        /// Who.
        agent: AgentInfo,
        /// Counts the starts of the agent's process.
        incarnation: u64,
        /// All tasks it holds.
        tasks: Vec<AttachedTask>,
        /// Highest epoch it has seen.
        seen_epoch: Epoch,
        /// Its cluster, when it has one.
        cluster: Option<ClusterId>,
        /// All volumes it holds.
        volumes: Vec<HeldVolume>,
    },
    /// An attached agent says what became of volumes.
    AgentVolumes {
        /// Its stream.
        session: SessionId,
        /// In order.
        reports: Vec<VolumeReport>,
    },
    /// An attached agent reports updates.
    AgentUpdates {
        /// Its stream.
        session: SessionId,
        /// In order: whose, the update, and the latest state at the agent.
        updates: Vec<(FrameworkId, TaskStatus, TaskState)>,
    },
    /// An attached agent answered a ping.
    AgentPong {
        /// Its stream.
        session: SessionId,
    },
    /// The agent's stream ended, for whatever reason.
    AgentDisconnected {
        /// Its stream.
        session: SessionId,
    },
    /// A framework opened a stream and subscribed.
    Subscribe {
        /// Its stream.
        session: SessionId,
        /// Who.
        framework: FrameworkInfo,
        /// What it wants from the start.
        demand: Demand,
    },
    /// A subscribed framework calls.
    Framework {
        /// Its stream.
        session: SessionId,
        /// What.
        call: FrameworkCall,
    },
    /// The framework's stream ended, for whatever reason.
    FrameworkDisconnected {
        /// Its stream.
        session: SessionId,
    },
    /// An operator asks for something.
    Operator(OperatorCall),
    /// An operator asks what would come of it: the answer is the same, and nothing changes.
    DryRun(OperatorCall),
    /// Time has passed: due timers fire. The server sends it at [`crate::Engine::next_deadline`].
    Tick,
}

/// A task as an attaching agent holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedTask {
    /// Whose.
    pub framework: FrameworkId,
    /// What.
    pub spec: TaskSpec,
    /// The latest status, possibly ahead of what was confirmed.
    pub latest: TaskStatus,
    /// The role that pays for it.
    pub role: Role,
}

/// What a subscribed framework can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameworkCall {
    /// A new description of itself.
    Update(FrameworkInfo),
    /// All it wants now.
    Demand(Demand),
    /// Uses offers.
    Accept(Accept),
    /// Gives offers back.
    Decline {
        /// Which.
        offers: Vec<OfferId>,
        /// Why.
        reason: DeclineReason,
        /// How long not to see the same again.
        filter: Filter,
    },
    /// Ends a task.
    Kill {
        /// Which.
        task: TaskId,
        /// Its agent, if known.
        agent: Option<AgentId>,
        /// Overrides the task's own policy.
        policy: Option<KillPolicy>,
    },
    /// Confirms updates.
    Acknowledge(Vec<(TaskId, u64, TaskSource)>),
    /// Asks for the state of these tasks; empty for all.
    Reconcile(Vec<(TaskId, Option<AgentId>)>),
    /// Answers inverse offers.
    InverseReply(InverseReply),
    /// Ends the framework and its tasks.
    Teardown,
}

/// What an operator can ask of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorCall {
    /// Plans maintenance windows or takes them back. The answer is [`crate::Effect::OperatorReply`].
    Maintenance {
        /// The server's number for this request.
        request: u64,
        /// What.
        command: MaintenanceCommand,
    },
    /// Ends a framework and its tasks. The answer is [`crate::Effect::OperatorReply`].
    TeardownFramework {
        /// The server's number for this request.
        request: u64,
        /// Which: its id or its name.
        framework: String,
    },
    /// Changes what a role has. The answer is [`crate::Effect::OperatorReply`].
    Roles {
        /// The server's number for this request.
        request: u64,
        /// What.
        call: RolesCall,
        /// Only checked: nothing is changed.
        is_dry_run: bool,
    },
    /// Changes what an agent is for. The answer is [`crate::Effect::OperatorReply`].
    Agent {
        /// The server's number for this request.
        request: u64,
        /// Which.
        agent: AgentId,
        /// What.
        command: AgentCommand,
    },
    /// Why a framework is not offered what it wants. The answer is [`crate::Effect::WhyReply`].
    Why {
        /// The server's number for this request.
        request: u64,
        /// Which.
        framework: FrameworkId,
        /// Only what it wants in this role.
        role: Option<Role>,
    },
    /// Reserves or unreserves what no task uses, makes or destroys volumes of it. The answer is [`crate::Effect::OperatorReply`].
    Reservation {
        /// The server's number for this request.
        request: u64,
        /// Where.
        agent: AgentId,
        /// What.
        wish: OperatorReservation,
    },
}

impl OperatorCall {
    /// The server's number for this request.
    pub fn request(&self) -> u64 {
        match self {
            Self::Maintenance { request, .. }
            | Self::TeardownFramework { request, .. }
            | Self::Roles { request, .. }
            | Self::Agent { request, .. }
            | Self::Why { request, .. }
            | Self::Reservation { request, .. } => *request,
        }
    }

    /// The same under this number.
    pub fn numbered(mut self, number: u64) -> Self {
        match &mut self {
            Self::Maintenance { request, .. }
            | Self::TeardownFramework { request, .. }
            | Self::Roles { request, .. }
            | Self::Agent { request, .. }
            | Self::Why { request, .. }
            | Self::Reservation { request, .. } => *request = number,
        }
        self
    }
}

/// What an operator can ask about a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolesCall {
    /// Sets weights, all or none.
    SetWeights {
        /// Each role once, with how much its share counts beside the others'.
        weights: Vec<(Role, Weight)>,
    },
    /// Sets all of a quota.
    SetQuota {
        /// Of which role.
        role: Role,
        /// What it is promised and may hold at most.
        quota: Box<Quota>,
        /// Also when the limit is below what is held now, or more is promised than the cluster has.
        force: bool,
    },
    /// Changes how a role is offered what is free.
    SetPolicy {
        /// Which role.
        role: Role,
        /// What of it.
        change: Box<PolicyChange>,
    },
    /// Ends a quota.
    RemoveQuota {
        /// Of which role.
        role: Role,
    },
}
