//! Waits when the master says that calls come too fast: what is to be sent is kept in its order until then.

use proffer_proto_model::{Moment, Now};

use super::{CALL_ENTRIES, Call, Session, SessionFrame};
use crate::Scheduler;

/// A wait that is longer is not believed.
const MOST_MS: u64 = 60_000;

/// Calls that wait.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Nothing is sent before.
    pub(super) until: Option<Moment>,
    held: Vec<Call>,
}

impl Pace {
    /// The master wants nothing for so long.
    pub(super) fn wait(&mut self, now: Now, retry_after_ms: u64) {
        let until = now.mono + retry_after_ms.min(MOST_MS);
        self.until = Some(self.until.map_or(until, |old| old.max(until)));
    }

    /// Keeps a call behind the others, in as few calls as say the same: acknowledgements join those that wait, and of
    /// demands only the last counts.
    fn hold(&mut self, call: Call) {
        match call {
            Call::Acknowledge(mut more) => {
                let last = self.held.iter_mut().rev().find_map(|held| match held {
                    Call::Acknowledge(list) => Some(list),
                    _ => None,
                });
                match last.filter(|list| list.len() + more.len() <= CALL_ENTRIES) {
                    Some(list) => list.append(&mut more),
                    None => self.held.push(Call::Acknowledge(more)),
                }
            }
            Call::Demand(_) => {
                self.held.retain(|held| !matches!(held, Call::Demand(_)));
                self.held.push(call);
            }
            call => self.held.push(call),
        }
    }
}

impl<S: Scheduler> Session<S> {
    /// Ends every frame: its calls wait behind those that wait already, or all leave. The last frame keeps none back.
    pub(super) fn keep_pace(&mut self, now: Now, frame: &mut SessionFrame) {
        frame.send.drain(..).for_each(|call| self.pace.hold(call));
        if frame.end.is_none() && self.pace.until.is_some_and(|until| now.mono < until) {
            return;
        }
        self.pace.until = None;
        frame.send = std::mem::take(&mut self.pace.held);
    }
}
