//! What every test of the batch framework needs: a small job and a cluster to play with.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use proffer_batch::{Batch, Job, JobSpec};
use proffer_proto_wire::{batch as wire, common};
use proffer_sdk::{TaskReason, TaskState};
use proffer_testkit::{Calls, TestDriver, agent};

/// A job of 0.1 CPU and 32 MiB per task.
pub fn wire_spec(name: &str, completions: u32, parallelism: u32, retries: u32) -> wire::JobSpec {
    wire::JobSpec {
        name: name.to_owned(),
        container: Some(common::ContainerSpec { image: "busybox".to_owned(), ..Default::default() }),
        completions,
        parallelism,
        retries,
        resources: Some(common::Resources { cpus_milli: 100, memory_bytes: 32 << 20, ..Default::default() }),
        ..Default::default()
    }
}

pub fn spec(name: &str, completions: u32, parallelism: u32, retries: u32) -> JobSpec {
    wire_spec(name, completions, parallelism, retries).try_into().unwrap()
}

/// A framework that is connected and has taken this job.
pub fn with_job(spec: JobSpec) -> (TestDriver<Batch>, String) {
    let mut driver = TestDriver::new(Batch::new());
    driver.connect();
    let id = driver.with(|batch, cx| batch.run(spec, cx)).0.unwrap();
    (driver, id)
}

pub fn job(driver: &TestDriver<Batch>, id: &str) -> Job {
    driver.scheduler().find(id).unwrap().clone()
}

/// One offer of 4 CPUs; gives the tasks launched on it.
pub fn offer(driver: &mut TestDriver<Batch>) -> Vec<String> {
    ids(&driver.offers([agent("a1")]))
}

pub fn ids(calls: &Calls) -> Vec<String> {
    calls.launched_ids().into_iter().map(str::to_owned).collect()
}

pub fn fail(driver: &mut TestDriver<Batch>, task: &str) {
    driver.status_because(task, TaskState::Failed, TaskReason::Exited);
}
