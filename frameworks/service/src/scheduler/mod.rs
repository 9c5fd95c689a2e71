//! Turns events into state and state into launches, kills and the demand. Never does I/O.

mod commands;
pub(crate) mod leaving;
mod offers;
mod spread;
mod statuses;
mod view;

use proffer_sdk::{Context, Demand, Event, Handled, Moment, Now, Role, Scheduler, SchedulerError};
use tokio::sync::watch;

pub use commands::{ApiError, Change, ChangeKind};

use self::leaving::Leaving;
use self::spread::Spread;
use crate::plan::{Plan, plan};
use crate::state::State;

/// Keeps services running.
#[derive(Debug)]
pub struct ServiceScheduler {
    state: State,
    /// The demand stated last, so that it is stated again only when it differs.
    demand: Demand,
    /// The earliest wake asked for and not yet come.
    wake: Option<Moment>,
    changes: watch::Sender<u64>,
    spread: Spread,
    leaving: Leaving,
}

impl Default for ServiceScheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl ServiceScheduler {
    /// Knows nothing yet; its state comes with the first event.
    pub fn new() -> Self {
        Self {
            state: State::default(),
            demand: Demand::none(),
            wake: None,
            changes: watch::Sender::new(0),
            spread: Spread::default(),
            leaving: Leaving::default(),
        }
    }

    /// A number that grows with each change. Read what changed through a later frame: then it is durable.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What is known now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Does what has to be done now: kills, forgets, states the demand, asks for the next wake, and stores.
    fn settle(&mut self, cx: &mut Context<'_>) -> Handled {
        let names: Vec<String> = self.state.services().map(|service| service.record.spec.name.clone()).collect();
        let mut demands = Vec::new();
        let mut wake: Option<Moment> = None;
        for name in names {
            let next = self.plan_of(&name, cx.now());
            let Some(service) = self.state.service(&name) else { continue };
            wake = wake.into_iter().chain(next.wake).min();
            demands.extend(demand_of(&service.record.spec, &next, cx.roles())?);
            self.carry_out(&name, &next, cx);
        }
        let demand: Demand = demands.into_iter().collect();
        if demand != self.demand {
            cx.set_demand(demand.clone());
            self.demand = demand;
        }
        if let Some(at) = wake.filter(|at| self.wake.is_none_or(|asked| asked <= cx.now() || *at < asked)) {
            cx.wake_at(at);
            self.wake = Some(at);
        }
        if self.state.flush(cx)? {
            self.changed();
        }
        Ok(())
    }

    /// The next steps; a replacement whose patience has ended makes them others.
    fn plan_of(&mut self, name: &str, now: Moment) -> Plan {
        let planned = |state: &State| state.service(name).map(|service| plan(service, now)).unwrap_or_default();
        let next = planned(&self.state);
        let Some(until) = self.state.note_replacing(name, next.replace.is_some(), now) else { return next };
        let next = if until <= now { planned(&self.state) } else { next };
        let patience = next.replace.map(|_| until);
        Plan { wake: next.wake.into_iter().chain(patience).min(), ..next }
    }

    fn carry_out(&mut self, name: &str, next: &Plan, cx: &mut Context<'_>) {
        for &number in &next.open {
            // Makes the slot.
            let _ = self.state.slot_mut(name, number);
        }
        for &number in &next.kill {
            let task = self.state.slot_mut(name, number).and_then(|slot| slot.task.as_mut());
            if let Some(placed) = task {
                placed.is_killed = true;
                cx.kill(placed.task.clone(), None);
            }
        }
        for &number in &next.kill_next {
            if let Some(placed) = self.state.slot_mut(name, number).and_then(|slot| slot.next.as_mut()) {
                placed.is_killed = true;
                cx.kill(placed.task.clone(), None);
            }
        }
        for &number in &next.forget {
            self.state.forget_slot(name, number);
        }
        if next.waiting().next().is_none() {
            self.spread.done(name);
            self.leaving.done(name);
            self.state.set_waiting(name, String::new());
        }
        if next.is_gone {
            tracing::info!(service = name, "service removed");
            self.state.forget_service(name);
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|revision| *revision += 1);
    }

    /// Ends tasks nobody wants any more, and gives up tasks the SDK does not know any more.
    fn compare_with_known_tasks(&mut self, cx: &mut Context<'_>) {
        let surplus: Vec<_> = cx
            .tasks()
            .filter(|(task, known)| {
                known.kill.is_none() && known.state.holds_resources() && !self.state.is_present(task)
            })
            .map(|(task, _)| task.clone())
            .collect();
        for task in surplus {
            self.state.note_number(&task);
            tracing::info!(%task, "ending a task that no service wants any more");
            cx.kill(task, None);
        }
        self.give_up_unknown(cx);
    }
}

/// What the slots of a service that may start now need.
fn demand_of(spec: &crate::ServiceSpec, next: &Plan, roles: &[Role]) -> Result<Option<Demand>, SchedulerError> {
    let Some(count) = u32::try_from(next.waiting().count()).ok().filter(|count| *count > 0) else {
        return Ok(None);
    };
    let task = spec.task(proffer_sdk::TaskId::new(&spec.name)?);
    let mut demand = Demand::of(&task, count).priority(spec.priority);
    if let Some(role) = spec.role.clone().or_else(|| roles.first().cloned()) {
        demand = demand.role(role);
    }
    Ok(Some(spec.constraints.iter().cloned().fold(demand, Demand::constraint)))
}

impl Scheduler for ServiceScheduler {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        match event {
            Event::Started { stored } => {
                self.state = State::load(&stored, Now { mono: cx.now(), unix: cx.unix_now() })?;
                tracing::info!(services = self.state.services().count(), "state loaded");
            }
            Event::Reconciled { .. } => self.compare_with_known_tasks(cx),
            Event::Offers(offers) => self.on_offers(offers, cx),
            Event::Status(status) => self.on_status(status, cx),
            Event::Wake => self.wake = None,
            Event::Error { message } => tracing::warn!(%message, "the master refused something"),
            Event::Connected { framework, is_new } => tracing::info!(%framework, is_new, "connected"),
            Event::Disconnected => {
                tracing::warn!("the master is lost; connecting again");
                self.forget_requests();
            }
            Event::AgentLost { agent, .. } => self.spread.forget(&agent),
            Event::InverseOffers(offers) => self.on_inverse_offers(offers),
            Event::InverseRescinded { offers, end } => self.on_inverse_rescinded(&offers, end),
            Event::Rescinded { .. } | Event::OperationStatus { .. } => {}
        }
        self.settle(cx)
    }
}
