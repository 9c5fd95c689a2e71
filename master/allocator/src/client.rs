//! One framework in one role: what it wants, what it holds, what it refused. Never decides who is next.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

use proffer_proto_model::{DemandItem, Moment, Resources};
use smallvec::SmallVec;

use crate::quota::Need;
use crate::share::Kinds;
use crate::tree::NodeId;

/// How many agents a framework gets to choose from: one whole offer never covers more than this part of the count.
const CHOICE: u32 = 4;

/// One framework in one role.
#[derive(Debug)]
pub(crate) struct Client {
    pub framework: usize,
    pub role: usize,
    /// Its place among the others: what it holds and how many grants it got is counted there.
    pub node: NodeId,
    /// The number of the last look at an agent in which it could get nothing, or nothing more.
    pub is_out_of: Cell<u64>,
    /// A grant for it is being cut from the agent a pass is looking at.
    pub has_part: bool,
    /// In order of priority, highest first.
    pub items: Vec<Item>,
    /// By agent slot. Mostly one: a second one is rarely needed, and a list apart would cost more than they do.
    pub filters: BTreeMap<usize, SmallVec<[Refused; 1]>>,
    /// When launches noted end to count, and of which shape.
    pub holds: BTreeSet<(Moment, u64)>,
    /// Some shape it wants has GPUs.
    pub asks_gpus: bool,
    /// Grants and tasks on agents with each value of the attribute over which it is spread; never 0.
    pub places: BTreeMap<String, u32>,
    /// The same, the fewest first.
    pub by_count: BTreeSet<(u32, String)>,
    /// The last value that was new to it.
    pub last_place: Option<String>,
    /// What of it is counted at the gates of its roles.
    pub needs: Vec<Need>,
    /// Open grants, and tasks.
    pub uses: usize,
    /// Counts all clients ever made.
    pub serial: u64,
    next_serial: u64,
}

/// One shape wanted, and how much of the count is under way.
#[derive(Debug)]
pub(crate) struct Item {
    pub serial: u64,
    pub wanted: DemandItem,
    pub need: Need,
    /// Covered by outstanding offers.
    pub outstanding: u32,
    /// Launched after the framework stated its demand: not wanted twice until it speaks again or the hold ends.
    pub launched: u32,
    /// More of it may be granted now.
    is_open: bool,
    /// The stamp up to which every agent was tried for it; `None` while it is open and was tried on all.
    looked: Option<u64>,
    /// The same for races.
    raced: Option<u64>,
}

/// How far a client was tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    /// In a pass: on agents up to this stamp.
    pub position: Option<u64>,
    /// On agents up to this stamp, unless it lags.
    pub looked: u64,
    /// In its walk over races: for races up to this one.
    pub race_position: Option<u64>,
    /// For races up to this one, unless it lags.
    pub raced: u64,
}

/// Resources refused until a moment.
#[derive(Debug)]
pub(crate) struct Refused {
    pub resources: Resources,
    pub until: Moment,
}

impl Item {
    /// How many are still to be covered.
    pub fn remaining(&self) -> u32 {
        match self.wanted.count {
            None => u32::MAX,
            Some(count) => count.saturating_sub(self.outstanding).saturating_sub(self.launched),
        }
    }

    /// How many of the count one whole offer may stand for, when it could hold `fits`.
    pub fn cover_of_whole(&self, fits: u32) -> u32 {
        let remaining = self.remaining();
        fits.min(if remaining == u32::MAX { 1 } else { remaining.div_ceil(CHOICE) })
    }

    fn is_same_shape(&self, other: &DemandItem) -> bool {
        self.wanted.shape == other.shape
            && self.wanted.ports == other.ports
            && self.wanted.constraints == other.constraints
    }
}

impl Client {
    pub fn new(framework: usize, role: usize, node: NodeId, serial: u64) -> Self {
        Self {
            framework,
            role,
            node,
            is_out_of: Cell::new(0),
            has_part: false,
            items: Vec::new(),
            filters: BTreeMap::new(),
            holds: BTreeSet::new(),
            asks_gpus: false,
            places: BTreeMap::new(),
            by_count: BTreeSet::new(),
            last_place: None,
            needs: Vec::new(),
            uses: 0,
            serial,
            next_serial: 0,
        }
    }

    /// A grant or a task of it begins, or ends.
    pub fn count_use(&mut self, is_more: bool) {
        self.uses = if is_more { self.uses + 1 } else { self.uses.saturating_sub(1) };
    }

    /// It may get more of some shape.
    pub fn is_wanting(&self) -> bool {
        self.items.iter().any(|item| item.is_open)
    }

    /// Counts a grant or a task on an agent with a value.
    pub fn count_place(&mut self, value: String, is_more: bool) {
        let old = self.places.get(&value).copied().unwrap_or(0);
        let new = if is_more { old.saturating_add(1) } else { old.saturating_sub(1) };
        self.by_count.remove(&(old, value.clone()));
        if new == 0 {
            self.places.remove(&value);
            return;
        }
        if old == 0 {
            self.last_place = Some(value.clone());
        }
        self.by_count.insert((new, value.clone()));
        self.places.insert(value, new);
    }

    /// It is spread over something else now.
    pub fn forget_places(&mut self) {
        self.places.clear();
        self.by_count.clear();
        self.last_place = None;
    }

    /// An agent with less CPU cannot give it anything.
    pub fn least_cpus(&self) -> u64 {
        let open = self.items.iter().filter(|item| item.is_open);
        open.map(|item| item.wanted.shape.as_ref().map_or(0, |shape| shape.cpus.0)).min().unwrap_or(0)
    }

    /// What it may get more of.
    pub fn open_needs(&self) -> impl Iterator<Item = &Need> {
        self.items.iter().filter(|item| item.is_open).map(|item| &item.need)
    }

