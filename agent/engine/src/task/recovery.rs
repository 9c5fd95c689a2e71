//! Taking a task up again after the agent's process ended: what was stored meets what the runtime has.

use super::{Context, Step, Task};
use crate::{Launch, Phase, Progress, SeenStatus};

impl Task {
    /// Takes the task up where it is, and asks for its next step.
    pub fn recover(launch: Option<Launch>, progress: Progress, seen: Option<SeenStatus>, cx: &mut Context<'_>) -> Self {
        let mut task = Self::from_progress(launch, progress);
        if let Some(known) = &task.progress.latest.container {
            task.pid = known.pid;
        }
        if let Some(SeenStatus::Created { pid } | SeenStatus::Running { pid }) = seen {
            task.pid = pid;
        }
        match task.progress.phase {
            Phase::Launching => task.begin_again(seen.is_some(), cx),
            Phase::Starting | Phase::Running => task.adopt(seen, cx),
            Phase::Ended => {
                task.step = Step::Delete;
                task.issue(cx);
            }
            Phase::Cleaned => {}
        }
        task
    }

    /// Its process was never started, so whatever there is of its container can go.
    fn begin_again(&mut self, is_anything_there: bool, cx: &mut Context<'_>) {
        self.step = if is_anything_there { Step::Clear } else { Step::Image };
        if !self.stop_launch(cx) {
            self.issue(cx);
        }
    }

    fn adopt(&mut self, seen: Option<SeenStatus>, cx: &mut Context<'_>) {
        match seen {
            Some(SeenStatus::Created { .. }) => {
                self.step = Step::Start;
                self.issue(cx);
            }
            // Started, but that was not stored: RUNNING was never said.
            Some(SeenStatus::Running { .. }) if self.progress.phase == Phase::Starting => self.started(cx),
            Some(SeenStatus::Running { .. } | SeenStatus::Ended) => self.watch(cx),
            None => self.vanished(cx),
        }
    }
}
