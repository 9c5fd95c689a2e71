//! The agent's decisions: takes one input after the other, hands each to the task it is for, and keeps
//! what is about the agent as a whole: its identity, its link to the master, its memory of ended tasks.

mod master;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_proto_model::{AgentId, Moment, Now, TaskKey, TaskSpec, TaskState, Volume, task::PortMapping};

use crate::link::Link;
use crate::task::{Context, Task};
use crate::volumes::KeptVolume;
use crate::{Config, Effect, EndedTask, Frame, Identity, Input, Operation, StepResult, ToMaster};

/// Every decision of one agent.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) link: Link,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    pub(crate) volumes: BTreeMap<u64, KeptVolume>,
    pub(crate) ended: BTreeMap<u64, EndedTask>,
    pub(crate) ended_serials: BTreeMap<TaskKey, u64>,
    pub(crate) next_serial: u64,
    pub(crate) changed: BTreeSet<TaskKey>,
    pub(crate) stale_messages: u64,
    pub(crate) out: Frame,
}

/// A task as readers outside the engine see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSummary {
    /// Its container.
    pub container: String,
    /// The latest state.
    pub state: TaskState,
    /// It has written all its output.
    pub is_output_complete: bool,
}

impl Engine {
    /// Takes one input. The time never goes back from one call to the next.
    pub fn handle(&mut self, now: Now, input: Input) -> Frame {
        match input {
            Input::MasterConnected { session } => self.connected(now, session),
            Input::Master { session, epoch, message } => self.heard(now, session, epoch, message),
            Input::MasterDisconnected { session } => self.disconnected(session),
            Input::Step { key, result } => self.finish_step(now, &key, result),
            Input::Volume { number, result } => self.finish_volume(now, number, result),
            Input::Stopping => self.stopping(),
            Input::Tick => self.tick(now),
        }
        self.settle_volumes(now);
        self.let_ports_go(now);
        std::mem::take(&mut self.out)
    }

    /// The moment at which [`Input::Tick`] is due; `None` when nothing waits for time to pass.
    pub fn next_deadline(&self) -> Option<Moment> {
        let tasks = self.tasks.values().filter_map(Task::deadline).min();
        tasks.into_iter().chain(self.link.deadline(&self.config.timing)).chain(self.volume_deadline()).min()
    }

    /// Who the agent is, as far as a master said.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A master admitted the agent and the stream is open.
    pub fn is_attached(&self) -> bool {
        self.link.attached().is_some()
    }

    /// Messages that were ignored because a newer master had spoken already.
    pub fn stale_messages(&self) -> u64 {
        self.stale_messages
    }

