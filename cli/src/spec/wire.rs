//! Specs on their way to the frameworks.

use proffer_proto_wire::{batch, service};

use super::{JobSpec, ServiceSpec};

impl From<ServiceSpec> for service::ServiceSpec {
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
            role: role.map(String::from).unwrap_or_default(),
            priority,
            revocable: is_revocable,
        }
    }
}

impl From<JobSpec> for batch::JobSpec {
    fn from(spec: JobSpec) -> Self {
        let JobSpec {
            name,
            container,
            completions,
            parallelism,
            retries,
            attempt_timeout_ms,
            resources,
            limits,
            constraints,
            labels,
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
            attempt_timeout_ms,
            labels: labels.into_iter().collect(),
            constraints: constraints.into_iter().map(Into::into).collect(),
            role: role.map(String::from).unwrap_or_default(),
            priority,
            revocable: is_revocable,
        }
    }
}
