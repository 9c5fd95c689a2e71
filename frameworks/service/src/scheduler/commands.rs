//! What people ask for: apply, scale, remove. Each is one frame; what cannot be done changes nothing.

use std::collections::BTreeSet;

use proffer_sdk::{Context, Role, SchedulerError};

use super::ServiceScheduler;
use crate::plan::plan;
use crate::state::{Service, ServiceRecord};
use crate::{MAX_INSTANCES, ServiceSpec};

/// What happens to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub service: String,
    /// What.
    pub kind: ChangeKind,
    /// Instances before.
    pub before: u32,
    /// Instances wanted now.
    pub after: u32,
}

/// The kinds of [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// Its instances are replaced, one after the other.
    Updated,
    /// Only the number of instances changed.
    Scaled,
    /// There is nothing to do.
    Unchanged,
}

/// Why something cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no such service.
    #[error("there is no service {name:?}; {}", known_names(known))]
    NotFound {
        /// As given.
        name: String,
        /// The services there are.
        known: Vec<String>,
    },
    /// It is being removed.
    #[error("service {name} is being removed; try again once its instances have ended")]
    Removing {
        /// Which.
        name: String,
    },
    /// One name is given twice.
    #[error("services[{at}].name repeats {name:?}; give each service once")]
    Twice {
        /// Where, from 0.
        at: usize,
        /// The name.
        name: String,
    },
    /// The framework has no such role.
    #[error("services[{at}].role is {role}, which this framework does not have; use one of {roles}")]
    Role {
        /// Where, from 0.
        at: usize,
        /// As given.
        role: Role,
        /// Those it has.
        roles: String,
    },
    /// Too many instances.
    #[error("instances is {instances}; at most {MAX_INSTANCES} are allowed")]
    TooMany {
        /// As given.
        instances: u32,
    },
    /// The state could not be written.
    #[error("{0}")]
    Internal(SchedulerError),
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() { "none is applied yet".to_owned() } else { format!("known are {}", known.join(", ")) }
}

impl ServiceScheduler {
    /// Creates or changes services, all or none; `is_dry_run` only says what would be done.
    ///
    /// # Errors
    /// [`ApiError`]; then nothing is changed.
    pub fn apply(
        &mut self,
        specs: Vec<ServiceSpec>,
        is_dry_run: bool,
        cx: &mut Context<'_>,
    ) -> Result<Vec<Change>, ApiError> {
        let mut seen = BTreeSet::new();
        for (at, spec) in specs.iter().enumerate() {
            if !seen.insert(&spec.name) {
                return Err(ApiError::Twice { at, name: spec.name.clone() });
            }
            if let Some(role) = spec.role.clone().filter(|role| !cx.roles().contains(role)) {
                let roles = cx.roles().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(ApiError::Role { at, role, roles });
            }
            if self.state.service(&spec.name).is_some_and(|service| service.record.is_removing) {
                return Err(ApiError::Removing { name: spec.name.clone() });
            }
        }
        let changes: Vec<Change> = specs.iter().map(|spec| self.change(spec)).collect();
        if !is_dry_run {
            for (spec, change) in specs.into_iter().zip(&changes) {
                self.set(spec, change.kind);
            }
            self.settle(cx).map_err(ApiError::Internal)?;
        }
        Ok(changes)
    }

    /// Changes the number of instances.
    ///
    /// # Errors
    /// [`ApiError`]; then nothing is changed.
    pub fn scale(&mut self, name: &str, instances: u32, cx: &mut Context<'_>) -> Result<Change, ApiError> {
        if instances > MAX_INSTANCES {
            return Err(ApiError::TooMany { instances });
        }
        let service = self.find(name)?;
        if service.record.is_removing {
            return Err(ApiError::Removing { name: name.to_owned() });
        }
        let spec = ServiceSpec { instances, ..service.record.spec.clone() };
        let change = self.change(&spec);
        self.set(spec, change.kind);
        self.settle(cx).map_err(ApiError::Internal)?;
        Ok(change)
    }

    /// Ends a service's instances, then forgets it. Gives the number of instances that are being ended.
    ///
    /// # Errors
    /// [`ApiError`]; then nothing is changed.
    pub fn remove(&mut self, name: &str, cx: &mut Context<'_>) -> Result<u32, ApiError> {
        let service = self.find(name)?;
        let record = ServiceRecord { is_removing: true, ..service.record.clone() };
        let ending = service.tasks().count();
        self.state.put(record);
        self.settle(cx).map_err(ApiError::Internal)?;
        Ok(u32::try_from(ending).unwrap_or(u32::MAX))
    }

    /// A service by name.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] with the names there are.
    pub fn find(&self, name: &str) -> Result<&Service, ApiError> {
        self.state.service(name).ok_or_else(|| ApiError::NotFound {
            name: name.to_owned(),
            known: self.state.services().map(|service| service.record.spec.name.clone()).collect(),
        })
    }

    fn change(&self, spec: &ServiceSpec) -> Change {
        let before = self.state.service(&spec.name).map(|service| &service.record.spec);
        let kind = match before {
            None => ChangeKind::Created,
            Some(before) if before == spec => ChangeKind::Unchanged,
            Some(before) if before.differs_only_in_instances(spec) => ChangeKind::Scaled,
            Some(_) => ChangeKind::Updated,
        };
        let before = before.map_or(0, |spec| spec.instances);
        Change { service: spec.name.clone(), kind, before, after: spec.instances }
    }

    fn set(&mut self, spec: ServiceSpec, kind: ChangeKind) {
        let name = spec.name.clone();
        let version = self.state.service(&name).map_or(1, |service| service.record.version);
        let record = match kind {
            ChangeKind::Unchanged => return,
            ChangeKind::Created | ChangeKind::Scaled => ServiceRecord { spec, version, is_removing: false },
            ChangeKind::Updated => ServiceRecord { spec, version: version + 1, is_removing: false },
        };
        self.state.put(record);
        if kind == ChangeKind::Updated {
            // What failed before may well run now.
            self.state.clear_back_offs(&name);
        }
    }

    /// For people: why a service is not complete; empty when it is.
    pub fn message(&self, service: &Service, cx: &Context<'_>) -> String {
        let record = &service.record;
        let held = service.tasks().count();
        if record.is_removing {
            return format!("removing: {held} instances still end");
        }
        let wanted = record.spec.instances as usize;
        let running = |slot: &&crate::state::Slot| slot.task.as_ref().is_some_and(|task| task.is_running());
        let runs = service.slots.range(..record.spec.instances).filter(|(_, slot)| running(slot)).count();
        let next = plan(service, cx.now());
        let mut parts = Vec::new();
        if runs < wanted {
            parts.push(format!("{runs} of {wanted} instances run"));
        }
        if next.waiting().next().is_some() {
            let why = if service.waiting.is_empty() { "none came yet" } else { &service.waiting };
            parts.push(format!("waiting for an offer: {why}"));
        }
        if let Some(until) = next.wake {
            let seconds = until.since_ms(cx.now()).div_ceil(1_000);
            let mut last = service.slots.values().filter(|slot| slot.back_off_until.is_some()).map(|s| &s.last_failure);
            let last = last.next_back().cloned().unwrap_or_default();
            parts.push(format!("backing off, next start in {seconds} s after {last}"));
        }
        let is_old = |task: &crate::state::Placed| task.version < record.version;
        let old = service.slots.values().filter(|slot| slot.task.as_ref().is_some_and(is_old)).count();
        if old > 0 {
            parts.push(format!("updating: {old} instances still run an older version"));
        }
        parts.join("; ")
    }
}
