//! What a role's quota means for its place in the tree: what it is owed, what it may still hold, who was turned away.
//!
//! Only amounts; never knows agents or frameworks.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{DemandItem, Resources};

use crate::fit::{LEAST_CPUS, LEAST_MEMORY};
use crate::share::{Amounts, CPUS, DISK, GPUS, Kinds, MEMORY};
use crate::tree::NodeId;
use crate::usable::{Classes, Wanted};

/// The most of each kind that may be taken; kinds that are not there are not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Room {
    most: BTreeMap<usize, u64>,
    ports: Option<u32>,
}

/// What one wanted shape needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// This at least.
    Shape(Amounts),
    /// Whatever is worth an offer.
    Anything,
}

/// The needs of all open shapes below a place, as far as it takes to know that none can be met.
#[derive(Debug, Default)]
struct Needs {
    /// By kind: how many need some, and each amount needed with how often it is.
    by_kind: BTreeMap<usize, (usize, BTreeMap<u64, usize>)>,
    shapes: usize,
    anything: usize,
}

/// Who was turned away for want of room.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    /// Agents with later stamps than this were not tried for all.
    pub from: Option<u64>,
    /// The least amount of each kind that somebody was short of.
    least: BTreeMap<usize, u64>,
    /// Nobody was even asked.
    pub is_all: bool,
}

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// `None` when nothing is limited.
    pub limit: Option<Room>,
    pub guarantee: Amounts,
    /// Promised to this role and those below, and not held by them; no more than the limit lets them have.
    pub owed: Amounts,
    /// What is owed to the roles right below, together. More than `owed` where the limit does not let all of them have it.
    pub owed_below: Amounts,
    /// Places right below that are owed something.
    pub owed_places: BTreeSet<NodeId>,
    /// The limit leaves less than is owed below.
    pub is_tight: bool,
    /// Nobody below can get anything within the limit.
    pub is_shut: bool,
    /// By the limit.
    pub missed: Missed,
    /// By what is kept for guarantees.
    pub missed_headroom: Missed,
    /// By what is kept for guarantees of others within the limit here or at a place above, by that place.
    pub missed_within: BTreeMap<NodeId, Missed>,
    needs: Needs,
    /// While something is promised to the role: what is wanted in it and below.
    pub wanted: Wanted,
    /// The agents that count for it; `None` for all.
    pub class: Option<usize>,
    /// What was counted there as owed to the role itself.
    counted: Amounts,
}

impl Need {
    /// What the item needs.
    pub fn of(item: &DemandItem, kinds: &mut Kinds) -> Self {
        item.shape.as_ref().map_or(Self::Anything, |shape| Self::Shape(kinds.amounts_wanted(shape)))
    }

    /// The same when no offer may be smaller than `least`.
    pub fn of_at_least(item: &DemandItem, least: &Resources, kinds: &mut Kinds) -> Self {
        match item.shape {
            None if !least.is_empty() => Self::Shape(kinds.amounts(least)),
            _ => Self::of(item, kinds),
        }
    }

    /// The kinds it needs, and how much of each at least.
    pub fn each(&self) -> Vec<(usize, u64)> {
        match self {
            Self::Shape(amounts) => amounts.present().collect(),
            Self::Anything => vec![(CPUS, LEAST_CPUS.0), (MEMORY, LEAST_MEMORY.0)],
        }
    }
}

impl Room {
    /// The most of one kind.
    pub fn of(&self, kind: usize) -> u64 {
        self.most.get(&kind).copied().unwrap_or(u64::MAX)
    }

    /// No more of the kind than this.
    pub fn cap(&mut self, kind: usize, most: u64) {
        let cap = self.most.entry(kind).or_insert(u64::MAX);
        *cap = most.min(*cap);
    }

    /// No more ports than this.
    pub fn cap_ports(&mut self, most: u32) {
        self.ports = Some(self.ports.map_or(most, |old| old.min(most)));
    }

    /// So much more of what is capped.
    pub fn widen(&mut self, kind: usize, more: u64) {
        if let Some(most) = self.most.get_mut(&kind) {
            *most = most.saturating_add(more);
        }
    }

    /// So many more ports, if they are capped.
    pub fn widen_ports(&mut self, more: u32) {
        self.ports = self.ports.map(|most| most.saturating_add(more));
    }

    /// No more than the other leaves either.
    pub fn and(mut self, other: Room) -> Self {
        other.most.into_iter().for_each(|(kind, most)| self.cap(kind, most));
        other.ports.into_iter().for_each(|most| self.cap_ports(most));
        self
    }

