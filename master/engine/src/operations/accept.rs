//! Accept: checks the offers, runs the operations in order, gives back the rest.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{
    Accept, AgentId, DeclineKind, DeclineReason, Filter, FrameworkId, Now, Operation, OperationOutcome, Resources,
    Role, TaskLaunch, TaskReason, TaskState,
};

use super::Held;
use crate::ToFramework;
use crate::registry::Awaited;
use crate::reservations::OperatorReservation;
use crate::state::State;
use crate::view::OfferOutcome;

impl State {
    /// A framework uses offers.
    pub fn accept(&mut self, now: Now, framework: &FrameworkId, accept: Accept) {
        let role = match self.check_offers(framework, &accept) {
            Ok(role) => role,
            Err(defect) => return self.void_accept(now, framework, accept, &defect),
        };
        let mut held = Held::default();
        let mut beside: BTreeMap<AgentId, Vec<Resources>> = BTreeMap::new();
        for id in &accept.offers {
            let is_used = !accept.operations.is_empty();
            let outcome = OfferOutcome::Accepted { leftover: Some(accept.leftover.clone()), is_used };
            let Some((open, closed)) = self.close_offer(now, id, outcome) else { continue };
            held.left.entry(open.offer.agent.clone()).or_default().add(&open.share);
            held.races.entry(open.offer.agent.clone()).or_default().insert(open.race);
            beside.entry(open.offer.agent).or_default().push(closed.beside);
        }
        self.offers_answered(framework, accept.offers.len());
        let offered: BTreeMap<AgentId, _> =
            held.left.iter().map(|(agent, share)| (agent.clone(), share.total())).collect();
        for operation in accept.operations {
            self.run_operation(now, framework, &role, &mut held, operation);
        }
        for (agent, rest) in held.left {
            let rest = rest.total();
            let is_unused = offered.get(&agent) == Some(&rest);
            let is_converted = held.converted.contains(&agent);
            if !is_unused || is_converted {
                self.used_agent(framework, &agent);
            }
            // What was reserved or made is offered at once to be used, with all that is beside it.
            if rest.is_empty() || is_converted {
                continue;
            }
            let mut filter = accept.filter;
            if is_unused {
                filter.refuse_ms = self.return_filter_ms(now, framework, &agent, filter.refuse_ms);
            }
            // What was free beside each offer when it was made: a refusal covers that too.
            for beside in beside.remove(&agent).unwrap_or_default() {
                self.refuse(now, framework, &role, &agent, rest.saturating_sum(&beside), filter);
            }
        }
    }

    /// Every offer must be named once, be open, the caller's own, and of one role.
    fn check_offers(&self, framework: &FrameworkId, accept: &Accept) -> Result<Role, String> {
        let mut seen = BTreeSet::new();
        let mut role: Option<&Role> = None;
        for id in &accept.offers {
            if !seen.insert(id) {
                return Err(format!("offer {id} is named twice"));
            }
            let Some(open) = self.offers.get(id).filter(|open| open.framework == *framework) else {
                return Err(format!("offer {id} is not open: it expired, was withdrawn, answered or never yours"));
            };
            match role {
                Some(role) if *role != open.offer.role => {
                    return Err(format!("offer {id} is of role {}, another one of role {role}", open.offer.role));
                }
                _ => role = Some(&open.offer.role),
            }
        }
        role.cloned().ok_or_else(|| "no offer is named".to_owned())
    }

    /// Some offer is not valid: the valid ones come back without filter of their own, nothing is launched.
    fn void_accept(&mut self, now: Now, framework: &FrameworkId, accept: Accept, defect: &str) {
        for id in &accept.offers {
            if self.offers.get(id).is_some_and(|open| open.framework == *framework) {
                let reason = DeclineReason { kind: DeclineKind::Other, message: format!("void accept: {defect}") };
                if let Some((open, closed)) = self.close_offer(now, id, OfferOutcome::Declined(reason)) {
                    let returned = closed.resources.saturating_sum(&closed.beside);
                    let (role, agent) = (&open.offer.role, &open.offer.agent);
                    self.return_unused(now, framework, role, agent, returned, Filter::NONE);
                }
            }
        }
        let message = format!("{defect}; try again with new offers");
        for operation in accept.operations {
            let (operation_id, tasks) = parts(operation);
            for task in tasks {
                self.refuse_task(now, framework, &task, TaskState::Dropped, TaskReason::InvalidOffers, message.clone());
            }
            self.operation_status(framework, operation_id, OperationOutcome::Dropped, message.clone());
        }
    }

