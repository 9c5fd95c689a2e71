//! Tasks on two real agents, launched together with the SDK: they start together, or end together.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use proffer_integration_harness::{Cluster, ClusterOptions};
use proffer_sdk::{
    Context, Demand, Driver, Event, FrameworkConfig, Gang, Handled, Offer, Scheduler, Task, TaskReason, TaskSpec,
    TaskState,
};

use super::common::PATIENCE;

type Told = (String, TaskState, TaskReason);
type Check = fn(TaskState, TaskReason) -> bool;

/// Launches the pairs, the last first, each on two agents; the next once a gang has failed.
struct Pairs {
    pairs: Vec<[TaskSpec; 2]>,
    offers: Vec<Offer>,
    told: Sender<Told>,
}

impl Scheduler for Pairs {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        match event {
            Event::Started { .. } => cx.set_demand(Demand::anything()),
            Event::Offers(offers) => {
                // Held until there is one of each agent.
                self.offers.extend(offers);
                let Some(pair) = self.pairs.pop_if(|_| self.offers.len() == 2) else { return Ok(()) };
                let mut gang = Gang::new();
                for (offer, task) in self.offers.drain(..).zip(pair) {
                    gang.add(offer, vec![task]).map_err(|error| error.to_string())?;
                }
                gang.launch();
                cx.set_demand(Demand::none());
            }
            Event::Rescinded { offers, .. } => self.offers.retain(|offer| !offers.contains(offer.id())),
            Event::Status(status) => {
                if status.reason == TaskReason::GangFailed && !self.pairs.is_empty() {
                    cx.set_demand(Demand::anything());
                }
                self.told.send((status.task.to_string(), status.state, status.reason))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn task(id: &str, shell: &str) -> TaskSpec {
    let task = Task::new(id).image("hello:latest").command([shell, "-c", "sleep 1000"]).kill_grace_ms(500);
    task.cpus(0.1).memory_mib(32).build().unwrap()
}

/// Reads until each of the tasks was told to be as wanted.
fn wait_told(told: &Receiver<Told>, mut wanted: BTreeMap<&str, Check>) {
    let (deadline, mut seen) = (Instant::now() + PATIENCE, Vec::new());
    while !wanted.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((id, state, reason)) = told.recv_timeout(left) else { panic!("told only {seen:?}") };
        if wanted.get(id.as_str()).is_some_and(|is_it| is_it(state, reason)) {
            wanted.remove(id.as_str());
        }
        seen.push((id, state, reason));
    }
}

#[test]
fn a_gang_on_two_agents_starts_together_or_ends_together() {
    let master_flags = vec!["--agent-timeout=10s"];
    let cluster = Cluster::start_with(ClusterOptions { agents: 2, master_flags, ..ClusterOptions::default() });
    let (to, told) = channel();
    let broken = [task("fine", "/bin/sh"), task("broken", "/no/such/shell")];
    let whole = [task("left", "/bin/sh"), task("right", "/bin/sh")];
    let scheduler = Pairs { pairs: vec![whole, broken], offers: Vec::new(), told: to };
    let driver = Driver::new(FrameworkConfig::new("pairs").master(cluster.master()));
    let handle = driver.handle();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(driver.run(scheduler));

    let has_failed: Check = |state, _| state == TaskState::Failed;
    let is_killed: Check = |state, reason| (state, reason) == (TaskState::Killed, TaskReason::GangFailed);
    let runs: Check = |state, _| state == TaskState::Running;
    let wanted = [("broken", has_failed), ("fine", is_killed), ("left", runs), ("right", runs)];
    wait_told(&told, BTreeMap::from(wanted));

    runtime.block_on(async {
        handle.stop().await;
        running.await.unwrap().unwrap();
    });
    cluster.ok(&["frameworks", "teardown", "pairs", "--wait"]);
    super::gangs_over::a_gang_is_whole_or_ends_when_an_agent_is_killed(&cluster);
}
