//! What a framework reserved or made ends with it when it is removed for good, unless it leaves it. What others use stays,
//! and so does what operators and other frameworks made.
//!
//! Judged from what is stored before and after the commit that forgets the framework, and from what really runs; and
//! again when all is settled.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_engine::registry::{AgentRecord, Operation, Registry, TaskRecord, VolumeRecord};
use proffer_proto_model::{AgentId, Bytes, FrameworkId, Pool, PoolId, Resources, TaskKey};

use crate::nodes::OF;
use crate::world::World;

/// What removals did in a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Removals {
    /// Frameworks that were forgotten.
    pub frameworks: u64,
    /// Reservations of theirs that ended, as a whole or in part.
    pub pools_ended: u64,
    /// Volumes of theirs that were destroyed.
    pub volumes_ended: u64,
    /// Reservations and volumes that were left on purpose.
    pub left: u64,
    /// Reservations and volumes that stayed because others used them.
    pub in_use: u64,
}

impl Removals {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        let Self { frameworks, pools_ended, volumes_ended, left, in_use } = other;
        self.frameworks += frameworks;
        self.pools_ended += pools_ended;
        self.volumes_ended += volumes_ended;
        self.left += left;
        self.in_use += in_use;
    }
}

/// What the judge remembers of a run.
#[derive(Debug, Default)]
pub struct Judge {
    /// What happened so far.
    pub removals: Removals,
    /// Frameworks that left what they had.
    left: BTreeSet<String>,
    /// Reservations that others used when their framework was forgotten.
    in_use: BTreeSet<(AgentId, PoolId)>,
}

/// Frameworks that a commit forgets, and whether each leaves what it has.
pub fn forgotten(before: &Registry, operations: &[Operation]) -> BTreeMap<FrameworkId, bool> {
    let deleted = operations.iter().filter_map(|operation| match operation {
        Operation::DeleteFramework(id) => Some(id),
        _ => None,
    });
    let known = |id: &FrameworkId| before.frameworks.iter().find(|record| record.id == *id);
    deleted.filter_map(|id| Some((id.clone(), known(id)?.info.leaves_reservations))).collect()
}

/// One commit that forgot frameworks.
struct Removal<'a> {
    world: &'a World,
    /// Each with whether it leaves what it has.
    removed: &'a BTreeMap<FrameworkId, bool>,
    before: &'a Registry,
}

/// Checks a commit that forgot these frameworks.
pub fn check(world: &mut World, before: &Registry, removed: &BTreeMap<FrameworkId, bool>) -> Result<(), String> {
    let mut judge = std::mem::take(&mut world.owned);
    judge.removals.frameworks += removed.len() as u64;
    judge.left.extend(removed.iter().filter(|(_, leaves)| **leaves).map(|(id, _)| id.to_string()));
    let removal = Removal { world, removed, before };
    let result = before.agents.iter().try_for_each(|was| {
        let is = world.master.registry.agents.iter().find(|record| record.id == was.id);
        // One that came back as another agent took all it had along.
        let Some(is) = is else { return Ok(()) };
        was.pools.iter().try_for_each(|pool| removal.check_pool(was, is, pool, &mut judge))?;
        was.volumes.iter().try_for_each(|volume| removal.check_volume(is, volume, &mut judge))
    });
    world.owned = judge;
    result.map_err(|broken| format!("{broken}; removed were (leaves?) {removed:?}"))
}

