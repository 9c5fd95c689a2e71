//! What users ask of the scheduler: find, run and cancel jobs. Each refusal says why and what to do.

use proffer_proto_model::convert::WireError;
use proffer_sdk::{Context, Role};

use super::{Batch, MAX_LIVING_JOBS, now};
use crate::job::{Job, Phase};
use crate::launch::task_of;
use crate::records;
use crate::spec::JobSpec;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such job.
    #[error("no job {asked:?}; {known}")]
    Unknown {
        /// As asked for.
        asked: String,
        /// The jobs there are, in words.
        known: String,
    },
    /// A living job has this name.
    #[error(
        "job {id} of this name has not ended; wait for it, cancel it with `proffer job cancel {id}`, or rename the new one"
    )]
    NameTaken {
        /// Its id.
        id: String,
    },
    /// The job has ended.
    #[error("job {id} has ended already ({phase:?}); nothing to cancel")]
    Ended {
        /// Its id.
        id: String,
        /// How.
        phase: Phase,
    },
    /// The framework does not have the role.
    #[error("job.role is {role}, which this framework does not have; use one of: {known}")]
    Role {
        /// As asked for.
        role: Role,
        /// The framework's roles.
        known: String,
    },
    /// The job's task could never be launched.
    #[error("job.{0}")]
    Task(#[from] WireError),
    /// Too many jobs live.
    #[error("{MAX_LIVING_JOBS} jobs have not ended; wait for some or cancel them")]
    TooMany,
}

impl Batch {
    /// The job with this id, or the newest of this name.
    pub fn find(&self, asked: &str) -> Result<&Job, Refused> {
        let mut newest_first = self.jobs.values().rev();
        let by_id = newest_first.clone().find(|job| job.id() == asked);
        by_id.or_else(|| newest_first.find(|job| job.spec().name == asked)).ok_or_else(|| self.unknown(asked))
    }

    /// Takes a job; gives its id.
    pub fn run(&mut self, spec: JobSpec, cx: &mut Context<'_>) -> Result<String, Refused> {
        if let Some(role) = spec.role.as_ref().filter(|role| !cx.roles().contains(role)) {
            let known = cx.roles().iter().map(Role::as_str).collect::<Vec<_>>().join(", ");
            return Err(Refused::Role { role: role.clone(), known });
        }
        let mut living = self.living.iter().filter_map(|number| self.jobs.get(number));
        if let Some(job) = living.find(|job| job.spec().name == spec.name) {
            return Err(Refused::NameTaken { id: job.id().to_owned() });
        }
        if self.living.len() >= MAX_LIVING_JOBS {
            return Err(Refused::TooMany);
        }
        let number = self.next_number;
        let job = Job::new(number, spec, now(cx));
        // Every name and number makes a task id: this fails only for what no agent could run.
        task_of(&job, 0, 1)?;
        self.next_number += 1;
        records::keep_next(cx, self.next_number);
        records::keep_job(cx, &job);
        let id = job.id().to_owned();
        self.jobs.insert(number, job);
        self.living.insert(number);
        self.dirty.insert(number);
        self.finish(cx);
        Ok(id)
    }

    /// Ends a job; gives how many attempts are being killed.
    pub fn cancel(&mut self, asked: &str, cx: &mut Context<'_>) -> Result<u32, Refused> {
        let number = self.find(asked)?.number();
        let Some(job) = self.jobs.get_mut(&number) else { return Err(self.unknown(asked)) };
        if job.phase().has_ended() {
            return Err(Refused::Ended { id: job.id().to_owned(), phase: job.phase() });
        }
        let tasks = job.cancel(now(cx));
        let killed = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        for task in tasks {
            cx.kill(task, None);
        }
        self.dirty.insert(number);
        self.finish(cx);
        Ok(killed)
    }

    fn unknown(&self, asked: &str) -> Refused {
        let ids: Vec<&str> = self.jobs.values().rev().take(20).map(Job::id).collect();
        let known = match ids.as_slice() {
            [] => "there are no jobs".to_owned(),
            _ if self.jobs.len() > ids.len() => format!("the newest jobs are {}", ids.join(", ")),
            _ => format!("the jobs are {}", ids.join(", ")),
        };
        Refused::Unknown { asked: asked.chars().take(80).collect(), known }
    }
}
