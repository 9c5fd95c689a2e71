//! No role holds more than its limit: what its tasks hold or may hold where nobody can be reached, launches that are
//! only decided, and what is reserved for it. Above a limit that was forced, what is held only shrinks.
//!
//! Judged from what is stored, whoever is master, and from what the agents' disks know to have ended.

use std::collections::{BTreeMap, BTreeSet};

use proffer_agent_engine::{Checkpoint, Phase};
use proffer_master_engine::registry::TaskRecord;
use proffer_proto_model::{AgentId, Limit, PoolId, Resources, Role, TaskKey, TaskState};

use crate::world::{Node, World};

/// What limits did in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Moments at which a role came to hold all that its limit allows one task.
    pub reached: u64,
    /// The same while some of it was on unreachable agents.
    pub reached_away: u64,
    /// Times a role was found above its limit: it was forced.
    pub forced: u64,
}

impl Limits {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        let Self { reached, reached_away, forced } = other;
        self.reached += reached;
        self.reached_away += reached_away;
        self.forced += forced;
    }
}

/// What the judge remembers of a run.
#[derive(Debug, Default)]
pub struct Judge {
    /// What happened so far.
    pub limits: Limits,
    /// What each limited role held when it was looked at last.
    before: BTreeMap<Role, Held>,
    known: BTreeSet<TaskKey>,
    /// Of frameworks that were removed while nobody could reach the agent: given up then, and killed when it is back.
    given_up: BTreeSet<TaskKey>,
}

/// What a role holds.
#[derive(Debug, Default, Clone, PartialEq)]
struct Held {
    total: Resources,
    /// The part of it that is on unreachable agents.
    away: Resources,
    is_full: bool,
    is_above: bool,
}

/// Every limited role after a step of the master.
pub fn check(world: &mut World, touched: &BTreeSet<Node>) -> Result<(), String> {
    if !touched.contains(&Node::Master) {
        return Ok(());
    }
    note_given_up(world);
    let limited = world.master.registry.roles.iter().filter(|record| !record.quota.limit.is_empty());
    let limited: Vec<(Role, Limit)> = limited.map(|record| (record.role.clone(), record.quota.limit.clone())).collect();
    let mut before = std::mem::take(&mut world.limits.before);
    for (role, limit) in limited {
        let mut held = held_by(world, &role);
        let was = before.remove(&role);
        if let Some(was) = &was {
            let most = at_least(&limit, &was.total);
            if let Some((kind, held, most)) = most.exceeded_by(&held.total) {
                return Err(format!(
                    "role {role} holds {held} {kind}, its limit is {limit} and it held {}: no more than {most} is allowed",
                    was.total
                ));
            }
        }
        held.is_above = limit.exceeded_by(&held.total).is_some();
        held.is_full = !held.is_above && limit.exceeded_by(&held.total.saturating_sum(&one_task(world))).is_some();
        let was = was.unwrap_or_default();
        let seen = &mut world.limits.limits;
        seen.reached += u64::from(held.is_full && !was.is_full);
        let is_away = |held: &Held| held.is_full && !held.away.is_empty();
        seen.reached_away += u64::from(is_away(&held) && !is_away(&was));
        seen.forced += u64::from(held.is_above && !was.is_above);
        world.limits.before.insert(role, held);
    }
    Ok(())
}

/// A limit was set without force: nobody holds more than that.
pub(crate) fn note_unforced(world: &mut World, role: &Role) {
    let Some(record) = world.master.registry.roles.iter().find(|record| record.role == *role) else { return };
    let (limit, before) = (record.quota.limit.clone(), world.limits.before.get(role));
    let (held, was_above) = (held_by(world, role).total, before.is_some_and(|before| before.is_above));
    // The same may be there since somebody forced it.
    if let Some((kind, held, most)) = limit.exceeded_by(&held).filter(|_| !was_above) {
        world.oracle.note_broken(format!("role {role} holds {held} {kind} and was limited to {most} without force"));
    }
}

/// Tasks that are taken in again only to be killed.
fn note_given_up(world: &mut World) {
    let tasks = &world.master.registry.tasks;
    let judge = &mut world.limits;
    let new = tasks.iter().filter(|task| task.is_kill_requested && !judge.known.contains(&task.key));
    judge.given_up.extend(new.map(|task| task.key.clone()));
    judge.known = tasks.iter().map(|task| task.key.clone()).collect();
}

fn one_task(world: &World) -> Resources {
    world.scenario.cast.first().map(|part| part.shape.clone()).unwrap_or_default()
}

/// The limit, or what is held where that is more.
fn at_least(limit: &Limit, held: &Resources) -> Limit {
    let Limit { cpus, memory, disk, gpus, scalars } = limit.clone();
    Limit {
        cpus: cpus.map(|most| most.max(held.cpus)),
        memory: memory.map(|most| most.max(held.memory)),
        disk: disk.map(|most| most.max(held.disk)),
        gpus: gpus.map(|most| most.max(held.gpus)),
        scalars,
    }
}

fn held_by(world: &World, role: &Role) -> Held {
    let registry = &world.master.registry;
    let disks: BTreeMap<&AgentId, &Checkpoint> =
        world.agents.iter().filter_map(|agent| Some((agent.disk.identity.agent.as_ref()?, &agent.disk))).collect();
    let mut held = Held::default();
    let mut used: BTreeMap<(&AgentId, PoolId), Resources> = BTreeMap::new();
    let alive = registry.tasks.iter().filter(|task| !has_ended(task, disks.get(&task.agent).copied()));
    let alive = alive.filter(|task| !world.limits.given_up.contains(&task.key));
    for task in alive {
        for (pool, part) in &task.reserved {
            used.entry((&task.agent, *pool)).or_default().add(part.clone());
        }
        if role.holds(&task.role) {
            held.total.add(task.resources.clone());
            if task.status.state == TaskState::Unreachable {
                held.away.add(task.resources.clone());
            }
        }
    }
    for agent in &registry.agents {
        for pool in agent.pools.iter().filter(|pool| role.holds(&pool.role)) {
            let used = used.get(&(&agent.id, pool.id)).cloned().unwrap_or_default();
            let kept = pool.resources.saturating_minus(&used);
            held.total.add(kept.clone());
            if agent.is_unreachable {
                held.away.add(kept);
            }
        }
    }
    held
}

/// It ended as far as the master or the agent knows. What an agent knows it may have told before it said how it ended.
fn has_ended(task: &TaskRecord, disk: Option<&Checkpoint>) -> bool {
    let is_known = disk.is_some_and(|disk| {
        disk.progress.get(&task.key).is_some_and(|known| known.phase >= Phase::Ended)
            || disk.progress.get(&task.key).is_some_and(|known| known.latest.state.is_terminal())
            || disk.ended.values().any(|ended| ended.key == task.key)
    });
    task.status.state.is_terminal() || is_known
}
