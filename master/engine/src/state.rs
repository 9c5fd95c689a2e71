//! All state of the master in memory, and the few moves every module shares: store, send, count, touch.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::{Allocator, GrantId};
use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{
    AgentId, ClusterId, Demand, Epoch, FrameworkId, Moment, Now, Offer, OfferId, Resources, Role, TaskId, TaskKey,
    TaskStatus, UnixMillis,
};

use crate::agents::silent::Silent;
use crate::changes::Touched;
use crate::frameworks::Removed;
use crate::inverse::Inverse;
use crate::offers::Guard;
use crate::preempt::{Looks, Preemption};
use crate::registry::{AgentRecord, FrameworkRecord, GangId, Operation, TaskRecord, WindowId, WindowRecord};
use crate::reservations::{Kept, Share};
use crate::roles::RoleState;
use crate::timers::Timer;
use crate::{Config, Effect, Frame, FrameworkErrorKind, SessionId, ToAgent, ToFramework};

/// All state of the master.
#[derive(Debug)]
pub(crate) struct State {
    pub config: Config,
    pub cluster: ClusterId,
    pub epoch: Epoch,
    pub agents: BTreeMap<AgentId, Agent>,
    pub frameworks: BTreeMap<FrameworkId, Framework>,
    pub framework_names: BTreeMap<String, FrameworkId>,
    /// Frameworks that were removed last, to say so.
    pub removed: Removed,
    pub tasks: BTreeMap<TaskKey, Task>,
    pub roles: BTreeMap<Role, RoleState>,
    /// Gangs of which not all tasks have run yet, with all tasks that are known of them.
    pub gangs: BTreeMap<GangId, BTreeSet<TaskKey>>,
    /// Updates of tasks not known here, forwarded and waiting for the framework: the agent to confirm to.
    pub strays: BTreeMap<TaskKey, AgentId>,
    pub silent: Silent,
    /// Agents under drain that are not empty yet.
    pub draining: BTreeSet<AgentId>,
    pub windows: BTreeMap<WindowId, WindowRecord>,
    /// The windows of each agent, by their start.
    pub calendar: BTreeMap<AgentId, BTreeSet<(UnixMillis, WindowId)>>,
    pub inverse: Inverse,
    /// Room that is being taken back, by the role it is for.
    pub preempting: BTreeMap<AgentId, Preemption>,
    /// How far the looks for room have come.
    pub looks: Looks,
    /// Tasks that hold resources and were asked to end.
    pub leaving: BTreeSet<TaskKey>,
    /// When the windows are looked at next.
    pub maintain_at: Option<Moment>,
    pub next_window: u64,
    pub offers: BTreeMap<OfferId, OpenOffer>,
    pub agent_sessions: BTreeMap<SessionId, AgentId>,
    pub framework_sessions: BTreeMap<SessionId, FrameworkId>,
    pub allocator: Allocator,
    pub timers: BTreeSet<(Moment, Timer)>,
    pub next_agent: u64,
    pub next_framework: u64,
    pub next_offer: u64,
    pub next_gang: u64,
    pub touched: Touched,
    pub store: Vec<Operation>,
    pub send: Vec<Effect>,
}

/// An agent and what the master keeps about it.
#[derive(Debug)]
pub(crate) struct Agent {
    pub record: AgentRecord,
    pub session: Option<SessionId>,
    /// Unreachable when not heard of until then; `None` when it is already.
    pub lost_at: Option<Moment>,
    /// Not heard of since long before then, and waits to be declared unreachable.
    pub silent_since: Option<Moment>,
    pub ping_at: Option<Moment>,
    pub tasks: BTreeSet<TaskKey>,
    pub offers: BTreeSet<OfferId>,
    pub allocated: Resources,
    pub tasks_active: u32,
    /// Tasks that hold something here, by how little they matter.
    pub ranks: BTreeMap<i64, u32>,
    /// Reserved and not held by tasks.
    pub kept: Kept,
    /// It was counted as of an agent that is away.
    pub is_kept_away: bool,
}

