//! What a simulated framework does with an offer beside launching: it reserves, refines and gives back, and makes and
//! destroys volumes, at random and only while faults go on.

use std::collections::BTreeMap;

use proffer_proto_model::{Bytes, MilliCpus, Moment, Resources, Role, VolumeId, VolumeState};
use proffer_sdk::{FrameworkId, Offer};

use crate::rng::Rng;

/// The label of a reservation that names the framework that made it.
pub const OF: &str = "of";

/// Most that is done with one offer.
const MOST_AT_ONCE: u64 = 3;

/// How much disk one volume takes.
const VOLUME: Bytes = Bytes::mib(40);

/// Draws what is done with each offer.
pub(super) struct Keeper {
    rng: Rng,
    /// Also reserved for: a role below the framework's own.
    below: Option<Role>,
    until: Moment,
    operations: u64,
}

impl Keeper {
    /// One that stops at a time, as engines see it.
    pub fn new(rng: Rng, below: Option<&str>, until: Moment) -> Self {
        let below = below.map(|role| Role::new(role).expect("the cast names valid roles"));
        Self { rng, below, until, operations: 0 }
    }

    /// Does something with an offer, or nothing. What the offer does not cover is left.
    pub fn work_on(&mut self, offer: &mut Offer, now: Moment, me: &FrameworkId) {
        if now >= self.until {
            return;
        }
        for _ in 0..self.rng.range(0, MOST_AT_ONCE) {
            self.operations += 1;
            let id = format!("o{}", self.operations);
            match self.rng.range(0, 9) {
                0..=3 => self.reserve(offer, id, me),
                4..=6 => {
                    let name = VolumeId::new(format!("own-{}", self.rng.range(0, 1))).expect("a valid name");
                    let _covered = offer.create_volume(id, name, VOLUME);
                }
                7 => self.destroy(offer, id),
                8 => {
                    let _covered = offer.unreserve(id, disk(Bytes::mib(20)));
                }
                _ => self.refine(offer, id, me),
            }
        }
    }

    fn reserve(&mut self, offer: &mut Offer, id: String, me: &FrameworkId) {
        let resources = match self.rng.chance(500) {
            true => Resources { disk: Bytes::mib(60), ..Resources::new(MilliCpus(500), Bytes::mib(256)) },
            false => disk(Bytes::mib(60)),
        };
        let below = self.below.clone().filter(|_| self.rng.chance(300));
        let role = below.unwrap_or_else(|| offer.role().clone());
        let _covered = offer.reserve_for(id, role, None, resources, labels(me));
    }

    /// Out of what is reserved for the role above, whoever did that, or out of its own for the role below.
    fn refine(&mut self, offer: &mut Offer, id: String, me: &FrameworkId) {
        let own = offer.role().clone();
        let (role, from) = match (&self.below, own.parent()) {
            (Some(below), _) => (below.clone(), own),
            (None, Some(above)) => (own, above),
            (None, None) => return,
        };
        let _covered = offer.reserve_for(id, role, Some(from), disk(Bytes::mib(30)), labels(me));
    }

    fn destroy(&mut self, offer: &mut Offer, id: String) {
        let unused = |known: &&proffer_sdk::VolumeInfo| {
            known.role == *offer.role() && known.used_by.is_empty() && known.state == VolumeState::Ready
        };
        if let Some(volume) = offer.volumes().iter().find(unused).map(|known| known.id.clone()) {
            offer.destroy_volume(id, volume);
        }
    }
}

fn labels(me: &FrameworkId) -> BTreeMap<String, String> {
    BTreeMap::from([(OF.to_owned(), me.to_string())])
}

fn disk(disk: Bytes) -> Resources {
    Resources { disk, ..Resources::default() }
}
