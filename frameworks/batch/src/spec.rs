//! What a job is, checked. Wire specs become domain specs here and nowhere else; every defect has its path.

use std::collections::BTreeMap;
use std::fmt;

use proffer_proto_model::convert::{Defect, MAX_CONSTRAINTS, WireError};
use proffer_proto_model::task::{ContainerSpec, ResourceLimits};
use proffer_proto_model::{Constraint, Resources, Role, TaskSpec};
use proffer_proto_wire::{batch as wire, common};
use prost::Message;
use serde::{Deserialize, Serialize};

/// Most tasks of one job.
pub const MAX_COMPLETIONS: u32 = 1_000_000;

/// Longest name in bytes, as in DNS labels.
pub const MAX_NAME_BYTES: usize = 63;

/// Most retries of one task.
pub const MAX_RETRIES: u32 = 1_000;

/// Largest spec, in bytes on the wire: each of its tasks carries it.
pub const MAX_SPEC_BYTES: usize = 256 << 10;

/// A job: a number of tasks that each must succeed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Unique among living jobs: 1-63 of a-z 0-9 -.
    pub name: String,
    /// What each task runs.
    pub container: ContainerSpec,
    /// How many tasks must succeed, 1 to [`MAX_COMPLETIONS`].
    pub completions: u32,
    /// How many run at once, at least 1.
    pub parallelism: u32,
    /// How often one task is tried again after a failure, at most [`MAX_RETRIES`].
    pub retries: u32,
    /// What each needs.
    pub resources: Resources,
    /// Hard bounds.
    pub limits: ResourceLimits,
    /// An attempt that runs longer fails, in milliseconds; `None` is no bound.
    pub attempt_timeout_ms: Option<u64>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Rules for agents.
    pub constraints: Vec<Constraint>,
    /// The role that pays; the framework's first when `None`.
    pub role: Option<Role>,
    /// Where preemption is on: work of a lower priority may have to go for what is wanted here, and this for what is
    /// higher. Of what one framework wants, the highest is served first; 0 is normal.
    #[serde(default)]
    pub priority: i32,
    /// Where preemption is on: may have to go whatever its priority.
    #[serde(default)]
    pub is_revocable: bool,
}

/// What is wrong with one field of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecDefect {
    /// The name cannot be one.
    #[error("name is {name:?}; a name is 1 to 63 of a-z 0-9 -")]
    Name {
        /// As given, shortened.
        name: String,
    },
    /// A number is outside of its bounds.
    #[error("{path} is {value}; it must be {min} to {max}")]
    OutOfRange {
        /// The field.
        path: &'static str,
        /// As given.
        value: u32,
        /// Smallest allowed.
        min: u32,
        /// Largest allowed.
        max: u32,
    },
    /// The whole spec is too large.
    #[error("has {bytes} bytes; at most {MAX_SPEC_BYTES} are allowed, so put large data into the image or a mount")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Nothing is asked for.
    #[error("resources are all zero; a task needs some, e.g. cpus 0.1 and memory 32MiB")]
    NoResources,
    /// A field that other APIs have as well is wrong.
    #[error(transparent)]
    Field(#[from] WireError),
}

