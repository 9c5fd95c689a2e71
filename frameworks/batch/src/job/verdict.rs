//! What becomes of a job when an attempt ends: another try, success, failure, or the end of the job.

use proffer_sdk::{Now, TaskStatus};

use super::{FIRST_BACKOFF_MS, Job, KEPT_ATTEMPTS, MAX_BACKOFF_MS, MAX_LOSSES, Phase};
use crate::attempt::{Outcome, Verdict};

impl Job {
    /// A status of one of its attempts. `true`: the attempt was given up while its task may still run, so it must be killed.
    pub fn on_status(&mut self, index: u32, number: u32, status: TaskStatus, now: Now) -> bool {
        let key = (index, number);
        let Some(attempt) = self.attempts.get_mut(&key) else { return !status.state.is_terminal() };
        let may_still_run = !status.state.is_terminal();
        if attempt.outcome != Outcome::Active {
            // It was given up as unreachable; what it did since counts no more.
            if !attempt.status.state.is_terminal() && attempt.status != status {
                attempt.status = status;
                self.touch(Some(key));
            }
            return may_still_run;
        }
        let verdict = Verdict::of(&status);
        let told = describe(&status);
        attempt.status = status;
        self.touch(Some(key));
        if verdict == Verdict::GoesOn {
            return false;
        }
        self.running = self.running.saturating_sub(1);
        let outcome = self.judge(index, verdict, &told, now);
        if let Some(attempt) = self.attempts.get_mut(&key) {
            attempt.outcome = outcome;
        }
        if !matches!(outcome, Outcome::Retried | Outcome::Lost) {
            self.open.remove(&index);
            self.forgettable.extend(self.attempts.range((index, 0)..=(index, u32::MAX)).map(|(key, _)| *key));
            self.forget_oldest();
        }
        self.settle(now);
        may_still_run
    }

    /// An attempt has ended: what becomes of its task?
    fn judge(&mut self, index: u32, verdict: Verdict, told: &str, now: Now) -> Outcome {
        let tries = self.open.entry(index).or_default();
        let (again, is_allowed) = match verdict {
            Verdict::Success | Verdict::GoesOn => {
                self.progress.succeeded += 1;
                return Outcome::Succeeded;
            }
            Verdict::Loss => (Outcome::Lost, tries.losses < MAX_LOSSES),
            Verdict::Failure => (Outcome::Retried, tries.failures < self.spec.retries),
            Verdict::Hopeless => (Outcome::Failed, false),
        };
        match self.progress.phase {
            Phase::Cancelling => return Outcome::Killed,
            // Nothing is tried again: what is lost stays as it was, untried.
            Phase::Failing if verdict == Verdict::Loss => return Outcome::Killed,
            Phase::Failing => {
                self.progress.failed += 1;
                return Outcome::Failed;
            }
            _ => {}
        }
        if !is_allowed {
            let why = match verdict {
                Verdict::Loss => format!("was lost {} times", tries.losses + 1),
                Verdict::Hopeless => "can never succeed".to_owned(),
                _ => format!("failed {} times", tries.failures + 1),
            };
            self.progress.failed += 1;
            self.progress.phase = Phase::Failing;
            self.progress.message = format!("task {index} {why}; at last: {told}");
            return Outcome::Failed;
        }
        let nth = if again == Outcome::Lost { &mut tries.losses } else { &mut tries.failures };
        *nth += 1;
        self.backing_off.insert((now.mono + backoff_ms(*nth), index));
        self.progress.retried += 1;
        again
    }

    /// Has the job come to its end?
    pub(super) fn settle(&mut self, now: Now) {
        let ended = match self.progress.phase {
            Phase::Active if self.progress.succeeded >= self.spec.completions => Phase::Succeeded,
            Phase::Failing if self.running == 0 => Phase::Failed,
            Phase::Cancelling if self.running == 0 => Phase::Cancelled,
            _ => return,
        };
        self.progress.phase = ended;
        self.progress.ended = Some(now.unix);
        self.due.clear();
        self.backing_off.clear();
        self.touch(None);
    }

    fn forget_oldest(&mut self) {
        while self.forgettable.len() > KEPT_ATTEMPTS {
            if let Some(key) = self.forgettable.pop_front() {
                self.attempts.remove(&key);
                self.changes.attempts.remove(&key);
                self.changes.forgotten.push(key);
            }
        }
    }
}

/// The wait before the try after the `nth` failure, in milliseconds.
pub fn backoff_ms(nth: u32) -> u64 {
    FIRST_BACKOFF_MS.saturating_mul(1 << nth.saturating_sub(1).min(10)).min(MAX_BACKOFF_MS)
}

/// A status in words for people.
fn describe(status: &TaskStatus) -> String {
    let mut words = vec![status.state.to_string(), status.reason.to_string()];
    words.extend(status.exit_code.map(|code| format!("exit code {code}")));
    words.extend(status.signal.map(|signal| format!("signal {signal}")));
    words.push(status.message.clone());
    words.retain(|word| !word.is_empty());
    words.join(", ")
}
