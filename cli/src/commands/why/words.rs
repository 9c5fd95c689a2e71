//! The answer in plain words: first what is known of the thing itself, then what stands against what it asks for.

use std::time::{SystemTime, UNIX_EPOCH};

use super::view::{FrameworkView, ItemView, WhyView};
use crate::commands::lists::TaskView;
use crate::output::{age, span};
use crate::views::{InstanceView, JobView, ServiceView};

/// Most instances and attempts that are named.
const MAX_NAMED: usize = 5;
/// Most counts of answers that are named.
const MAX_COUNTS: usize = 4;

/// What is printed, line by line.
pub(super) fn lines(view: &WhyView) -> Vec<String> {
    let mut lines = Vec::new();
    let is_wanting = match view {
        WhyView { service: Some(of), .. } => service(of, &mut lines),
        WhyView { job: Some(of), .. } => job(of, &mut lines),
        WhyView { task: Some(of), .. } => task(of, &mut lines),
        _ => true,
    };
    if let Some(problem) = &view.problem {
        lines.push(format!("the master could not be asked: {problem}"));
    }
    if let Some(of) = view.framework.as_ref().filter(|_| is_wanting) {
        framework(of, view, &mut lines);
    }
    lines
}

/// True when something of it still waits to be started.
fn service(of: &ServiceView, lines: &mut Vec<String>) -> bool {
    if of.removing {
        lines.push(format!("service {} is being removed: {} instances still end", of.name, of.instances.len()));
        return false;
    }
    lines.push(format!("service {}: {} of {} instances run", of.name, of.running, of.wanted));
    if of.is_complete() {
        lines.push("nothing stands against it".to_owned());
        return false;
    }
    let others: Vec<&InstanceView> = of.instances.iter().filter(|instance| !instance.is_running()).collect();
    for instance in others.iter().take(MAX_NAMED) {
        lines.push(format!("  {}.{} {}", of.name, instance.slot, state_of(instance)));
        if !instance.last_failure.is_empty() {
            lines.push(format!("    its last failure, of {}: {}", instance.restarts.max(1), instance.last_failure));
        }
    }
    if others.len() > MAX_NAMED {
        lines.push(format!("  and {} more: `proffer ps {}`", others.len() - MAX_NAMED, of.name));
    }
    if !of.message.is_empty() {
        lines.push(format!("the service framework says: {}", of.message));
    }
    // One with a task has what it needs; one that pauses asks for nothing yet.
    of.instances.is_empty() || others.iter().any(|i| i.task_id.is_none() && i.back_off_until_unix_ms == 0)
}

fn state_of(instance: &InstanceView) -> String {
    if let Some(status) = &instance.status {
        let message = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
        let host = if instance.hostname.is_empty() { String::new() } else { format!(" on {}", instance.hostname) };
        return format!("is {}{host} since {}{message}", status.shown_state(), age(status.unix_ms));
    }
    match instance.back_off_until_unix_ms {
        0 if instance.task_id.is_some() => "was handed to the master, which has not answered yet".to_owned(),
        0 => "waits for an offer".to_owned(),
        until => format!("is not started again for {} more, as it failed", span(seconds_until(until))),
    }
}

fn seconds_until(unix_ms: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    unix_ms.saturating_sub(u64::try_from(now).unwrap_or(u64::MAX)).div_ceil(1_000)
}

fn job(of: &JobView, lines: &mut Vec<String>) -> bool {
    let JobView { succeeded, completions, running, waiting, failed, .. } = of;
    let counts =
        format!("{succeeded} of {completions} tasks succeeded, {running} run, {waiting} wait, {failed} failed");
    lines.push(format!("job {} is {}: {counts}", of.job_id, of.state));
    if !of.message.is_empty() {
        lines.push(format!("the batch framework says: {}", of.message));
    }
    let failures = of.attempts.iter().rev().filter_map(|attempt| Some((attempt, attempt.status.as_ref()?)));
    let is_bad = |state: &str| !matches!(state, "RUNNING" | "FINISHED" | "KILLING");
    for (attempt, status) in failures.filter(|(_, status)| is_bad(&status.state)).take(MAX_NAMED) {
        let (task, state) = (&attempt.task_id, status.shown_state());
        lines.push(format!("  {task} is {state} since {}: {}", age(status.unix_ms), status.message));
    }
    if of.has_ended() {
        return false;
    }
    if *waiting > 0 && *running >= of.parallelism {
        lines.push(format!("as many run as may at once ({}); the others follow", of.parallelism));
        return false;
    }
    if *waiting == 0 {
        lines.push("nothing stands against it".to_owned());
    }
    *waiting > 0
}