    /// The stamp after which agents have not been tried for all it may get; `None` when there are none.
    pub fn looked_until(&self) -> Option<u64> {
        self.items.iter().filter(|item| item.is_open).filter_map(|item| item.looked).min()
    }

    /// Finds out what may be granted now. A shape that may no longer keeps how far agents were tried for it:
    /// to the position in a pass, else to the end unless it lags behind that already; never further than to `missed`,
    /// from where on it may have been turned away. The same for races.
    pub fn open_items(&mut self, may_get: bool, tried: Tried, missed: Option<u64>) {
        for item in &mut self.items {
            let is_open = may_get && item.remaining() > 0;
            if item.is_open && !is_open {
                let looked = match tried.position {
                    Some(position) => item.looked.map_or(position, |old| old.max(position)),
                    None => item.looked.unwrap_or(tried.looked),
                };
                item.looked = Some(missed.map_or(looked, |missed| missed.min(looked)));
                let raced = item.raced.map(|old| tried.race_position.map_or(old, |position| position.max(old)));
                item.raced = Some(raced.unwrap_or(tried.raced));
            }
            item.is_open = is_open;
        }
    }

    /// The race after which races have not been shown to it for all it may get; `None` when there are none.
    pub fn raced_until(&self) -> Option<u64> {
        self.items.iter().filter(|item| item.is_open).filter_map(|item| item.raced).min()
    }

    /// Every race was shown to it.
    pub fn has_raced_all(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.is_open) {
            item.raced = None;
        }
    }

    /// Every race is to be shown to it again.
    pub fn race_all(&mut self) {
        for item in &mut self.items {
            item.raced = Some(0);
        }
    }

    /// Every agent was tried for all that is still open.
    pub fn has_looked_at_all(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.is_open) {
            item.looked = None;
        }
    }

    /// Every agent is to be tried again.
    pub fn look_at_all(&mut self) {
        for item in &mut self.items {
            item.looked = Some(0);
        }
        self.race_all();
    }

    /// No offer to it may be smaller.
    pub fn set_least(&mut self, least: &Resources, kinds: &mut Kinds) {
        for item in &mut self.items {
            item.need = Need::of_at_least(&item.wanted, least, kinds);
        }
    }

    /// Takes the new demand, of which no offer is smaller than `least`. What is outstanding for a shape stays with it.
    /// Whether there is something new in it, and how many shapes were compared.
    pub fn replace_demand(&mut self, wanted: Vec<DemandItem>, least: &Resources, kinds: &mut Kinds) -> (bool, u64) {
        // Shapes can be long and alike up to the end: each is compared with those of the same print only.
        let mut old: BTreeMap<u64, VecDeque<Item>> = BTreeMap::new();
        for item in std::mem::take(&mut self.items) {
            old.entry(print_of(&item.wanted)).or_default().push_back(item);
        }
        let (mut has_news, mut compared) = (false, 0);
        for new in wanted {
            let mut is_same = |item: &Item| {
                compared += 1;
                item.is_same_shape(&new)
            };
            let alike = old.get_mut(&print_of(&new));
            let found = alike.and_then(|alike| alike.iter().position(&mut is_same).and_then(|at| alike.remove(at)));
            let item = match found {
                Some(item) => {
                    has_news |= new.count.unwrap_or(u32::MAX) > item.wanted.count.unwrap_or(u32::MAX);
                    Item { wanted: new, launched: 0, ..item }
                }
                None => {
                    has_news = true;
                    self.next_serial += 1;
                    let serial = self.next_serial;
                    let need = Need::of_at_least(&new, least, kinds);
                    Item {
                        serial,
                        wanted: new,
                        need,
                        outstanding: 0,
                        launched: 0,
                        is_open: false,
                        looked: Some(0),
                        raced: Some(0),
                    }
                }
            };
            self.items.push(item);
        }
        self.asks_gpus = self.items.iter().any(|item| asks_gpus(&item.wanted));
        self.items.sort_by_key(|item| std::cmp::Reverse(item.wanted.priority));
        (has_news, compared)
    }

    /// Counts offers in (or out, when they end) for a shape. A shape no longer wanted is ignored.
    pub fn count_outstanding(&mut self, serial: u64, change: i64) {
        if let Some(item) = self.items.iter_mut().find(|item| item.serial == serial) {
            let now = i64::from(item.outstanding).saturating_add(change).max(0);
            item.outstanding = u32::try_from(now).unwrap_or(u32::MAX);
        }
    }

    /// Notes that a task was launched, so that its part of the demand is not offered for again at once. The serial
    /// of the shape it was, if it was one.
    pub fn note_launch(&mut self, task: &Resources) -> Option<u64> {
        let fits = |item: &&mut Item| {
            item.wanted.count.is_some()
                && item.wanted.shape.as_ref().is_some_and(|shape| task.contains(shape))
                && task.ports.count() >= item.wanted.ports
                && item.remaining() > 0
        };
        let item = self.items.iter_mut().find(fits)?;
        item.launched += 1;
        Some(item.serial)
    }

    /// Forgets launches noted: the framework has had time to say what it wants now.
    pub fn end_hold(&mut self, serial: u64, launched: u32) {
        if let Some(item) = self.items.iter_mut().find(|item| item.serial == serial) {
            item.launched = item.launched.saturating_sub(launched);
        }
    }
}

/// The same for items of the same shape, ports and rules; the same in every run.
fn print_of(item: &DemandItem) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&item.shape, item.ports, &item.constraints).hash(&mut hasher);
    hasher.finish()
}

/// The shape has GPUs.
pub(crate) fn asks_gpus(item: &DemandItem) -> bool {
    item.shape.as_ref().is_some_and(|shape| shape.gpus > 0)
}
