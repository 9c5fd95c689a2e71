//! What readers may see: plain records the server publishes after each frame. Readers never touch the engine.

use proffer_proto_model::{
    AgentInfo, ClusterId, DeclineReason, Demand, Epoch, FrameworkId, FrameworkInfo, InverseEnd, InverseOffer, Offer,
    Quota, RescindReason, Reserved, Resources, Role, RolePolicy, TaskKey, UnixMillis, VolumeInfo, Weight,
};

use crate::registry::{AgentMode, TaskRecord, WindowId, WindowRecord};

/// One change of the view, taken with [`crate::Engine::take_changes`] after each input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// New or changed.
    Agent(Box<AgentView>),
    /// Forgotten.
    AgentRemoved(proffer_proto_model::AgentId),
    /// New or changed.
    Framework(Box<FrameworkView>),
    /// Forgotten.
    FrameworkRemoved(FrameworkId),
    /// Sent or answered.
    Offer(Box<OfferView>),
    /// A request to leave an agent was sent, answered or is over.
    Inverse(Box<InverseView>),
    /// New or changed; ended ones too.
    Task(Box<TaskRecord>),
    /// New or changed.
    Role(Box<RoleView>),
    /// Nothing is left to know of it.
    RoleRemoved(Role),
    /// The task is forgotten: its end was acknowledged (the server may keep it as history).
    TaskForgotten(TaskKey),
    /// A maintenance window, new or changed.
    Window(Box<WindowRecord>),
    /// A maintenance window is over or was taken back.
    WindowRemoved(WindowId),
}

/// The cluster itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Made at the first start.
    pub cluster: ClusterId,
    /// This master's generation.
    pub epoch: Epoch,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// Its id.
    pub id: proffer_proto_model::AgentId,
    /// What it said of itself.
    pub info: AgentInfo,
    /// Whether it is there.
    pub state: AgentState,
    /// What operators want of it.
    pub mode: AgentMode,
    /// What tasks hold.
    pub allocated: Resources,
    /// What is out in offers.
    pub offered: Resources,
    /// Tasks that have not ended.
    pub tasks_active: u32,
    /// What is reserved on it.
    pub reserved: Vec<Reserved>,
    /// Its volumes, those included whose data is still being removed.
    pub volumes: Vec<VolumeInfo>,
}

/// Whether an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Connected.
    Attached,
    /// Not connected, expected back.
    Detached,
    /// Not heard of for too long.
    Unreachable,
}

/// A framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkView {
    /// Its id.
    pub id: FrameworkId,
    /// What it said of itself.
    pub info: FrameworkInfo,
    /// Has a live session.
    pub is_connected: bool,
    /// What its tasks hold.
    pub allocated: Resources,
    /// What is out in offers to it.
    pub offered: Resources,
    /// Tasks that have not ended.
    pub tasks_active: u32,
    /// What it wants now.
    pub demand: Demand,
    /// Dominant share of the cluster in millionths.
    pub share_millionths: u64,
    /// Offers it has not answered.
    pub offers: usize,
    /// Most of them it may have now.
    pub max_offers: usize,
}

/// A role: its settings, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    /// Its path.
    pub role: Role,
    /// How much its share counts beside the others'; 1 when never set.
    pub weight: Weight,
    /// What it is promised and may hold at most; empty for none.
    pub quota: Quota,
    /// How it is offered what is free; empty for as the cluster.
    pub policy: RolePolicy,
    /// What tasks in it and in roles below hold, without ports and sets.
    pub allocated: Resources,
    /// What is out in offers to it and to roles below, without ports and sets.
    pub offered: Resources,
    /// Reserved for it and roles below and not held by tasks; counts for its quota.
    pub reserved: Resources,
    /// Held or reserved by it and roles below on agents that cannot be reached; counts for its limit.
    pub unreachable: Resources,
    /// Tasks in it and in roles below that have not ended.
    pub tasks_active: u32,
    /// The frameworks in the role itself, ordered by id.
    pub frameworks: Vec<FrameworkId>,
}

impl RoleView {
    /// A role nobody uses and nobody set anything for.
    pub fn unused(role: Role) -> Self {
        Self {
            role,
            weight: Weight::default(),
            quota: Quota::default(),
            policy: RolePolicy::default(),
            allocated: Resources::default(),
            offered: Resources::default(),
            reserved: Resources::default(),
            unreachable: Resources::default(),
            tasks_active: 0,
            frameworks: Vec::new(),
        }
    }

    /// Its largest part of `total` in any kind, held and offered, in millionths. The weight is not counted.
    pub fn share_millionths(&self, total: &Resources) -> u64 {
        let held = self.allocated.saturating_sum(&self.offered);
        let part = |held: u64, of: u64| u128::from(held) * 1_000_000 / u128::from(of.max(1));
        let fixed = [
            part(held.cpus.0, total.cpus.0),
            part(held.memory.0, total.memory.0),
            part(held.disk.0, total.disk.0),
            part(held.gpus.into(), total.gpus.into()),
        ];
        let further =
            held.scalars.iter().map(|(name, held)| part(*held, total.scalars.get(name).copied().unwrap_or(0)));
        // What left the cluster may still be counted as held: never more than all of it.
        let share = fixed.into_iter().chain(further).max().unwrap_or(0).min(1_000_000);
        u64::try_from(share).unwrap_or(1_000_000)
    }
}

/// An offer and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferView {
    /// The offer.
    pub offer: Offer,
    /// To whom.
    pub framework: FrameworkId,
    /// When.
    pub sent: UnixMillis,
    /// What became of it.
    pub outcome: OfferOutcome,
    /// How long it was held, in milliseconds; 0 while outstanding.
    pub held_ms: u64,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferOutcome {
    /// Not answered yet.
    Outstanding,
    /// Used; the reason is for the rest that was not.
    Accepted {
        /// Why the rest was left.
        leftover: Option<DeclineReason>,
        /// With operations: who raced for it has lost it.
        is_used: bool,
    },
    /// Given back.
    Declined(DeclineReason),
    /// Withdrawn.
    Rescinded(RescindReason),
}

/// A request to leave an agent and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InverseView {
    /// The request.
    pub offer: InverseOffer,
    /// To whom.
    pub framework: FrameworkId,
    /// When.
    pub sent: UnixMillis,
    /// What was answered last.
    pub outcome: InverseOutcome,
    /// Why it is over; `None` while it is not.
    pub ended: Option<InverseEnd>,
}

/// What a framework answered to a request to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InverseOutcome {
    /// Nothing yet.
    Outstanding,
    /// It will leave.
    Accepted {
        /// When it said so.
        at: UnixMillis,
        /// How, in its words; may be empty.
        message: String,
    },
    /// It will not.
    Declined {
        /// When it said so.
        at: UnixMillis,
        /// Why, in its words; may be empty.
        message: String,
    },
}
