//! Whole lives of jobs, in virtual time.

mod common;

use common::{fail, ids, job, offer, spec, wire_spec, with_job};
use proffer_batch::{Batch, JobSpec, MAX_LOSSES, Outcome, Phase, Refused};
use proffer_sdk::TaskState::{Dropped, Finished, Gone, Killed, Running, Unreachable};
use proffer_sdk::{Constraint, ConstraintOperator, Role};
use proffer_testkit::{TestDriver, agent};

#[test]
fn twenty_tasks_of_which_three_fail_once_end_well() {
    let (mut driver, id) = with_job(spec("render", 20, 5, 2));
    let mut fails = vec!["render-1.3.1", "render-1.7.1", "render-1.19.1"];
    let mut launched_in_all = 0;
    for _ in 0..100 {
        let launched = offer(&mut driver);
        launched_in_all += launched.len();
        assert!(job(&driver, &id).running() <= 5, "parallelism is a bound");
        for task in launched {
            driver.status(&task, Running);
            match fails.iter().position(|failing| *failing == task) {
                Some(at) => fail(&mut driver, fails.remove(at)),
                None => drop(driver.status(&task, Finished)),
            }
        }
        driver.advance(1_000);
    }
    let ended = job(&driver, &id);
    assert_eq!(ended.phase(), Phase::Succeeded);
    assert_eq!((ended.progress().succeeded, ended.progress().failed, ended.progress().retried), (20, 0, 3));
    assert_eq!((launched_in_all, ended.attempts().len()), (23, 23));
    assert_eq!(ended.attempts()[&(3, 1)].outcome, Outcome::Retried);
    assert_eq!(ended.attempts()[&(3, 2)].outcome, Outcome::Succeeded);
    assert_eq!(ended.attempts()[&(3, 2)].hostname, "a1");
    assert!(ended.progress().ended.is_some());
}

#[test]
fn the_demand_is_what_may_start_and_each_task_knows_its_place() {
    let mut driver = TestDriver::new(Batch::new());
    driver.connect();
    let (_, calls) = driver.with(|batch, cx| batch.run(spec("a", 3, 2, 0), cx));
    calls.assert(&["demand 2 x 0.1 cpus, 32MiB memory"]);
    let calls = driver.offers([agent("a1")]);
    assert_eq!(calls.launched_ids(), ["a-1.0.1", "a-1.1.1"]);
    assert_eq!(calls.demand().map(|demand| demand.items.len()), Some(0));
    let env = &calls.launched()[1].container.env;
    for (name, value) in [("JOB_ID", "a-1"), ("JOB_INDEX", "1"), ("JOB_ATTEMPT", "1")] {
        assert!(env.contains(&(name.to_owned(), value.to_owned())), "{name} in {env:?}");
    }
    driver.status("a-1.0.1", Finished).assert(&["demand 1 x *", "acknowledge a-1.0.1 #1"]);
}

#[test]
fn a_million_tasks_cost_nothing_before_they_run() {
    let (mut driver, id) = with_job(spec("big", 1_000_000, 3, 0));
    assert_eq!(offer(&mut driver).len(), 3);
    let big = job(&driver, &id);
    assert_eq!((big.running(), big.waiting(), big.attempts().len()), (3, 999_997, 3));
}

#[test]
fn a_task_out_of_retries_fails_the_job_once_the_rest_has_ended() {
    let (mut driver, id) = with_job(spec("a", 10, 2, 1));
    assert_eq!(offer(&mut driver), ["a-1.0.1", "a-1.1.1"]);
    fail(&mut driver, "a-1.0.1");
    driver.advance(1_001);
    assert_eq!(offer(&mut driver), ["a-1.0.2"]);
    fail(&mut driver, "a-1.0.2");
    assert_eq!(job(&driver, &id).phase(), Phase::Failing);
    assert!(offer(&mut driver).is_empty(), "nothing new starts");
    driver.status("a-1.1.1", Finished);
    let ended = job(&driver, &id);
    assert_eq!((ended.phase(), ended.progress().succeeded, ended.progress().failed), (Phase::Failed, 1, 1));
    assert_eq!(ended.progress().message, "task 0 failed 2 times; at last: FAILED, EXITED");
}

