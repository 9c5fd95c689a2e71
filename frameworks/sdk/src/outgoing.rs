//! Checks what an author made with the rules of the protocol itself, so that no master ever has to refuse it.
//!
//! There is one set of rules, in the conversions from the wire. This module only asks them; it sends nothing.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use proffer_proto_model::convert::{MAX_CONSTRAINTS, MAX_DEMAND_ITEMS, MAX_MESSAGE_CHARS, MAX_PATTERNS, WireError};
use proffer_proto_model::{Constraint, ConstraintOperator, DeclineReason, Demand, DemandItem, FrameworkInfo, TaskSpec};
use proffer_proto_wire::{common, scheduler};

/// What a master would refuse in this task. Host ports may still be open.
pub(crate) fn check_task(task: &TaskSpec) -> Result<(), WireError> {
    let mut closed = task.clone();
    for port in &mut closed.container.ports {
        // An open port gets a number when it is launched; any number will do here.
        port.host_port = port.host_port.max(1);
    }
    TaskSpec::try_from(common::TaskSpec::from(closed)).map(|_| ())
}

/// As much of a demand as a master takes in one: what has the lowest priority, and of that what is stated last, is left out.
/// It comes in when something before it is not wanted any more.
pub(crate) fn fit_demand(demand: Demand) -> Demand {
    let mut by_priority: Vec<(usize, &DemandItem)> = demand.items.iter().enumerate().collect();
    by_priority.sort_by_key(|(_, item)| Reverse(item.priority));
    let (mut kept, mut patterns) = (BTreeSet::new(), BTreeSet::new());
    for (at, item) in by_priority {
        let own: BTreeSet<&str> = item.constraints.iter().filter_map(pattern_of).collect();
        let has_room = kept.len() < MAX_DEMAND_ITEMS && patterns.union(&own).count() <= MAX_PATTERNS;
        // An item that no master would ever take stays, so that its author is told.
        if has_room || item.constraints.len() > MAX_CONSTRAINTS {
            kept.insert(at);
            patterns.extend(own);
        }
    }
    let items = demand.items.iter().enumerate().filter(|(at, _)| kept.contains(at));
    Demand { items: items.map(|(_, item)| item.clone()).collect() }
}

fn pattern_of(rule: &Constraint) -> Option<&str> {
    match &rule.operator {
        ConstraintOperator::Matches(pattern) | ConstraintOperator::NotMatches(pattern) => Some(pattern.as_str()),
        ConstraintOperator::Exists
        | ConstraintOperator::NotExists
        | ConstraintOperator::Equals
        | ConstraintOperator::NotEquals => None,
    }
}

/// What a master would refuse in this demand.
pub(crate) fn check_demand(demand: &Demand) -> Result<(), WireError> {
    Demand::try_from(scheduler::Demand::from(demand.clone())).map(|_| ())
}

/// What a master would refuse in what a framework says of itself.
pub(crate) fn check_info(info: &FrameworkInfo) -> Result<(), WireError> {
    FrameworkInfo::try_from(scheduler::FrameworkInfo::from(info.clone())).map(|_| ())
}

/// The reason with its message cut to what a master takes.
pub(crate) fn shorten(reason: DeclineReason) -> DeclineReason {
    DeclineReason { message: shorten_text(reason.message), ..reason }
}

/// A message cut to what a master takes, and without NULs.
pub(crate) fn shorten_text(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
        message.truncate(end);
    }
    message.retain(|c| c != '\0');
    message
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Pattern, Role};

    use super::*;

    fn item(priority: i32, patterns: &[String]) -> DemandItem {
        let rule = |text: &String| Constraint {
            subject: "@zone".to_owned(),
            operator: ConstraintOperator::Matches(Pattern::new(text).unwrap()),
            value: String::new(),
        };
        let constraints = patterns.iter().map(rule).collect();
        DemandItem { constraints, priority, ..Demand::anything(Role::default_role()).items.remove(0) }
    }

    fn priorities(demand: &Demand) -> Vec<i32> {
        demand.items.iter().map(|item| item.priority).collect()
    }

    #[test]
    fn what_is_too_much_for_one_demand_waits_by_priority() {
        let small = Demand { items: vec![item(1, &["a".to_owned()]), item(2, &[])] };
        assert_eq!(fit_demand(small.clone()), small);
        let many = Demand { items: (0..1_200).map(|priority| item(priority, &[])).collect() };
        assert_eq!(priorities(&fit_demand(many)), (200..1_200).collect::<Vec<_>>());
        let own = |number: i32| item(number, &[format!("a{number}"), "all".to_owned()]);
        let mut demand = Demand { items: (0..100).map(own).collect() };
        demand.items.push(item(-1, &["all".to_owned()]));
        let fitted = fit_demand(demand);
        assert_eq!(priorities(&fitted), (37..100).chain([-1]).collect::<Vec<_>>(), "63 and the one all share");
        check_demand(&fitted).unwrap();
    }

    #[test]
    fn an_item_with_too_many_rules_is_told_not_hidden() {
        let patterns: Vec<String> = (0..33).map(|number| format!("a{number}")).collect();
        let demand = Demand { items: vec![item(0, &patterns)] };
        assert_eq!(check_demand(&fit_demand(demand)).unwrap_err().path, "items[0].constraints");
    }
}
