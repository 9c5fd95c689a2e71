//! What frameworks get beside others that hoard, decline, hang and want everything: in virtual time, from the real
//! engines.

#![allow(clippy::unwrap_used)] // helpers of tests may fail the test like tests do

use proffer_integration_sim::cast::{Behaviour, Part};
use proffer_integration_sim::{Scenario, World};
use proffer_master_engine::{OperatorCall, RolesCall};
use proffer_proto_model::{Bytes, MilliCpus, Resources, Role, Weight};

const SEEDS: u64 = 2;

/// More tasks than the cluster holds.
const WITHOUT_END: u32 = 10_000;

/// When agents come: all frameworks are there by then. Whoever is early would keep what it gets.
const AGENTS_FROM_MS: u64 = 2_000;

/// Agents of a run, each with 4 CPUs and 4 GiB.
const AGENTS: u64 = 10;

fn world(seed: u64, cast: Vec<Part>) -> World {
    World::new(Scenario {
        cast,
        faults_until_ms: 0,
        agents: AGENTS as usize,
        agents_from_ms: AGENTS_FROM_MS,
        ..Scenario::standard(seed)
    })
}

fn run(world: &mut World, until_ms: u64) {
    world.run_until(until_ms).unwrap_or_else(|broken| panic!("{broken}"));
}

/// Those that cost the others something, each in a role of its own.
fn bad() -> Vec<Part> {
    vec![
        Part::bad("hoarder", Behaviour::Hoarding),
        Part::bad("decliner", Behaviour::Declining),
        Part::bad("sleeper", Behaviour::Hung),
    ]
}

fn set_weights(world: &mut World, weights: &[(&str, u32)]) {
    let weight =
        |(role, weight): &(&str, u32)| (Role::new(*role).unwrap(), Weight::from_milli(1_000 * weight).unwrap());
    let weights = weights.iter().map(weight).collect();
    let call = RolesCall::SetWeights { weights };
    world.operator_asks(OperatorCall::Roles { request: 1, call, is_dry_run: false });
}

/// The larger of the parts of the cluster's CPU and memory that a framework's tasks hold.
fn share_of(tasks: usize, shape: &Resources) -> f64 {
    let part = |of_task: u64, of_agent: u64| (tasks as u64 * of_task) as f64 / (AGENTS * of_agent) as f64;
    part(shape.cpus.0, 4_000).max(part(shape.memory.0, Bytes::mib(4_096).0))
}

/// What all running tasks hold of the cluster's CPU.
fn cpus_in_use(world: &World) -> f64 {
    let held = world.agents.iter().flat_map(|agent| agent.runtime.held()).map(|held| held.cpus.0).sum::<u64>();
    held as f64 / (AGENTS * 4_000) as f64
}

/// Tasks of a framework that have come to an end.
fn ended(world: &World, framework: usize) -> usize {
    world.oracle.tasks().filter(|((n, _), told)| *n == framework && told.terminal.is_some()).count()
}

#[test]
fn shares_are_fair_to_one_task_whoever_else_is_there() {
    for seed in 0..SEEDS {
        let weights = [("web", 1), ("data", 2), ("eng", 3)];
        let honest = weights.iter().map(|(role, _)| Part::honest(*role, WITHOUT_END));
        let mut world = world(seed, honest.chain(bad()).collect());
        run(&mut world, AGENTS_FROM_MS - 1);
        set_weights(&mut world, &weights);
        run(&mut world, 90_000);
        let shape = world.frameworks[0].part.shape.clone();
        let tasks: Vec<usize> = (0..weights.len()).map(|n| world.frameworks[n].running().len()).collect();
        for (a, (role, weight)) in weights.iter().enumerate() {
            let before_last = share_of(tasks[a].saturating_sub(1), &shape) / f64::from(*weight);
            for (b, (other, weight)) in weights.iter().enumerate() {
                let share = share_of(tasks[b], &shape) / f64::from(*weight);
                assert!(before_last <= share + 1e-9, "seed {seed}: {role} is ahead of {other}: {tasks:?}");
            }
        }
        assert!(cpus_in_use(&world) >= 0.95, "seed {seed}: only {} is in use, {tasks:?}", cpus_in_use(&world));
    }
}

#[test]
fn the_rest_keep_their_throughput_and_the_cluster_is_full() {
    for seed in 0..SEEDS {
        let honest = || (0..3).map(|n| Part::honest(format!("team-{n}"), WITHOUT_END).task_ms(5_000));
        let alone = throughput(seed, honest().collect());
        let beside = throughput(seed, honest().chain(bad()).collect());
        for (n, (beside, alone)) in beside.ended.iter().zip(&alone.ended).enumerate() {
            let kept = *beside as f64 / *alone as f64;
            assert!(kept >= 0.95, "seed {seed}: framework {n} ended {beside} tasks beside bad ones, {alone} without");
        }
        assert!(beside.in_use >= 0.95 * alone.in_use, "seed {seed}: {beside:?}, without bad ones {alone:?}");
    }
}

#[test]
fn a_greedy_framework_gets_its_share_and_no_more() {
    for seed in 0..SEEDS {
        let honest = || (0..3).map(|n| Part::honest(format!("team-{n}"), WITHOUT_END).task_ms(5_000));
        let greedy = Part::honest("greedy", WITHOUT_END).shape(MilliCpus(100), Bytes::mib(64)).task_ms(5_000);
        let alone = throughput(seed, honest().collect());
        let beside = throughput(seed, honest().chain([greedy]).collect());
        for (n, alone) in alone.ended.iter().enumerate() {
            // Of four it is due a quarter, of three it was a third.
            let due = *alone as f64 * 3.0 / 4.0;
            let kept = beside.ended[n] as f64 / due;
            assert!(kept >= 0.95, "seed {seed}: framework {n} is due {due} tasks: {beside:?}, without greed {alone:?}");
        }
        assert!(beside.in_use >= 0.95 * alone.in_use, "seed {seed}: {beside:?}, without greed {alone:?}");
    }
}

#[derive(Debug)]
struct Throughput {
    /// Of each framework.
    ended: Vec<usize>,
    /// Mean part of the CPU that running tasks held.
    in_use: f64,
}

/// What happens in 40 s, after as long in which everybody starts.
fn throughput(seed: u64, cast: Vec<Part>) -> Throughput {
    const FROM_MS: u64 = 40_000;
    const SAMPLES: u64 = 40;
    let mut world = world(seed, cast);
    run(&mut world, FROM_MS);
    let ended = |world: &World| (0..world.frameworks.len()).map(|n| ended(world, n)).collect::<Vec<_>>();
    let before = ended(&world);
    let mut in_use = 0.0;
    for sample in 1..=SAMPLES {
        run(&mut world, FROM_MS + 1_000 * sample);
        in_use += cpus_in_use(&world) / SAMPLES as f64;
    }
    let ended = ended(&world).iter().zip(before).map(|(now, before)| now - before).collect();
    Throughput { ended, in_use }
}