    /// The kinds that are limited, and to what.
    pub fn each(&self) -> impl Iterator<Item = (usize, u64)> {
        self.most.iter().map(|(kind, most)| (*kind, *most))
    }

    /// How often an item is met, at most.
    pub fn times(&self, item: &DemandItem, need: &Need) -> u32 {
        let ports = item.ports.saturating_add(item.shape.as_ref().map_or(0, |shape| shape.ports.count()));
        let by_ports = self.ports.and_then(|most| most.checked_div(ports)).unwrap_or(u32::MAX);
        self.times_of(need).min(by_ports)
    }

    fn times_of(&self, need: &Need) -> u32 {
        match need {
            Need::Anything => u32::from(self.of(CPUS) >= LEAST_CPUS.0 || self.of(MEMORY) >= LEAST_MEMORY.0),
            Need::Shape(amounts) => {
                let each = self.each().filter_map(|(kind, most)| most.checked_div(amounts.of(kind)));
                u32::try_from(each.min().unwrap_or(u64::MAX)).unwrap_or(u32::MAX)
            }
        }
    }

    /// All of the amount may be taken.
    pub fn covers(&self, of: &Resources, kinds: &Kinds) -> bool {
        self.of(CPUS) >= of.cpus.0
            && self.of(MEMORY) >= of.memory.0
            && self.of(DISK) >= of.disk.0
            && self.of(GPUS) >= u64::from(of.gpus)
            && self.ports.is_none_or(|most| of.ports.count() <= most)
            && of.scalars.iter().all(|(name, amount)| kinds.find_scalar(name).is_none_or(|at| self.of(at) >= *amount))
    }

    /// What of it may be taken. Sets are never limited.
    pub fn cut(&self, of: &Resources, kinds: &Kinds) -> Resources {
        let mut cut = of.clone();
        cut.cpus.0 = cut.cpus.0.min(self.of(CPUS));
        cut.memory.0 = cut.memory.0.min(self.of(MEMORY));
        cut.disk.0 = cut.disk.0.min(self.of(DISK));
        cut.gpus = u32::try_from(self.of(GPUS)).unwrap_or(u32::MAX).min(cut.gpus);
        for (name, amount) in &mut cut.scalars {
            if let Some(kind) = kinds.find_scalar(name) {
                *amount = self.of(kind).min(*amount);
            }
        }
        if let Some(lowest) = self.ports.and_then(|most| cut.ports.lowest(most)) {
            cut.ports = lowest;
        }
        cut.normalize();
        cut
    }
}

impl Needs {
    fn count(&mut self, need: &Need, is_more: bool) {
        let step = |count: &mut usize| *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
        let Need::Shape(amounts) = need else { return step(&mut self.anything) };
        step(&mut self.shapes);
        for (kind, amount) in amounts.present() {
            let (all, by_amount) = self.by_kind.entry(kind).or_default();
            step(all);
            let count = by_amount.entry(amount).or_default();
            step(count);
            if *count == 0 {
                by_amount.remove(&amount);
            }
        }
    }

    /// Some may be met; false is certain, true is not.
    fn may_fit(&self, room: &Room) -> bool {
        let has_shape = self.shapes > 0 && room.each().all(|(kind, most)| self.least(kind) <= most);
        has_shape || (self.anything > 0 && room.times_of(&Need::Anything) > 0)
    }

    fn least(&self, kind: usize) -> u64 {
        let Some((all, by_amount)) = self.by_kind.get(&kind) else { return 0 };
        // Who is not counted needs nothing of it.
        by_amount.first_key_value().filter(|_| *all == self.shapes).map_or(0, |(least, _)| *least)
    }
}

impl Missed {
    /// Somebody who needs so much of the kind was turned away from agents with later stamps than `from`.
    pub fn note(&mut self, from: u64, kind: usize, need: u64) {
        self.note_from(from);
        let least = self.least.entry(kind).or_insert(u64::MAX);
        *least = need.min(*least);
    }

    /// Nobody is asked for agents with later stamps than `from`.
    pub fn note_all(&mut self, from: u64) {
        self.note_from(from);
        self.is_all = true;
    }

    /// Somebody of them may get something now.
    pub fn may_fit(&self, room: impl Fn(usize) -> u64) -> bool {
        (self.from.is_some() && self.is_all) || self.may_fit_some(room)
    }

