//! How much one call of a framework may hold: what has more is refused before anything of it is read.
//!
//! Counts only, on the message as it came; never converts or compiles.

use std::collections::BTreeSet;

use proffer_proto_wire::common::constraint::Operator;
use proffer_proto_wire::scheduler as wire;
use wire::call::Call as WireCall;
use wire::operation::Operation as WireOperation;

use super::check::{self, Checked, MAX_ENTRIES, Within};
use super::{Defect, WireError};

/// Most items of a demand.
pub const MAX_DEMAND_ITEMS: usize = 1_000;
/// Most constraints of one item of a demand, of a service or of a job.
pub const MAX_CONSTRAINTS: usize = 32;
/// Most different regular expressions in all of a demand.
pub const MAX_PATTERNS: usize = 64;
/// Most operations of an Accept.
pub const MAX_OPERATIONS: usize = 1_000;
/// Most tasks of an Accept, over all its operations.
pub const MAX_ACCEPT_TASKS: usize = 1_000;

/// Every list of a call that has a bound of its own is within it. What this lets pass costs a bounded time to read.
///
/// # Errors
/// The first list that is too long, by its field.
pub fn check_call_size(call: &wire::Call) -> Result<(), WireError> {
    match &call.call {
        Some(WireCall::Subscribe(subscribe)) => {
            subscribe.demand.as_ref().map_or(Ok(()), check_demand_size).within("demand").within("subscribe")
        }
        Some(WireCall::Demand(demand)) => check_demand_size(demand).within("demand"),
        Some(WireCall::Accept(accept)) => check_accept_size(accept).within("accept"),
        Some(WireCall::Decline(decline)) => bounded("decline.offer_ids", decline.offer_ids.len()),
        Some(WireCall::Acknowledge(list)) => bounded("acknowledge.acknowledgements", list.acknowledgements.len()),
        Some(WireCall::Reconcile(reconcile)) => bounded("reconcile.tasks", reconcile.tasks.len()),
        Some(WireCall::InverseReply(reply)) => {
            bounded("inverse_reply.inverse_offer_ids", reply.inverse_offer_ids.len())
        }
        Some(WireCall::UpdateFramework(_) | WireCall::Kill(_) | WireCall::Teardown(_)) | None => Ok(()),
    }
}

fn bounded(field: &str, count: usize) -> Checked<()> {
    check::bounded(field, count, MAX_ENTRIES)
}

/// A demand has at most [`MAX_DEMAND_ITEMS`], each at most [`MAX_CONSTRAINTS`], all together at most [`MAX_PATTERNS`].
///
/// # Errors
/// The first list that is too long, by its field.
pub fn check_demand_size(demand: &wire::Demand) -> Result<(), WireError> {
    check::bounded("items", demand.items.len(), MAX_DEMAND_ITEMS)?;
    for (at, item) in demand.items.iter().enumerate() {
        check::bounded("constraints", item.constraints.len(), MAX_CONSTRAINTS).within(&format!("items[{at}]"))?;
    }
    match patterns_of(demand).len() {
        0..=MAX_PATTERNS => Ok(()),
        count => check::fail("items", Defect::TooManyPatterns { count, max: MAX_PATTERNS }),
    }
}

/// The texts of all regular expressions of a demand, each once.
pub(super) fn patterns_of(demand: &wire::Demand) -> BTreeSet<&str> {
    let rules = demand.items.iter().flat_map(|item| &item.constraints);
    let patterns = rules.filter(|rule| matches!(rule.operator(), Operator::Matches | Operator::NotMatches));
    patterns.map(|rule| rule.value.as_str()).collect()
}

/// An Accept has at most [`MAX_OPERATIONS`] and at most [`MAX_ACCEPT_TASKS`].
///
/// # Errors
/// The first list that is too long, by its field.
pub fn check_accept_size(accept: &wire::Accept) -> Result<(), WireError> {
    bounded("offer_ids", accept.offer_ids.len())?;
    check::bounded("operations", accept.operations.len(), MAX_OPERATIONS)?;
    let mut count = 0;
    for (at, operation) in accept.operations.iter().enumerate() {
        count += tasks_of(operation).len();
        if count > MAX_ACCEPT_TASKS {
            let field = format!("operations[{at}].tasks");
            return check::fail(&field, Defect::TooManyTasks { count, max: MAX_ACCEPT_TASKS });
        }
    }
    Ok(())
}