impl Removal<'_> {
    fn check_pool(&self, before: &AgentRecord, is: &AgentRecord, was: &Pool, judge: &mut Judge) -> Result<(), String> {
        let now = is.pools.iter().find(|pool| pool.id == was.id);
        let has = now.map(|pool| pool.resources.clone()).unwrap_or_default();
        let name = format!("reservation {:?} of {} on {}", was.id, was.role, is.id);
        let Some(leaves) = was.owner.as_ref().and_then(|owner| self.removed.get(owner)) else {
            return match has.contains(&was.resources) {
                true => Ok(()),
                false => Err(format!("{name} was {} and is {has}, and was not the framework's", was.resources)),
            };
        };
        if let Some(owner) = now.and_then(|pool| pool.owner.as_ref()) {
            return Err(format!("{name} still belongs to {owner}"));
        }
        if *leaves {
            judge.removals.left += 1;
            return match has.contains(&was.resources) {
                true => Ok(()),
                false => Err(format!("{name} was {} and is {has}, and should be left", was.resources)),
            };
        }
        // Of two that are removed together one is first, and the other's are others to it.
        let may = sum(self.tasks_beside(was.owner.as_ref(), &is.id).flat_map(|task| parts(task, was.id)));
        let on_it = |known: &&VolumeRecord| known.pool == was.id && known.state.is_kept();
        let others = before.volumes.iter().filter(on_it).filter(|known| known.owner != was.owner);
        let volumes: BTreeMap<u64, Bytes> = others
            .chain(is.volumes.iter().filter(on_it))
            .map(|known| (known.volume.number, known.volume.size))
            .collect();
        let disk = Bytes(volumes.values().map(|size| size.0).sum());
        let may = may.saturating_sum(&Resources { disk, ..Resources::default() });
        if !may.contains(&has) {
            return Err(format!("{name} still holds {has}, and others use only {may}"));
        }
        let running = self.world.master.registry.tasks.iter().filter(|task| self.must_stay(task, &is.id));
        let must = sum(running.filter(|task| task.status.state.holds_resources()).flat_map(|t| parts(t, was.id)));
        if !has.contains(&must) {
            return Err(format!("{name} holds only {has}, and tasks of others run in {must} of it"));
        }
        match has.is_empty() {
            true => judge.removals.pools_ended += 1,
            false => {
                judge.removals.in_use += 1;
                judge.in_use.insert((is.id.clone(), was.id));
            }
        }
        Ok(())
    }

    fn check_volume(&self, is: &AgentRecord, was: &VolumeRecord, judge: &mut Judge) -> Result<(), String> {
        if !was.state.is_kept() {
            return Ok(());
        }
        let (role, id) = (&was.volume.role, &was.volume.id);
        let now = is.volumes.iter().find(|known| known.volume.number == was.volume.number && known.state.is_kept());
        let name = format!("volume {id} of {role} on {}", is.id);
        let Some(leaves) = was.owner.as_ref().and_then(|owner| self.removed.get(owner)) else {
            return match now.is_some_and(|now| now.owner == was.owner) {
                true => Ok(()),
                false => Err(format!("{name} was not the framework's, and is now {now:?}")),
            };
        };
        let mounts = |task: &&TaskRecord| task.spec.writes_to(role, id).is_some();
        match (now, leaves) {
            (Some(now), _) if now.owner.is_some() => Err(format!("{name} still belongs to {:?}", now.owner)),
            (Some(_), true) => {
                judge.removals.left += 1;
                Ok(())
            }
            (None, true) => Err(format!("{name} is gone, and should be left")),
            (Some(_), false) if self.tasks_beside(was.owner.as_ref(), &is.id).any(|task| mounts(&task)) => {
                judge.removals.in_use += 1;
                Ok(())
            }
            (Some(_), false) => Err(format!("{name} is still there, and nobody uses it")),
            (None, false) => {
                match self.world.master.registry.tasks.iter().find(|task| self.must_stay(task, &is.id) && mounts(task))
                {
                    Some(task) => Err(format!("{name} is destroyed, and task {} runs with it", task.key)),
                    None => {
                        judge.removals.volumes_ended += 1;
                        Ok(())
                    }
                }
            }
        }
    }

    /// The tasks of others than a framework on an agent that had not ended.
    fn tasks_beside(&self, owner: Option<&FrameworkId>, agent: &AgentId) -> impl Iterator<Item = &TaskRecord> {
        let is_it = move |task: &&TaskRecord| task.agent == *agent && !task.status.state.is_terminal();
        self.before.tasks.iter().filter(is_it).filter(move |task| Some(&task.key.framework) != owner)
    }

    /// A task of a framework that is not removed, and that really runs.
    fn must_stay(&self, task: &TaskRecord, agent: &AgentId) -> bool {
        let is_living = !self.removed.contains_key(&task.key.framework) && !task.status.state.is_terminal();
        is_living && task.agent == *agent && self.runs(task)
    }

    /// As the runtime of its agent says.
    fn runs(&self, task: &TaskRecord) -> bool {
        let TaskKey { framework, task: id } = &task.key;
        let container = format!("pf-{framework}-{id}");
        let of = |agent: &&crate::nodes::AgentNode| agent.disk.identity.agent.as_ref() == Some(&task.agent);
        self.world.agents.iter().find(of).is_some_and(|agent| agent.runtime.is_running(&container))
    }
}

/// Everything that is kept is a living framework's, or of nobody for a reason; and no framework is half removed.
pub fn is_healed(world: &World) -> Result<(), String> {
    let registry = &world.master.registry;
    let is_run = |name: &String| world.frameworks.iter().any(|framework| framework.name() == *name);
    if let Some(other) = registry.frameworks.iter().find(|record| !is_run(&record.info.name)) {
        return Err(format!("framework {} ({}) is not removed yet", other.id, other.info.name));
    }
    let lives = |id: &str| registry.frameworks.iter().any(|record| record.id.as_str() == id);
    for record in &registry.agents {
        for pool in &record.pools {
            let name = format!("reservation {:?} of {} on {} ({})", pool.id, pool.role, record.id, pool.resources);
            if let Some(owner) = pool.owner.as_ref().filter(|owner| !lives(owner.as_str())) {
                return Err(format!("{name} belongs to {owner}, which is gone"));
            }
            match pool.labels.get(OF) {
                None if pool.principal == "operator" => {}
                None => return Err(format!("{name}: nobody asked for it")),
                Some(of) if lives(of) || world.owned.left.contains(of) || pool.resources.is_empty() => {}
                Some(_) if world.owned.in_use.contains(&(record.id.clone(), pool.id)) => {}
                Some(of) => return Err(format!("{name} was reserved by {of}, which is gone and leaves nothing")),
            }
        }
        let of_gone = |known: &&VolumeRecord| known.owner.as_ref().is_some_and(|owner| !lives(owner.as_str()));
        if let Some(known) = record.volumes.iter().find(of_gone) {
            return Err(format!(
                "volume {} on {} belongs to {:?}, which is gone",
                known.volume.id, record.id, known.owner
            ));
        }
    }
    Ok(())
}

fn parts(task: &TaskRecord, pool: PoolId) -> impl Iterator<Item = &Resources> {
    task.reserved.iter().filter(move |(of, _)| *of == pool).map(|(_, part)| part)
}

fn sum<'a>(parts: impl Iterator<Item = &'a Resources>) -> Resources {
    parts.fold(Resources::default(), |sum, part| sum.saturating_sum(part))
}