#[test]
fn a_failed_task_waits_longer_each_time() {
    let (mut driver, _) = with_job(spec("a", 1, 1, 9));
    for (number, wait_ms) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (5, 16_000), (6, 30_000), (7, 30_000)] {
        assert_eq!(offer(&mut driver), [format!("a-1.0.{number}")]);
        fail(&mut driver, &format!("a-1.0.{number}"));
        let calls = driver.advance(wait_ms - 1);
        assert!(calls.demand().is_none(), "too early after failure {number}");
        let calls = driver.offers([agent("a1")]);
        assert!(calls.lines().iter().any(|line| line.contains("decline")), "{calls}");
        assert_eq!(driver.advance(2).demand().map(|demand| demand.items.len()), Some(1), "after failure {number}");
    }
}

#[test]
fn lost_attempts_cost_no_retry_and_are_bounded() {
    let (mut driver, id) = with_job(spec("a", 1, 1, 0));
    for number in 1..=MAX_LOSSES + 1 {
        let launched = offer(&mut driver);
        assert_eq!(launched, [format!("a-1.0.{number}")]);
        driver.status(&launched[0], if number % 2 == 0 { Dropped } else { Gone });
        driver.advance(31_000);
    }
    let ended = job(&driver, &id);
    assert_eq!((ended.phase(), ended.progress().retried), (Phase::Failed, MAX_LOSSES));
    assert!(ended.progress().message.starts_with("task 0 was lost 11 times"), "{}", ended.progress().message);
}

#[test]
fn an_unreachable_attempt_is_replaced_and_killed() {
    let (mut driver, id) = with_job(spec("a", 1, 1, 0));
    offer(&mut driver);
    let calls = driver.status("a-1.0.1", Unreachable);
    assert_eq!(calls.killed().len(), 1, "{calls}");
    driver.advance(1_001);
    assert_eq!(offer(&mut driver), ["a-1.0.2"]);
    driver.status("a-1.0.1", Killed);
    driver.status("a-1.0.2", Finished);
    let ended = job(&driver, &id);
    assert_eq!((ended.phase(), ended.progress().succeeded), (Phase::Succeeded, 1));
    assert_eq!(ended.attempts()[&(0, 1)].outcome, Outcome::Lost);
    assert_eq!(ended.attempts()[&(0, 1)].status.state, Killed);
}

#[test]
fn a_cancelled_job_kills_what_runs_and_ends() {
    let (mut driver, id) = with_job(spec("a", 10, 2, 3));
    offer(&mut driver);
    let (killed, calls) = driver.with(|batch, cx| batch.cancel("a", cx));
    assert_eq!((killed, calls.killed().len()), (Ok(2), 2));
    assert_eq!(job(&driver, &id).phase(), Phase::Cancelling);
    assert!(offer(&mut driver).is_empty());
    driver.status("a-1.0.1", Killed);
    driver.status("a-1.1.1", Killed);
    let ended = job(&driver, &id);
    assert_eq!((ended.phase(), ended.running(), ended.waiting()), (Phase::Cancelled, 0, 10));
    assert_eq!(ended.attempts()[&(0, 1)].outcome, Outcome::Killed);
    let again = driver.with(|batch, cx| batch.cancel(&id, cx)).0;
    assert_eq!(again, Err(Refused::Ended { id, phase: Phase::Cancelled }));
}

