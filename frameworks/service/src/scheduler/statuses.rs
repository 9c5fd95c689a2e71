//! What a status means for the slot of its task. Never launches anything: the plan says what comes next.

use proffer_sdk::{Context, TaskId, TaskReason, TaskState, TaskStatus};

use super::ServiceScheduler;
use crate::plan::{RESET_AFTER_MS, back_off_ms};
use crate::state::Slot;

/// Unreachable tasks that a slot remembers. Older ones are ended when they return.
const MAX_LOST: usize = 8;

impl ServiceScheduler {
    pub(super) fn on_status(&mut self, mut status: TaskStatus, cx: &mut Context<'_>) {
        status.data.clear();
        self.state.note_number(&status.task);
        let found = self.state.slot_of(&status.task).map(|(name, number, _)| (name.to_owned(), number));
        let slot = found.and_then(|(name, number)| self.state.slot_mut(&name, number));
        let Some(slot) = slot else { return end_surplus(&status, cx) };
        if slot.task.as_ref().is_some_and(|placed| placed.task == status.task) {
            on_present(slot, status, cx);
            if slot.task.is_none() {
                slot.task = slot.next.take();
            }
            return;
        }
        if slot.next.as_ref().is_some_and(|placed| placed.task == status.task) {
            return on_next(slot, status, cx);
        }
        let lost = slot.lost.iter().position(|placed| placed.task == status.task);
        if let Some(at) = lost.filter(|_| status.state != TaskState::Unreachable) {
            let placed = slot.lost.remove(at);
            // It came back before its replacement was started.
            if slot.task.is_none() && status.state.holds_resources() {
                slot.task = Some(placed);
                slot.clear_back_off();
                return on_present(slot, status, cx);
            }
        }
        end_surplus(&status, cx);
    }

    /// Tasks the SDK no longer knows have ended.
    pub(super) fn give_up_unknown(&mut self, cx: &Context<'_>) {
        let is_gone = |task: &TaskId| cx.task(task).is_none();
        let mut gone = Vec::new();
        for service in self.state.services() {
            for (&number, slot) in &service.slots {
                if slot.task.iter().chain(&slot.next).any(|placed| is_gone(&placed.task)) {
                    gone.push((service.record.spec.name.clone(), number));
                }
            }
        }
        for (name, number) in gone {
            if let Some(slot) = self.state.slot_mut(&name, number) {
                slot.next = slot.next.take().filter(|placed| !is_gone(&placed.task));
                slot.task = slot.task.take().filter(|placed| !is_gone(&placed.task)).or_else(|| slot.next.take());
                slot.restarts += 1;
                slot.last_failure = "the task is not known any more".to_owned();
            }
        }
    }
}

/// A task no slot wants: an instance that was replaced while it could not be reached, or of a service that was removed.
fn end_surplus(status: &TaskStatus, cx: &mut Context<'_>) {
    let is_asked = cx.task(&status.task).is_some_and(|known| known.kill.is_some());
    if status.state.holds_resources() && status.state != TaskState::Killing && !is_asked {
        tracing::info!(task = %status.task, "ending a task that no service wants any more");
        cx.kill(status.task.clone(), None);
    }
}

fn on_present(slot: &mut Slot, status: TaskStatus, cx: &Context<'_>) {
    let Some(placed) = slot.task.as_mut() else { return };
    match status.state {
        TaskState::Running => {
            if placed.running_since.is_none() {
                placed.running_since = Some(cx.now());
            }
            place(placed, status);
        }
        TaskState::Unreachable => {
            slot.last_failure = describe(&status);
            let was_killed = placed.is_killed;
            place(placed, status);
            if let Some(placed) = slot.task.take() {
                slot.lost.push(placed);
            }
            if slot.lost.len() > MAX_LOST {
                slot.lost.remove(0);
            }
            slot.restarts += u32::from(!was_killed);
        }
        state if state.is_terminal() => {
            if let Some(placed) = slot.task.take() {
                on_end(slot, &placed, &status, cx);
            }
        }
        _ => place(placed, status),
    }
}

/// A replacement that runs takes over and the old instance is ended; one that ends changes nothing for the old one.
fn on_next(slot: &mut Slot, status: TaskStatus, cx: &mut Context<'_>) {
    let Some(mut placed) = slot.next.take() else { return };
    if status.state.is_terminal() || status.state == TaskState::Unreachable {
        return on_end(slot, &placed, &status, cx);
    }
    let takes_over = status.state == TaskState::Running && !placed.is_killed;
    place(&mut placed, status);
    if !takes_over {
        slot.next = Some(placed);
        return;
    }
    placed.running_since = Some(cx.now());
    if let Some(old) = slot.task.replace(placed) {
        tracing::info!(task = %old.task, "ending an instance that was replaced");
        cx.kill(old.task, None);
    }
}

fn place(placed: &mut crate::state::Placed, status: TaskStatus) {
    // The container is told once; later statuses may leave it out.
    let container = placed.status.take().and_then(|before| before.container);
    let status = TaskStatus { container: status.container.clone().or(container), ..status };
    placed.status = Some(status);
}

fn on_end(slot: &mut Slot, placed: &crate::state::Placed, status: &TaskStatus, cx: &Context<'_>) {
    if placed.is_killed {
        return slot.clear_back_off();
    }
    slot.last_failure = describe(status);
    tracing::warn!(task = %status.task, state = %status.state, reason = %status.reason, "an instance ended");
    // The offer was gone before the launch came, nobody may have more now, or somebody else has the volume: nothing ran
    // and nothing failed.
    if status.state == TaskState::Dropped
        && matches!(
            status.reason,
            TaskReason::InvalidOffers
                | TaskReason::TaskUnknown
                | TaskReason::QuotaExceeded
                | TaskReason::VolumeUnavailable
        )
    {
        return;
    }
    slot.restarts = slot.restarts.saturating_add(1);
    // It moves because an operator wants its agent empty, or its room is taken for others: nothing failed, and nothing waits.
    if matches!(status.reason, TaskReason::AgentDraining | TaskReason::Preempted) {
        return;
    }
    if placed.running_since.is_some_and(|since| cx.now().since_ms(since) >= RESET_AFTER_MS) {
        slot.failures = 0;
    }
    // A description that was refused once is refused at once again.
    let least = if status.state == TaskState::Error { 2 } else { 1 };
    slot.failures = slot.failures.saturating_add(1).max(least);
    let wait_ms = back_off_ms(slot.failures);
    slot.back_off_until = (wait_ms > 0).then(|| cx.now() + wait_ms);
    slot.back_off_until_unix_ms = if wait_ms > 0 { cx.unix_now().0.saturating_add(wait_ms) } else { 0 };
}

/// For people: state, reason, exit code, what the agent said.
fn describe(status: &TaskStatus) -> String {
    let mut text = format!("{} {}", status.task, status.state);
    if status.reason != TaskReason::None {
        text.push_str(&format!(" ({})", status.reason));
    }
    match (status.exit_code, status.signal) {
        (Some(code), _) => text.push_str(&format!(", exit code {code}")),
        (None, Some(signal)) => text.push_str(&format!(", signal {signal}")),
        (None, None) => {}
    }
    if !status.message.is_empty() {
        text.push_str(&format!(": {}", status.message));
    }
    text
}
