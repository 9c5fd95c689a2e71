//! What a framework said, in order, and as lines of text.

use std::fmt;

use proffer_sdk::model::{Accept, DeclineKind, Demand, InverseAnswer, InverseReply, Operation, TaskLaunch};
use proffer_sdk::session::Call;
use proffer_sdk::{DeclineReason, OfferId, TaskId, TaskSpec};

/// What a framework said in one step, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// One line for each call and each launch.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().flat_map(line).collect()
    }

    /// The tasks launched, in order.
    pub fn launched(&self) -> Vec<&TaskSpec> {
        self.0.iter().flat_map(launches).map(|launch| &launch.task).collect()
    }

    /// The ids of the tasks launched, in order.
    pub fn launched_ids(&self) -> Vec<&str> {
        self.launched().into_iter().map(|task| task.id.as_str()).collect()
    }

    /// The tasks to be killed, in order.
    pub fn killed(&self) -> Vec<&TaskId> {
        self.0.iter().filter_map(|call| if let Call::Kill { task, .. } = call { Some(task) } else { None }).collect()
    }

    /// The offers declined whole, with the reason.
    pub fn declined(&self) -> Vec<(&OfferId, &DeclineReason)> {
        let each = self.0.iter().filter_map(|call| match call {
            Call::Decline { offers, reason, .. } => Some(offers.iter().map(move |offer| (offer, reason))),
            _ => None,
        });
        each.flatten().collect()
    }

    /// The last demand stated.
    pub fn demand(&self) -> Option<&Demand> {
        self.0.iter().rev().find_map(|call| if let Call::Demand(demand) = call { Some(demand) } else { None })
    }

    /// The updates confirmed: task and number.
    pub fn acknowledged(&self) -> Vec<(&TaskId, u64)> {
        let each = self.0.iter().filter_map(|call| match call {
            Call::Acknowledge(list) => Some(list.iter().map(|ack| (&ack.task, ack.seq))),
            _ => None,
        });
        each.flatten().collect()
    }

    /// Fails with both sides, line by line, unless the lines are these. A `*` at an expected line's end matches anything.
    #[track_caller]
    pub fn assert(&self, expected: &[&str]) {
        if let Err(difference) = compare(expected, &self.lines()) {
            panic!("the framework's calls are not the expected ones\n{difference}");
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn launches(call: &Call) -> Vec<&TaskLaunch> {
    let Call::Accept(Accept { operations, .. }) = call else { return Vec::new() };
    let tasks = operations.iter().filter_map(|operation| match operation {
        Operation::Launch { tasks } | Operation::LaunchGroup { tasks, .. } => Some(tasks),
        _ => None,
    });
    tasks.flatten().collect()
}

/// A call as lines of text: one for each launch or acknowledgement, else one.
///
/// `launch web.1 on a1 with 0.1 cpus, 32MiB memory`, `decline O1-1: no demand`, `kill web.1`, `acknowledge web.1 #1`,
/// `demand 2 x 0.1 cpus, 32MiB memory`, `demand nothing`, `reconcile everything`, `reconcile web.1`, `subscribe`, `teardown`,
/// `leave V1-1: moving 2 tasks`, `stay V1-1: nowhere to go`.
pub fn line(call: &Call) -> Vec<String> {
    match call {
        Call::Subscribe { framework, .. } => match &framework.id {
            Some(id) => vec![format!("subscribe as {id}")],
            None => vec!["subscribe".to_owned()],
        },
        Call::Update(framework) => vec![format!("update {}", framework.name)],
        Call::Demand(demand) => vec![demand_line(demand)],
        Call::Accept(accept) => accept_lines(accept),
        Call::Decline { offers, reason, .. } => vec![format!("decline {}: {}", join(offers), reason_text(reason))],
        Call::Kill { task, .. } => vec![format!("kill {task}")],
        Call::Acknowledge(list) => list.iter().map(|ack| format!("acknowledge {} #{}", ack.task, ack.seq)).collect(),
        Call::Reconcile(tasks) if tasks.is_empty() => vec!["reconcile everything".to_owned()],
        Call::Reconcile(tasks) => {
            vec![format!("reconcile {}", join(tasks.iter().map(|(task, _)| task)))]
        }
        Call::InverseReply(reply) => vec![inverse_line(reply)],
        Call::Teardown => vec!["teardown".to_owned()],
    }
}

fn inverse_line(InverseReply { offers, answer, message, filter: _ }: &InverseReply) -> String {
    let verb = match answer {
        InverseAnswer::Accepted => "leave",
        InverseAnswer::Declined => "stay",
    };
    format!("{verb} {}: {message}", join(offers))
}

fn accept_lines(accept: &Accept) -> Vec<String> {
    let mut lines = Vec::new();
    for operation in &accept.operations {
        let (verb, tasks) = match operation {
            Operation::Launch { tasks } => ("launch", tasks),
            Operation::LaunchGroup { tasks, .. } => ("launch together", tasks),
            other => {
                lines.push(format!("{other:?}"));
                continue;
            }
        };
        lines.extend(tasks.iter().map(|launch| {
            let agent = launch.agent.as_ref().map_or("the offer's agent", |agent| agent.as_str());
            format!("{verb} {} on {agent} with {}", launch.task.id, launch.task.resources)
        }));
    }
    lines
}

fn demand_line(demand: &Demand) -> String {
    if demand.items.is_empty() {
        return "demand nothing".to_owned();
    }
    let items = demand.items.iter().map(|item| {
        let count = item.count.map_or("any number of".to_owned(), |count| format!("{count} x"));
        let shape = item.shape.as_ref().map_or("anything".to_owned(), ToString::to_string);
        let ports = if item.ports > 0 { format!(" and {} ports", item.ports) } else { String::new() };
        format!("{count} {shape}{ports}")
    });
    format!("demand {}", items.collect::<Vec<_>>().join("; "))
}

fn reason_text(reason: &DeclineReason) -> String {
    let kind = match &reason.kind {
        DeclineKind::Unspecified => "no reason given".to_owned(),
        DeclineKind::NoDemand => "no demand".to_owned(),
        DeclineKind::ResourcesShort { shortage } => format!("short of {shortage}"),
        DeclineKind::Constraint { .. } => "constraint".to_owned(),
        DeclineKind::BackOff => "back-off".to_owned(),
        DeclineKind::Spread => "spread".to_owned(),
        DeclineKind::Leftover => "leftover".to_owned(),
        DeclineKind::NotReady => "not ready".to_owned(),
        DeclineKind::Other => "other".to_owned(),
    };
    if reason.message.is_empty() { kind } else { format!("{kind} ({})", reason.message) }
}

fn join<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// `Ok` when all lines match in order; else both sides, with a mark where they differ.
pub(crate) fn compare(expected: &[&str], actual: &[String]) -> Result<(), String> {
    let matches = |want: &str, have: &str| match want.strip_suffix('*') {
        Some(start) => have.starts_with(start),
        None => have == want,
    };
    let is_same = expected.len() == actual.len() && expected.iter().zip(actual).all(|(want, have)| matches(want, have));
    if is_same {
        return Ok(());
    }
    let mut text = String::new();
    for at in 0..expected.len().max(actual.len()) {
        match (expected.get(at), actual.get(at)) {
            (Some(want), Some(have)) if matches(want, have) => text.push_str(&format!("    {have}\n")),
            (want, have) => {
                text.extend(want.map(|want| format!("  - {want}\n")));
                text.extend(have.map(|have| format!("  + {have}\n")));
            }
        }
    }
    Err(format!("{text}(- expected, + said by the framework)"))
}
