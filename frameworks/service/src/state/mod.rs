//! What the framework remembers: services, their slots, and the last number given to a task of each.
//!
//! Never talks to anybody. Every change marks its record; [`State::flush`] hands the marked ones to the SDK's store.

mod records;

use std::collections::{BTreeMap, BTreeSet};

use proffer_sdk::{AgentId, Moment, TaskId, TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::ServiceSpec;
use records::Key;
pub use records::{DamagedRecord, task_name};

/// Everything the framework remembers.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) services: BTreeMap<String, Service>,
    numbers: BTreeMap<String, u64>,
    changed: BTreeSet<Key>,
}

/// A service with its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The durable part.
    pub record: ServiceRecord,
    /// Its slots by number.
    pub slots: BTreeMap<u32, Slot>,
    /// Why the last offer was not used, while instances are missing; not durable.
    pub waiting: String,
    /// Since when a replacement waits for room beside the instance it replaces; not durable.
    pub replacing_since: Option<Moment>,
    /// There was no such room: this version's instances start after the old ones have ended; not durable.
    pub is_stop_first: bool,
}

impl Service {
    /// Without slots.
    pub fn new(record: ServiceRecord) -> Self {
        Self { record, slots: BTreeMap::new(), waiting: String::new(), replacing_since: None, is_stop_first: false }
    }

    /// Every task it has, replacements included.
    pub fn tasks(&self) -> impl Iterator<Item = &Placed> {
        self.slots.values().flat_map(|slot| slot.task.iter().chain(&slot.next))
    }
}

/// What is wanted of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The spec.
    pub spec: ServiceSpec,
    /// Grows with each change of the spec other than the number of instances.
    pub version: u64,
    /// All instances are being ended.
    pub is_removing: bool,
}

/// A place for one instance: stays when the instance is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Its present task.
    pub task: Option<Placed>,
    /// The task that takes over once it runs; only beside a present one.
    #[serde(default)]
    pub next: Option<Placed>,
    /// Unreachable tasks that were given up; they may return.
    pub lost: Vec<Placed>,
    /// How often an instance ended that should not have.
    pub restarts: u32,
    /// Failures in a row.
    pub failures: u32,
    /// Not started before this, in wall-clock milliseconds since 1970; 0 is at once.
    pub back_off_until_unix_ms: u64,
    /// The same on this run's clock.
    #[serde(skip)]
    pub back_off_until: Option<Moment>,
    /// What went wrong last.
    pub last_failure: String,
}

/// A task of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Its id.
    pub task: TaskId,
    /// The version of the spec it runs.
    pub version: u64,
    /// Where.
    pub agent: AgentId,
    /// The agent's host name.
    pub hostname: String,
    /// The latest status, without its data.
    pub status: Option<TaskStatus>,
    /// Its end was asked for.
    pub is_killed: bool,
    /// The master asks to leave its agent: it moves while it runs.
    #[serde(skip)]
    pub is_leaving: bool,
    /// Since when it runs, as far as this run knows.
    #[serde(skip)]
    pub running_since: Option<Moment>,
}

impl Placed {
    /// Its process runs and nobody asked for its end.
    pub fn is_running(&self) -> bool {
        !self.is_killed && self.status.as_ref().is_some_and(|status| status.state == TaskState::Running)
    }
}

impl Slot {
    /// Waits for a time before it starts again.
    pub fn is_backing_off(&self, now: Moment) -> bool {
        self.back_off_until.is_some_and(|until| until > now)
    }

    /// Forgets earlier failures, but not their number.
    pub(crate) fn clear_back_off(&mut self) {
        (self.failures, self.back_off_until, self.back_off_until_unix_ms) = (0, None, 0);
    }
}

impl State {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// A service.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The slot of a task, when its service has it.
    pub fn slot_of(&self, task: &TaskId) -> Option<(&str, u32, &Slot)> {
        let (name, number, _) = records::parse_task(task)?;
        let (name, service) = self.services.get_key_value(name)?;
        service.slots.get(&number).map(|slot| (name.as_str(), number, slot))
    }

    /// The present task of its slot, or the one that is to take over?
    pub fn is_present(&self, task: &TaskId) -> bool {
        let of = |slot: &Slot| slot.task.iter().chain(&slot.next).any(|placed| placed.task == *task);
        self.slot_of(task).is_some_and(|(_, _, slot)| of(slot))
    }

    pub(crate) fn put(&mut self, record: ServiceRecord) {
        let name = record.spec.name.clone();
        self.changed.insert(Key::Service(name.clone()));
        match self.services.get_mut(&name) {
            Some(service) => {
                service.record = record;
                (service.replacing_since, service.is_stop_first) = (None, false);
            }
            None => {
                self.services.insert(name, Service::new(record));
            }
        }
    }

    pub(crate) fn slot_mut(&mut self, name: &str, number: u32) -> Option<&mut Slot> {
        let service = self.services.get_mut(name)?;
        self.changed.insert(Key::Slot(name.to_owned(), number));
        Some(service.slots.entry(number).or_default())
    }

    /// Says why the last offer was not used; empty when nothing waits.
    pub(crate) fn set_waiting(&mut self, name: &str, waiting: String) {
        if let Some(service) = self.services.get_mut(name) {
            service.waiting = waiting;
        }
    }

    /// Notes whether a replacement waits for room beside the old instance. Gives the end of its patience.
    pub(crate) fn note_replacing(&mut self, name: &str, waits: bool, now: Moment) -> Option<Moment> {
        let service = self.services.get_mut(name)?;
        if !waits {
            service.replacing_since = None;
            return None;
        }
        let until = *service.replacing_since.get_or_insert(now) + crate::plan::ROOM_WAIT_MS;
        service.is_stop_first |= until <= now;
        Some(until)
    }

    /// Empty slots may start at once again.
    pub(crate) fn clear_back_offs(&mut self, name: &str) {
        let Some(service) = self.services.get_mut(name) else { return };
        for (number, slot) in service.slots.iter_mut().filter(|(_, slot)| slot.failures > 0) {
            slot.clear_back_off();
            self.changed.insert(Key::Slot(name.to_owned(), *number));
        }
    }

    pub(crate) fn forget_slot(&mut self, name: &str, number: u32) {
        if self.services.get_mut(name).is_some_and(|service| service.slots.remove(&number).is_some()) {
            self.changed.insert(Key::Slot(name.to_owned(), number));
        }
    }

    pub(crate) fn forget_service(&mut self, name: &str) {
        if let Some(service) = self.services.remove(name) {
            self.changed.insert(Key::Service(name.to_owned()));
            self.changed.extend(service.slots.into_keys().map(|number| Key::Slot(name.to_owned(), number)));
        }
    }

    /// The number the next task of a service gets. Durable only with [`State::use_number`].
    pub(crate) fn next_number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or(0) + 1
    }

    /// This number of a service's tasks is used and all below it; kept when the service is removed.
    pub(crate) fn use_number(&mut self, name: &str, number: u64) {
        let last = self.numbers.entry(name.to_owned()).or_default();
        if *last < number {
            *last = number;
            self.changed.insert(Key::Number(name.to_owned()));
        }
    }

    /// A task that somebody reports: its number is never given again.
    pub(crate) fn note_number(&mut self, task: &TaskId) {
        if let Some((name, _, number)) = records::parse_task(task) {
            let name = name.to_owned();
            self.use_number(&name, number);
        }
    }
}
