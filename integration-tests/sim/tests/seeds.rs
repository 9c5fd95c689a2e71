//! Hundreds of seeds of the whole cluster: safety at every step, then healing. Each failure names its seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proffer_integration_sim::invariants::limits::Limits;
use proffer_integration_sim::invariants::owned::Removals;
use proffer_integration_sim::{Scenario, World};

/// Seeds of one test run; more with `PROFFER_SIM_SEEDS`.
const SEEDS: u64 = 800;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{variable}={text:?}: {e}")))
}

/// Runs a seed; the hash of its trace, how many tasks were accepted, in how many gangs, and what removals and limits did.
fn run(seed: u64) -> Result<(u64, usize, usize, Removals, Limits), String> {
    let mut world = World::new(Scenario::standard(seed));
    world.run()?;
    Ok((
        world.trace.hash(),
        world.oracle.accepts(),
        world.oracle.gangs().len(),
        world.owned.removals,
        world.limits.limits,
    ))
}

#[test]
fn every_seed_is_safe_at_each_step_and_heals() {
    let seeds = number("PROFFER_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, accepted, gangs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let removals = Mutex::new(Removals::default());
    let limits = Mutex::new(Limits::default());
    let failures: Vec<String> = std::thread::scope(|scope| {
        let worker = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return failed;
                }
                match run(seed) {
                    Ok((_, tasks, together, removed, limited)) => {
                        limits.lock().expect("no worker panics while it counts").add(&limited);
                        removals.lock().expect("no worker panics while it counts").add(&removed);
                        gangs.fetch_add(together as u64, Ordering::Relaxed);
                        accepted.fetch_add(tasks as u64, Ordering::Relaxed);
                    }
                    Err(broken) => failed.push(broken),
                }
            }
        };
        let workers: Vec<_> =
            (0..std::thread::available_parallelism().map_or(2, |n| n.get())).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("a worker that panics fails the test")).collect()
    });
    for broken in failures.iter().take(3) {
        eprintln!("{broken}\n");
    }
    assert!(failures.is_empty(), "{} of {seeds} seeds failed", failures.len());
    // A run in which nothing happened proves nothing.
    let accepted = accepted.into_inner();
    assert!(accepted > 20 * seeds, "only {accepted} tasks were accepted in {seeds} seeds");
    let gangs = gangs.into_inner();
    assert!(gangs > 2 * seeds, "only {gangs} gangs were launched in {seeds} seeds");
    let removals = removals.into_inner().expect("no worker panics while it counts");
    println!("{removals:?}");
    let Removals { frameworks, pools_ended, volumes_ended, left, in_use } = removals;
    for (count, least) in [(frameworks, 1), (pools_ended, 1), (volumes_ended, 1), (left, 1)] {
        assert!(count >= least * seeds, "too little was removed in {seeds} seeds: {removals:?}");
    }
    assert!(10 * in_use > seeds, "too little was in use in {seeds} seeds: {removals:?}");
    let limits = limits.into_inner().expect("no worker panics while it counts");
    println!("{limits:?}");
    let Limits { reached, reached_away, forced } = limits;
    assert!(reached > seeds && 40 * reached_away > seeds && 10 * forced > seeds, "too little was limited: {limits:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}

/// The seed named by `PROFFER_SIM_SEED`: for looking into a failure. Prints the steps that name `PROFFER_SIM_WATCH`.
#[test]
fn one_seed() {
    let seed = number("PROFFER_SIM_SEED").unwrap_or(0);
    let mut world = World::new(Scenario::standard(seed));
    world.trace.watch = std::env::var("PROFFER_SIM_WATCH").ok();
    let result = world.run();
    println!(
        "seed {seed}: {} steps, hash {:016x}, {:?}",
        world.trace.steps(),
        world.trace.hash(),
        world.owned.removals
    );
    assert_eq!(result, Ok(()));
}
