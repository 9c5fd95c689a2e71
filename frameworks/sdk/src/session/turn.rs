//! One turn of the scheduler: it handles an event, then its effects become changes and calls. Only a turn that went well has any.

use proffer_proto_model::Now;

use super::{Call, End, Session, SessionFrame, records};
use crate::scheduler::Effects;
use crate::{Context, Event, Scheduler};

impl<S: Scheduler> Session<S> {
    /// Hands one event to the scheduler, then those that follow from its answers.
    pub(super) fn deliver(&mut self, now: Now, event: Event, frame: &mut SessionFrame) -> Result<(), End> {
        let (handled, outcome) = self.try_turn(now, frame, |scheduler, cx| scheduler.on_event(event, cx));
        match handled {
            Ok(()) => outcome,
            Err(error) => Err(End::Scheduler(error)),
        }
    }

    /// Hands out the events the session made itself, until there are none.
    pub(super) fn deliver_local(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        while let Some(event) = self.local.pop_front() {
            self.deliver(now, event, frame)?;
        }
        Ok(())
    }

    /// A turn that cannot fail.
    pub(super) fn turn<R>(
        &mut self,
        now: Now,
        frame: &mut SessionFrame,
        work: impl FnOnce(&mut S, &mut Context<'_>) -> R,
    ) -> (R, Result<(), End>) {
        let mut effects = Effects::default();
        let result = work(&mut self.scheduler, &mut Context::new(now, &self.facts, &mut effects));
        (result, self.apply(now, effects, frame))
    }

    fn try_turn<R, E>(
        &mut self,
        now: Now,
        frame: &mut SessionFrame,
        work: impl FnOnce(&mut S, &mut Context<'_>) -> Result<R, E>,
    ) -> (Result<R, E>, Result<(), End>) {
        let mut effects = Effects::default();
        match work(&mut self.scheduler, &mut Context::new(now, &self.facts, &mut effects)) {
            Ok(result) => (Ok(result), self.apply(now, effects, frame)),
            Err(error) => (Err(error), Ok(())),
        }
    }

    fn apply(&mut self, now: Now, effects: Effects, frame: &mut SessionFrame) -> Result<(), End> {
        let Effects { demand, kills, stores, wakes, is_reconcile_asked, is_stop_asked, is_teardown_asked } = effects;
        frame.store.extend(stores.into_iter().map(|(key, value)| records::app_change(key, value)));
        self.wakes.extend(wakes);
        if demand.is_some() {
            self.wanted = demand;
        }
        // Launches first: a kill of the same turn must find its task, and a smaller demand must not cost the offers used.
        self.answer_offers(frame);
        self.answer_inverse(frame);
        for (task, policy) in kills {
            self.ask_kill(now, task, policy, frame);
        }
        self.send_demand(frame);
        if is_reconcile_asked && self.phase.is_subscribed() {
            frame.send.push(Call::Reconcile(Vec::new()));
        }
        if is_teardown_asked {
            self.is_teardown_pending = true;
            self.tear_down(frame)?;
        }
        if is_stop_asked { Err(End::Stopped) } else { Ok(()) }
    }

    /// Ends every frame: events the session made, answers of offers that were dropped outside of a turn, and the end.
    pub(super) fn finish(&mut self, now: Now, outcome: Result<(), End>, frame: &mut SessionFrame) {
        let outcome = outcome.and_then(|()| {
            self.answer_offers(frame);
            self.answer_inverse(frame);
            self.deliver_local(now, frame)
        });
        if let Err(end) = outcome {
            self.has_ended = true;
            frame.end = Some(end);
        }
        self.keep_pace(now, frame);
    }
}