    /// Somebody of those who were asked may get something now.
    pub fn may_fit_some(&self, room: impl Fn(usize) -> u64) -> bool {
        self.least.iter().any(|(kind, need)| *need <= room(*kind))
    }

    /// All are tried again from the stamp given.
    pub fn take(&mut self) -> Option<u64> {
        std::mem::take(self).from
    }

    fn note_from(&mut self, from: u64) {
        self.from = Some(self.from.map_or(from, |old| old.min(from)));
    }
}

impl Gate {
    /// What may be held beside what is held.
    pub fn room(&self, held: &Amounts) -> Room {
        let mut room = self.limit.clone().unwrap_or_default();
        room.most.iter_mut().for_each(|(kind, most)| *most = most.saturating_sub(held.of(*kind)));
        room
    }

    /// The stamp from which on somebody was turned away.
    pub fn missed_from(&self) -> Option<u64> {
        let within = self.missed_within.values().filter_map(|missed| missed.from);
        self.missed.from.into_iter().chain(self.missed_headroom.from).chain(within).min()
    }

    /// All who were turned away are tried again from the stamp given.
    pub fn take_missed(&mut self) -> Option<u64> {
        let from = self.missed_from();
        (self.missed, self.missed_headroom) = (Missed::default(), Missed::default());
        self.missed_within.clear();
        from
    }

    /// Promised to the role, and neither held nor promised further to roles below.
    pub fn owed_itself(&self, kind: usize) -> u64 {
        self.owed.of(kind).saturating_sub(self.owed_below.of(kind))
    }

    /// Something is promised that is not promised further.
    pub fn is_owing(&self) -> bool {
        self.owed.present().any(|(kind, owed)| owed > self.owed_below.of(kind))
    }

    /// Works out again what is owed: no more than the limit lets the role use beside what counts for it.
    pub fn set_held(&mut self, held: &Amounts, limited: &Amounts) {
        let mut owed = self.guarantee.clone();
        owed.sub(held);
        // The larger of the two.
        owed.sub(&self.owed_below);
        owed.add(&self.owed_below);
        self.is_tight = false;
        for (kind, most) in self.limit.iter().flat_map(Room::each) {
            let left = most.saturating_sub(limited.of(kind));
            self.is_tight |= left < self.owed_below.of(kind);
            owed.cap(kind, left);
        }
        self.owed = owed;
    }

    /// Tells its class what is owed to the role itself, as far as the limits above it leave that.
    pub fn count_in_class(&mut self, classes: &mut Classes, above: &Room) {
        let Some(class) = self.class else { return };
        let mut owed = self.owed.clone();
        owed.sub(&self.owed_below);
        above.each().for_each(|(kind, most)| owed.cap(kind, most));
        if owed != self.counted {
            classes.count_owed(class, &self.counted, false);
            classes.count_owed(class, &owed, true);
            self.counted = owed;
        }
    }

    /// Joins the class of those who want the same. Its number when it is new: then no agent is counted in it. What is
    /// owed to the role is counted there afterwards.
    pub fn choose_class(&mut self, classes: &mut Classes, kinds: &mut Kinds) -> Option<usize> {
        if let Some(class) = self.class.take() {
            classes.count_owed(class, &std::mem::take(&mut self.counted), false);
            classes.leave(class);
        }
        if !self.is_promised() {
            return None;
        }
        let (class, is_new) = classes.join(&self.wanted, kinds)?;
        self.class = Some(class);
        is_new.then_some(class)
    }

    /// Something is promised to the role, held or not.
    pub fn is_promised(&self) -> bool {
        self.guarantee != Amounts::default()
    }

    /// Who was turned away by a limit has room there now, and none beside what is kept for others.
    pub fn wait_for_headroom(&mut self) {
        if let Some(from) = self.take_missed() {
            self.missed_headroom.note_all(from);
        }
    }

    /// Counts a need below it in or out.
    pub fn count_need(&mut self, need: &Need, is_more: bool) {
        self.needs.count(need, is_more);
    }

    /// Somebody below may get more of something, if there is room.
    pub fn is_needed(&self) -> bool {
        self.needs.shapes + self.needs.anything > 0
    }

    /// Somebody below needs something, and some of it may fit within `room`.
    pub fn may_fit(&self, room: &Room) -> bool {
        self.needs.may_fit(room)
    }

    /// It can be told that nobody below gets anything within the limit.
    pub fn is_full(&self, held: &Amounts) -> bool {
        self.is_needed() && self.limit.is_some() && !self.needs.may_fit(&self.room(held))
    }
}
