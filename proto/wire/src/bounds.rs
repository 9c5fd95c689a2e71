//! How many fields and values each kind of message may have, and what is told when it has more. Never looks at what fields
//! say; that is for the converters.

use std::fmt;

/// Most parts of one call: a field has at least two, its tag and its value or length. The largest accept the master takes
/// (1,000 tasks) has room for about 500 in each task.
pub const MAX_CALL_PARTS: usize = 500_000;

/// Most parts of one message of an agent, which names all it holds when it attaches: 10,000 tasks of 400 parts. Made of
/// nothing but empty tasks it takes about a gigabyte, not the thirty that 64 MiB would.
pub const MAX_AGENT_PARTS: usize = 4_000_000;

/// The bound of one kind of message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// Most parts it may have.
    pub(crate) parts: usize,
    advise: fn(field: u64) -> (&'static str, &'static str),
}

impl Bound {
    /// That of the messages of this package and name. Whatever a server reads has one; what it answers has none.
    pub(crate) fn of(package: &str, name: &str) -> Self {
        match (package, name) {
            ("proffer.scheduler.v1", "Call") => Self { parts: MAX_CALL_PARTS, advise: advise_framework },
            ("proffer.agent.v1", "AgentMessage") => Self { parts: MAX_AGENT_PARTS, advise: advise_agent },
            (_, name) if name.ends_with("Request") => Self { parts: MAX_CALL_PARTS, advise: advise_any },
            _ => Self { parts: usize::MAX, advise: advise_any },
        }
    }

    /// What is told when it has more, by the first bytes of the message.
    pub(crate) fn told(&self, head: &[u8]) -> String {
        let (field, fix) = (self.advise)(first_field(head));
        Told { field, parts: self.parts, fix }.to_string()
    }
}

/// One sentence.
struct Told {
    field: &'static str,
    parts: usize,
    fix: &'static str,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, parts, fix } = self;
        let place = if field.is_empty() { "the message".to_owned() } else { format!("{field}: the call") };
        write!(f, "{place} has more than {parts} fields and values, entries of lists counted each; {fix}")
    }
}

/// The number of the first field; 0 when there is none.
fn first_field(head: &[u8]) -> u64 {
    let mut rest = head;
    prost::encoding::decode_varint(&mut rest).map_or(0, |key| key >> 3)
}

/// What a framework calls: the fields of `Call`.
fn advise_framework(field: u64) -> (&'static str, &'static str) {
    match field {
        1 => ("subscribe.demand.items", "want less, or shapes and constraints with fewer entries"),
        2 => ("update_framework.framework", "describe it with fewer entries"),
        3 => ("demand.items", "want less, or shapes and constraints with fewer entries"),
        4 => ("accept.operations", "launch fewer tasks in one call, on several offers, or tasks with fewer entries"),
        5 => ("decline.offer_ids", "send several calls"),
        7 => ("acknowledge.acknowledgements", "send several calls"),
        8 => ("reconcile.tasks", "send several calls, or no tasks to ask for all"),
        9 => ("inverse_reply.inverse_offer_ids", "send several calls"),
        _ => ("", "send it in smaller parts"),
    }
}

/// What an agent says: the fields of `AgentMessage`.
fn advise_agent(field: u64) -> (&'static str, &'static str) {
    match field {
        1 => ("attach.tasks", "run fewer tasks on one agent, or tasks with fewer entries"),
        2 => ("updates.updates", "send several messages"),
        _ => ("", "send it in smaller parts"),
    }
}

fn advise_any(_: u64) -> (&'static str, &'static str) {
    ("", "send it in smaller parts")
}

#[cfg(test)]
mod tests {
    use prost::{Message, Name};

    use super::*;
    use crate::agent::{self, AgentMessage, agent_message};
    use crate::operator::{ListTasksResponse, SetWeightsRequest};
    use crate::scheduler::{self, Call, call};

    fn bound<M: Name>() -> Bound {
        Bound::of(M::PACKAGE, M::NAME)
    }

    fn told<M: Message + Name>(message: &M) -> String {
        bound::<M>().told(&message.encode_to_vec())
    }

    #[test]
    fn every_request_has_a_bound_and_no_answer_has() {
        assert_eq!(bound::<SetWeightsRequest>().parts, MAX_CALL_PARTS);
        assert_eq!(bound::<crate::service::ApplyRequest>().parts, MAX_CALL_PARTS);
        assert_eq!(bound::<crate::batch::RunRequest>().parts, MAX_CALL_PARTS);
        assert_eq!((bound::<Call>().parts, bound::<AgentMessage>().parts), (MAX_CALL_PARTS, MAX_AGENT_PARTS));
        assert_eq!((bound::<ListTasksResponse>().parts, bound::<scheduler::Event>().parts), (usize::MAX, usize::MAX));
    }

    #[test]
    fn what_is_too_long_is_named_with_the_fix() {
        let call = |call| Call { call: Some(call) };
        let table = [
            (call(call::Call::Accept(scheduler::Accept::default())), "accept.operations: ", "fewer tasks in one call"),
            (call(call::Call::Demand(scheduler::Demand::default())), "demand.items: ", "want less"),
            (call(call::Call::Subscribe(scheduler::Subscribe::default())), "subscribe.demand.items: ", "want less"),
            (call(call::Call::Reconcile(Default::default())), "reconcile.tasks: ", "several calls"),
            (call(call::Call::Acknowledge(Default::default())), "acknowledge.acknowledgements: ", "several calls"),
            (call(call::Call::UpdateFramework(Default::default())), "update_framework.framework: ", "fewer entries"),
            (call(call::Call::Kill(Default::default())), "the message", "smaller parts"),
        ];
        for (call, field, fix) in table {
            let told = told(&call);
            assert!(told.starts_with(field) && told.contains("500000 fields") && told.contains(fix), "{told}");
        }
        let attach = agent_message::Message::Attach(agent::AttachRequest::default());
        let told = told(&AgentMessage { message: Some(attach) });
        assert!(told.starts_with("attach.tasks: ") && told.contains("4000000 fields"), "{told}");
        assert!(bound::<SetWeightsRequest>().told(&[]).starts_with("the message has more than 500000"));
    }
}