    fn run_operation(&mut self, now: Now, framework: &FrameworkId, role: &Role, held: &mut Held, operation: Operation) {
        match operation {
            Operation::Launch { tasks } => {
                for task in tasks {
                    self.launch(now, framework, role, held, task);
                }
            }
            Operation::LaunchGroup { operation_id, tasks } => {
                self.launch_group(now, framework, role, held, operation_id, tasks);
            }
            Operation::Reserve { operation_id, agent, role: target, from_role, resources, labels } => {
                let principal = self.frameworks.get(framework).map(|f| f.record.info.principal.clone());
                let principal = principal.unwrap_or_default();
                let (role_of, owner) = (target, Some(framework.clone()));
                let wish =
                    OperatorReservation::Reserve { role: role_of, from_role, resources, labels, principal, owner };
                self.reserve_offered(now, framework, role, held, operation_id, &agent, &wish);
            }
            Operation::Unreserve { operation_id, agent, role: target, resources } => {
                let wish = OperatorReservation::Unreserve { role: target, resources, is_forced: false };
                self.reserve_offered(now, framework, role, held, operation_id, &agent, &wish);
            }
            Operation::CreateVolume { operation_id, agent, volume_id: id, role: target, size } => {
                let owner = Some(framework.clone());
                let wish = OperatorReservation::CreateVolume { role: target, id, size, owner };
                self.reserve_offered(now, framework, role, held, operation_id, &agent, &wish);
            }
            Operation::DestroyVolume { operation_id, agent, volume_id: id, role: target } => {
                let wish = OperatorReservation::DestroyVolume { role: target, id };
                self.reserve_offered(now, framework, role, held, operation_id, &agent, &wish);
            }
        }
    }

    /// Reserves, unreserves, makes or destroys volumes out of what was offered; later operations of the accept see the result.
    #[allow(clippy::too_many_arguments)] // what an operation is made of
    fn reserve_offered(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        role: &Role,
        held: &mut Held,
        operation_id: String,
        agent: &AgentId,
        wish: &OperatorReservation,
    ) {
        let target = wish.role();
        let result = match held.left.get_mut(agent) {
            None => Err(format!("agent_id: none of the accepted offers is of {agent}")),
            Some(_) if !role.holds(target) => {
                Err(format!("role: {target} is neither the offers' role {role} nor below it"))
            }
            Some(share) => {
                let has_id = !operation_id.is_empty();
                let by = Awaited { framework: framework.clone(), operation_id: operation_id.clone() };
                self.reserve(agent, share, wish, Some(by).filter(|_| has_id))
            }
        };
        // What is now of a role below is not the offers' any more.
        if let Some((share, place)) = held.left.get_mut(agent).zip(self.agents.get(agent)) {
            share.pools.retain(|id, _| place.record.pool(*id).is_some_and(|pool| pool.role.holds(role)));
        }
        match result {
            Ok(()) => {
                self.win_races(now, held, agent);
                held.converted.insert(agent.clone());
                let outcome = if wish.is_for_agent() { OperationOutcome::Pending } else { OperationOutcome::Done };
                self.operation_status(framework, operation_id, outcome, String::new());
            }
            Err(message) => self.operation_status(framework, operation_id, OperationOutcome::Refused, message),
        }
    }

    /// Tells how an operation ended or stands, when it has an id.
    pub(super) fn operation_status(
        &mut self,
        framework: &FrameworkId,
        operation_id: String,
        outcome: OperationOutcome,
        message: String,
    ) {
        if !operation_id.is_empty() {
            self.tell_framework(framework, ToFramework::OperationStatus { operation_id, outcome, message });
        }
    }
}

fn parts(operation: Operation) -> (String, Vec<TaskLaunch>) {
    match operation {
        Operation::Launch { tasks } => (String::new(), tasks),
        Operation::LaunchGroup { operation_id, tasks } => (operation_id, tasks),
        Operation::Reserve { operation_id, .. }
        | Operation::Unreserve { operation_id, .. }
        | Operation::CreateVolume { operation_id, .. }
        | Operation::DestroyVolume { operation_id, .. } => (operation_id, Vec::new()),
    }
}
