//! Which agents count for whom: a guarantee is kept on agents where it can be used.
//!
//! A role that is promised something more than it holds counts what is free of an agent if the agent meets all
//! constraints of a shape wanted in the role or below it, and the shape fits into what is free. A role in which nothing
//! is wanted, or more than [`SHAPES`] different shapes, counts every active agent. Roles that want the same shapes are
//! one *class*: their guarantees are added up.
//!
//! - An agent that does not count for a class may be given to anybody, as far as that class goes.
//! - So may one without which enough is left on the others that count.
//! - Of any other, those the class promised nothing may take what the class has beyond its guarantees, and only so much
//!   that one shape still fits (names of sets and named ports aside). Those who are promised something themselves may take that everywhere.
//!
//! Beside this all guarantees together are kept of all that is free (`rooms`). There are [`CLASSES`] classes at most;
//! roles beyond that count every agent.

use std::collections::BTreeMap;

use proffer_proto_model::{AgentInfo, DemandItem, Resources};

use crate::client::asks_gpus;
use crate::fit::times_it_fits;
use crate::quota::{Missed, Need, Room};
use crate::share::{Amounts, Kinds};

/// Different shapes by which a role's agents are told apart, at most.
const SHAPES: usize = 8;

/// Classes at most: an agent remembers in which it is counted, one bit each.
const CLASSES: usize = 16;

/// The classes in which an agent is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted(u16);

/// The shapes wanted in a role and below it, and how often each is.
///
/// Found by their text: amounts have no order.
#[derive(Debug, Default)]
pub(crate) struct Wanted(BTreeMap<String, (DemandItem, usize)>);

/// Roles that want the same shapes.
#[derive(Debug)]
struct Class {
    shapes: Vec<(DemandItem, Need)>,
    /// Roles in it. A class without any is kept until its place is needed.
    roles: usize,
    /// Free on the agents that count.
    free: Amounts,
    /// Promised to the roles themselves, not to roles below them, and not held.
    owed: Amounts,
    missed: Missed,
}

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    list: Vec<Class>,
    /// Agents with GPUs are for everybody, not only for those who want GPUs.
    pub gpus_for_all: bool,
}

/// What is to be known of an agent.
pub(crate) struct Usable<'a> {
    pub info: &'a AgentInfo,
    pub counted: Counted,
    /// Free when it was counted.
    pub free: &'a Amounts,
    /// What is left of that in this look.
    pub left: &'a Resources,
    /// What was given to parts in this look.
    pub begun: &'a Amounts,
}

impl Usable<'_> {
    fn left_of(&self, kind: usize) -> u64 {
        self.free.of(kind).saturating_sub(self.begun.of(kind))
    }
}

impl Counted {
    /// One more, or one less.
    pub fn set(&mut self, class: usize, is_counted: bool) {
        if is_counted {
            self.0 |= 1 << class;
        } else {
            self.0 &= !(1 << class);
        }
    }

    /// The class is among them.
    fn has(self, class: usize) -> bool {
        self.0 & (1 << class) != 0
    }

    /// Some class of `self` is not in `other`.
    pub fn is_beyond(self, other: Counted) -> bool {
        self.0 & !other.0 != 0
    }
}

impl Wanted {
    /// Counts an item in or out.
    pub fn count(&mut self, item: &DemandItem, is_more: bool) {
        let key = format!("{:?} {} {:?}", item.shape, item.ports, item.constraints);
        if is_more {
            self.0.entry(key).or_insert_with(|| (item.clone(), 0)).1 += 1;
        } else if let Some((_, count)) = self.0.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }

    /// Agents are told apart by them.
    fn tells_apart(&self) -> bool {
        (1..=SHAPES).contains(&self.0.len())
    }
}

impl Class {
    fn is_of(&self, wanted: &Wanted) -> bool {
        let has = |item: &DemandItem| self.shapes.iter().any(|(shape, _)| is_same(shape, item));
        self.shapes.len() == wanted.0.len() && wanted.0.values().all(|(item, _)| has(item))
    }

