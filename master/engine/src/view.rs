//! What readers may see: plain records the server publishes after each frame. Readers never touch the engine.

use proffer_proto_model::{
    AgentInfo, ClusterId, DeclineReason, Demand, Epoch, FrameworkId, FrameworkInfo, Offer, RescindReason, Resources,
    TaskKey, UnixMillis,
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
    /// New or changed; ended ones too.
    Task(Box<TaskRecord>),
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
    },
    /// Given back.
    Declined(DeclineReason),
    /// Withdrawn.
    Rescinded(RescindReason),
}
