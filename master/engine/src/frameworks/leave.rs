//! A framework's stream ends, or the framework does: disconnect, time-out, teardown. Its tasks are killed exactly once.

use std::collections::BTreeSet;

use proffer_proto_model::{DeclineKind, DeclineReason, FrameworkId, Now, TaskId, TaskKey, TaskReason, TaskState};

use crate::registry::{FrameworkRecord, Operation};
use crate::state::State;
use crate::timers::Timer;
use crate::view::OfferOutcome;
use crate::{Consequences, Effect, FatalError, FrameworkErrorKind, SessionId};

impl State {
    /// A framework's stream ended. Only of interest when it is the newest one.
    pub fn framework_disconnected(&mut self, now: Now, session: SessionId) {
        if let Some(id) = self.framework_sessions.get(&session).cloned() {
            self.disconnect_framework(now, &id);
        }
    }

    /// Its offers come back without filters, its demand ends, and the time to come back runs.
    pub(super) fn disconnect_framework(&mut self, now: Now, id: &FrameworkId) {
        self.stop_heartbeats(id);
        self.allocator.put_framework(id, false);
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        framework.demand = Default::default();
        if let Some(session) = framework.session.take() {
            self.framework_sessions.remove(&session);
        }
        if !framework.record.is_removing {
            let at = now.mono + framework.record.info.failover_timeout_ms;
            framework.removal_at = Some(at);
            self.timers.insert((at, Timer::RemoveFramework(id.clone())));
        }
        let offers = framework.offers.clone();
        self.allocator.set_demand(id, &Default::default());
        for offer in offers {
            let message = "the framework disconnected".to_owned();
            let reason = DeclineReason { kind: DeclineKind::NotReady, message };
            self.close_offer(now, &offer, OfferOutcome::Declined(reason));
        }
        self.touched.framework(id);
    }

    /// The framework asks for its own end.
    pub fn teardown(&mut self, now: Now, id: &FrameworkId) {
        let session = self.frameworks.get(id).and_then(|f| f.session);
        self.remove_framework(now, id);
        if let Some(session) = session {
            self.send.push(Effect::Close { session });
        }
    }

    /// An operator asks for a framework's end, by its id or name.
    pub fn operator_teardown(&mut self, now: Now, request: u64, wanted: &str) {
        let result = self.check_teardown(wanted);
        if let Ok(Consequences { is_so_already: false, framework: Some((id, _)), .. }) = &result {
            let session = self.frameworks.get(id).and_then(|framework| framework.session);
            self.remove_framework(now, id);
            if let Some(session) = session {
                let message = "an operator removed the framework; its tasks are being killed";
                self.framework_error(session, FrameworkErrorKind::Removed, message, true);
            }
        }
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// What comes of a framework's end. One that was removed before is gone already; one that was never known is an error.
    pub fn check_teardown(&self, wanted: &str) -> Result<Consequences, FatalError> {
        let by_id = FrameworkId::new(wanted).ok().and_then(|id| self.frameworks.get(&id));
        let by_name = || self.framework_names.get(wanted).and_then(|id| self.frameworks.get(id));
        if let Some(framework) = by_id.or_else(by_name) {
            let FrameworkRecord { id, info, .. } = &framework.record;
            return Ok(Consequences {
                is_so_already: false,
                tasks: framework.tasks.iter().filter(|task| self.lives(id, task)).count(),
                offers: framework.offers.len(),
                volumes: if info.leaves_reservations { BTreeSet::new() } else { self.volumes_that_go_with(id) },
                framework: Some((id.clone(), info.name.clone())),
            });
        }
        match self.removed.find(wanted) {
            Some(removed) => {
                let framework = Some((removed.id.clone(), removed.name.clone()));
                Ok(Consequences { framework, ..Consequences::so_already() })
            }
            None => {
                let message = format!(
                    "framework_id: there is no framework {wanted:?}, and none of that id or name was removed lately; see \
                     `proffer frameworks` for ids and names"
                );
                Err(FatalError { is_not_found: true, message })
            }
        }
    }

    fn lives(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        let key = TaskKey { framework: framework.clone(), task: task.clone() };
        self.tasks.get(&key).is_some_and(|task| !task.record.status.state.is_terminal())
    }

    /// Begins the removal: stored, tasks killed, forgotten once all have ended. Again does nothing new.
    pub fn remove_framework(&mut self, now: Now, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let is_new = !framework.record.is_removing;
        framework.record.is_removing = true;
        if let Some(at) = framework.removal_at.take() {
            self.timers.remove(&(at, Timer::RemoveFramework(id.clone())));
        }
        let (record, tasks) = (framework.record.clone(), framework.tasks.clone());
        if is_new {
            self.store.push(Operation::PutFramework(record));
        }
        self.disconnect_framework(now, id);
        for task in tasks {
            self.end_task_of_removed(&TaskKey { framework: id.clone(), task });
        }
        self.forget_framework_if_empty(now, id);
    }

    fn end_task_of_removed(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let state = task.record.status.state;
        // An unreachable one is killed when its agent comes back and nobody knows the framework.
        if state.is_terminal() || state == TaskState::Unreachable {
            self.confirm_to_agent(key);
            self.forget_task(key);
            return;
        }
        let agent = task.record.agent.clone();
        self.look_at(&agent);
        let Some(task) = self.tasks.get_mut(key) else { return };
        let was_asked = std::mem::replace(&mut task.record.is_kill_requested, true);
        if !was_asked {
            self.put_task(key);
        }
        self.send_kill(&agent, key, TaskReason::FrameworkRemoved);
    }

    /// Tasks that became unreachable while their framework is being removed are not waited for.
    pub fn drop_unreachable_of_removed(&mut self, now: Now, tasks: &BTreeSet<TaskKey>) {
        for key in tasks {
            if self.frameworks.get(&key.framework).is_some_and(|f| f.record.is_removing) {
                self.end_task_of_removed(key);
                self.forget_framework_if_empty(now, &key.framework);
            }
        }
    }

    /// Forgets a framework under removal when its last task is gone.
    pub fn forget_framework_if_empty(&mut self, now: Now, id: &FrameworkId) {
        let is_done = self.frameworks.get(id).is_some_and(|f| f.record.is_removing && f.tasks.is_empty());
        let Some(framework) = is_done.then(|| self.frameworks.remove(id)).flatten() else { return };
        self.framework_names.remove(&framework.record.info.name);
        self.end_owned(now, id, framework.record.info.leaves_reservations);
        self.move_between_roles(id, &framework.record.info.roles, &[]);
        self.allocator.remove_framework(id);
        self.store.push(Operation::DeleteFramework(id.clone()));
        self.touched.framework_forgotten(id);
        self.strays.retain(|key, _| key.framework != *id);
        self.removed.remember(id.clone(), framework.record.info.name, &mut self.store);
    }
}
