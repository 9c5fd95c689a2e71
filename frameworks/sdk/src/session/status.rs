//! Task updates: in order, each once as far as this run knows, acknowledged only after they were handled.

use std::collections::{BTreeMap, VecDeque};

use proffer_proto_model::{Now, TaskId, TaskReason, TaskSource, TaskState, TaskStatus};

use super::{Acknowledgement, CALL_ENTRIES, Call, End, Session, SessionFrame, records};
use crate::{Event, KnownTask, Scheduler};

/// Ended tasks that are remembered, to tell late duplicates from news.
const ENDED_TASKS: usize = 4_096;

/// What was handled already.
#[derive(Debug, Default)]
pub(super) struct Seen {
    numbers: BTreeMap<TaskId, BTreeMap<TaskSource, u64>>,
    ended: BTreeMap<TaskId, Ending>,
    order: VecDeque<TaskId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A terminal update said so.
    Certain,
    /// The master did not know it: it may still be heard of.
    Lost,
}

impl Seen {
    /// A terminal update was handled.
    pub(super) fn has_ended(&self, task: &TaskId) -> bool {
        self.ended.get(task) == Some(&Ending::Certain)
    }

    /// It has ended in any way, as far as is remembered.
    pub(super) fn is_remembered(&self, task: &TaskId) -> bool {
        self.ended.contains_key(task)
    }

    pub(super) fn end(&mut self, task: TaskId) {
        self.remember(task, Ending::Certain);
    }

    fn remember(&mut self, task: TaskId, ending: Ending) {
        if self.ended.insert(task.clone(), ending).is_none() {
            self.order.push_back(task);
        }
        while self.order.len() > ENDED_TASKS {
            if let Some(oldest) = self.order.pop_front() {
                self.ended.remove(&oldest);
                self.numbers.remove(&oldest);
            }
        }
    }

    fn is_duplicate(&self, status: &TaskStatus) -> bool {
        let last = self.numbers.get(&status.task).and_then(|sources| sources.get(&status.source));
        status.seq > 0 && last.is_some_and(|last| status.seq <= *last)
    }

    fn note(&mut self, status: &TaskStatus) {
        if status.seq > 0 {
            self.numbers.entry(status.task.clone()).or_default().insert(status.source, status.seq);
        }
    }

    /// Another master generation numbers its own updates anew.
    pub(super) fn forget_master_numbers(&mut self) {
        self.numbers.values_mut().for_each(|sources| {
            sources.remove(&TaskSource::Master);
        });
        self.numbers.retain(|_, sources| !sources.is_empty());
    }
}

impl<S: Scheduler> Session<S> {
    pub(super) fn on_statuses(
        &mut self,
        now: Now,
        statuses: Vec<TaskStatus>,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        let mut confirmed = Vec::new();
        let mut outcome = Ok(());
        for status in statuses {
            let confirm = acknowledgement(&status);
            outcome = self.on_status(now, status, frame);
            // A scheduler that failed did not handle it; one that asked for the end did.
            if !matches!(outcome, Err(End::Scheduler(_))) {
                confirmed.extend(confirm);
            }
            if outcome.is_err() {
                break;
            }
        }
        for list in confirmed.chunks(CALL_ENTRIES) {
            frame.send.push(Call::Acknowledge(list.to_vec()));
        }
        outcome?;
        self.check_reconciled(now, frame)
    }

    fn on_status(&mut self, now: Now, status: TaskStatus, frame: &mut SessionFrame) -> Result<(), End> {
        let is_answer = status.seq == 0 || status.state.is_terminal();
        let was_waited_for = is_answer && self.note_answer(&status.task);
        if self.seen.is_duplicate(&status) || self.seen.has_ended(&status.task) {
            return Ok(());
        }
        if status.state == TaskState::Unknown {
            return self.on_unknown_task(now, status, frame);
        }
        self.seen.note(&status);
        let before = self.facts.tasks.get(&status.task).cloned();
        if status.state.is_terminal() {
            self.facts.tasks.remove(&status.task);
            self.kill_timers.remove(&status.task);
            self.seen.end(status.task.clone());
            self.deliver(now, Event::Status(status.clone()), frame)?;
            if before.is_some() {
                frame.store.push(records::forget_task(&status.task));
            }
            return Ok(());
        }
        let known = KnownTask {
            agent: status.agent.clone().or(before.as_ref().and_then(|b| b.agent.clone())),
            state: status.state,
            is_confirmed: true,
            kill: before.as_ref().and_then(|b| b.kill),
        };
        if status.seq == 0 && !was_waited_for && before.as_ref().is_some_and(|b| b.state == status.state) {
            return Ok(());
        }
        let is_news = before.is_none_or(|b| !b.is_confirmed || b.agent != known.agent);
        self.facts.tasks.insert(status.task.clone(), known.clone());
        let task = status.task.clone();
        if is_news {
            // Before the turn: what the turn stores of the same task must win.
            frame.store.push(records::keep_task(&task, &known));
        }
        self.deliver(now, Event::Status(status), frame)
    }

    /// The master does not know the task. Launches are durable at the master before they leave, so it never started or
    /// its end is long forgotten.
    fn on_unknown_task(&mut self, now: Now, status: TaskStatus, frame: &mut SessionFrame) -> Result<(), End> {
        let Some(known) = self.facts.tasks.remove(&status.task) else { return Ok(()) };
        self.kill_timers.remove(&status.task);
        self.seen.remember(status.task.clone(), Ending::Lost);
        let (state, message) = match known.is_confirmed {
            true => (TaskState::Gone, "the master knows this task no more; it has ended"),
            false => (TaskState::Dropped, "the launch did not reach the master; launch it again under another id"),
        };
        let task = status.task.clone();
        let reason = TaskReason::TaskUnknown;
        let status = TaskStatus { state, agent: known.agent, reason, message: message.to_owned(), ..status };
        self.deliver(now, Event::Status(status), frame)?;
        frame.store.push(records::forget_task(&task));
        Ok(())
    }

    /// Every known task ended with the framework that had it. The scheduler is told with the next local events.
    pub(super) fn lose_all_tasks(&mut self, now: Now, message: &str, frame: &mut SessionFrame) {
        for (task, known) in std::mem::take(&mut self.facts.tasks) {
            frame.store.push(records::forget_task(&task));
            self.seen.remember(task.clone(), Ending::Lost);
            let status = TaskStatus::new(task, known.agent, TaskState::Gone, TaskSource::Master, now.unix)
                .because(TaskReason::FrameworkRemoved, message);
            self.local.push_back(Event::Status(status));
        }
        self.kill_timers.clear();
    }
}

fn acknowledgement(status: &TaskStatus) -> Option<Acknowledgement> {
    (status.seq > 0).then(|| Acknowledgement {
        task: status.task.clone(),
        agent: status.agent.clone(),
        seq: status.seq,
        source: status.source,
    })
}