fn task(of: &TaskView, lines: &mut Vec<String>) -> bool {
    let Some(status) = &of.status else {
        lines.push(format!("task {} is known without any status", of.task_id));
        return true;
    };
    let host = if of.hostname.is_empty() { of.agent_id.as_str() } else { of.hostname.as_str() };
    let (state, since) = (status.shown_state(), age(status.unix_ms));
    lines.push(format!("task {} of {} is {state} on {host} since {since}", of.task_id, of.framework));
    if !status.message.is_empty() {
        lines.push(format!("  {}", status.message));
    }
    let meaning = match status.state.as_str() {
        "STAGING" => "the master has taken it; its agent has not confirmed it yet",
        "STARTING" => "its agent prepares it: image, file system, network",
        "RUNNING" => "it runs: nothing stands against it",
        "KILLING" => "it was told to end",
        "UNREACHABLE" => "its agent cannot be reached; it may run still, and may come back",
        "ERROR" => "its description is wrong: trying again cannot help",
        _ => "it has ended, and this task is never started again; what its framework wants now stands below",
    };
    lines.push(format!("  {meaning}"));
    !matches!(status.state.as_str(), "STAGING" | "STARTING" | "RUNNING" | "KILLING")
}

fn framework(of: &FrameworkView, view: &WhyView, lines: &mut Vec<String>) {
    let name = format!("framework {} ({})", of.name, of.framework_id);
    if of.removing {
        lines.push(format!("{name} is being removed: it is offered nothing any more"));
        return;
    }
    if !of.connected {
        lines.push(format!("{name} is not connected: it is offered nothing until it is back"));
        return;
    }
    if of.agents == 0 {
        lines.push("there is no agent: start one with `proffer agent`".to_owned());
    }
    if view.wants.is_empty() {
        let of_it = if view.service.is_some() || view.job.is_some() { " for it" } else { "" };
        lines.push(format!("{name} asks the master for nothing{of_it} now: no offers come"));
    }
    for item in &view.wants {
        wanted(&name, item, lines);
    }
    if view.wants_left_out > 0 {
        lines.push(format!("and {} more shapes are wanted", view.wants_left_out));
    }
    lines.extend(view.notes.iter().cloned());
    answers(view, lines);
}

fn wanted(name: &str, item: &ItemView, lines: &mut Vec<String>) {
    let shape = item.shape.as_ref().map_or("anything".to_owned(), |shape| shape.shown());
    let count = item.count.map_or("without bound".to_owned(), |count| format!("{count} times"));
    let ports = match item.ports {
        0 => String::new(),
        1 => " and 1 host port".to_owned(),
        many => format!(" and {many} host ports"),
    };
    let rules =
        if item.constraints.is_empty() { String::new() } else { format!(" where {}", item.constraints.join(", ")) };
    lines.push(format!("{name} asks for {count} {shape}{ports}{rules}, in role {}:", item.role));
    lines.extend(item.blocks.iter().map(|block| format!("  {block}")));
    for group in &item.groups {
        let named = u32::try_from(group.hostnames.len()).unwrap_or(u32::MAX);
        let more = if group.agents > named { ", ..." } else { "" };
        lines.push(format!("  {} ({}{more})", group.message, group.hostnames.join(", ")));
    }
}

fn answers(view: &WhyView, lines: &mut Vec<String>) {
    if view.answers_since_start.is_empty() {
        lines.push("it has answered no offer since the master started".to_owned());
        return;
    }
    let told = |of: &super::view::CountView| {
        let reason = if of.reason.is_empty() { String::new() } else { format!(" ({})", of.reason) };
        format!("{} {}{reason}", of.count, of.outcome.to_lowercase())
    };
    let counts: Vec<String> = view.answers_since_start.iter().take(MAX_COUNTS).map(told).collect();
    lines.push(format!("its answers since the master started: {}", counts.join(", ")));
    let declined = view.answers.iter().find(|answer| answer.outcome == "DECLINED" && !answer.reason.is_empty());
    if let Some(last) = declined {
        lines.push(format!("its last decline, {} ago on {}: {}", age(last.sent_unix_ms), last.hostname, last.reason));
    }
}
