//! What an operator does to agents during a run: drains, deactivates and reactivates them at random, plans
//! maintenance, and makes and destroys volumes, which the frameworks' tasks mount; and to roles: their frameworks race
//! for offers, or not.
//!
//! Nothing is marked gone: a run must end with every agent at work again.

use proffer_master_engine::registry::{AgentMode, WindowAction, WindowId};
use proffer_master_engine::reservations::OperatorReservation;
use proffer_master_engine::{AgentCommand, Input, MaintenanceCommand, OperatorCall, PolicyChange, RolesCall};
use proffer_proto_model::{AgentId, Bytes, OfferMode, Resources, Role, UnixMillis, VolumeId};

use crate::world::{Event, World};

/// How long to wait before the agents are asked to work again, when the master is down.
const RETRY_MS: u64 = 250;

impl World {
    /// An operator asks the master for something; nobody waits for the answer.
    pub fn operator_asks(&mut self, call: OperatorCall) {
        self.master_handle(Input::Operator(call));
    }

    /// Draws what the operator does at one moment.
    pub(crate) fn operate(&mut self) {
        if !self.faults.operator.chance(self.faults.operate) {
            return;
        }
        let known: Vec<AgentId> = self.master.registry.agents.iter().map(|record| record.id.clone()).collect();
        let Some(agent) = self.faults.operator.pick(&known).cloned() else { return };
        if self.faults.operator.chance(150) {
            return self.set_offers();
        }
        if self.faults.operator.chance(300) {
            return self.maintain(agent);
        }
        if self.faults.operator.chance(500) {
            return self.change_volumes(agent);
        }
        let command = match self.faults.operator.range(0, 5) {
            0 => AgentCommand::Deactivate,
            1 => AgentCommand::Drain { max_grace_ms: Some(500), mark_gone: false },
            2 => AgentCommand::Drain { max_grace_ms: None, mark_gone: false },
            3 => AgentCommand::CancelDrain,
            _ => AgentCommand::Reactivate,
        };
        self.order(agent, command);
    }

    /// Reserves disk for one of the frameworks' roles, makes or destroys volumes of it, or ends the reservation with them.
    fn change_volumes(&mut self, agent: AgentId) {
        let record = self.master.registry.agents.iter().find(|record| record.id == agent);
        let known: Vec<_> = record.into_iter().flat_map(|record| record.volumes.iter()).cloned().collect();
        let roles: Vec<String> = self.scenario.cast.iter().map(|part| part.role.clone()).collect();
        let operator = &mut self.faults.operator;
        let Some(role) = operator.pick(&roles).and_then(|role| Role::new(role).ok()) else { return };
        let resources = Resources { disk: Bytes::mib(100), ..Resources::default() };
        let wish = match (operator.range(0, 9), operator.pick(&known).cloned()) {
            (0..=3, _) => {
                let (labels, principal) = (Default::default(), "operator".to_owned());
                OperatorReservation::Reserve { role, from_role: None, resources, labels, principal, owner: None }
            }
            (4..=6, _) => {
                let Ok(id) = VolumeId::new(format!("vol-{}", operator.range(0, 1))) else { return };
                OperatorReservation::CreateVolume { role, id, size: Bytes::mib(40), owner: None }
            }
            (7..=8, Some(known)) => OperatorReservation::DestroyVolume { role: known.volume.role, id: known.volume.id },
            _ => OperatorReservation::Unreserve { role, resources, is_forced: true },
        };
        self.master_handle(Input::Operator(OperatorCall::Reservation { request: 1, agent, wish }));
    }

    /// Lets the frameworks of a role race for offers, or no more.
    fn set_offers(&mut self) {
        let roles: Vec<String> = self.scenario.cast.iter().map(|part| part.role.clone()).collect();
        let Some(role) = self.faults.operator.pick(&roles).and_then(|role| Role::new(role).ok()) else { return };
        let offers = if self.faults.operator.chance(700) { OfferMode::Optimistic } else { OfferMode::Exclusive };
        let change = Box::new(PolicyChange { offers: Some(offers), ..PolicyChange::default() });
        let call = RolesCall::SetPolicy { role, change };
        self.operator_asks(OperatorCall::Roles { request: 1, call, is_dry_run: false });
    }

    /// Plans a short maintenance window of one agent, or takes one back.
    fn maintain(&mut self, agent: AgentId) {
        let known: Vec<WindowId> = self.master.registry.windows.iter().map(|window| window.id.clone()).collect();
        let operator = &mut self.faults.operator;
        let command = match operator.pick(&known).cloned() {
            Some(window) if operator.chance(300) => MaintenanceCommand::Remove(window),
            _ => MaintenanceCommand::Schedule {
                agents: vec![agent],
                start: Some(UnixMillis(self.now().unix.0 + self.faults.operator.range(0, 10_000))),
                duration_ms: self.faults.operator.range(1, 20_000),
                action: match self.faults.operator.chance(500) {
                    true => WindowAction::Drain { max_grace_ms: Some(500) },
                    false => WindowAction::Deactivate,
                },
            },
        };
        self.master_handle(Input::Operator(OperatorCall::Maintenance { request: 1, command }));
    }

    /// At the end every agent works again, and no framework is kept that nobody runs; asked again while the master is down or dies over it.
    pub(crate) fn end_operations(&mut self) {
        let idle = self.master.registry.agents.iter().filter(|record| !record.mode.is_offered());
        let idle: Vec<_> = idle.map(|record| (record.id.clone(), record.mode)).collect();
        let windows: Vec<WindowId> = self.master.registry.windows.iter().map(|window| window.id.clone()).collect();
        let left_over = self.left_over();
        let had_quotas = self.end_quotas();
        if idle.is_empty() && windows.is_empty() && left_over.is_empty() && !had_quotas {
            return;
        }
        for name in left_over {
            self.operator_removes(&name);
        }
        for window in windows {
            let command = MaintenanceCommand::Remove(window);
            self.master_handle(Input::Operator(OperatorCall::Maintenance { request: 1, command }));
        }
        for (agent, mode) in idle {
            let is_draining = matches!(mode, AgentMode::Draining(_));
            self.order(agent, if is_draining { AgentCommand::CancelDrain } else { AgentCommand::Reactivate });
        }
        self.queue.after(RETRY_MS, Event::Fault);
    }

    fn order(&mut self, agent: AgentId, command: AgentCommand) {
        self.master_handle(Input::Operator(OperatorCall::Agent { request: 1, agent, command }));
    }
}
