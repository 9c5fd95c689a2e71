//! What one framework that misbehaves costs the others, as a ratio of rounds with it and rounds without it that take turns.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proffer_master_server::RawConfig;
use proffer_proto_model::{Bytes, MilliCpus, Resources};
use proffer_sdk::{Driver, FrameworkConfig};
use tokio::runtime::Runtime;

use super::bad::{self, Manner};
use super::framework::{Done, Worker};
use super::{Server, agent};
use crate::report::{Better, Figure, median};

/// Frameworks that behave.
const GOOD: usize = 4;
/// Tasks each of them keeps going.
const PARALLEL: u32 = 64;
/// Agents, with ten times the room that is needed.
const AGENTS: usize = 20;
/// Rounds of each kind for each bad framework.
const ROUNDS: usize = 7;
/// Long enough for offers to expire in it.
const ROUND: Duration = Duration::from_millis(2_500);
/// Not counted: the master settles after a bad framework came or went.
const SETTLE: Duration = Duration::from_millis(500);
/// Shorter than by default, so that a round sees many of them.
const OFFER_TIMEOUT_MS: u64 = 500;
/// Runs everything and gives the figures.
pub fn measure() -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let raw = RawConfig { offer_timeout_ms: Some(OFFER_TIMEOUT_MS), ..RawConfig::default() };
    let server = Server::start(folder.path(), raw);
    let peers = Runtime::new().expect("threads can be started");
    let done = start(&peers, server.address());
    // All have subscribed and run.
    rate(&done, ROUND);
    let mut figures = Vec::new();
    for manner in Manner::ALL {
        eprintln!("one framework {}", manner.name());
        figures.extend(compare(&done, server.address(), manner));
    }
    peers.shutdown_background();
    server.stop();
    figures
}

fn start(peers: &Runtime, master: SocketAddr) -> Vec<Done> {
    for number in 0..AGENTS {
        peers.spawn(agent::run(master, number, plenty()));
    }
    let worker = |number: usize| {
        let done = Done::default();
        let config = FrameworkConfig::new(format!("good-{number}")).master(master.to_string());
        peers.spawn(Driver::new(config).run(Worker::new(PARALLEL, done.clone())));
        done
    };
    (0..GOOD).map(worker).collect()
}

/// Of each agent; more than the four could ever want.
fn plenty() -> Resources {
    Resources { cpus: MilliCpus(32_000), memory: Bytes::mib(64 << 10), ..Resources::default() }
}

/// Rounds without and with the bad framework in turn.
fn compare(done: &[Done], master: SocketAddr, manner: Manner) -> [Figure; 2] {
    let (mut alone, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let without = rate(done, ROUND);
        // Threads of its own: on a real cluster it is another machine.
        let its_own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let its_own = its_own.expect("a thread can be started");
        its_own.spawn(bad::run(master, manner));
        std::thread::sleep(SETTLE);
        let with = rate(done, ROUND);
        its_own.shutdown_background();
        std::thread::sleep(SETTLE);
        alone.push(without);
        ratios.push(with / without);
    }
    let name = format!("the others beside one that {}", manner.name());
    [
        Figure::new(format!("{GOOD} frameworks alone"), median(alone), "tasks/s"),
        Figure::new(name, median(ratios), "of that").against(None, 0.95, Better::Higher),
    ]
}

/// Tasks per second of all good frameworks together.
fn rate(done: &[Done], time: Duration) -> f64 {
    let count = || done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<u64>();
    let (before, begun) = (count(), Instant::now());
    std::thread::sleep(time);
    (count() - before) as f64 / begun.elapsed().as_secs_f64()
}