#[test]
fn a_restart_in_the_middle_adopts_what_runs() {
    let (mut driver, id) = with_job(spec("a", 6, 3, 1));
    offer(&mut driver);
    driver.status("a-1.0.1", Running);
    driver.status("a-1.1.1", Finished);
    fail(&mut driver, "a-1.2.1");
    let before = job(&driver, &id);
    let mut driver = driver.restart(Batch::new());
    let after = job(&driver, &id);
    assert_eq!((after.progress(), after.running(), after.attempts()), (before.progress(), 1, before.attempts()));
    let calls = driver.connect();
    assert!(ids(&calls).is_empty());
    assert_eq!(offer(&mut driver), ["a-1.2.2", "a-1.3.1"], "what failed comes again, what runs does not");
    for task in ["a-1.0.1", "a-1.2.2", "a-1.3.1"] {
        driver.status(task, Finished);
    }
    for task in offer(&mut driver) {
        driver.status(&task, Finished);
    }
    assert_eq!(job(&driver, &id).phase(), Phase::Succeeded);
    // Numbers go on, also over a restart.
    let mut driver = driver.restart(Batch::new());
    driver.connect();
    assert_eq!(driver.with(|batch, cx| batch.run(spec("a", 1, 1, 0), cx)).0, Ok("a-2".to_owned()));
}

#[test]
fn older_jobs_come_first_and_names_are_unique_among_the_living() {
    let (mut driver, _) = with_job(spec("a", 50, 50, 0));
    driver.with(|batch, cx| batch.run(spec("b", 5, 5, 0), cx)).0.unwrap();
    let again = driver.with(|batch, cx| batch.run(spec("a", 1, 1, 0), cx)).0;
    assert_eq!(again, Err(Refused::NameTaken { id: "a-1".to_owned() }));
    let launched = offer(&mut driver);
    assert_eq!(launched.len(), 40, "as many as fit in 4 CPUs");
    assert!(launched.iter().all(|task| task.starts_with("a-1.")), "{launched:?}");
    let unknown = driver.scheduler().find("c").unwrap_err().to_string();
    assert_eq!(unknown, "no job \"c\"; the jobs are b-2, a-1");
}

#[test]
fn a_job_of_a_higher_priority_comes_before_an_older_one_and_its_tasks_say_so() {
    let (mut driver, _) = with_job(JobSpec { is_revocable: true, priority: -1, ..spec("a", 50, 50, 0) });
    let urgent = JobSpec { priority: 7, ..spec("b", 5, 5, 0) };
    let (_, calls) = driver.with(|batch, cx| batch.run(urgent, cx));
    let priorities: Vec<i32> = calls.demand().unwrap().items.iter().map(|item| item.priority).collect();
    assert_eq!(priorities, [-1, 7]);
    let calls = driver.offers([agent("a1")]);
    let launched: Vec<_> =
        calls.launched().iter().map(|task| (task.id.to_string(), task.priority, task.is_revocable)).collect();
    let is_of = |job: &str| launched.iter().filter(|task| task.0.starts_with(job)).count();
    assert_eq!((is_of("b-2."), is_of("a-1.")), (5, 35), "{launched:?}");
    assert!(
        launched.iter().all(|task| (task.1, task.2) == if task.0.starts_with('b') { (7, false) } else { (-1, true) })
    );
}

#[test]
fn constraints_and_roles_are_kept() {
    let rule = Constraint { subject: "@zone".into(), operator: ConstraintOperator::Equals, value: "z1".into() };
    let (mut driver, _) = with_job(JobSpec { constraints: vec![rule], ..spec("a", 1, 1, 0) });
    let calls = driver.offers([agent("a1").zone("z2")]);
    assert_eq!(calls.declined().len(), 1, "{calls}");
    assert_eq!(ids(&driver.offers([agent("a2").zone("z1")])), ["a-1.0.1"]);
    let role = Role::new("eng").unwrap();
    let refused = driver.with(|batch, cx| batch.run(JobSpec { role: Some(role), ..spec("b", 1, 1, 0) }, cx)).0;
    assert!(matches!(refused, Err(Refused::Role { .. })), "{refused:?}");
}