/// A framework and what the master keeps about it.
#[derive(Debug)]
pub(crate) struct Framework {
    pub record: FrameworkRecord,
    pub session: Option<SessionId>,
    pub demand: Demand,
    pub tasks: BTreeSet<TaskId>,
    pub offers: BTreeSet<OfferId>,
    pub guard: Guard,
    /// Removed when not back until then.
    pub removal_at: Option<Moment>,
    pub heartbeat_at: Option<Moment>,
    /// Without ports and sets: they are names within one agent.
    pub allocated: Resources,
    pub tasks_active: u32,
}

/// A task and what the master keeps about it.
#[derive(Debug)]
pub(crate) struct Task {
    pub record: TaskRecord,
    /// Its resources are counted at the allocator.
    pub is_charged: bool,
    /// Its resources count for limits all the same: its agent may come back with it.
    pub is_away: bool,
    /// The agent said that it has ended, before the update that says how: it never holds resources again.
    pub is_over: bool,
    /// The agent's updates that the framework has not confirmed, by number.
    pub unconfirmed: BTreeMap<u64, TaskStatus>,
    pub kill_policy: Option<KillPolicy>,
}

impl Task {
    /// It has not ended, as far as is known.
    pub fn is_alive(&self) -> bool {
        !self.is_over && !self.record.status.state.is_terminal()
    }
}

/// An offer nobody has answered yet.
#[derive(Debug)]
pub(crate) struct OpenOffer {
    pub offer: Offer,
    pub framework: FrameworkId,
    pub grant: GrantId,
    /// The same for all offers of these very resources.
    pub race: GrantId,
    pub share: Share,
    pub sent: Now,
}

impl State {
    /// Stores a task as it is now.
    pub fn put_task(&mut self, key: &TaskKey) {
        if let Some(task) = self.tasks.get(key) {
            self.store.push(Operation::PutTask(Box::new(task.record.clone())));
            self.touched.task(key);
            match task.is_charged && task.record.is_kill_requested {
                true => drop(self.leaving.insert(key.clone())),
                false => drop(self.leaving.remove(key)),
            }
        }
    }

    /// Counts a task's resources at its agent, framework and in the allocator. Once.
    pub fn charge_task(&mut self, key: &TaskKey) {
        self.charge(key);
        self.settle_away(key);
    }

    /// Frees a task's resources everywhere. Once. Of one that cannot be reached they count for limits from then on.
    pub fn release_task(&mut self, key: &TaskKey) {
        self.release(key);
        self.settle_away(key);
    }

