//! Who a framework is and where its masters are. Checked as a whole, before anything connects.

use std::collections::BTreeMap;

use proffer_proto_model::convert::WireError;
use proffer_proto_model::{
    DEFAULT_FAILOVER_TIMEOUT_MS, FrameworkInfo, MAX_FAILOVER_TIMEOUT_MS, Placement, Role, RoleError, TaskId,
};
use proffer_proto_transport::{Address, AddressError};

use crate::outgoing::check_info;

/// The master of a cluster on this machine.
pub const DEFAULT_MASTER: &str = "127.0.0.1:5050";

/// Who a framework is and where its masters are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkConfig {
    name: String,
    principal: String,
    roles: Vec<String>,
    masters: Vec<String>,
    failover_timeout_ms: u64,
    api_address: String,
    labels: BTreeMap<String, String>,
    hostname: String,
    placement: Option<Placement>,
    leaves_reservations: bool,
}

/// What is wrong with a [`FrameworkConfig`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The name cannot be one.
    #[error("framework name {name:?} {problem}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A role cannot be one.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// A role is named twice.
    #[error("role {role} is named twice; name each once")]
    DuplicateRole {
        /// Which.
        role: Role,
    },
    /// A master's address makes no sense.
    #[error("master {0}")]
    Master(AddressError),
    /// Another setting is one no master takes.
    #[error("framework {0}")]
    Refused(#[from] WireError),
    /// The failover time-out is too long.
    #[error("failover timeout of {given_ms} ms is too long; at most {MAX_FAILOVER_TIMEOUT_MS} ms are allowed")]
    FailoverTimeout {
        /// As given, in milliseconds.
        given_ms: u64,
    },
}

impl FrameworkConfig {
    /// A framework of this durable name: 1 to 255 of a-z A-Z 0-9 . _ -, unique with the principal.
    ///
    /// Defaults: principal and role `default`, master [`DEFAULT_MASTER`], failover time-out one week.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            principal: "default".to_owned(),
            roles: Vec::new(),
            masters: Vec::new(),
            failover_timeout_ms: DEFAULT_FAILOVER_TIMEOUT_MS,
            api_address: String::new(),
            labels: BTreeMap::new(),
            hostname: String::new(),
            placement: None,
            leaves_reservations: false,
        }
    }

    /// Takes the masters from the environment variable `PROFFER_MASTER`: `host:port`, several with commas between.
    #[must_use]
    pub fn masters_from_env(self) -> Self {
        match std::env::var("PROFFER_MASTER") {
            Ok(masters) => masters.split(',').map(str::trim).fold(self, Self::master),
            Err(_) => self,
        }
    }

    /// Whom it acts for.
    #[must_use]
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = principal.into();
        self
    }

    /// Adds a role, e.g. `eng/web`. The first one is used where none is named.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Which of the agents that fit are offered first, in all its roles. When not set, its roles' policies say it.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Its reservations and volumes stay for its roles when it is removed for good, by [`crate::Context::teardown`], an
    /// operator or its failover time-out. When not set they end with it, and so does the data.
    #[must_use]
    pub fn leaves_reservations(mut self) -> Self {
        self.leaves_reservations = true;
        self
    }

    /// Adds a master, `host:port`. All are tried in turn.
    #[must_use]
    pub fn master(mut self, address: impl Into<String>) -> Self {
        self.masters.push(address.into());
        self
    }

    /// How long after a disconnect the framework's tasks are kept, in milliseconds; one week when not set.
    #[must_use]
    pub fn failover_timeout_ms(mut self, ms: u64) -> Self {
        self.failover_timeout_ms = ms;
        self
    }

    /// Where people and the CLI reach the framework's own API, e.g. `http://127.0.0.1:5052`.
    #[must_use]
    pub fn api_address(mut self, address: impl Into<String>) -> Self {
        self.api_address = address.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Host it runs on, for people; this machine's name when not set.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = hostname.into();
        self
    }

    /// Checks everything; gives who the framework is, without an id.
    pub fn framework_info(&self) -> Result<FrameworkInfo, ConfigError> {
        // Names follow the grammar of ids.
        TaskId::new(&self.name).map_err(|e| ConfigError::Name { name: self.name.clone(), problem: e.to_string() })?;
        if self.failover_timeout_ms > MAX_FAILOVER_TIMEOUT_MS {
            return Err(ConfigError::FailoverTimeout { given_ms: self.failover_timeout_ms });
        }
        let mut roles = Vec::new();
        for text in &self.roles {
            let role = Role::new(text)?;
            if roles.contains(&role) {
                return Err(ConfigError::DuplicateRole { role });
            }
            roles.push(role);
        }
        if roles.is_empty() {
            roles.push(Role::default_role());
        }
        let info = FrameworkInfo {
            id: None,
            name: self.name.clone(),
            principal: self.principal.clone(),
            roles,
            failover_timeout_ms: self.failover_timeout_ms,
            api_address: self.api_address.clone(),
            labels: self.labels.clone(),
            hostname: self.hostname.clone(),
            placement: self.placement.clone(),
            leaves_reservations: self.leaves_reservations,
        };
        check_info(&info)?;
        Ok(info)
    }

    /// The addresses of the masters, checked; [`DEFAULT_MASTER`] when none was named.
    pub(crate) fn master_addresses(&self) -> Result<Vec<Address>, ConfigError> {
        let named = if self.masters.is_empty() { &[DEFAULT_MASTER.to_owned()][..] } else { &self.masters };
        named.iter().map(|address| address.parse().map_err(ConfigError::Master)).collect()
    }
}
