//! Offers as a test writes them.

use proffer_sdk::model::{self, PortRange};
use proffer_sdk::{
    Attribute, AttributeValue, Bytes, MilliCpus, PortSet, Resources, Role, VolumeId, VolumeInfo, VolumeState,
};

/// An offer in the making. Starts with 4 CPUs, 4 GiB of memory, 10 GiB of disk and the ports 31000-31099.
#[derive(Debug, Clone)]
#[must_use]
pub struct TestOffer {
    agent: String,
    resources: Resources,
    attributes: Vec<Attribute>,
    role: Role,
    zone: String,
    region: String,
    unavailability: Option<model::Unavailability>,
    volumes: Vec<VolumeInfo>,
    is_optimistic: bool,
}

/// An offer of this agent. Its host name is the same and its address 127.0.0.1.
pub fn agent(name: impl Into<String>) -> TestOffer {
    let mut resources = Resources::new(MilliCpus(4_000), Bytes::mib(4_096));
    resources.disk = Bytes::mib(10_240);
    resources.ports = PortSet::from(vec![PortRange { begin: 31_000, end: 31_099 }]);
    TestOffer {
        agent: name.into(),
        resources,
        attributes: Vec::new(),
        role: Role::default_role(),
        zone: String::new(),
        region: String::new(),
        unavailability: None,
        volumes: Vec::new(),
        is_optimistic: false,
    }
}

impl TestOffer {
    /// CPUs, in thousandths.
    pub fn milli_cpus(mut self, milli: u64) -> Self {
        self.resources.cpus = MilliCpus(milli);
        self
    }

    /// Memory, in MiB.
    pub fn memory_mib(mut self, mib: u64) -> Self {
        self.resources.memory = Bytes::mib(mib);
        self
    }

    /// Host ports from `begin` to `end`, both included.
    pub fn ports(mut self, begin: u16, end: u16) -> Self {
        self.resources.ports = PortSet::from(vec![PortRange { begin, end }]);
        self
    }

    /// Exactly these resources.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Adds a text attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute { name: name.into(), value: AttributeValue::Text(value.into()) });
        self
    }

    /// The role the offer is made for.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// A persistent volume of the agent, of the offer's role as it is now, that nobody uses.
    pub fn volume(mut self, id: VolumeId, size: Bytes) -> Self {
        let (role, state) = (self.role.clone(), VolumeState::Ready);
        self.volumes.push(VolumeInfo { id, role, size, state, used_by: Vec::new(), message: String::new() });
        self
    }

    /// Others may be offered the same: withdrawing it with [`crate::TestDriver`] stands for their being faster.
    pub fn optimistic(mut self) -> Self {
        self.is_optimistic = true;
        self
    }

    /// The agent's zone.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        self
    }

    /// The agent's region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Its agent is not there from this wall-clock time on, for so long; see [`crate::TestDriver::now`].
    pub fn unavailable(mut self, start: model::UnixMillis, duration_ms: u64) -> Self {
        self.unavailability = Some(model::Unavailability { start, duration_ms });
        self
    }

    /// The offer with the number the driver gives it.
    pub(crate) fn numbered(self, number: u64) -> model::Offer {
        model::Offer {
            id: model::OfferId::numbered(1, number),
            agent: agent_id(&self.agent),
            hostname: self.agent,
            role: self.role,
            resources: self.resources,
            attributes: self.attributes,
            expires_in_ms: 30_000,
            region: self.region,
            zone: self.zone,
            agent_address: "127.0.0.1".to_owned(),
            unavailability: self.unavailability,
            reserved: Vec::new(),
            volumes: self.volumes,
            is_optimistic: self.is_optimistic,
        }
    }
}

/// The id of an agent of this name. A name that cannot be an id is a mistake in the test.
pub(crate) fn agent_id(name: &str) -> model::AgentId {
    match model::AgentId::new(name) {
        Ok(id) => id,
        Err(error) => panic!("agent name {name:?} {error}"),
    }
}
