//! Uses offers: each missing instance goes where fewest of its service are. Never keeps an offer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proffer_sdk::{AgentId, Context, DeclineKind, DeclineReason, Offer, Role, TaskId};

use super::ServiceScheduler;
use super::leaving::Stay;
use super::spread::PATIENCE_MS;
use crate::ServiceSpec;
use crate::plan::plan;
use crate::state::{Placed, Service, task_name};

/// An offer and what came of it.
struct Tried {
    offer: Offer,
    is_used: bool,
    /// The first service that could not use it, and why.
    refusal: Option<DeclineReason>,
}

impl ServiceScheduler {
    pub(super) fn on_offers(&mut self, offers: Vec<Offer>, cx: &mut Context<'_>) {
        let mut offers: Vec<Tried> =
            offers.into_iter().map(|offer| Tried { offer, is_used: false, refusal: None }).collect();
        for tried in &offers {
            self.spread.note_offer(tried.offer.agent(), cx.now());
        }
        let specs = self.state.services().map(|service| &service.record.spec);
        let mut names: Vec<(Reverse<i32>, String)> =
            specs.map(|spec| (Reverse(spec.priority), spec.name.clone())).collect();
        // What matters most is served first, as the demand says.
        names.sort();
        let mut is_anything_backing_off = false;
        for (_, name) in names {
            let Some(service) = self.state.service(&name) else { continue };
            let next = plan(service, cx.now());
            is_anything_backing_off |= next.wake.is_some();
            let slots: Vec<u32> = next.waiting().collect();
            if !slots.is_empty() {
                self.start(&name, &slots, &mut offers, cx);
            }
        }
        let idle = if is_anything_backing_off { DeclineKind::BackOff } else { DeclineKind::NoDemand };
        for tried in offers.into_iter().filter(|tried| !tried.is_used) {
            match tried.refusal {
                Some(reason) if reason.kind == DeclineKind::Spread => tried.offer.decline_for(reason, PATIENCE_MS),
                Some(reason) => tried.offer.decline(reason),
                // The demand says already that nothing is wanted; a pause would only delay the next replacement.
                None => tried.offer.decline_for(DeclineReason::new(idle.clone()), 0),
            }
        }
    }

    fn start(&mut self, name: &str, slots: &[u32], offers: &mut [Tried], cx: &mut Context<'_>) {
        let Some(service) = self.state.service(name) else { return };
        let (spec, version) = (service.record.spec.clone(), service.record.version);
        let Some(role) = spec.role.clone().or_else(|| cx.roles().first().cloned()) else { return };
        let mut counts = count_by_agent(service);
        let mut waiting = "none came yet".to_owned();
        let mut full: BTreeSet<usize> = BTreeSet::new();
        let moving = plan(service, cx.now()).moves;
        let only_moves = slots.iter().all(|slot| moving == Some(*slot));
        let is_short = |tried: &Tried| Stay::of(&tried.offer, cx) != Stay::Long;
        let short: BTreeSet<usize> = (0..offers.len()).filter(|at| is_short(&offers[*at])).collect();
        for (at, tried) in offers.iter_mut().enumerate() {
            let other = refusal(&spec, &role, &tried.offer);
            if let Some(reason) = other.or_else(|| self.refusal_of_leaving(name, only_moves, &tried.offer, cx)) {
                waiting = explain(&reason, tried.offer.hostname());
                tried.refusal.get_or_insert(reason);
                full.insert(at);
            }
        }
        let mut slots = slots.iter().copied().peekable();
        while let Some(&slot) = slots.peek() {
            let count = |at: &usize| counts.get(offers[*at].offer.agent()).copied().unwrap_or(0);
            // An instance that leaves one agent is not moved to another that is left soon.
            let is_open = |at: &usize| !full.contains(at) && (moving != Some(slot) || !short.contains(at));
            let Some(at) = (0..offers.len()).filter(is_open).min_by_key(count) else { break };
            let tried: Vec<&AgentId> = offers.iter().map(|tried| tried.offer.agent()).collect();
            if self.spread.waits(name, count(&at), &counts, &tried, cx.now()) {
                let reason = DeclineReason::new(DeclineKind::Spread);
                waiting = explain(&reason, offers[at].offer.hostname());
                offers[at].refusal.get_or_insert(reason);
                full.insert(at);
                continue;
            }
            let number = self.state.next_number(name);
            let Ok(id) = TaskId::new(task_name(name, slot, number)) else { break };
            match offers[at].offer.launch(spec.task(id)) {
                Ok(launched) => {
                    offers[at].is_used = true;
                    *counts.entry(launched.agent.clone()).or_default() += 1;
                    self.state.use_number(name, number);
                    let hostname = offers[at].offer.hostname().to_owned();
                    self.place(name, slot, launched.task, version, launched.agent, hostname);
                    slots.next();
                }
                Err(refused) => {
                    let reason = DeclineReason::new(DeclineKind::ResourcesShort { shortage: *refused.shortage });
                    waiting = explain(&reason, offers[at].offer.hostname());
                    offers[at].refusal.get_or_insert(reason);
                    full.insert(at);
                }
            }
        }
        self.state.set_waiting(name, if slots.peek().is_some() { waiting } else { String::new() });
        self.changed();
    }

    fn place(&mut self, name: &str, slot: u32, task: TaskId, version: u64, agent: AgentId, hostname: String) {
        tracing::info!(%task, %agent, version, "starting an instance");
        if let Some(slot) = self.state.slot_mut(name, slot) {
            let placed = Placed {
                task,
                version,
                agent,
                hostname,
                status: None,
                is_killed: false,
                is_leaving: false,
                running_since: None,
            };
            match slot.task {
                Some(_) => slot.next = Some(placed),
                None => slot.task = Some(placed),
            }
            (slot.back_off_until, slot.back_off_until_unix_ms) = (None, 0);
        }
    }
}

fn count_by_agent(service: &Service) -> BTreeMap<AgentId, usize> {
    let mut counts = BTreeMap::new();
    for placed in service.tasks() {
        *counts.entry(placed.agent.clone()).or_default() += 1;
    }
    counts
}

fn refusal(spec: &ServiceSpec, role: &Role, offer: &Offer) -> Option<DeclineReason> {
    if offer.role() != role {
        let message = format!("service {} is paid by role {role}", spec.name);
        return Some(DeclineReason { kind: DeclineKind::Other, message });
    }
    if let Some(unmet) = spec.constraints.iter().find(|rule| !offer.meets(rule)) {
        return Some(DeclineReason::new(DeclineKind::Constraint { constraint: Some(unmet.clone()) }));
    }
    let message = offer.volume_problem(&spec.container)?;
    Some(DeclineReason { kind: DeclineKind::Other, message })
}

fn explain(reason: &DeclineReason, hostname: &str) -> String {
    match &reason.kind {
        DeclineKind::ResourcesShort { shortage } => format!("{hostname} is short of {shortage}"),
        DeclineKind::Constraint { constraint: Some(rule) } => {
            format!("{hostname} does not meet the constraint on {}", rule.subject)
        }
        DeclineKind::Spread => format!("{hostname} has more of it than others, which are asked first"),
        _ => format!("{hostname}: {}", reason.message),
    }
}
