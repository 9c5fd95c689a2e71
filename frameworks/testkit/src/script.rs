//! A run as a list: what the cluster does, what the framework must say.

use proffer_sdk::{Scheduler, TaskState};

use crate::calls::{Calls, compare};
use crate::{TestDriver, TestOffer};

/// One thing the cluster does.
#[derive(Debug, Clone)]
pub enum Step {
    /// A master accepts the framework.
    Connect,
    /// The master is lost.
    Disconnect,
    /// Offers come.
    Offers(Vec<TestOffer>),
    /// A task reaches a state.
    Status(String, TaskState),
    /// Time passes, in milliseconds.
    Advance(u64),
}

/// A run as a list of what the cluster sends and what the framework is expected to say.
#[derive(Debug, Clone, Default)]
#[must_use = "a script does nothing before it is run"]
pub struct Script {
    steps: Vec<(Step, Option<Vec<String>>)>,
}

/// The framework said something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Number of the step, from 1.
    pub step: usize,
    /// Both sides, line by line.
    pub difference: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after step {} the framework's calls are not the expected ones\n{}", self.step, self.difference)
    }
}

impl std::error::Error for Mismatch {}

impl Script {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cluster does this.
    pub fn send(mut self, step: Step) -> Self {
        self.steps.push((step, None));
        self
    }

    /// After the last step the framework says exactly these lines; see [`crate::line`]. A `*` at the end matches anything. Steps
    /// without an expectation accept whatever is said.
    pub fn expect<T: Into<String>>(mut self, lines: impl IntoIterator<Item = T>) -> Self {
        if let Some((_, expected)) = self.steps.last_mut() {
            *expected = Some(lines.into_iter().map(Into::into).collect());
        }
        self
    }

    /// Runs it to its end or to the first mismatch.
    pub fn run<S: Scheduler>(self, driver: &mut TestDriver<S>) -> Result<(), Mismatch> {
        for (at, (step, expected)) in self.steps.into_iter().enumerate() {
            let calls = perform(driver, step);
            let Some(expected) = expected else { continue };
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            compare(&expected, &calls.lines()).map_err(|difference| Mismatch { step: at + 1, difference })?;
        }
        Ok(())
    }
}

fn perform<S: Scheduler>(driver: &mut TestDriver<S>, step: Step) -> Calls {
    match step {
        Step::Connect => driver.connect(),
        Step::Disconnect => driver.disconnect(),
        Step::Offers(offers) => driver.offers(offers),
        Step::Status(task, state) => driver.status(&task, state),
        Step::Advance(ms) => driver.advance(ms),
    }
}