/// The tasks an operation launches.
pub fn tasks_of(operation: &wire::Operation) -> &[wire::TaskLaunch] {
    match &operation.operation {
        Some(WireOperation::Launch(launch)) => &launch.tasks,
        Some(WireOperation::LaunchGroup(group)) => &group.tasks,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_wire::common::{Constraint, TaskSpec};

    use super::super::SchedulerCall;
    use super::*;

    fn demand(items: usize, rules: usize, rule: impl Fn(usize) -> Constraint) -> WireCall {
        let item = |at: usize| wire::DemandItem {
            constraints: (0..rules).map(|number| rule(at * rules + number)).collect(),
            ..Default::default()
        };
        WireCall::Demand(wire::Demand { items: (0..items).map(item).collect() })
    }

    fn rule(_: usize) -> Constraint {
        Constraint { subject: "@zone".to_owned(), operator: Operator::Exists.into(), value: String::new() }
    }

    fn pattern(number: usize) -> Constraint {
        let operator = if number.is_multiple_of(2) { Operator::Matches } else { Operator::NotMatches };
        Constraint { subject: "@zone".to_owned(), operator: operator.into(), value: format!("a{number}") }
    }

    fn one_pattern(_: usize) -> Constraint {
        pattern(0)
    }

    fn accept(operations: usize, tasks: usize) -> WireCall {
        let mut number = 0;
        let mut launch = || {
            number += 1;
            let task = TaskSpec { task_id: format!("t{number}"), ..super::super::tests::good_task() };
            wire::TaskLaunch { task: Some(task), ..Default::default() }
        };
        let mut operation = |_| {
            let launch = wire::Launch { tasks: (0..tasks).map(|_| launch()).collect() };
            wire::Operation { operation: Some(WireOperation::Launch(launch)), ..Default::default() }
        };
        let operations = (0..operations).map(&mut operation).collect();
        WireCall::Accept(wire::Accept { offer_ids: vec!["o".to_owned()], operations, ..Default::default() })
    }

    fn acknowledge(count: usize) -> WireCall {
        let one = wire::Acknowledgement { task_id: "a".to_owned(), seq: 1, source: 1, ..Default::default() };
        WireCall::Acknowledge(wire::Acknowledge { acknowledgements: vec![one; count] })
    }

    fn reconcile(count: usize) -> WireCall {
        let one = wire::ReconcileTask { task_id: "a".to_owned(), ..Default::default() };
        WireCall::Reconcile(wire::Reconcile { tasks: vec![one; count] })
    }

    fn decline(count: usize) -> WireCall {
        let offer_ids = (0..count).map(|number| format!("o{number}")).collect();
        WireCall::Decline(wire::Decline { offer_ids, ..Default::default() })
    }

    #[test]
    fn each_cap_is_refused_by_its_field_and_what_is_at_the_cap_is_taken() {
        let table = [
            (demand(1_000, 1, rule), demand(1_001, 0, rule), "demand.items", "1001 entries", "1000 are allowed"),
            (demand(2, 32, rule), demand(2, 33, rule), "demand.items[0].constraints", "33 entries", "32 are allowed"),
            (demand(64, 1, pattern), demand(65, 1, pattern), "demand.items", "65 different", "one for several values"),
            (demand(100, 9, one_pattern), demand(5, 13, pattern), "demand.items", "65 different", "EQUALS"),
            (accept(1_000, 1), accept(1_001, 0), "accept.operations", "1001 entries", "leave some out"),
            (accept(2, 500), accept(3, 334), "accept.operations[2].tasks", "to 1002", "on another offer"),
            (acknowledge(10_000), acknowledge(10_001), "acknowledge.acknowledgements", "10001", "leave some out"),
            (reconcile(10_000), reconcile(10_001), "reconcile.tasks", "10001", "leave some out"),
            (decline(10_000), decline(10_001), "decline.offer_ids", "10001", "leave some out"),
        ];
        for (right, wrong, field, what, fix) in table {
            let (right, wrong) = (wire::Call { call: Some(right) }, wire::Call { call: Some(wrong) });
            check_call_size(&right).expect(field);
            SchedulerCall::try_from(right).expect(field);
            let error = check_call_size(&wrong).expect_err(field);
            assert_eq!(error.path, field, "{error}");
            assert!(error.to_string().contains(what) && error.to_string().contains(fix), "{error}");
            assert_eq!(SchedulerCall::try_from(wrong).expect_err(field), error, "the same whoever asks");
        }
    }

    #[test]
    fn a_subscription_brings_no_more_than_a_demand() {
        let WireCall::Demand(demand) = demand(1_001, 0, rule) else { unreachable!() };
        let call = WireCall::Subscribe(wire::Subscribe { framework: None, demand: Some(demand) });
        let error = check_call_size(&wire::Call { call: Some(call) }).unwrap_err();
        assert_eq!(error.path, "subscribe.demand.items");
    }
}
