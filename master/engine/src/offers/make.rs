//! Turns the allocator's grants into offers, one message for each framework.

use std::collections::BTreeMap;

use proffer_master_allocator::Grant;
use proffer_proto_model::{FrameworkId, Now, Offer, OfferId};

use crate::ToFramework;
use crate::reservations::Share;
use crate::state::{OpenOffer, State};
use crate::timers::Timer;
use crate::view::{OfferOutcome, OfferView};

impl State {
    /// Offers all that became possible.
    pub fn make_offers(&mut self, now: Now) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        for grant in self.allocator.allocate(now.mono) {
            let framework = grant.framework.clone();
            if let Some(offer) = self.make_offer(now, grant) {
                by_framework.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in by_framework {
            self.tell_framework(&framework, ToFramework::Offers(offers));
        }
    }

    fn make_offer(&mut self, now: Now, grant: Grant) -> Option<Offer> {
        let Grant { id: grant, framework, role, agent, resources, reserved, race, is_optimistic } = grant;
        let unavailability = self.unavailability(&agent);
        let volumes = self.volumes_in_offer(&agent, &role);
        let (Some(place), Some(receiver)) = (self.agents.get_mut(&agent), self.frameworks.get_mut(&framework)) else {
            self.allocator.close(grant);
            return None;
        };
        self.next_offer += 1;
        let id = OfferId::numbered(self.epoch.0, self.next_offer);
        let info = &place.record.info;
        let expires_in_ms = receiver.guard.offer_timeout_ms(self.config.offer_timeout_ms);
        let expires = now.mono + expires_in_ms;
        let share = Share::split(&resources, &reserved);
        let offer = Offer {
            id: id.clone(),
            agent: agent.clone(),
            hostname: info.hostname.clone(),
            role,
            resources,
            attributes: info.attributes.clone(),
            expires_in_ms,
            region: info.region.clone(),
            zone: info.zone.clone(),
            agent_address: info.address.clone(),
            reserved: place.record.reserved_parts(&reserved),
            unavailability,
            volumes,
            is_optimistic,
        };
        place.offers.insert(id.clone());
        receiver.offers.insert(id.clone());
        self.touched.agent(&agent);
        self.touched.framework(&framework);
        self.touched.offer(OfferView {
            offer: offer.clone(),
            framework: framework.clone(),
            sent: now.unix,
            outcome: OfferOutcome::Outstanding,
            held_ms: 0,
        });
        self.count_offer_in_roles(&offer.role, &offer.resources);
        let open = OpenOffer { offer: offer.clone(), framework, grant, race, share, sent: now, expires };
        self.offers.insert(id.clone(), open);
        self.start_timer(expires, Timer::OfferExpires(id));
        Some(offer)
    }
}
