//! kill -9 of one agent of a gang, between the accept that the master took and the start of the task there. What it had
//! stored it goes on with, and the gang is whole; where it never knew of the task, cannot start it after all or stays
//! away, the other task ends too.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use proffer_integration_harness::{Cluster, wait_for};
use proffer_sdk::{
    Context, Demand, Driver, Event, FrameworkConfig, Gang, Handle, Handled, Offer, Scheduler, Task, TaskId, TaskReason,
    TaskSpec, TaskState,
};

use super::common::PATIENCE;

/// What the framework was told.
#[derive(Debug)]
enum Told {
    /// It holds an offer of each agent.
    Offered,
    Status(String, TaskState, TaskReason),
}

/// Holds an offer of each of two agents until it is told what to launch on them.
struct Holder {
    offers: BTreeMap<String, Offer>,
    told: Sender<Told>,
}

impl Scheduler for Holder {
    fn on_event(&mut self, event: Event, _: &mut Context<'_>) -> Handled {
        match event {
            Event::Offers(offers) => {
                self.offers.extend(offers.into_iter().map(|offer| (offer.hostname().to_owned(), offer)));
                if self.offers.len() == 2 {
                    self.told.send(Told::Offered)?;
                }
            }
            Event::Rescinded { offers, .. } => self.offers.retain(|_, offer| !offers.contains(offer.id())),
            Event::Status(status) => {
                self.told.send(Told::Status(status.task.to_string(), status.state, status.reason))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Holder {
    /// One task on each agent, in the order of their names.
    fn launch(&mut self, tasks: [TaskSpec; 2], cx: &mut Context<'_>) {
        let mut gang = Gang::new();
        for ((_, offer), task) in std::mem::take(&mut self.offers).into_iter().zip(tasks) {
            gang.add(offer, vec![task]).unwrap();
        }
        gang.launch();
        cx.set_demand(Demand::none());
    }
}

/// The framework, and all it was told so far.
struct Framework {
    runtime: tokio::runtime::Runtime,
    handle: Handle<Holder>,
    told: Receiver<Told>,
    seen: Vec<Told>,
}

impl Framework {
    /// Reads on until `is_it`.
    fn until(&mut self, what: &str, is_it: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(told) = self.told.recv_timeout(left) else { panic!("waited for {what}, told {:?}", self.seen) };
            let is_done = is_it(&told);
            self.seen.push(told);
            if is_done {
                return;
            }
        }
    }

    fn until_is(&mut self, task: &str, wanted: TaskState, why: Option<TaskReason>) {
        // It may have been told while another was waited for.
        let is_it = |told: &Told| {
            matches!(told, Told::Status(id, state, reason) if id == task && *state == wanted
                && why.is_none_or(|why| *reason == why))
        };
        if !self.seen.iter().any(is_it) {
            self.until(&format!("{task} to be {wanted}"), is_it);
        }
    }

    fn launch(&mut self, tasks: [TaskSpec; 2]) {
        self.runtime.block_on(self.handle.with(move |holder, cx| holder.launch(tasks, cx))).unwrap();
    }

    /// Asks for an offer of each agent, and waits until it has them.
    fn get_offers(&mut self) {
        self.runtime.block_on(self.handle.with(|_, cx| cx.set_demand(Demand::anything()))).unwrap();
        self.until("an offer of each agent", |told| matches!(told, Told::Offered));
    }

    fn kill(&mut self, tasks: [&str; 2]) {
        let ids = tasks.map(|id| TaskId::new(id).unwrap());
        self.runtime.block_on(self.handle.with(move |_, cx| ids.into_iter().for_each(|id| cx.kill(id, None)))).unwrap();
        tasks.iter().for_each(|task| self.until_is(task, TaskState::Killed, None));
    }

    fn never_ran(&self, task: &str) {
        let ran = |told: &&Told| matches!(told, Told::Status(id, TaskState::Running, _) if id == task);
        assert!(self.seen.iter().find(ran).is_none(), "{:?}", self.seen);
    }
}

fn task(id: &str, image: &str) -> TaskSpec {
    let task = Task::new(id).image(image).command(["/bin/sh", "-c", "sleep 1000"]).kill_grace_ms(500);
    task.cpus(0.1).memory_mib(32).build().unwrap()
}

fn pair(name: &str) -> [TaskSpec; 2] {
    [task(&format!("{name}-1"), "hello:latest"), task(&format!("{name}-2"), "hello:latest")]
}

/// Two agents; the master waits ten seconds for one that is away.
pub fn a_gang_is_whole_or_ends_when_an_agent_is_killed(cluster: &Cluster) {
    let (to, told) = channel();
    let driver = Driver::new(FrameworkConfig::new("halves").master(cluster.master()));
    let handle = driver.handle();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(driver.run(Holder { offers: BTreeMap::new(), told: to }));
    let mut framework = Framework { runtime, handle, told, seen: Vec::new() };

    killed_before_it_knew(cluster, &mut framework);
    killed_before_it_started(cluster, &mut framework);
    killed_while_it_starts(cluster, &mut framework);
    away_for_too_long(cluster, &mut framework);
    wait_for("nothing to be left of any gang", PATIENCE, || {
        let left = cluster.agents().into_iter().map(|agent| cluster.try_containers(&cluster.flags(&agent).namespace));
        let left: Vec<_> = left.collect::<Result<_, _>>()?;
        if left.iter().all(BTreeMap::is_empty) { Ok(()) } else { Err(format!("{left:?}")) }
    });

    framework.runtime.block_on(async {
        framework.handle.stop().await;
        running.await.unwrap().unwrap();
    });
}

/// The agent never read the launch: its next life says so, and the other task ends, under the same master and the next.
fn killed_before_it_knew(cluster: &Cluster, framework: &mut Framework) {
    for name in ["same", "next"] {
        framework.get_offers();
        cluster.freeze("agent-2");
        framework.launch(pair(name));
        framework.until_is(&format!("{name}-1"), TaskState::Running, None);
        if name == "next" {
            cluster.kill_9("master");
        }
        cluster.kill_9("agent-2");
        framework.until_is(&format!("{name}-2"), TaskState::Dropped, Some(TaskReason::AgentRestarted));
        framework.until_is(&format!("{name}-1"), TaskState::Killed, Some(TaskReason::GangFailed));
        framework.never_ran(&format!("{name}-2"));
    }
}

/// The agent has stored the launch and waits for containerd: its next life goes on with it, and the gang is whole.
fn killed_before_it_started(cluster: &Cluster, framework: &mut Framework) {
    framework.get_offers();
    let containerd = cluster.freeze_containerd();
    framework.launch(pair("whole"));
    framework.until_is("whole-2", TaskState::Starting, None);
    cluster.kill_9("agent-2");
    drop(containerd);
    let tasks = ["whole-1", "whole-2"];
    tasks.iter().for_each(|task| framework.until_is(task, TaskState::Running, None));
    framework.kill(tasks);
}

/// The agent has begun: it is killed while it waits for a registry, and what it goes on with then fails.
fn killed_while_it_starts(cluster: &Cluster, framework: &mut Framework) {
    // It takes connections and does not answer.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/stuck:1", registry.local_addr().unwrap());
    framework.get_offers();
    framework.launch([task("begun-1", "hello:latest"), task("begun-2", &image)]);
    framework.until_is("begun-1", TaskState::Running, None);
    framework.until_is("begun-2", TaskState::Starting, None);
    cluster.kill_9("agent-2");
    std::thread::spawn(move || answer_that_nothing_is_there(&registry));
    framework.until_is("begun-1", TaskState::Killed, Some(TaskReason::GangFailed));
    framework.never_ran("begun-2");
}

/// To everybody, until the tests end.
fn answer_that_nothing_is_there(registry: &TcpListener) {
    for mut stream in registry.incoming().flatten() {
        // Whoever was killed reads no answer.
        let read = stream.read(&mut [0; 4_096]);
        let _ = read.and_then(|_| stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    }
}

/// The other task ends while the agent is away; when it is back, it starts nothing.
fn away_for_too_long(cluster: &Cluster, framework: &mut Framework) {
    framework.get_offers();
    cluster.freeze("agent-2");
    framework.launch(pair("away"));
    framework.until_is("away-1", TaskState::Running, None);
    let paused = cluster.pause();
    paused.kill_9("agent-2");
    framework.until_is("away-2", TaskState::Unreachable, None);
    framework.until_is("away-1", TaskState::Killed, Some(TaskReason::GangFailed));
    drop(paused);
    wait_for("the agent to be back", PATIENCE, || {
        let all = cluster.try_json(&["agents"])?;
        let is_back = all.as_array().into_iter().flatten().all(|agent| agent["state"] == "ATTACHED");
        if is_back { Ok(()) } else { Err(all.to_string()) }
    });
    framework.until(
        "the end of away-2",
        |told| matches!(told, Told::Status(id, state, _) if id == "away-2" && state.is_terminal()),
    );
    framework.never_ran("away-2");
}