#[test]
fn a_task_of_no_job_is_killed_and_its_number_is_not_used_again() {
    let mut driver = TestDriver::new(Batch::new());
    driver.connect();
    let calls = driver.status("old-7.0.1", Running);
    assert_eq!(calls.killed().len(), 1, "{calls}");
    assert_eq!(driver.with(|batch, cx| batch.run(spec("old", 1, 1, 0), cx)).0, Ok("old-8".to_owned()));
}

#[test]
fn every_defect_of_a_spec_is_told_with_its_path() {
    let mut wrong = wire_spec("Bad Name", 0, 0, 5_000);
    wrong.resources = None;
    wrong.role = "/".to_owned();
    let told = JobSpec::try_from(wrong).unwrap_err().to_string();
    for part in [
        "job.name is \"Bad Name\"",
        "job.completions is 0",
        "job.parallelism",
        "job.retries",
        "job.resources",
        "job.role",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let mut wrong = wire_spec("a", 1, 1, 1);
    wrong.container.as_mut().unwrap().image.clear();
    assert_eq!(JobSpec::try_from(wrong).unwrap_err().to_string(), "job.container.image is missing; set it");
    let mut wrong = wire_spec("a", 1, 1, 1);
    wrong.resources.as_mut().unwrap().cpus_milli = -1;
    assert_eq!(
        JobSpec::try_from(wrong).unwrap_err().to_string(),
        "job.resources.cpus_milli is -1; amounts are 0 or more"
    );
    let right = wire_spec("a", 1, 1, 1);
    let there_and_back: proffer_proto_wire::batch::JobSpec = JobSpec::try_from(right.clone()).unwrap().into();
    assert_eq!(JobSpec::try_from(there_and_back), JobSpec::try_from(right));
}

#[test]
fn every_launch_makes_the_stated_demand_smaller() {
    let (mut driver, _) = with_job(spec("a", 4, 4, 3));
    let mut wanted = 4;
    for _ in 0..4 {
        let calls = driver.offers([agent("a1").milli_cpus(100)]);
        assert_eq!(calls.launched().len(), 1);
        let now = calls.demand().map(|demand| demand.items.first().map_or(0, |item| item.count.unwrap_or(0)));
        assert_eq!(now, Some(wanted - 1), "{calls}");
        wanted -= 1;
    }
}

#[test]
fn attempts_leave_by_themselves_and_no_long_one_starts_where_it_cannot_end() {
    let (mut driver, id) = with_job(spec("a", 3, 3, 0));
    let now = driver.now().unix.0;
    let leaves = |ms| proffer_sdk::UnixMillis(now + ms);
    let calls = driver.offers([agent("a1").unavailable(leaves(299_000), 1)]);
    assert!(calls.launched().is_empty() && calls.to_string().contains("the agent is not there in 299 s"), "{calls}");
    assert_eq!(driver.offers([agent("a1").unavailable(leaves(300_000), 1)]).launched().len(), 3);
    for task in ["a-1.0.1", "a-1.1.1"] {
        driver.status(task, Running);
    }
    let calls = driver.ask_to_leave(1, "a1", &["a-1.0.1", "a-1.1.1"], 300_000);
    calls.assert(&["leave V1-1: 2 attempts may end until then; the rest is tried again elsewhere"]);
    driver.status("a-1.0.1", Finished);
    driver.status_because("a-1.1.1", Killed, proffer_sdk::TaskReason::AgentDraining);
    driver.status_because("a-1.2.1", Killed, proffer_sdk::TaskReason::Preempted);
    assert_eq!(job(&driver, &id).attempts()[&(1, 1)].outcome, Outcome::Lost);
    assert_eq!(job(&driver, &id).attempts()[&(2, 1)].outcome, Outcome::Lost);
    driver.advance(1_001);
    assert_eq!(offer(&mut driver), ["a-1.1.2", "a-1.2.2"]);
}