/// Everything that is wrong with a job; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError(pub Vec<SpecDefect>);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, defect) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            let path = if matches!(defect, SpecDefect::TooLarge { .. }) { "job " } else { "job." };
            write!(f, "{separator}{path}{defect}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecError {}

/// Collects defects beside the values.
#[derive(Default)]
struct Defects(Vec<SpecDefect>);

impl Defects {
    fn keep<T: Default>(&mut self, result: Result<T, WireError>) -> T {
        result.unwrap_or_else(|error| {
            self.0.push(SpecDefect::Field(error));
            T::default()
        })
    }

    fn range(&mut self, path: &'static str, value: u32, min: u32, max: u32) {
        if !(min..=max).contains(&value) {
            self.0.push(SpecDefect::OutOfRange { path, value, min, max });
        }
    }
}

impl TryFrom<wire::JobSpec> for JobSpec {
    type Error = SpecError;

    fn try_from(spec: wire::JobSpec) -> Result<Self, SpecError> {
        let bytes = spec.encoded_len();
        if bytes > MAX_SPEC_BYTES {
            return Err(SpecError(vec![SpecDefect::TooLarge { bytes }]));
        }
        let wire::JobSpec {
            name,
            container,
            completions,
            parallelism,
            retries,
            resources,
            limits,
            attempt_timeout_ms,
            labels,
            constraints,
            role,
            priority,
            revocable,
        } = spec;
        let mut defects = Defects::default();
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_word) {
            defects.0.push(SpecDefect::Name { name: name.chars().take(80).collect() });
        }
        defects.range("completions", completions, 1, MAX_COMPLETIONS);
        defects.range("parallelism", parallelism, 1, u32::MAX);
        defects.range("retries", retries, 0, MAX_RETRIES);
        let is_without_resources = resources.is_none();
        let shared = shared_fields(&mut defects, container, resources, limits, labels);
        if is_without_resources || shared.as_ref().is_some_and(|task| task.resources.is_empty()) {
            defects.0.push(SpecDefect::NoResources);
        }
        let constraints = defects.keep(checked_constraints(constraints));
        let role = defects.keep(checked_role(&role));
        match shared {
            Some(task) if defects.0.is_empty() => Ok(Self {
                name,
                container: task.container,
                completions,
                parallelism,
                retries,
                resources: task.resources,
                limits: task.limits,
                attempt_timeout_ms: (attempt_timeout_ms > 0).then_some(attempt_timeout_ms),
                labels: task.labels,
                constraints,
                role,
                priority,
                is_revocable: revocable,
            }),
            _ => Err(SpecError(defects.0)),
        }
    }
}

/// The fields a job shares with a task, checked by the rules for tasks. `None`: a defect was kept.
fn shared_fields(
    defects: &mut Defects,
    container: Option<common::ContainerSpec>,
    resources: Option<common::Resources>,
    limits: Option<common::ResourceLimits>,
    labels: std::collections::HashMap<String, String>,
) -> Option<TaskSpec> {
    let Some(container) = container else {
        defects.0.push(SpecDefect::Field(WireError::new("container", Defect::Missing)));
        return None;
    };
    let template = match ContainerSpec::try_from(container.clone()) {
        Ok(template) => template,
        Err(error) => {
            defects.0.push(SpecDefect::Field(error.within("container")));
            return None;
        }
    };
    // A task has a host port for each port, its template has not: they are left out of this check.
    let container = common::ContainerSpec { ports: Vec::new(), ..container };
    let task = common::TaskSpec {
        task_id: "job".to_owned(),
        name: "job".to_owned(),
        container: Some(container),
        resources,
        limits,
        labels,
        ..common::TaskSpec::default()
    };
    match TaskSpec::try_from(task) {
        Ok(task) => Some(TaskSpec { container: template, ..task }),
        Err(error) => {
            defects.0.push(SpecDefect::Field(error));
            None
        }
    }
}

fn checked_constraints(constraints: Vec<common::Constraint>) -> Result<Vec<Constraint>, WireError> {
    if constraints.len() > MAX_CONSTRAINTS {
        return Err(WireError::new("constraints", Defect::TooMany { count: constraints.len(), max: MAX_CONSTRAINTS }));
    }
    let each = constraints.into_iter().enumerate();
    each.map(|(at, one)| Constraint::try_from(one).map_err(|e| e.within(&format!("constraints[{at}]")))).collect()
}

fn checked_role(role: &str) -> Result<Option<Role>, WireError> {
    if role.is_empty() {
        return Ok(None);
    }
    Role::new(role).map(Some).map_err(|error| WireError::new("role", Defect::BadRole(error)))
}

impl From<JobSpec> for wire::JobSpec {
    fn from(spec: JobSpec) -> Self {
        let JobSpec {
            name,
            container,
            completions,
            parallelism,
            retries,
            resources,
            limits,
            attempt_timeout_ms,
            labels,
            constraints,
            role,
            priority,
            is_revocable,
        } = spec;
        Self {
            name,
            container: Some(container.into()),
            completions,
            parallelism,
            retries,
            resources: Some(resources.into()),
            limits: Some(limits.into()),
            attempt_timeout_ms: attempt_timeout_ms.unwrap_or(0),
            labels: labels.into_iter().collect(),
            constraints: constraints.into_iter().map(Into::into).collect(),
            role: role.map(String::from).unwrap_or_default(),
            priority,
            revocable: is_revocable,
        }
    }
}
