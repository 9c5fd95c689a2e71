//! A service as it was asked for, checked as a whole. Never holds what happens to it.

use std::collections::BTreeMap;
use std::fmt;

use proffer_proto_model::convert::{Defect, MAX_CONSTRAINTS, MAX_ENTRIES, MAX_NAME_BYTES, MAX_TEXT_BYTES, WireError};
use proffer_proto_model::task::{ContainerSpec, Mount, MountSource, NetworkMode, ResourceLimits};
use proffer_proto_wire::service as wire;
use proffer_sdk::{Bytes, Constraint, KillPolicy, MilliCpus, Resources, Role, TaskId, TaskSpec};
use serde::{Deserialize, Serialize};

/// Most instances of one service.
pub const MAX_INSTANCES: u32 = 10_000;

/// A service: N equal instances that are kept running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique: 1-63 of a-z, 0-9 and `-`, begins and ends with a letter or digit.
    pub name: String,
    /// What each instance runs. Its ports have no host port.
    pub container: ContainerSpec,
    /// How many.
    pub instances: u32,
    /// What each needs, beside ports; 0.1 CPUs and 32 MiB when not given.
    pub resources: Resources,
    /// Hard bounds.
    pub limits: ResourceLimits,
    /// How to end an instance.
    pub kill_policy: KillPolicy,
    /// Rules for agents.
    pub constraints: Vec<Constraint>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// The role that pays; `None` is the framework's first.
    pub role: Option<Role>,
    /// Where preemption is on: work of a lower priority may have to go for what is wanted here, and this for what is
    /// higher. Of what one framework wants, the highest is served first; 0 is normal.
    #[serde(default)]
    pub priority: i32,
    /// Where preemption is on: may have to go whatever its priority.
    #[serde(default)]
    pub is_revocable: bool,
}

/// Everything that is wrong with a spec, each with its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecDefects(pub Vec<SpecDefect>);

/// One thing that is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecDefect {
    /// The name of a service breaks its rules.
    Name {
        /// As given.
        name: String,
    },
    /// A field is wrong.
    Field(WireError),
}

impl fmt::Display for SpecDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "name is {name:?}; use 1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit"
            ),
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SpecDefects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SpecDefects {}

impl ServiceSpec {
    /// The task of one instance.
    pub fn task(&self, id: TaskId) -> TaskSpec {
        TaskSpec {
            id,
            name: self.name.clone(),
            container: self.container.clone(),
            resources: self.resources.clone(),
            limits: self.limits,
            kill_policy: self.kill_policy,
            max_run_time_ms: None,
            labels: self.labels.clone(),
            discovery_name: self.name.clone(),
            data: Vec::new(),
            priority: self.priority,
            is_revocable: self.is_revocable,
        }
    }

    /// May an instance start while the one it replaces still runs? Not when both would write to one volume or directory
    /// of the host, nor when both may bind the same port of it.
    pub fn may_overlap(&self) -> bool {
        let writes = |mount: &Mount| {
            matches!(
                mount.source,
                MountSource::Host { read_only: false, .. } | MountSource::Volume { read_only: false, .. }
            )
        };
        let binds = self.container.network == NetworkMode::Host && self.container.ports.is_empty();
        !binds && !self.container.mounts.iter().any(writes)
    }

    /// The same but for the number of instances?
    pub fn differs_only_in_instances(&self, other: &ServiceSpec) -> bool {
        ServiceSpec { instances: other.instances, ..self.clone() } == *other
    }
}

/// Gathers defects, so that all of them are told at once.
#[derive(Default)]
struct Gather(Vec<SpecDefect>);

impl Gather {
    fn take<T>(&mut self, field: &str, result: Result<T, WireError>) -> Option<T> {
        result.map_err(|error| self.0.push(SpecDefect::Field(error.within(field)))).ok()
    }

    fn defect(&mut self, field: impl Into<String>, defect: Defect) {
        self.0.push(SpecDefect::Field(WireError::new(field, defect)));
    }
}

impl TryFrom<wire::ServiceSpec> for ServiceSpec {
    type Error = SpecDefects;

