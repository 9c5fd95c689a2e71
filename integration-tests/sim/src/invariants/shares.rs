//! Whoever is given something was not ahead of anybody who could have used it: no decision is unfair by more than the one
//! wanted shape it was about.
//!
//! Judged while everybody is there, from what is stored and what is offered, for every offer of the master. Nobody can use
//! more than is wanted by those who are honest; those who hang or hoard are owed nothing, and get no more than others.

use crate::cast::Behaviour;
use crate::shares::{EPSILON, Holdings, Parts, is_complete};
use crate::world::World;

/// What the judge saw in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Offers that were looked at.
    pub offers: u64,
    /// Pairs of somebody who got something and somebody who could have used it.
    pub pairs: u64,
}

/// The offers made in this step.
pub fn check(world: &mut World) -> Result<(), String> {
    let made = world.master.views.take_made();
    if made.is_empty() || !world.scenario.is_share_judged || world.queue.now().0 < world.scenario.faults_until_ms {
        return Ok(());
    }
    if !is_complete(world) {
        return Ok(());
    }
    let mut after = Holdings::of(world);
    let numbered: Vec<_> =
        made.iter().filter_map(|view| Some((world.framework_number(&view.framework)?, &view.offer))).collect();
    for (n, offer) in &numbered {
        after.give(*n, &offer.agent, &offer.resources);
    }
    let mut seen = Seen::default();
    for on_agent in numbered.chunk_by(|a, b| a.1.agent == b.1.agent) {
        let before = after.clone();
        for (n, offer) in on_agent {
            after.take(*n, &offer.agent, &offer.resources);
        }
        for (n, offer) in on_agent {
            seen.offers += 1;
            let part = &world.frameworks[*n].part;
            let unit = match part.behaviour {
                Behaviour::Honest => part.shape.clone(),
                _ => offer.resources.clone(),
            };
            let left = after.free.get(&offer.agent).cloned().unwrap_or_default();
            for other in others(world, *n) {
                let wanted = &world.frameworks[other].part.shape;
                let (ahead, behind) = if left.saturating_sum(&unit).contains(wanted) {
                    // The last shape of it could have been the other's.
                    after.shares_of(world, *n, &after.parts(&unit), other)
                } else if left.saturating_sum(&offer.resources).contains(wanted) {
                    // The first could have been.
                    let first = before.shares_of(world, *n, &Parts::default(), other);
                    (first.0, after.shares_of(world, *n, &Parts::default(), other).1)
                } else {
                    continue;
                };
                seen.pairs += 1;
                if ahead > behind + EPSILON {
                    return Err(format!(
                        "framework {n} was offered {} of {} at a share of {ahead:.6}, and framework {other} could have used \
                         it at {behind:.6}: it wants {wanted}, {left} are left there",
                        offer.resources, offer.agent
                    ));
                }
            }
        }
    }
    world.shares.offers += seen.offers;
    world.shares.pairs += seen.pairs;
    Ok(())
}

/// Those who want more and would use it.
fn others(world: &World, but: usize) -> impl Iterator<Item = usize> {
    let wants = |n: &usize| {
        let framework = &world.frameworks[*n];
        framework.part.behaviour == Behaviour::Honest && framework.running().len() < framework.part.wanted as usize
    };
    (0..world.frameworks.len()).filter(move |n| *n != but).filter(wants)
}
