//! Frameworks that all want the same: each for itself gets what it is due.

use proffer_integration_sim::cast::Part;
use proffer_integration_sim::{Scenario, World};
use proffer_proto_model::{Bytes, MilliCpus};

use crate::draw::{AGENTS_FROM_MS, WITHOUT_END, bad};
use crate::{LEAST, for_each_seed};

/// Agents of a run, each with 4 CPUs and 4 GiB.
const AGENTS: u64 = 10;

#[test]
fn each_of_the_rest_keeps_its_throughput() {
    for_each_seed(|seed| {
        let honest = || (0..3).map(|n| Part::honest(format!("team-{n}"), WITHOUT_END).task_ms(5_000));
        let alone = throughput(seed, honest().collect())?;
        let beside = throughput(seed, honest().chain(bad()).collect())?;
        let kept = beside.iter().zip(&alone).map(|(beside, alone)| *beside as f64 / *alone as f64);
        match kept.fold(1.0, f64::min) >= LEAST {
            true => Ok(()),
            false => Err(format!("ended {beside:?} tasks, without the others {alone:?}")),
        }
    });
}

#[test]
fn each_gets_its_part_beside_a_greedy_one() {
    for_each_seed(|seed| {
        let honest = || (0..3).map(|n| Part::honest(format!("team-{n}"), WITHOUT_END).task_ms(5_000));
        let small = Part::honest("small", WITHOUT_END).shape(MilliCpus(100), Bytes::mib(64)).task_ms(5_000);
        let alone = throughput(seed, honest().collect())?;
        let beside = throughput(seed, honest().chain([small]).collect())?;
        // Of four it is due a quarter, of three it was a third.
        let kept = beside.iter().zip(&alone).map(|(beside, alone)| *beside as f64 / (*alone as f64 * 0.75));
        match kept.fold(1.0, f64::min) >= LEAST {
            true => Ok(()),
            false => Err(format!("ended {beside:?} tasks, without the small ones {alone:?}")),
        }
    });
}

/// Tasks of each framework that end in 40 s, after a while in which everybody starts.
fn throughput(seed: u64, cast: Vec<Part>) -> Result<Vec<usize>, String> {
    const FROM_MS: u64 = 20_000;
    let mut world = World::new(Scenario {
        cast,
        faults_until_ms: 0,
        agents: AGENTS as usize,
        agents_from_ms: AGENTS_FROM_MS,
        audit_every: 50,
        is_share_judged: true,
        ..Scenario::standard(seed)
    });
    world.run_until(FROM_MS)?;
    let ended = |world: &World| (0..world.frameworks.len()).map(|n| ended(world, n)).collect::<Vec<_>>();
    let before = ended(&world);
    world.run_until(FROM_MS + 40_000)?;
    Ok(ended(&world).iter().zip(before).map(|(now, before)| now - before).collect())
}

/// Tasks of a framework that have come to an end.
fn ended(world: &World, framework: usize) -> usize {
    world.oracle.tasks().filter(|((n, _), told)| *n == framework && told.terminal.is_some()).count()
}
