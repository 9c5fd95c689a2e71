//! Frameworks are removed for good, and another one with an empty disk takes each one's place: by their own word, by an
//! operator's, or because they stayed away too long.
//!
//! Only while faults go on; what nobody saw to its end by then, an operator does.

use proffer_master_engine::OperatorCall;
use proffer_proto_model::FrameworkId;
use proffer_sdk::session::{End, ErrorKind};

use crate::rng::Rng;
use crate::world::{Event, Node, World};

/// So long may half of those stay away that are removed at times, in milliseconds; the others as long as always.
const SHORT_FAILOVER_MS: u64 = 15_000;

/// What a framework is from its first subscription until it is removed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Character {
    /// Its reservations and volumes stay.
    pub leaves_reservations: bool,
    /// How long it may be away, in milliseconds; `None` for as long as always.
    pub failover_ms: Option<u64>,
}

impl Character {
    /// Of one in the row of those that take each other's place.
    pub fn of(seed: u64, number: usize, generation: u64) -> Self {
        let mut rng = Rng::child(seed, &format!("character-{number}-{generation}"));
        let leaves_reservations = rng.chance(350);
        Self { leaves_reservations, failover_ms: rng.chance(500).then_some(SHORT_FAILOVER_MS) }
    }
}

impl World {
    /// Draws whether a framework is removed at this moment.
    pub(crate) fn remove_some(&mut self) {
        if !self.faults.removal.chance(self.faults.remove) {
            return;
        }
        let keepers: Vec<usize> = (0..self.frameworks.len()).filter(|n| self.frameworks[*n].part.keeps).collect();
        let Some(n) = self.faults.removal.pick(&keepers).copied() else { return };
        match self.faults.removal.range(0, 3) {
            0 | 1 => self.framework_tears_down(n),
            2 => self.operator_removes(&self.frameworks[n].name()),
            _ => {
                let ms = self.faults.removal.range(SHORT_FAILOVER_MS, 2 * SHORT_FAILOVER_MS);
                self.framework_dies_for(n, ms);
            }
        }
    }

    /// Frameworks that nobody runs any more and the master still keeps.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let is_run = |name: &String| self.frameworks.iter().any(|framework| framework.name() == *name);
        let known = self.master.registry.frameworks.iter().filter(|record| !record.is_removing);
        known.map(|record| record.info.name.clone()).filter(|name| !is_run(name)).collect()
    }

    pub(crate) fn operator_removes(&mut self, name: &str) {
        let known = self.master.registry.frameworks.iter().find(|record| record.info.name == name);
        let Some(framework): Option<FrameworkId> = known.map(|record| record.id.clone()) else { return };
        self.operator_asks(OperatorCall::TeardownFramework { request: 1, framework: framework.into() });
    }

    /// The run of a framework's process has ended: it was removed for good. The next one starts with nothing.
    pub(crate) fn framework_is_over(&mut self, n: usize, end: &End) {
        let is_removed = matches!(end, End::TornDown | End::Refused { kind: ErrorKind::Removed, .. });
        assert!(is_removed && self.frameworks[n].part.keeps, "framework {n} ended: {end:?}");
        self.oracle.dismiss(n);
        self.framework_replaced(n);
        let ms = self.faults.removal.range(1, 3_000);
        self.queue.after(ms, Event::Start(Node::Framework(n)));
    }
}
