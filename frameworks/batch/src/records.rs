//! What is stored, and under which keys. A job that was taken is never lost, and neither is a result.

use std::collections::BTreeMap;

use proffer_sdk::{Context, StoredState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::job::{Job, Progress};
use crate::spec::JobSpec;

const NEXT: &str = "next";
const JOB: &str = "job/";
const PROGRESS: &str = "progress/";
const ATTEMPT: &str = "attempt/";

/// What is stored makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the batch framework's state under {key:?} is damaged: {message}; restore a copy of its data directory")]
pub struct Damaged {
    key: String,
    message: String,
}

/// What never changes of a job.
#[derive(Serialize, Deserialize)]
struct JobRecord {
    spec: JobSpec,
}

fn job_key(number: u64) -> String {
    format!("{JOB}{number}")
}

fn progress_key(number: u64) -> String {
    format!("{PROGRESS}{number}")
}

fn attempt_key(number: u64, (index, attempt): (u32, u32)) -> String {
    format!("{ATTEMPT}{number}/{index}/{attempt}")
}

fn put<T: Serialize>(cx: &mut Context<'_>, key: String, value: &T) {
    // Texts, numbers and maps with text keys only: making JSON of them cannot fail.
    cx.store(key, serde_json::to_vec(value).unwrap_or_default());
}

/// Keeps the number of the next job.
pub fn keep_next(cx: &mut Context<'_>, next: u64) {
    put(cx, NEXT.to_owned(), &next);
}

/// Keeps a new job's spec.
pub fn keep_job(cx: &mut Context<'_>, job: &Job) {
    put(cx, job_key(job.number()), &JobRecord { spec: job.spec().clone() });
}

/// Keeps what changed of a job since the last call.
pub fn keep_changes(cx: &mut Context<'_>, job: &mut Job) {
    let changes = job.take_changes();
    if changes.progress {
        put(cx, progress_key(job.number()), job.progress());
    }
    for key in changes.attempts {
        if let Some(attempt) = job.attempts().get(&key) {
            put(cx, attempt_key(job.number(), key), attempt);
        }
    }
    for key in changes.forgotten {
        cx.forget(attempt_key(job.number(), key));
    }
}

/// Forgets a job whole.
pub fn forget_job(cx: &mut Context<'_>, job: &Job) {
    cx.forget(job_key(job.number()));
    cx.forget(progress_key(job.number()));
    for key in job.attempts().keys() {
        cx.forget(attempt_key(job.number(), *key));
    }
}

/// Reads everything: the number of the next job, and the jobs by number.
pub fn load(stored: StoredState) -> Result<(u64, BTreeMap<u64, Job>), Damaged> {
    let mut next = 1;
    let mut specs: BTreeMap<u64, JobSpec> = BTreeMap::new();
    let mut progress: BTreeMap<u64, Progress> = BTreeMap::new();
    let mut attempts: BTreeMap<u64, BTreeMap<(u32, u32), Attempt>> = BTreeMap::new();
    for (key, bytes) in stored {
        if key == NEXT {
            next = from_json(&key, &bytes)?;
        } else if let Some(number) = key.strip_prefix(JOB) {
            specs.insert(number_of(&key, number)?, from_json::<JobRecord>(&key, &bytes)?.spec);
        } else if let Some(number) = key.strip_prefix(PROGRESS) {
            progress.insert(number_of(&key, number)?, from_json(&key, &bytes)?);
        } else if let Some(place) = key.strip_prefix(ATTEMPT) {
            let parts: Vec<&str> = place.split('/').collect();
            let [job, index, number] = parts.as_slice() else {
                return Err(damaged(&key, "it has not three parts"));
            };
            let place = (number_of(&key, index)?, number_of(&key, number)?);
            attempts.entry(number_of(&key, job)?).or_default().insert(place, from_json(&key, &bytes)?);
        } else {
            return Err(damaged(&key, "no version of the batch framework writes this key"));
        }
    }
    let mut jobs = BTreeMap::new();
    for (number, spec) in specs {
        let Some(progress) = progress.remove(&number) else {
            return Err(damaged(&progress_key(number), "it is missing"));
        };
        jobs.insert(number, Job::restore(number, spec, progress, attempts.remove(&number).unwrap_or_default()));
    }
    Ok((next, jobs))
}

fn damaged(key: &str, message: impl ToString) -> Damaged {
    Damaged { key: key.to_owned(), message: message.to_string() }
}

fn from_json<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Damaged> {
    serde_json::from_slice(bytes).map_err(|error| damaged(key, error))
}

fn number_of<T: std::str::FromStr>(key: &str, text: &str) -> Result<T, Damaged>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| damaged(key, error.to_string()))
}
