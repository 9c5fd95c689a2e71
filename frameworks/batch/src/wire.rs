//! Jobs as the API shows them. Answers are bounded: what does not fit into one message is left out, and the answer says so.

use proffer_proto_wire::batch as wire;
use prost::Message;

use crate::attempt::Attempt;
use crate::job::{Job, Phase, Progress};

/// Largest answer, in bytes: clients decode no more than 4 MiB.
pub const MAX_ANSWER_BYTES: usize = 3 << 20;

/// Longest message of one attempt in an answer, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// A job with its attempts or without. Of too many attempts the newest tasks' are given, and the message says so.
pub fn job_to_wire(job: &Job, is_with_attempts: bool) -> wire::Job {
    let Progress { phase, next: _, succeeded, failed, retried, created, ended, message } = job.progress().clone();
    let mut answer = wire::Job {
        job_id: job.id().to_owned(),
        spec: Some(job.spec().clone().into()),
        state: state(phase).into(),
        succeeded,
        failed,
        running: job.running(),
        waiting: job.waiting(),
        retried,
        created_unix_ms: created.0,
        ended_unix_ms: ended.map_or(0, |at| at.0),
        attempts: Vec::new(),
        message,
    };
    if is_with_attempts {
        add_attempts(job, &mut answer);
    }
    answer
}

/// All jobs that fit into one answer, newest first.
pub fn list<'a>(newest_first: impl Iterator<Item = &'a Job>) -> wire::ListResponse {
    let mut bytes = 0;
    let fits = |job: &wire::Job| {
        bytes += job.encoded_len() + 8;
        bytes <= MAX_ANSWER_BYTES
    };
    wire::ListResponse { jobs: newest_first.map(|job| job_to_wire(job, false)).take_while(fits).collect() }
}

fn add_attempts(job: &Job, answer: &mut wire::Job) {
    let mut bytes = answer.encoded_len();
    for (&(index, number), attempt) in job.attempts().iter().rev() {
        let attempt = attempt_to_wire(index, number, attempt);
        bytes += attempt.encoded_len() + 8;
        if bytes > MAX_ANSWER_BYTES {
            let separator = if answer.message.is_empty() { "" } else { "; " };
            let shown = answer.attempts.len();
            answer.message += &format!("{separator}only the last {shown} attempts are shown");
            break;
        }
        answer.attempts.push(attempt);
    }
    answer.attempts.reverse();
}

fn attempt_to_wire(index: u32, number: u32, attempt: &Attempt) -> wire::Attempt {
    let Attempt { mut status, hostname, outcome: _ } = attempt.clone();
    let task_id = status.task.to_string();
    if status.message.chars().count() > MAX_MESSAGE_CHARS {
        status.message = status.message.chars().take(MAX_MESSAGE_CHARS).chain(['…']).collect();
    }
    // The task's own data is between it and the framework.
    status.data = Vec::new();
    wire::Attempt { index, number, task_id, status: Some(status.into()), hostname }
}

/// A failing job is still active: its message says that it will fail.
fn state(phase: Phase) -> wire::JobState {
    match phase {
        Phase::Active | Phase::Failing => wire::JobState::Active,
        Phase::Cancelling => wire::JobState::Cancelling,
        Phase::Succeeded => wire::JobState::Succeeded,
        Phase::Failed => wire::JobState::Failed,
        Phase::Cancelled => wire::JobState::Cancelled,
    }
}
