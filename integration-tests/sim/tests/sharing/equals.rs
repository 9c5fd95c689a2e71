//! Frameworks that all want the same: each for itself gets what it is due.

use proffer_integration_sim::cast::Part;
use proffer_integration_sim::{Scenario, World};
use proffer_proto_model::{Bytes, MilliCpus};

use crate::draw::{AGENTS_FROM_MS, WITHOUT_END, bad};
use crate::{LEAST, for_each_seed};

/// Agents of a run, each with 4 CPUs and 4 GiB.
const AGENTS: u64 = 10;

/// Those whose throughput is measured.
const HONEST: usize = 3;

#[test]
fn the_rest_keep_their_throughput_and_each_its_part_beside_a_greedy_one() {
    for_each_seed(|seed| {
        let beside = |others: Vec<Part>| throughput(seed, honest().into_iter().chain(others).collect());
        let alone = beside(vec![])?.iter().sum::<usize>() as f64;
        check(&beside(bad())?[..HONEST], alone)?;
        // Of four each is due a quarter, of three it was a third.
        let small = Part::honest("small", WITHOUT_END).shape(MilliCpus(100), Bytes::mib(64)).task_ms(5_000);
        check(&beside(vec![small])?[..HONEST], alone * 0.75)
    });
}

/// Together they have what is due, and each of them has its part of it.
fn check(ended: &[usize], due: f64) -> Result<(), String> {
    let kept = ended.iter().sum::<usize>() as f64 / due;
    let is_even = |ended: &usize| (*ended as f64 * HONEST as f64 / due / kept - 1.0).abs() <= 0.05;
    match kept >= LEAST && ended.iter().all(is_even) {
        true => Ok(()),
        false => Err(format!("{kept:.3} of the throughput is kept, by {ended:?} tasks that ended")),
    }
}

fn honest() -> Vec<Part> {
    (0..HONEST).map(|n| Part::honest(format!("team-{n}"), WITHOUT_END).task_ms(5_000)).collect()
}

/// Tasks of each framework that end in a minute, after a while in which everybody starts.
fn throughput(seed: u64, cast: Vec<Part>) -> Result<Vec<usize>, String> {
    const FROM_MS: u64 = 40_000;
    let mut world = World::new(Scenario {
        cast,
        faults_until_ms: 0,
        agents: AGENTS as usize,
        agents_from_ms: AGENTS_FROM_MS,
        audit_every: 50,
        shares_judged_from_ms: Some(0),
        ..Scenario::standard(seed)
    });
    world.run_until(FROM_MS)?;
    let ended = |world: &World| (0..world.frameworks.len()).map(|n| ended(world, n)).collect::<Vec<_>>();
    let before = ended(&world);
    world.run_until(FROM_MS + 60_000)?;
    Ok(ended(&world).iter().zip(before).map(|(now, before)| now - before).collect())
}

/// Tasks of a framework that have come to an end.
fn ended(world: &World, framework: usize) -> usize {
    world.oracle.tasks().filter(|((n, _), told)| *n == framework && told.terminal.is_some()).count()
}
