//! Which tasks make room for what a role was promised. Pure: amounts in, names out; knows no agents' states or time.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, Resources, Role, TaskKey};

/// Second thoughts in all searches for one want, at most: where promises to others are in the way, sets are tried.
const SECOND_THOUGHTS: usize = 20_000;

/// Tasks of one agent that are looked at, at most: those that would go first.
const MOST_TASKS: usize = 512;

/// What is wanted, of a role that is short of what it was promised.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub shape: Resources,
    /// Host ports beside those of the shape.
    pub ports: u32,
    pub priority: i32,
    /// Promised to the role and not held by it. Only kinds that are promised may be taken back.
    pub owed: Resources,
    /// Promised to the role.
    pub promised: Resources,
    /// What has to go within roles whose limits leave too little.
    pub over: Vec<Over>,
    /// There is room for it on some agent: only limits are in the way, so it does not have to fit here.
    pub fits_elsewhere: bool,
}

/// So much has to go within a role before its limit leaves enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    pub role: Role,
    pub amount: Resources,
}

/// An agent that the want may go to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub agent: AgentId,
    /// What no task holds and the want may have: all but what is reserved for others.
    pub free: Resources,
    /// The part of it that is reserved for the role, which counts as held by it already.
    pub kept: Resources,
    pub tasks: Vec<Candidate>,
}

/// A task that may have to go.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub key: TaskKey,
    pub role: Role,
    pub priority: i32,
    pub is_revocable: bool,
    /// Larger is newer.
    pub since: u64,
    /// What it holds.
    pub resources: Resources,
    /// What of it the want may have once it has gone: a reservation of others stays theirs.
    pub usable: Resources,
    /// What of it stays with whose reservation.
    pub returns: Vec<(Role, Resources)>,
}

/// What a role holds, by tasks that stay and reservations, and was promised: it never loses what it was promised.
#[derive(Debug, Clone)]
pub(crate) struct Floor {
    pub held: Resources,
    pub promised: Resources,
}

/// The tasks that go, on one agent; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub agent: AgentId,
    pub victims: BTreeSet<TaskKey>,
}

impl Candidate {
    /// What a role loses with it: what goes back to a reservation of the role or below stays.
    pub fn lost_by(&self, role: &Role) -> Resources {
        let stays = self.returns.iter().filter(|(of, _)| role.holds(of));
        stays.fold(self.resources.clone(), |rest, (_, part)| rest.saturating_minus(part))
    }
}

impl Over {
    fn lost_with(&self, task: &Candidate) -> Resources {
        if self.role.holds(&task.role) { task.lost_by(&self.role) } else { Resources::default() }
    }

    fn is_covered(&self, gone: &[&Candidate]) -> bool {
        let lost = gone.iter().map(|task| self.lost_with(task));
        lost.fold(Resources::default(), |sum, lost| sum.saturating_sum(&lost)).contains(&self.amount)
    }
}

impl Want {
    /// Tasks of a lower rank may go for it.
    pub fn rank(&self) -> i64 {
        self.priority.into()
    }

    /// It is within what is owed, in every kind that is promised, where so much is `kept` for it: that is held already.
    pub fn is_owed(&self, kept: &Resources) -> bool {
        let promised = only(&self.shape, &self.promised);
        !promised.is_empty() && self.owed.saturating_sum(kept).contains(&promised)
    }

    /// How large it is: its largest part of what is promised, in millionths.
    pub fn size(&self) -> u64 {
        let part = |of: u64, all: u64| (u128::from(of) * 1_000_000).checked_div(u128::from(all)).unwrap_or(0);
        let (shape, promised) = (&self.shape, &self.promised);
        let fixed = [
            part(shape.cpus.0, promised.cpus.0),
            part(shape.memory.0, promised.memory.0),
            part(shape.disk.0, promised.disk.0),
            part(shape.gpus.into(), promised.gpus.into()),
        ];
        let scalar = |(name, all): (&String, &u64)| part(shape.scalars.get(name).copied().unwrap_or(0), *all);
        let largest = fixed.into_iter().chain(promised.scalars.iter().map(scalar)).max();
        u64::try_from(largest.unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// It fits without anything being taken back.
    pub fn fits(&self, free: &Resources) -> bool {
        let ports = self.shape.ports.count().saturating_add(self.ports);
        free.contains(&self.shape) && free.ports.count() >= ports
    }

    /// It fits here or elsewhere once these have gone, and within all limits.
    fn is_met(&self, place: &Place, gone: &[&Candidate]) -> bool {
        (self.fits_elsewhere || self.fits(&freed(place, gone))) && self.over.iter().all(|over| over.is_covered(gone))
    }

    /// Some of these are on their way out anyway.
    pub fn without(mut self, leaving: &[Candidate]) -> Self {
        for over in &mut self.over {
            let lost = leaving.iter().map(|task| over.lost_with(task));
            over.amount = lost.fold(over.amount.clone(), |rest, lost| rest.saturating_minus(&lost));
        }
        self.over.retain(|over| !over.amount.is_empty());
        self
    }

    /// Limits are not in the way, and it fits into what is free here or elsewhere.
    pub fn is_met_by(&self, free: &Resources) -> bool {
        self.over.is_empty() && (self.fits_elsewhere || self.fits(free))
    }

    /// Kinds that are not promised must be free already.
    fn has_the_rest(&self, free: &Resources) -> bool {
        if self.fits_elsewhere {
            return true;
        }
        let rest = self.shape.saturating_minus(&only(&self.shape, &self.promised));
        free.contains(&Resources { ports: Default::default(), ..rest })
    }

    /// May this task go for it at all?
    pub fn may_take(&self, task: &Candidate) -> bool {
        (task.is_revocable || task.priority < self.priority) && !only(&task.usable, &self.shape).is_empty()
    }
}

/// Chooses the agent whose dearest victim has the lowest priority, then the one with the fewest, then the first by id.
pub(crate) fn choose(
    want: &Want,
    places: impl IntoIterator<Item = Place>,
    floors: &BTreeMap<Role, Floor>,
) -> Option<Choice> {
    let mut steps = SECOND_THOUGHTS;
    let found = places.into_iter().filter_map(|place| {
        let victims = victims(want, &place, floors, &mut steps)?;
        let dearest = victims.iter().map(|task| task.priority).max()?;
        let count = victims.len();
        let victims = victims.into_iter().map(|task| task.key.clone()).collect();
        Some(((dearest, count, place.agent.clone()), Choice { agent: place.agent, victims }))
    });
    found.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, choice)| choice)
}