    fn fits(&self, info: &AgentInfo, left: &Resources) -> Option<&(DemandItem, Need)> {
        let is_met = |item: &DemandItem| item.constraints.iter().all(|rule| rule.is_met_by(info));
        self.shapes.iter().find(|(item, _)| times_it_fits(item, left) > 0 && is_met(item))
    }

    fn is_usable(&self, info: &AgentInfo, left: &Resources, for_all: bool) -> bool {
        let is_kept = info.resources.gpus > 0 && !for_all;
        (!is_kept || self.shapes.iter().any(|(shape, _)| asks_gpus(shape))) && self.fits(info, left).is_some()
    }

    fn spare(&self, kind: usize) -> u64 {
        match self.owed.of(kind) {
            0 => u64::MAX,
            owed => self.free.of(kind).saturating_sub(owed),
        }
    }

    /// A kind that would be short without the agent.
    fn needs(&self, of_agent: &Amounts) -> Option<usize> {
        let is_short = |kind: usize| of_agent.of(kind) > 0 && self.spare(kind) < of_agent.of(kind);
        self.owed.present().map(|(kind, _)| kind).find(|kind| is_short(*kind))
    }
}

impl Classes {
    /// The class of roles that want these shapes, if they tell agents apart; true when it is new and counts no agent.
    pub fn join(&mut self, wanted: &Wanted, kinds: &mut Kinds) -> Option<(usize, bool)> {
        if !wanted.tells_apart() {
            return None;
        }
        if let Some(at) = self.list.iter().position(|class| class.is_of(wanted)) {
            self.list[at].roles += 1;
            return Some((at, false));
        }
        let shapes = wanted.0.values().map(|(item, _)| (item.clone(), Need::of(item, kinds))).collect();
        let (free, owed, missed) = (Amounts::default(), Amounts::default(), Missed::default());
        let mut class = Class { shapes, roles: 1, free, owed, missed };
        if self.list.len() < CLASSES {
            self.list.push(class);
            return Some((self.list.len() - 1, true));
        }
        let unused = self.list.iter().position(|class| class.roles == 0)?;
        // Who was turned away for the one that was here is tried again.
        if let Some(from) = self.list[unused].missed.from {
            class.missed.note_all(from);
        }
        self.list[unused] = class;
        Some((unused, true))
    }

    /// A role leaves its class.
    pub fn leave(&mut self, class: usize) {
        self.list[class].roles -= 1;
    }

    /// Counts what is promised to a role of the class itself.
    pub fn count_owed(&mut self, class: usize, owed: &Amounts, is_more: bool) {
        let sum = &mut self.list[class].owed;
        if is_more { sum.add(owed) } else { sum.sub(owed) }
    }

    /// Counts what is free of an agent in, in all classes it is usable for.
    pub fn count_in(&mut self, info: &AgentInfo, free: &Resources, amounts: &Amounts) -> Counted {
        let mut counted = Counted::default();
        let for_all = self.gpus_for_all;
        for (at, class) in self.list.iter_mut().enumerate() {
            if class.is_usable(info, free, for_all) {
                class.free.add(amounts);
                counted.set(at, true);
            }
        }
        counted
    }

    /// Counts it out.
    pub fn count_out(&mut self, counted: Counted, amounts: &Amounts) {
        for class in self.of_mut(counted) {
            class.free.sub(amounts);
        }
    }

    /// Counts an agent in or out of a class that is new.
    pub fn count_new(&mut self, at: usize, info: &AgentInfo, free: &Resources, amounts: &Amounts) -> bool {
        let for_all = self.gpus_for_all;
        let class = &mut self.list[at];
        let is_usable = class.is_usable(info, free, for_all);
        if is_usable {
            class.free.add(amounts);
        }
        is_usable
    }

