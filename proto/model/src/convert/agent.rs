//! Agents as they describe themselves.

use proffer_proto_wire::{agent as wire, common};

use super::{Defect, MAX_ENTRIES, MAX_NAME_BYTES, WireError, check};
use crate::{AgentInfo, Attribute, AttributeValue};

impl TryFrom<wire::AgentInfo> for AgentInfo {
    type Error = WireError;

    fn try_from(info: wire::AgentInfo) -> Result<Self, WireError> {
        let wire::AgentInfo {
            agent_id,
            hostname,
            api_address,
            address,
            resources,
            attributes,
            region,
            zone,
            version,
            boot_id,
            reservations,
        } = info;
        Ok(Self {
            id: check::optional_id("agent_id", &agent_id)?,
            hostname: check::required_name("hostname", hostname)?,
            api_address: check::token("api_address", api_address, MAX_NAME_BYTES)?,
            address: check::token("address", address, MAX_NAME_BYTES)?,
            resources: check::convert("resources", resources)?,
            attributes: check::list("attributes", attributes, MAX_ENTRIES)?,
            region: check::name("region", region)?,
            zone: check::name("zone", zone)?,
            version: check::name("version", version)?,
            boot_id: check::name("boot_id", boot_id)?,
            reservations: check::list("reservations", reservations, MAX_ENTRIES)?,
        })
    }
}

impl TryFrom<common::Attribute> for Attribute {
    type Error = WireError;

    fn try_from(common::Attribute { name, value }: common::Attribute) -> Result<Self, WireError> {
        use common::attribute::Value;
        let name = check::required_name("name", name)?;
        let value = match value {
            Some(Value::Text(text)) => AttributeValue::Text(check::text("text", text, MAX_NAME_BYTES)?),
            Some(Value::ScalarMilli(milli)) => AttributeValue::ScalarMilli(milli),
            None => return check::fail("value", Defect::Missing),
        };
        Ok(Self { name, value })
    }
}

impl From<AgentInfo> for wire::AgentInfo {
    fn from(info: AgentInfo) -> Self {
        let AgentInfo {
            id,
            hostname,
            api_address,
            address,
            resources,
            attributes,
            region,
            zone,
            version,
            boot_id,
            reservations,
        } = info;
        Self {
            agent_id: id.map(String::from).unwrap_or_default(),
            hostname,
            api_address,
            address,
            resources: Some(resources.into()),
            attributes: attributes.into_iter().map(Into::into).collect(),
            region,
            zone,
            version,
            boot_id,
            reservations: reservations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Attribute> for common::Attribute {
    fn from(Attribute { name, value }: Attribute) -> Self {
        use common::attribute::Value;
        let value = match value {
            AttributeValue::Text(text) => Value::Text(text),
            AttributeValue::ScalarMilli(milli) => Value::ScalarMilli(milli),
        };
        Self { name, value: Some(value) }
    }
}