    fn charge(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key).filter(|task| !task.is_charged && !task.is_over) else { return };
        task.is_charged = true;
        let task = &*task;
        let record = &task.record;
        if record.is_kill_requested {
            self.leaving.insert(key.clone());
        }
        self.allocator.charge(&key.framework, &record.role, &record.agent, &record.resources);
        self.allocator.charge_reserved(&record.agent, &record.reserved);
        if let Some(agent) = self.agents.get_mut(&record.agent) {
            agent.allocated = agent.allocated.saturating_sum(&record.resources);
            agent.tasks_active += 1;
            *agent.ranks.entry(task.rank()).or_default() += 1;
            self.touched.agent(&record.agent);
        }
        if let Some(framework) = self.frameworks.get_mut(&key.framework) {
            framework.allocated = framework.allocated.saturating_sum(&countable(&record.resources));
            framework.tasks_active += 1;
            self.touched.framework(&key.framework);
        }
        let (role, resources, agent) = (record.role.clone(), record.resources.clone(), record.agent.clone());
        self.look_at(&agent);
        self.count_task_in_roles(&role, &resources);
        self.count_kept(&agent);
    }

    fn release(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key).filter(|task| task.is_charged) else { return };
        task.is_charged = false;
        let task = &*task;
        let record = &task.record;
        self.leaving.remove(key);
        self.allocator.recover(&key.framework, &record.role, &record.agent, &record.resources);
        self.allocator.recover_reserved(&record.agent, &record.reserved);
        if let Some(agent) = self.agents.get_mut(&record.agent) {
            agent.allocated = agent.allocated.saturating_minus(&record.resources);
            agent.tasks_active = agent.tasks_active.saturating_sub(1);
            agent.forget_rank(task.rank());
            self.touched.agent(&record.agent);
        }
        if let Some(framework) = self.frameworks.get_mut(&key.framework) {
            framework.allocated = framework.allocated.saturating_minus(&countable(&record.resources));
            framework.tasks_active = framework.tasks_active.saturating_sub(1);
            self.touched.framework(&key.framework);
        }
        let (role, resources, agent) = (record.role.clone(), record.resources.clone(), record.agent.clone());
        self.look_at(&agent);
        self.uncount_task_in_roles(&role, &resources);
        self.count_kept(&agent);
    }

    /// Takes a new task in: indexed, counted and stored.
    pub fn add_task(&mut self, record: TaskRecord) {
        let key = record.key.clone();
        self.index_task(record);
        self.put_task(&key);
    }

    /// Takes a task in without storing it.
    pub fn index_task(&mut self, record: TaskRecord) {
        let (key, holds) = (record.key.clone(), record.status.state.holds_resources());
        if let Some(agent) = self.agents.get_mut(&record.agent) {
            agent.tasks.insert(key.clone());
        }
        if let Some(framework) = self.frameworks.get_mut(&key.framework) {
            framework.tasks.insert(key.task.clone());
        }
        if let Some(part) = record.gang {
            self.join_gang(&key, part);
        }
        let task = Task {
            record,
            is_charged: false,
            is_away: false,
            is_over: false,
            unconfirmed: BTreeMap::new(),
            kill_policy: None,
        };
        self.tasks.insert(key.clone(), task);
        match holds {
            true => self.charge_task(&key),
            false => self.settle_away(&key),
        }
    }

    /// Forgets a task for good.
    pub fn forget_task(&mut self, key: &TaskKey) {
        self.release(key);
        self.set_away(key, false);
        let Some(task) = self.tasks.remove(key) else { return };
        if let Some(agent) = self.agents.get_mut(&task.record.agent) {
            agent.tasks.remove(key);
        }
        if let Some(framework) = self.frameworks.get_mut(&key.framework) {
            framework.tasks.remove(&key.task);
        }
        if let Some(part) = task.record.gang {
            self.leave_gang(key, part);
        }
        self.store.push(Operation::DeleteTask(key.clone()));
        self.touched.task_forgotten(task.record);
    }

    /// The stream's framework, when it subscribed there and was not superseded.
    pub fn framework_of(&self, session: SessionId) -> Option<FrameworkId> {
        self.framework_sessions.get(&session).cloned()
    }

    /// Sends to a framework if it is connected.
    pub fn tell_framework(&mut self, framework: &FrameworkId, message: ToFramework) {
        if let Some(session) = self.frameworks.get(framework).and_then(|f| f.session) {
            self.send.push(Effect::ToFramework { session, message });
        }
    }

    /// Sends a status to a framework if it is connected; statuses in a row travel in one message.
    pub fn tell_status(&mut self, framework: &FrameworkId, status: TaskStatus) {
        let Some(session) = self.frameworks.get(framework).and_then(|f| f.session) else { return };
        if let Some(Effect::ToFramework { session: last, message: ToFramework::Status(statuses) }) =
            self.send.last_mut()
            && *last == session
        {
            statuses.push(status);
            return;
        }
        self.send.push(Effect::ToFramework { session, message: ToFramework::Status(vec![status]) });
    }

    /// Sends to an agent if it is attached.
    pub fn tell_agent(&mut self, agent: &AgentId, message: ToAgent) {
        if let Some(session) = self.agents.get(agent).and_then(|a| a.session) {
            self.send.push(Effect::ToAgent { session, message });
        }
    }

    /// Tells a stream what is wrong; ends it when that is fatal.
    pub fn framework_error(
        &mut self,
        session: SessionId,
        kind: FrameworkErrorKind,
        message: impl Into<String>,
        is_fatal: bool,
    ) {
        let message = ToFramework::Error { kind, message: message.into(), is_fatal };
        self.send.push(Effect::ToFramework { session, message });
        if is_fatal {
            self.send.push(Effect::Close { session });
        }
    }

    /// Hands out all that was decided since the last call.
    pub fn take_frame(&mut self) -> Frame {
        Frame { store: std::mem::take(&mut self.store), send: std::mem::take(&mut self.send) }
    }
}

/// The countable part of an amount: sums over several agents make sense only for it.
pub(crate) fn countable(of: &Resources) -> Resources {
    Resources { ports: Default::default(), sets: BTreeMap::new(), ..of.clone() }
}