    /// Somebody was turned away for one of the classes.
    pub fn has_missed(&self, counted: Counted) -> bool {
        self.of(counted).any(|(_, class)| class.missed.from.is_some())
    }

    /// Somebody was turned away for one of the classes, which does not need an agent with so much free, or may need
    /// less of it: what is kept there is one of several shapes.
    pub fn has_missed_in_vain(&self, counted: Counted, free: &Amounts) -> bool {
        let may_do = |class: &Class| class.shapes.len() > 1 || class.needs(free).is_none();
        self.of(counted).any(|(_, class)| class.missed.from.is_some() && may_do(class))
    }

    /// Of several shapes, which one is kept on an agent depends on what is left of it.
    pub fn has_several_shapes(&self, class: usize) -> bool {
        self.list.get(class).is_some_and(|class| class.shapes.len() > 1)
    }

    /// Limits what may be taken of an agent with so much left to somebody who is promised `owed_to` of each kind.
    pub fn limit(&self, look: &Usable<'_>, owed_to: impl Fn(usize) -> u64, room: &mut Room) {
        for (_, class) in self.of(look.counted) {
            if class.needs(look.free).is_none() {
                continue;
            }
            let Some((kept, need)) = class.fits(look.info, look.left) else { continue };
            let mut is_owed = false;
            for (kind, owed) in class.owed.present() {
                let free = class.free.of(kind).saturating_sub(look.begun.of(kind));
                room.cap(kind, free.saturating_sub(owed).saturating_add(owed_to(kind)));
                is_owed |= owed_to(kind) > 0;
            }
            if !is_owed {
                for (kind, amount) in need.each() {
                    room.cap(kind, look.left_of(kind).saturating_sub(amount));
                }
                let ports = kept.ports.saturating_add(kept.shape.as_ref().map_or(0, |shape| shape.ports.count()));
                room.cap_ports(look.left.ports.count().saturating_sub(ports));
            }
        }
    }

    /// Why somebody who needs so much was turned away: class, kind, and how much of it has to be spare for another try.
    pub fn reasons(&self, look: &Usable<'_>, owed_to: impl Fn(usize) -> u64, need: &Need) -> Vec<(usize, usize, u64)> {
        let mut reasons = Vec::new();
        for (at, class) in self.of(look.counted) {
            let Some(kind) = class.needs(look.free) else { continue };
            reasons.push((at, kind, look.free.of(kind)));
            for (kind, amount) in need.each() {
                let more = amount.saturating_sub(owed_to(kind));
                if class.spare(kind).saturating_sub(look.begun.of(kind)) < more {
                    reasons.push((at, kind, more));
                }
            }
        }
        reasons
    }

    /// Notes such a reason with the stamp from which on agents were not tried.
    pub fn note(&mut self, from: u64, (class, kind, amount): (usize, usize, u64)) {
        self.list[class].missed.note(from, kind, amount);
    }

    /// The lowest stamp from which on somebody was turned away.
    pub fn missed_from(&self) -> Option<u64> {
        self.list.iter().filter_map(|class| class.missed.from).min()
    }

    /// The stamp from which on all are tried again, when somebody who was turned away may get something now.
    pub fn wake(&mut self) -> Option<u64> {
        let is_due = self.list.iter().any(|class| class.missed.may_fit(|kind| class.spare(kind)));
        if is_due { self.list.iter_mut().filter_map(|class| class.missed.take()).min() } else { None }
    }

    fn of(&self, counted: Counted) -> impl Iterator<Item = (usize, &Class)> {
        self.list.iter().enumerate().filter(move |(at, _)| counted.has(*at))
    }

    fn of_mut(&mut self, counted: Counted) -> impl Iterator<Item = &mut Class> {
        self.list.iter_mut().enumerate().filter(move |(at, _)| counted.has(*at)).map(|(_, class)| class)
    }
}

fn is_same(one: &DemandItem, other: &DemandItem) -> bool {
    one.shape == other.shape && one.ports == other.ports && one.constraints == other.constraints
}
