//! What a scheduler may ask for while it handles one event: one frame. Effects are stored first, then sent.

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{FrameworkId, Moment, Now, Role, TaskId, UnixMillis};

use super::{Demand, KnownTask};
use crate::session::Facts;

/// The scheduler's side of the session during one event.
///
/// Nothing happens before the handler returned; then what it stores is made durable, and only then its calls leave.
#[derive(Debug)]
pub struct Context<'a> {
    now: Now,
    facts: &'a Facts,
    effects: &'a mut Effects,
}

/// What one frame asked for, in order.
#[derive(Debug, Default)]
pub struct Effects {
    pub(crate) demand: Option<Demand>,
    pub(crate) kills: Vec<(TaskId, Option<KillPolicy>)>,
    pub(crate) stores: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) wakes: Vec<Moment>,
    pub(crate) is_reconcile_asked: bool,
    pub(crate) is_stop_asked: bool,
    pub(crate) is_teardown_asked: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(now: Now, facts: &'a Facts, effects: &'a mut Effects) -> Self {
        Self { now, facts, effects }
    }

    /// The time of this event on a monotonic clock. Use it for every time-out. It starts anew with each run.
    pub fn now(&self) -> Moment {
        self.now.mono
    }

    /// The wall-clock time of this event, for stamps that people read and for calendars.
    pub fn unix_now(&self) -> UnixMillis {
        self.now.unix
    }

    /// The framework's id; `None` before the first connection of its life.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.facts.framework.as_ref()
    }

    /// A master is subscribed to at this moment.
    pub fn is_connected(&self) -> bool {
        self.facts.is_connected
    }

    /// The framework's roles, at least one; the first is used where none is named.
    pub fn roles(&self) -> &[Role] {
        &self.facts.roles
    }

    /// What is known of a task that was launched and has not ended; `None` for all others.
    pub fn task(&self, task: &TaskId) -> Option<&KnownTask> {
        self.facts.tasks.get(task)
    }

    /// All tasks that were launched and have not ended, in order of their ids. Launches of this frame are not yet among them.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &KnownTask)> {
        self.facts.tasks.iter()
    }

    /// States what is wanted now, in place of everything wanted before. No demand, no offers.
    pub fn set_demand(&mut self, demand: Demand) {
        self.effects.demand = Some(demand);
    }

    /// Ends a task: SIGTERM, then SIGKILL after the grace period of `policy`, or of the task's own when `None`.
    /// Durable, and sent again until the task has ended. A task that has ended already is left alone.
    pub fn kill(&mut self, task: TaskId, policy: Option<KillPolicy>) {
        self.effects.kills.push((task, policy));
    }

    /// Keeps bytes under a key, durable before any call of this frame leaves. Any key will do; the SDK's own are kept apart.
    pub fn store(&mut self, key: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.effects.stores.push((key.into(), Some(bytes.into())));
    }

    /// Removes a key; nothing happens when it is not there.
    pub fn forget(&mut self, key: impl Into<String>) {
        self.effects.stores.push((key.into(), None));
    }

    /// Asks for one [`crate::Event::Wake`] at this time or soon after. Several times may be pending.
    pub fn wake_at(&mut self, at: Moment) {
        self.effects.wakes.push(at);
    }

    /// Asks for one [`crate::Event::Wake`] after this many milliseconds.
    pub fn wake_after(&mut self, ms: u64) {
        self.effects.wakes.push(self.now.mono + ms);
    }

    /// Asks the master for the present state of every task; what differs from the known state comes as
    /// [`crate::Event::Status`]. Done by itself after each connect.
    pub fn reconcile(&mut self) {
        self.effects.is_reconcile_asked = true;
    }

    /// Ends the run after this frame. Tasks keep running, and a later run finds them.
    pub fn stop(&mut self) {
        self.effects.is_stop_asked = true;
    }

    /// Removes the framework from the cluster for good, with all its tasks, forgets its identity, and ends the run.
    pub fn teardown(&mut self) {
        self.effects.is_teardown_asked = true;
    }
}