    /// What changed for readers since the last call; `None` for a task that nothing is known of any more.
    pub fn take_changed(&mut self) -> Vec<(TaskKey, Option<TaskSummary>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (self.summary(&key), key)).map(|(summary, key)| (key, summary)).collect()
    }

    /// The containers whose network must be kept, with their published ports.
    pub fn wired_containers(&self) -> Vec<(String, Vec<PortMapping>)> {
        let wired = self.tasks.values().filter(|task| task.holds_wired_ports());
        wired.map(|task| (task.container.clone(), task.ports())).collect()
    }

    /// Every container that a task has or had, as far as the agent remembers; all else that is kept for one can go.
    pub fn known_containers(&self) -> BTreeSet<String> {
        let held = self.tasks.values().map(|task| task.container.clone());
        held.chain(self.ended_serials.keys().map(crate::container_id)).collect()
    }

    /// The volumes whose directories must be there; all else that lies among them is nobody's.
    pub fn known_volumes(&self) -> Vec<Volume> {
        self.volumes.values().map(|kept| kept.held.volume.clone()).collect()
    }

    fn summary(&self, key: &TaskKey) -> Option<TaskSummary> {
        if let Some(task) = self.tasks.get(key) {
            return Some(TaskSummary {
                container: task.container.clone(),
                state: task.progress.latest.state,
                is_output_complete: task.is_output_complete(),
            });
        }
        let ended = self.ended.get(self.ended_serials.get(key)?)?;
        Some(TaskSummary { container: crate::container_id(key), state: ended.last.state, is_output_complete: true })
    }

    fn finish_step(&mut self, now: Now, key: &TaskKey, result: StepResult) {
        self.with_task(now, key, |task, cx| task.finish_step(result, cx));
    }

    fn stopping(&mut self) {
        if let Some(session) = self.link.attached() {
            self.out.send(Effect::ToMaster { session, message: ToMaster::Detach });
        }
    }

    fn tick(&mut self, now: Now) {
        if let (Some(session), Some(deadline)) = (self.link.session(), self.link.deadline(&self.config.timing))
            && deadline <= now.mono
        {
            let reason = "the master has been silent for too long".to_owned();
            self.out.send(Effect::CloseMaster { session, reason });
            self.disconnected(session);
        }
        let is_due = |task: &&Task| task.deadline().is_some_and(|at| at <= now.mono);
        let due: Vec<TaskKey> = self.tasks.values().filter(is_due).map(|task| task.key().clone()).collect();
        for key in due {
            self.with_task(now, &key, |task, cx| task.tick(cx));
        }
    }

    /// Lends a task what it needs for one input, then stores and publishes what changed.
    pub(crate) fn with_task(&mut self, now: Now, key: &TaskKey, f: impl FnOnce(&mut Task, &mut Context<'_>)) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let mut cx = Context {
            now,
            timing: &self.config.timing,
            agent: self.identity.agent.as_ref(),
            host_address: &self.config.agent.address,
            link: self.link.attached(),
            out: &mut self.out,
        };
        f(task, &mut cx);
        self.settle(key);
    }

    /// Adds a task made with the same context that [`Self::with_task`] lends.
    pub(crate) fn add_task(&mut self, now: Now, make: impl FnOnce(&mut Context<'_>) -> Task) {
        let mut cx = Context {
            now,
            timing: &self.config.timing,
            agent: self.identity.agent.as_ref(),
            host_address: &self.config.agent.address,
            link: self.link.attached(),
            out: &mut self.out,
        };
        let task = make(&mut cx);
        let key = task.key().clone();
        self.tasks.insert(key.clone(), task);
        self.settle(&key);
    }

    fn settle(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        self.changed.insert(key.clone());
        if let Some(operation) = task.take_change() {
            self.out.store(operation);
        }
        if task.is_over() {
            self.remember(key.clone());
        }
    }

    /// A task is over: forgets it, but not that it was here.
    fn remember(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.remove(&key) else { return };
        self.out.store(Operation::Forget(key.clone()));
        let ended = EndedTask { serial: self.next_serial, key: key.clone(), last: task.progress.latest };
        self.next_serial += 1;
        self.out.store(Operation::Remember(Box::new(ended.clone())));
        self.ended_serials.insert(key, ended.serial);
        self.ended.insert(ended.serial, ended);
        while self.ended.len() > self.config.ended_kept
            && let Some((serial, oldest)) = self.ended.pop_first()
        {
            self.ended_serials.remove(&oldest.key);
            self.out.store(Operation::DropEnded { serial });
            self.out.send(Effect::RemoveLogs { container: crate::container_id(&oldest.key) });
            self.changed.insert(oldest.key);
        }
    }

    /// Takes a task that was remembered as ended back, to say its end again.
    pub(crate) fn recall(&mut self, key: &TaskKey) -> Option<EndedTask> {
        let serial = self.ended_serials.remove(key)?;
        self.out.store(Operation::DropEnded { serial });
        self.ended.remove(&serial)
    }

    /// Lets tasks that wait for host ports go on when nobody holds those ports any more.
    fn let_ports_go(&mut self, now: Now) {
        while let Some(key) = self.next_with_free_ports() {
            self.with_task(now, &key, |task, cx| task.ports_are_free(cx));
        }
    }

    fn next_with_free_ports(&self) -> Option<TaskKey> {
        let mut waiting = self.tasks.values().filter(|task| task.waits_for_ports()).peekable();
        waiting.peek()?;
        let taken: BTreeSet<_> =
            self.tasks.values().filter(|task| task.holds_wired_ports()).flat_map(Task::port_keys).collect();
        waiting.find(|task| task.port_keys().iter().all(|port| !taken.contains(port))).map(|task| task.key().clone())
    }

    pub(crate) fn agent_id(&self) -> Option<&AgentId> {
        self.identity.agent.as_ref()
    }

    /// What the tasks that have not ended were promised.
    pub(crate) fn specs_in_use(&self) -> impl Iterator<Item = &Arc<TaskSpec>> {
        self.tasks.values().filter(|task| !task.is_terminal()).filter_map(Task::spec)
    }
}
