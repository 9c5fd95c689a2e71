//! The spec file: services and jobs as people write them, checked once and whole.
//!
//! Reading never stops at the first problem: all of a file are told together, each with its line. What comes out
//! is right in itself; whether the cluster can run it is not known here.

mod constraint;
mod container;
mod problem;
mod read;
mod tree;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;

use proffer_proto_model::task::{ContainerSpec, KillPolicy, ResourceLimits};
use proffer_proto_model::{Constraint, Resources, Role};

pub(crate) use container::{parse_image, parse_priority};
pub use problem::{Problem, Problems, SpecError};

use container::{COMMON, Common};
use read::{Field, Reader};

/// The version of the file format that this program reads.
pub const VERSION: u64 = 1;
/// Most instances of a service.
pub const MAX_INSTANCES: u64 = 10_000;
/// Most tasks of a job.
pub const MAX_COMPLETIONS: u64 = 1_000_000;

/// Everything a spec file describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    /// Services in the order of the file.
    pub services: Vec<ServiceSpec>,
    /// Jobs in the order of the file.
    pub jobs: Vec<JobSpec>,
}

/// N equal instances that are kept running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Unique: 1–63 of `a-z 0-9 -`.
    pub name: String,
    /// What each instance runs.
    pub container: ContainerSpec,
    /// How many; 1 when not said.
    pub instances: u32,
    /// What each needs; a tenth of a CPU and 128 MiB when not said.
    pub resources: Resources,
    /// Hard bounds.
    pub limits: ResourceLimits,
    /// How to end an instance.
    pub kill_policy: KillPolicy,
    /// Rules for agents.
    pub constraints: Vec<Constraint>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Who pays; the framework's first role when not said.
    pub role: Option<Role>,
    /// Where preemption is on: work of a lower priority may have to go for what is wanted here, and this for what is
    /// higher. Of what one framework wants, the highest is served first; 0 is normal.
    pub priority: i32,
    /// Where preemption is on: may have to go whatever its priority.
    pub is_revocable: bool,
}

/// A number of tasks that each must succeed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// Unique among living jobs: 1–63 of `a-z 0-9 -`.
    pub name: String,
    /// What each task runs.
    pub container: ContainerSpec,
    /// How many tasks must succeed; 1 when not said.
    pub completions: u32,
    /// How many run at once; all when not said.
    pub parallelism: u32,
    /// How often one task may be tried again; 0 when not said.
    pub retries: u32,
    /// An attempt that runs longer fails, in milliseconds; 0 is no bound.
    pub attempt_timeout_ms: u64,
    /// What each needs; a tenth of a CPU and 128 MiB when not said.
    pub resources: Resources,
    /// Hard bounds.
    pub limits: ResourceLimits,
    /// Rules for agents.
    pub constraints: Vec<Constraint>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Who pays; the framework's first role when not said.
    pub role: Option<Role>,
    /// Where preemption is on: work of a lower priority may have to go for what is wanted here, and this for what is
    /// higher. Of what one framework wants, the highest is served first; 0 is normal.
    pub priority: i32,
    /// Where preemption is on: may have to go whatever its priority.
    pub is_revocable: bool,
}

