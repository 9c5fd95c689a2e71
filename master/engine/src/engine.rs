//! The engine itself: the only entry point to the master's decisions. Only dispatches; the decisions are in the folders.

use proffer_proto_model::{ClusterId, Epoch, Moment, Now, Placement, Resources};

use crate::registry::Registry;
use crate::state::State;
use crate::view::Change;
use crate::{Frame, FrameworkCall, Input, OperatorCall, SessionId};

/// What can be set. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// An offer not answered in this time is withdrawn; 30,000 by default.
    pub offer_timeout_ms: u64,
    /// Pings to agents and heartbeats to frameworks; 5,000 by default.
    pub heartbeat_interval_ms: u64,
    /// An agent silent or away for this long is unreachable; 30,000 by default.
    pub agent_timeout_ms: u64,
    /// So many agents are declared unreachable in a minute, or a tenth of all if that is more; 20 by default. More have
    /// to wait: without offers, and with their tasks as they were.
    pub agent_removals_per_minute: usize,
    /// Most outstanding offers of one framework; 1,000 by default.
    pub max_offers_per_framework: usize,
    /// Most frameworks the master knows, those included that are away or being removed; 10,000 by default. One that is
    /// known already always comes back.
    pub max_frameworks: usize,
    /// How long before a maintenance window frameworks are asked to leave its agents; 3,600,000 by default.
    pub maintenance_notice_ms: u64,
    /// Roles that are short of their guarantees take room back after this notice, in milliseconds; `None`, the default,
    /// never.
    pub preemption_notice_ms: Option<u64>,
    /// How what is free is shared out.
    pub sharing: Sharing,
}

/// How what is free is shared out among all roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Kinds that count for nobody's share, such as `disk`; none by default.
    pub excluded_kinds: Vec<String>,
    /// No offer holds less than this of any kind; nothing by default.
    pub min_offer: Resources,
    /// Which of the agents that fit comes first; the one that has waited longest by default.
    pub placement: Placement,
    /// Agents with GPUs are offered to all, and not only to those who want GPUs; not by default.
    pub gpus_for_all: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            offer_timeout_ms: 30_000,
            heartbeat_interval_ms: 5_000,
            agent_timeout_ms: 30_000,
            agent_removals_per_minute: 20,
            max_offers_per_framework: 1_000,
            max_frameworks: 10_000,
            maintenance_notice_ms: 3_600_000,
            preemption_notice_ms: None,
            sharing: Sharing::default(),
        }
    }
}

/// A registry that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("the registry contradicts itself: {0}; restore it from a backup")]
pub struct RecoverError(pub String);

/// All state of the master.
#[derive(Debug)]
pub struct Engine {
    state: State,
}

impl Engine {
    /// Starts from what is stored. `epoch` must be higher than that of any master before, and stored already.
    pub fn recover(
        config: Config,
        cluster: ClusterId,
        epoch: Epoch,
        registry: Registry,
        now: Now,
    ) -> Result<Self, RecoverError> {
        Ok(Self { state: State::recover(config, cluster, epoch, registry, now)? })
    }

    /// Handles one input. Same state, time and input give the same frame, always.
    pub fn handle(&mut self, now: Now, input: Input) -> Frame {
        self.decide(now, input);
        self.offer(now)
    }

    /// The first half of [`Self::handle`], for those who measure: everything but new offers. [`Self::offer`] follows.
    pub fn decide(&mut self, now: Now, input: Input) {
        let state = &mut self.state;
        match input {
            Input::AgentAttach { session, agent, incarnation, tasks, seen_epoch, cluster, volumes } => {
                state.agent_attach(now, session, agent, incarnation, tasks, seen_epoch, cluster, &volumes);
            }
            Input::AgentVolumes { session, reports } => state.agent_volumes(now, session, &reports),
            Input::AgentUpdates { session, updates } => state.agent_updates(now, session, updates),
            Input::AgentPong { session } => state.agent_pong(now, session),
            Input::AgentDisconnected { session } => state.agent_disconnected(now, session),
            Input::Subscribe { session, framework, demand } => state.subscribe(now, session, framework, demand),
            Input::Framework { session, call } => self.framework_call(now, session, call),
            Input::FrameworkDisconnected { session } => state.framework_disconnected(now, session),
            Input::Operator(OperatorCall::TeardownFramework { request, framework }) => {
                state.operator_teardown(now, request, &framework);
            }
            Input::Operator(OperatorCall::Reservation { request, agent, wish }) => {
                state.operator_reserve(now, request, &agent, &wish);
            }
            Input::Operator(OperatorCall::Roles { request, call, is_dry_run }) => {
                state.roles_call(now, request, call, is_dry_run);
            }
            Input::Operator(OperatorCall::Agent { request, agent, command }) => {
                state.operator_agent(now, request, &agent, command);
            }
            Input::Operator(OperatorCall::Why { request, framework, role }) => {
                // What is possible is offered first: the answer is about what is left.
                state.make_offers(now);
                state.operator_why(now, request, &framework, role.as_ref());
            }
            Input::Operator(OperatorCall::Maintenance { request, command }) => {
                state.operator_maintenance(now, request, command);
            }
            Input::DryRun(call) => state.operator_dry_run(now, call),
            Input::Tick => state.fire_timers(now),
        }
        self.state.settle_drains(now);
        self.state.settle_inverse(now);
    }

    /// The second half of [`Self::handle`]: offers all that became possible.
    pub fn offer(&mut self, now: Now) -> Frame {
        self.state.make_offers(now);
        self.state.take_frame()
    }

    /// When [`Input::Tick`] is due next; `None` when no timer runs.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.state.next_deadline()
    }

    /// Filters that keep agents away from frameworks now.
    pub fn filters(&self) -> usize {
        self.state.allocator.filters()
    }

    /// What changed for readers since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.state.take_changes()
    }

    /// Agents and tasks that were looked at so far to find room for roles that are short; for those who measure.
    pub fn preemption_steps(&self) -> u64 {
        self.state.looks.steps
    }

    /// Recomputes the invariants from scratch; every broken one in words.
    pub fn audit(&self) -> Vec<String> {
        self.state.audit()
    }

    fn framework_call(&mut self, now: Now, session: SessionId, call: FrameworkCall) {
        let state = &mut self.state;
        let Some(framework) = state.framework_of(session) else {
            state.refuse_unsubscribed(session);
            return;
        };
        match call {
            FrameworkCall::Update(info) => state.update_framework(now, &framework, info),
            FrameworkCall::Demand(demand) => state.demand(&framework, demand),
            FrameworkCall::Accept(accept) => state.accept(now, &framework, accept),
            FrameworkCall::Decline { offers, reason, filter } => {
                state.decline(now, &framework, &offers, &reason, filter);
            }
            FrameworkCall::Kill { task, agent, policy } => state.kill(now, &framework, task, agent, policy),
            FrameworkCall::Acknowledge(acks) => state.acknowledge(&framework, acks),
            FrameworkCall::Reconcile(tasks) => state.reconcile(now, &framework, tasks),
            FrameworkCall::InverseReply(reply) => state.inverse_reply(now, &framework, reply),
            FrameworkCall::Teardown => state.teardown(now, &framework),
        }
    }
}
