//! Who takes part in a run, and how each behaves: well, or in one of the ways that cost others something.

use proffer_proto_model::{Bytes, MilliCpus, Resources};

/// How a framework answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Asks for what it is missing and uses what it is offered.
    Honest,
    /// Wants anything and keeps every offer until it expires.
    Hoarding,
    /// Wants anything and declines every offer at once.
    Declining,
    /// Wants anything, subscribes, and reads nothing more.
    Hung,
    /// Wants anything and fills all it is offered.
    Greedy,
}

/// One framework of a run.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its one role.
    pub role: String,
    /// Of each of its tasks.
    pub shape: Resources,
    /// Tasks it keeps running.
    pub wanted: u32,
    /// How long each of its tasks runs, in milliseconds; `None` for as long as nothing ends it.
    pub task_ms: Option<u64>,
    /// It launches some of its tasks together, all or none.
    pub is_in_gangs: bool,
    /// It reserves and makes volumes, and is removed for good at times: another one takes its place.
    pub keeps: bool,
    /// A role below its own for which it reserves too.
    pub below: Option<String>,
    /// How it answers.
    pub behaviour: Behaviour,
}

impl Part {
    /// Keeps so many tasks of half a CPU and 256 MiB running.
    pub fn honest(role: impl Into<String>, wanted: u32) -> Self {
        Self {
            role: role.into(),
            shape: Resources::new(MilliCpus(500), Bytes::mib(256)),
            wanted,
            task_ms: None,
            is_in_gangs: false,
            keeps: false,
            below: None,
            behaviour: Behaviour::Honest,
        }
    }

    /// Behaves in such a way, and runs nothing.
    pub fn bad(role: impl Into<String>, behaviour: Behaviour) -> Self {
        Self { behaviour, ..Self::honest(role, 0) }
    }

    /// The same with some tasks launched together.
    pub fn in_gangs(self) -> Self {
        Self { is_in_gangs: true, ..self }
    }

    /// The same with reservations and volumes, also for a role below its own, and an end.
    pub fn keeping(self, below: Option<&str>) -> Self {
        Self { keeps: true, below: below.map(str::to_owned), ..self }
    }

    /// The same with tasks of this size.
    pub fn shape(self, cpus: MilliCpus, memory: Bytes) -> Self {
        Self { shape: Resources::new(cpus, memory), ..self }
    }

    /// The same with tasks that end by themselves after this time.
    pub fn task_ms(self, task_ms: u64) -> Self {
        Self { task_ms: Some(task_ms), ..self }
    }
}