/// Reads and checks the file at `path`; `-` is standard input.
///
/// # Errors
/// [`SpecError::Unreadable`], or [`SpecError::Wrong`] with every problem.
pub fn load(path: &Path) -> Result<Stack, SpecError> {
    let read =
        if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = read.map_err(|source| SpecError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Checks the text of a file; `name` is for messages.
///
/// # Errors
/// [`SpecError::Wrong`] with every problem.
pub fn parse(name: &Path, text: &str) -> Result<Stack, SpecError> {
    let wrong = |problems| SpecError::Wrong(Problems::new(name, text, problems));
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err(error) => return Err(wrong(vec![syntax_problem(&error, text)])),
    };
    let mut reader = Reader::default();
    let stack = reader.stack(&Field { path: String::new(), node: &root });
    if reader.problems.is_empty() { Ok(stack) } else { Err(wrong(reader.problems)) }
}

/// What the YAML parser says, in one line, with the fix where it is known.
fn syntax_problem(error: &serde_saphyr::Error, text: &str) -> Problem {
    let at = error.location().map_or(tree::Place { line: 0, column: 0, bytes: 0..0 }, |at| tree::place(&at));
    let said = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let said = said.lines().next().unwrap_or_default().trim().to_owned();
    let line = usize::try_from(at.line).ok().and_then(|line| text.lines().nth(line.saturating_sub(1)));
    let is_tab = line.is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
    let message = if is_tab {
        "is indented with a tab; YAML is indented with blanks".to_owned()
    } else {
        format!("is not valid YAML: {said}")
    };
    Problem::new("", &at, message)
}

impl Reader {
    fn stack(&mut self, root: &Field<'_>) -> Stack {
        let mut stack = Stack::default();
        let Some(fields) = self.fields(root, &["version", "services", "jobs"]) else { return stack };
        if fields.get("version").is_none() {
            self.lacks(&fields, "version", "begin the file with \"version: 1\"");
        }
        let _checked = self.parsed(fields.get("version"), |text| match text {
            "1" => Ok(()),
            other => Err(format!("is {other:?}; this program reads version {VERSION}")),
        });
        for (key, field) in self.entries(fields.get("services")) {
            let name = self.entry_name(&key.name, &field);
            stack.services.extend(self.service(name, &field));
        }
        for (key, field) in self.entries(fields.get("jobs")) {
            let name = self.entry_name(&key.name, &field);
            stack.jobs.extend(self.job(name, &field));
        }
        stack
    }

    fn entry_name(&mut self, name: &str, field: &Field<'_>) -> String {
        if let Err(error) = check_name(name) {
            self.wrong(field, error);
        }
        name.to_owned()
    }

    fn service(&mut self, name: String, field: &Field<'_>) -> Option<ServiceSpec> {
        let mut known = COMMON.to_vec();
        known.push("instances");
        let fields = self.fields(field, &known)?;
        let instances = self.number(fields.get("instances"), 0, MAX_INSTANCES).unwrap_or(1);
        let Common { container, resources, limits, kill_policy, constraints, labels, role, priority, is_revocable } =
            self.common(&fields);
        let instances = u32::try_from(instances).unwrap_or(u32::MAX);
        Some(ServiceSpec {
            name,
            container,
            instances,
            resources,
            limits,
            kill_policy,
            constraints,
            labels,
            role,
            priority,
            is_revocable,
        })
    }

    fn job(&mut self, name: String, field: &Field<'_>) -> Option<JobSpec> {
        let mut known: Vec<&str> = COMMON.into_iter().filter(|name| !matches!(*name, "ports" | "stop_grace")).collect();
        known.extend(["completions", "parallelism", "retries", "timeout"]);
        let fields = self.fields(field, &known)?;
        let completions = self.number(fields.get("completions"), 1, MAX_COMPLETIONS).unwrap_or(1);
        let parallelism = self.number(fields.get("parallelism"), 1, MAX_COMPLETIONS).unwrap_or(completions);
        let retries = self.number(fields.get("retries"), 0, 1_000).unwrap_or(0);
        let timeout = self.parsed(fields.get("timeout"), proffer_proto_model::resources::parse_duration_ms);
        let Common { container, resources, limits, kill_policy: _, constraints, labels, role, priority, is_revocable } =
            self.common(&fields);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Some(JobSpec {
            name,
            container,
            completions: small(completions),
            parallelism: small(parallelism),
            retries: small(retries),
            attempt_timeout_ms: timeout.unwrap_or(0),
            resources,
            limits,
            constraints,
            labels,
            role,
            priority,
            is_revocable,
        })
    }
}

/// Checks the name of a service or a job.
///
/// # Errors
/// What is wrong and what would be right.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = name.chars().all(|c| is_right(c) || c == '-');
    if inner && (1..=63).contains(&name.len()) && name.starts_with(is_right) && name.ends_with(is_right) {
        return Ok(());
    }
    Err(format!("has the name {name:?}; names are 1 to 63 of a-z 0-9 -, with no - at either end"))
}
