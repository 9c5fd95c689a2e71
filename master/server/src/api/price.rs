//! What a call costs, in tokens: told from the message as it came, so that reading it is paid for too. Never reads it.

use proffer_proto_model::convert::{Patterns, tasks_of};
use proffer_proto_wire::common::Resources;
use proffer_proto_wire::scheduler as wire;
use prost::Message;
use wire::call::Call;

/// What a call costs that the whole cluster is looked at for; a subscription too.
const WIDE: usize = 10;
/// Entries of a list that cost one token.
const ENTRIES: usize = 10;
/// Bytes of a message that cost one token.
const BYTES: usize = 64 << 10;
/// What a regular expression costs that is not known from the demand before: compiling one can take milliseconds.
const PATTERN: usize = 20;

/// What a stream said before, as far as what it says next is cheaper for it.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// It has subscribed: another Subscribe is refused unread.
    pub(super) has_subscribed: bool,
    /// Its latest demand that made sense.
    pub(super) demand: wire::Demand,
    /// The regular expressions in it.
    pub(super) patterns: Patterns,
}

impl Said {
    /// The price of a call, of a framework with so many tasks.
    pub(super) fn price(&self, call: &wire::Call, tasks: impl FnOnce() -> usize) -> u32 {
        let patterns = match &call.call {
            Some(Call::Demand(demand)) => self.patterns.missing(demand),
            Some(Call::Subscribe(subscribe)) if !self.has_subscribed => {
                subscribe.demand.as_ref().map_or(0, |d| self.patterns.missing(d))
            }
            _ => 0,
        };
        let tokens = self.base(call) + entries(call, tasks) / ENTRIES + call.encoded_len() / BYTES + patterns * PATTERN;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// For a call with short lists.
    fn base(&self, call: &wire::Call) -> usize {
        match &call.call {
            Some(Call::Subscribe(_)) if self.has_subscribed => 1,
            Some(Call::Subscribe(_) | Call::UpdateFramework(_)) => WIDE,
            Some(Call::Demand(demand)) if has_no_news(&self.demand, demand) => 1,
            Some(Call::Demand(_)) => WIDE,
            Some(Call::Reconcile(reconcile)) if reconcile.tasks.is_empty() => WIDE,
            _ => 1,
        }
    }
}

/// Other numbers of the same shapes. Nothing that was refused before is worth looking at for them.
fn has_no_news(said: &wire::Demand, new: &wire::Demand) -> bool {
    let is_same = |(said, new): (&wire::DemandItem, &wire::DemandItem)| {
        let wire::DemandItem { role, shape, count: _, constraints, priority, ports } = said;
        let is_same_shape = *shape == new.shape && (*priority, *ports) == (new.priority, new.ports);
        is_same_shape && *role == new.role && *constraints == new.constraints
    };
    said.items.len() == new.items.len() && said.items.iter().zip(&new.items).all(is_same)
}

/// Entries of all lists of an amount.
fn of_shape(shape: &Resources) -> usize {
    let Resources { ports, scalars_milli, sets, .. } = shape;
    ports.len() + scalars_milli.len() + sets.values().map(|set| 1 + set.items.len()).sum::<usize>()
}

/// Entries of all lists of a call, and of the answer to it.
fn entries(call: &wire::Call, tasks: impl FnOnce() -> usize) -> usize {
    let of_info = |info: &wire::FrameworkInfo| info.roles.len() + info.labels.len();
    let of_item = |item: &wire::DemandItem| item.constraints.len() + item.shape.as_ref().map_or(0, of_shape);
    let of_demand = |demand: &wire::Demand| demand.items.len() + demand.items.iter().map(of_item).sum::<usize>();
    match &call.call {
        Some(Call::Subscribe(wire::Subscribe { framework, demand })) => {
            framework.as_ref().map_or(0, of_info) + demand.as_ref().map_or(0, of_demand)
        }
        Some(Call::UpdateFramework(update)) => update.framework.as_ref().map_or(0, of_info),
        Some(Call::Demand(demand)) => of_demand(demand),
        Some(Call::Accept(wire::Accept { offer_ids, operations, .. })) => {
            offer_ids.len() + operations.len() + operations.iter().map(|o| tasks_of(o).len()).sum::<usize>()
        }
        Some(Call::Decline(decline)) => decline.offer_ids.len(),
        Some(Call::InverseReply(reply)) => reply.inverse_offer_ids.len(),
        Some(Call::Acknowledge(acknowledge)) => acknowledge.acknowledgements.len(),
        Some(Call::Reconcile(reconcile)) if reconcile.tasks.is_empty() => tasks(),
        Some(Call::Reconcile(reconcile)) => reconcile.tasks.len(),
        Some(Call::Kill(_) | Call::Teardown(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_wire::common::{Constraint, Resources, constraint::Operator};

    use super::*;

    fn price(call: Call) -> u32 {
        Said::default().price(&wire::Call { call: Some(call) }, || 0)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("o{number}")).collect()
    }

    fn demand(items: usize, rules: usize) -> wire::Demand {
        let rule = Constraint { operator: Operator::Exists.into(), subject: "a".to_owned(), ..Default::default() };
        let item = wire::DemandItem { constraints: vec![rule; rules], ..Default::default() };
        wire::Demand { items: vec![item; items] }
    }

    fn with_names(mut demand: wire::Demand, count: usize) -> wire::Demand {
        let shape =
            Resources { scalars_milli: names(count).into_iter().map(|name| (name, 1)).collect(), ..Default::default() };
        demand.items.iter_mut().for_each(|item| item.shape = Some(shape.clone()));
        demand
    }

    fn accept(offers: usize, operations: usize, tasks: usize) -> Call {
        let launch = wire::Launch { tasks: vec![wire::TaskLaunch::default(); tasks] };
        let operation =
            wire::Operation { operation: Some(wire::operation::Operation::Launch(launch)), ..Default::default() };
        let operations = vec![operation; operations];
        Call::Accept(wire::Accept { offer_ids: names(offers), operations, ..Default::default() })
    }

    fn decline(offers: usize) -> Call {
        Call::Decline(wire::Decline { offer_ids: names(offers), ..Default::default() })
    }

    fn acknowledge(count: usize) -> Call {
        Call::Acknowledge(wire::Acknowledge { acknowledgements: vec![Default::default(); count] })
    }

    fn reconcile(count: usize) -> Call {
        Call::Reconcile(wire::Reconcile { tasks: vec![Default::default(); count] })
    }

    fn subscribe(roles: usize, demand: wire::Demand) -> Call {
        let framework = Some(wire::FrameworkInfo { roles: names(roles), ..Default::default() });
        Call::Subscribe(wire::Subscribe { framework, demand: Some(demand) })
    }

    fn update(roles: usize) -> Call {
        let framework = Some(wire::FrameworkInfo { roles: names(roles), ..Default::default() });
        Call::UpdateFramework(wire::UpdateFramework { framework })
    }

    #[test]
    fn the_price_table() {
        let table = [
            ("subscribe", subscribe(1, demand(2, 1)), 10),
            ("subscribe in 100 roles with 100 items", subscribe(100, demand(100, 0)), 30),
            ("subscribe with shapes of 30 names", subscribe(1, with_names(demand(100, 0), 30)), 10 + 3_101 / 10),
            ("update", update(2), 10),
            ("update to 1,000 roles", update(1_000), 110),
            ("demand", Call::Demand(demand(1, 8)), 10),
            ("the largest demand", Call::Demand(demand(1_000, 32)), 10 + 3_300 + 3),
            ("accept", accept(1, 1, 7), 1),
            ("accept with 1,000 tasks", accept(2, 2, 500), 101),
            ("accept with 100 offers", accept(100, 0, 0), 11),
            ("decline", decline(9), 1),
            ("decline of 1,000", decline(1_000), 101),
            ("acknowledge", acknowledge(9), 1),
            ("acknowledge 1,000", acknowledge(1_000), 101),
            ("reconcile", reconcile(1), 1),
            ("reconcile 1,000", reconcile(1_000), 101),
            (
                "inverse reply to 25",
                Call::InverseReply(wire::InverseReply { inverse_offer_ids: names(25), ..Default::default() }),
                3,
            ),
            ("kill", Call::Kill(wire::Kill::default()), 1),
            ("teardown", Call::Teardown(wire::Teardown {}), 1),
        ];
        for (name, call, tokens) in table {
            assert_eq!(price(call), tokens, "{name}");
        }
        let said = Said::default();
        assert_eq!(said.price(&wire::Call { call: Some(reconcile(0)) }, || 5_000), 510, "reconcile all of 5,000 tasks");
        assert_eq!(said.price(&wire::Call { call: None }, || 5_000), 1, "nothing");
        let said = Said { has_subscribed: true, ..Said::default() };
        let again = subscribe(1, demand(1, 0));
        assert_eq!(said.price(&wire::Call { call: Some(again) }, || 0), 1, "subscribe again");
    }

    #[test]
    fn bytes_are_paid_for_whatever_they_hold() {
        let kill = |bytes: usize| Call::Kill(wire::Kill { task_id: "x".repeat(bytes), ..Default::default() });
        assert_eq!((price(kill(60_000)), price(kill(66_000)), price(kill(4 << 20))), (1, 2, 65));
    }

    #[test]
    fn other_numbers_of_what_was_wanted_before_are_cheap() {
        let item = |cpus_milli: i64, count: u32| wire::DemandItem {
            shape: Some(Resources { cpus_milli, ..Default::default() }),
            count,
            ..Default::default()
        };
        let demand =
            |items: &[(i64, u32)]| wire::Demand { items: items.iter().map(|(cpus, n)| item(*cpus, *n)).collect() };
        let said = Said { demand: demand(&[(100, 5), (200, 1)]), ..Default::default() };
        let cost = |items: &[(i64, u32)]| said.price(&wire::Call { call: Some(Call::Demand(demand(items))) }, || 0);
        assert_eq!((cost(&[(100, 6), (200, 1)]), cost(&[(100, 1), (200, 9)])), (1, 1));
        assert_eq!((cost(&[(100, 5)]), cost(&[(100, 5), (201, 1)]), cost(&[])), (10, 10, 10));
        let many: Vec<(i64, u32)> = (1..=500).map(|cpus| (cpus, 1)).collect();
        let said = Said { demand: demand(&many), ..Default::default() };
        let call = wire::Call { call: Some(Call::Demand(demand(&many))) };
        assert_eq!(said.price(&call, || 0), 51, "each item has its number");
    }

    #[test]
    fn expressions_are_paid_for_once() {
        let rule = |value: &str| Constraint {
            operator: Operator::Matches.into(),
            subject: "a".to_owned(),
            value: value.to_owned(),
        };
        let demand = |patterns: &[&str]| {
            let constraints = patterns.iter().map(|text| rule(text)).collect();
            wire::Demand { items: vec![wire::DemandItem { constraints, ..Default::default() }] }
        };
        let mut said = Said::default();
        let price = |said: &Said, patterns: &[&str]| {
            said.price(&wire::Call { call: Some(Call::Demand(demand(patterns))) }, || 0)
        };
        assert_eq!(price(&said, &["a", "b", "a"]), 50);
        assert_eq!(self::price(subscribe(1, demand(&["a"]))), 30);
        said.patterns.read(demand(&["a", "b"])).unwrap();
        assert_eq!((price(&said, &["a", "b"]), price(&said, &["a", "c"])), (10, 30));
    }
}