/// As few as do on one agent: the lowest priority first, revocable before others, then the newest.
fn victims<'a>(
    want: &Want,
    place: &'a Place,
    floors: &BTreeMap<Role, Floor>,
    steps: &mut usize,
) -> Option<Vec<&'a Candidate>> {
    if !want.is_owed(&place.kept) || want.is_met(place, &[]) || !want.has_the_rest(&place.free) {
        return None;
    }
    // Where it does not have to fit, only tasks within the limits are of use.
    let helps = |task: &Candidate| {
        !want.fits_elsewhere || want.over.iter().any(|over| !only(&over.lost_with(task), &over.amount).is_empty())
    };
    let mut tasks: Vec<&Candidate> =
        place.tasks.iter().filter(|task| want.may_take(task) && helps(task) && may_lose(floors, task)).collect();
    tasks.sort_by_key(|task| (task.priority, !task.is_revocable, std::cmp::Reverse(task.since), &task.key));
    tasks.truncate(MOST_TASKS);
    // Without promises in the way the first branch is the answer.
    let mut chosen = search(want, place, &tasks, &mut Vec::new(), floors, steps)?;
    for at in (0..chosen.len()).rev() {
        let mut fewer = chosen.clone();
        fewer.remove(at);
        if want.is_met(place, &fewer) {
            chosen = fewer;
        }
    }
    Some(chosen)
}

/// Takes tasks in order until the want fits. One that its role cannot lose beside the others is left out, and when that
/// leads to nothing those before it are: a role may be able to lose a dearer task, but not both.
fn search<'a>(
    want: &Want,
    place: &Place,
    tasks: &[&'a Candidate],
    chosen: &mut Vec<&'a Candidate>,
    floors: &BTreeMap<Role, Floor>,
    steps: &mut usize,
) -> Option<Vec<&'a Candidate>> {
    if want.is_met(place, chosen) {
        return Some(chosen.clone());
    }
    let (task, rest) = tasks.split_first()?;
    if !want.is_met(place, &[chosen.as_slice(), tasks].concat()) {
        return None;
    }
    if may_lose(floors, task) {
        let mut floors = floors.clone();
        for role in path(&task.role) {
            if let Some(floor) = floors.get_mut(&role) {
                floor.held = floor.held.saturating_minus(&task.lost_by(&role));
            }
        }
        chosen.push(task);
        let found = search(want, place, rest, chosen, &floors, steps);
        chosen.pop();
        if found.is_some() {
            return found;
        }
        *steps = steps.checked_sub(1)?;
    }
    search(want, place, rest, chosen, floors, steps)
}

/// What is free once these have gone.
fn freed(place: &Place, victims: &[&Candidate]) -> Resources {
    victims.iter().fold(place.free.clone(), |sum, task| sum.saturating_sum(&task.usable))
}

/// No role the task is of falls below what it was promised, in the kinds it loses.
fn may_lose(floors: &BTreeMap<Role, Floor>, task: &Candidate) -> bool {
    path(&task.role).all(|role| {
        floors.get(&role).is_none_or(|floor| {
            let lost = task.lost_by(&role);
            floor.held.saturating_minus(&lost).contains(&only(&floor.promised, &lost))
        })
    })
}

/// A role and those above it.
fn path(role: &Role) -> impl Iterator<Item = Role> {
    std::iter::successors(Some(role.clone()), Role::parent)
}

/// The countable part of an amount, of the kinds that `kinds` has some of.
pub(crate) fn only(of: &Resources, kinds: &Resources) -> Resources {
    let mut part = Resources::default();
    if kinds.cpus.0 > 0 {
        part.cpus = of.cpus;
    }
    if kinds.memory.0 > 0 {
        part.memory = of.memory;
    }
    if kinds.disk.0 > 0 {
        part.disk = of.disk;
    }
    if kinds.gpus > 0 {
        part.gpus = of.gpus;
    }
    let scalars = of.scalars.iter().filter(|(name, _)| kinds.scalars.get(*name).is_some_and(|amount| *amount > 0));
    part.scalars = scalars.map(|(name, amount)| (name.clone(), *amount)).collect();
    part
}

#[cfg(test)]
mod tests;