    fn try_from(spec: wire::ServiceSpec) -> Result<Self, SpecDefects> {
        let wire::ServiceSpec {
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
            revocable,
        } = spec;
        let mut gather = Gather::default();
        if !is_name(&name) {
            gather.0.push(SpecDefect::Name { name: name.chars().take(80).collect() });
        }
        if instances > MAX_INSTANCES {
            let (value, max) = (instances.into(), MAX_INSTANCES.into());
            gather.defect("instances", Defect::TooLarge { value, max });
        }
        let container = match container {
            Some(container) => gather.take("container", ContainerSpec::try_from(container)),
            None => gather.take("container", Err(WireError::new("", Defect::Missing))),
        };
        let resources = match resources {
            Some(resources) => gather.take("resources", Resources::try_from(resources)),
            None => Some(Resources::new(MilliCpus(100), Bytes::mib(32))),
        };
        let limits = gather.take("limits", limits.map(ResourceLimits::try_from).transpose());
        let kill_policy = gather.take("kill_policy", kill_policy.map(KillPolicy::try_from).transpose());
        let constraints = constraints_of(constraints, &mut gather);
        let labels = labels_of(labels.into_iter().collect(), &mut gather);
        let role = role_of(&role, &mut gather);
        if let Some(container) = &container {
            no_host_ports(container, &mut gather);
        }
        if let (Some(resources), Some(limits)) = (&resources, limits.as_ref().map(|l| l.unwrap_or_default())) {
            amounts(resources, &limits, &mut gather);
        }
        match (container, resources, limits, kill_policy) {
            (Some(container), Some(resources), Some(limits), Some(kill_policy)) if gather.0.is_empty() => Ok(Self {
                name,
                container,
                instances,
                resources,
                limits: limits.unwrap_or_default(),
                kill_policy: kill_policy.unwrap_or_default(),
                constraints,
                labels,
                role,
                priority,
                is_revocable: revocable,
            }),
            _ => Err(SpecDefects(gather.0)),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn constraints_of(given: Vec<proffer_proto_wire::common::Constraint>, gather: &mut Gather) -> Vec<Constraint> {
    if given.len() > MAX_CONSTRAINTS {
        gather.defect("constraints", Defect::TooMany { count: given.len(), max: MAX_CONSTRAINTS });
        return Vec::new();
    }
    let each = given.into_iter().enumerate();
    each.filter_map(|(at, rule)| gather.take(&format!("constraints[{at}]"), Constraint::try_from(rule))).collect()
}

fn labels_of(labels: BTreeMap<String, String>, gather: &mut Gather) -> BTreeMap<String, String> {
    if labels.len() > MAX_ENTRIES {
        gather.defect("labels", Defect::TooMany { count: labels.len(), max: MAX_ENTRIES });
    }
    for (key, value) in &labels {
        if key.is_empty() {
            gather.defect("labels", Defect::Missing);
        }
        for (length, max) in [(key.len(), MAX_NAME_BYTES), (value.len(), MAX_TEXT_BYTES)] {
            if length > max {
                gather.defect("labels", Defect::TooLong { length, max, unit: "bytes" });
            }
        }
        if let Some(found) = key.chars().find(|c| c.is_control()) {
            gather.defect("labels", Defect::BadCharacter { found });
        }
        if value.contains('\0') {
            gather.defect(format!("labels[{key:?}]"), Defect::HoldsNul);
        }
    }
    labels
}

fn role_of(text: &str, gather: &mut Gather) -> Option<Role> {
    if text.is_empty() {
        return None;
    }
    Role::new(text).map_err(|error| gather.defect("role", Defect::BadRole(error))).ok()
}

/// Offers give host ports: a fixed one could be met once on each agent at most.
fn no_host_ports(container: &ContainerSpec, gather: &mut Gather) {
    for (at, _) in container.ports.iter().enumerate().filter(|(_, port)| port.host_port != 0) {
        let why = "each instance gets a host port of its own, in PORT_<NAME>";
        gather.defect(format!("container.ports[{at}].host_port"), Defect::MustBeEmpty { why });
    }
}

fn amounts(resources: &Resources, limits: &ResourceLimits, gather: &mut Gather) {
    if !resources.ports.is_empty() {
        let why = "name ports in container.ports; offers give host ports";
        gather.defect("resources.ports", Defect::MustBeEmpty { why });
    }
    if let Some(cpus) = limits.cpus.filter(|cpus| *cpus < resources.cpus) {
        let (limit, requested) = (format!("{cpus} cpus"), format!("{} cpus", resources.cpus));
        gather.defect("limits.cpus_milli", Defect::LimitBelowRequest { limit, requested });
    }
    if let Some(memory) = limits.memory.filter(|memory| *memory < resources.memory) {
        let (limit, requested) = (memory.to_string(), resources.memory.to_string());
        gather.defect("limits.memory_bytes", Defect::LimitBelowRequest { limit, requested });
    }
}

impl From<ServiceSpec> for wire::ServiceSpec {
    fn from(spec: ServiceSpec) -> Self {
        let ServiceSpec {
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
        } = spec;
        Self {
            name,
            container: Some(container.into()),
            instances,
            resources: Some(resources.into()),
            limits: Some(limits.into()),
            kill_policy: Some(kill_policy.into()),
            constraints: constraints.into_iter().map(Into::into).collect(),
            labels: labels.into_iter().collect(),
            role: role.map(|role| role.to_string()).unwrap_or_default(),
            priority,
            revocable: is_revocable,
        }
    }
}
