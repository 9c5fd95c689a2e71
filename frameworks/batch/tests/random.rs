//! Random lives of a job: whatever happens, in whatever order, the counts stay true and the job can come to its end.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{job, offer, spec};
use proffer_batch::{Batch, Outcome, Phase};
use proffer_sdk::{TaskReason, TaskState};
use proffer_testkit::TestDriver;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Offer,
    Status(usize, TaskState),
    Wait(u64),
    Cancel,
    Restart,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let states = prop::sample::select(vec![
        TaskState::Running,
        TaskState::Finished,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Dropped,
        TaskState::Gone,
        TaskState::Unreachable,
        TaskState::Killed,
    ]);
    prop_oneof![
        6 => Just(Step::Offer),
        12 => (0usize..8, states).prop_map(|(at, state)| Step::Status(at, state)),
        4 => (1u64..40_000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reconnect),
        1 => prop::bool::weighted(0.2).prop_map(|is_cancel| if is_cancel { Step::Cancel } else { Step::Offer }),
    ]
}

/// Tasks whose end the master has not told.
fn living(driver: &TestDriver<Batch>, id: &str) -> Vec<String> {
    let job = job(driver, id);
    let living = job.attempts().values().filter(|attempt| !attempt.status.state.is_terminal());
    living.map(|attempt| attempt.status.task.to_string()).collect()
}

fn check(driver: &TestDriver<Batch>, id: &str, parallelism: u32) {
    let job = job(driver, id);
    let progress = job.progress();
    let active = job.attempts().values().filter(|a| a.outcome == Outcome::Active).count();
    assert_eq!(active, job.running() as usize);
    assert!(job.running() <= parallelism, "{} run, {parallelism} may", job.running());
    assert_eq!(progress.succeeded + progress.failed + job.running() + job.waiting(), job.spec().completions);
    let mut done = BTreeSet::new();
    for (&(index, _), attempt) in job.attempts() {
        assert!(!done.contains(&index), "task {index} was tried again after its end");
        if matches!(attempt.outcome, Outcome::Succeeded | Outcome::Failed) {
            done.insert(index);
        }
    }
    assert_eq!(done.len(), (progress.succeeded + progress.failed) as usize);
    assert_eq!(job.phase().has_ended(), progress.ended.is_some());
    if job.phase().has_ended() {
        assert_eq!(job.running(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_job_stays_consistent_and_ends(
        (completions, parallelism, retries) in (1u32..8, 1u32..5, 0u32..3),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let (mut driver, id) = common::with_job(spec("r", completions, parallelism, retries));
        for step in steps {
            match step {
                Step::Offer => drop(offer(&mut driver)),
                Step::Status(at, state) => {
                    let living = living(&driver, &id);
                    if let Some(task) = living.get(at) {
                        driver.status_because(task, state, TaskReason::None);
                    }
                }
                Step::Wait(ms) => drop(driver.advance(ms)),
                Step::Cancel => drop(driver.with(|batch, cx| batch.cancel("r", cx).is_ok())),
                Step::Restart => {
                    let before = job(&driver, &id);
                    driver = driver.restart(Batch::new());
                    let after = job(&driver, &id);
                    prop_assert_eq!(before.progress(), after.progress());
                    prop_assert_eq!(before.attempts(), after.attempts());
                    prop_assert_eq!((before.running(), before.waiting()), (after.running(), after.waiting()));
                    driver.connect();
                }
                Step::Reconnect => {
                    driver.disconnect();
                    driver.connect();
                }
            }
            check(&driver, &id, parallelism);
        }
        for _ in 0..50 {
            offer(&mut driver);
            for task in living(&driver, &id) {
                driver.status(&task, TaskState::Finished);
                check(&driver, &id, parallelism);
            }
            driver.advance(31_000);
        }
        let phase = job(&driver, &id).phase();
        prop_assert!(matches!(phase, Phase::Succeeded | Phase::Failed | Phase::Cancelled), "{:?}", phase);
    }
}
