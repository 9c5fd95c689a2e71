//! Whoever is given something was not ahead of anybody who could have used it: no decision is unfair by more than the one
//! wanted shape it was about.
//!
//! Judged while everybody is there, from what is stored and what is offered, for every offer of the master. Nobody can use
//! more than is wanted by those who are honest; those who hang or hoard are owed nothing, and get no more than others.

use std::collections::BTreeMap;

use proffer_proto_model::{Offer, Resources};

use crate::cast::Behaviour;
use crate::shares::{EPSILON, Holdings, Parts, Step, branch, is_complete};
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
    let is_time = world.scenario.shares_judged_from_ms.is_some_and(|from| world.queue.now().0 >= from);
    if made.is_empty() || !is_time || !is_complete(world) {
        return Ok(());
    }
    let mut holdings = Holdings::of(world);
    let numbered: Vec<Made> =
        made.iter().filter_map(|view| Some((world.framework_number(&view.framework)?, &view.offer))).collect();
    for (n, offer) in &numbered {
        holdings.give(*n, &offer.agent, &offer.resources);
    }
    let mut seen = Seen::default();
    for on_agent in numbered.chunk_by(|a, b| a.1.agent == b.1.agent) {
        seen.offers += on_agent.len() as u64;
        let before = holdings.clone();
        for (n, offer) in on_agent {
            holdings.take(*n, &offer.agent, &offer.resources);
        }
        for other in wanting(world) {
            seen.pairs += Judged { world, before: &before, after: &holdings, on_agent }.check(other)?;
        }
    }
    world.shares.offers += seen.offers;
    world.shares.pairs += seen.pairs;
    Ok(())
}

/// An offer, and the number of the framework it was made to.
type Made<'a> = (usize, &'a Offer);

/// What was shared out of one agent at once: in turns that cannot be seen, but for where each of them ended.
struct Judged<'a> {
    world: &'a World,
    before: &'a Holdings,
    after: &'a Holdings,
    on_agent: &'a [Made<'a>],
}

impl Judged<'_> {
    /// Nobody was served although `other` was behind and could have used it. Gives how many others it was compared with.
    fn check(&self, other: usize) -> Result<u64, String> {
        let Self { world, before, after, on_agent } = self;
        let wanted = &world.frameworks[other].part.shape;
        let mut branches: BTreeMap<Vec<Step>, Vec<Made>> = BTreeMap::new();
        for made in on_agent.iter().filter(|(n, _)| *n != other) {
            branches.entry(branch(world, made.0, other)).or_default().push(*made);
        }
        let mut pairs = 0;
        for (branch, served) in &branches {
            let Some((first, offer)) = served.first() else { continue };
            let left = after.free.get(&offer.agent).cloned().unwrap_or_default();
            let behind = after.share_of(world, &self::branch(world, other, *first), &Parts::default());
            // One of these was the last that was given to the branch, after all others of it.
            let units: Vec<Resources> = served.iter().map(|made| unit(world, made)).collect();
            let fits = |unit: &&Resources| left.saturating_sum(unit).contains(wanted);
            let last = units.iter().all(|unit| fits(&unit)).then(|| {
                let shares = units.iter().map(|unit| after.share_of(world, branch, &after.parts(unit)));
                shares.fold(f64::INFINITY, f64::min)
            });
            // And before the first of these the other one could have used it when it can use all of it.
            let all = served.iter().fold(left.clone(), |sum, (_, offer)| sum.saturating_sum(&offer.resources));
            let first = all.contains(wanted).then(|| before.share_of(world, branch, &Parts::default()));
            for ahead in [last, first].into_iter().flatten() {
                pairs += 1;
                if ahead > behind + EPSILON {
                    let served: Vec<String> =
                        served.iter().map(|(n, offer)| format!("{n}: {}", offer.resources)).collect();
                    return Err(format!(
                        "{branch:?} was served {served:?} of {} at a share of {ahead:.6}, and framework {other} could have \
                         used it at {behind:.6}: it wants {wanted}, {left} are left there",
                        offer.agent
                    ));
                }
            }
        }
        Ok(pairs)
    }
}

/// What is given at a time: a wanted shape, or all there is to those who want anything.
fn unit(world: &World, (n, offer): &Made) -> Resources {
    let part = &world.frameworks[*n].part;
    match part.behaviour {
        Behaviour::Honest => part.shape.clone(),
        _ => offer.resources.clone(),
    }
}

/// Those who want more, as far as the master knows, and would use it.
fn wanting(world: &World) -> impl Iterator<Item = usize> {
    let said = world.master.views.frameworks.values().filter(|framework| !framework.demand.items.is_empty());
    let said = said.filter_map(|framework| world.framework_number(&framework.id));
    said.filter(|n| world.frameworks[*n].part.behaviour == Behaviour::Honest)
}
