//! What a framework wants.

use proffer_proto_wire::scheduler as wire;

use super::{Defect, MAX_ENTRIES, WireError, check};
use crate::{Demand, DemandItem};

impl TryFrom<wire::Demand> for Demand {
    type Error = WireError;

    fn try_from(wire::Demand { items }: wire::Demand) -> Result<Self, WireError> {
        Ok(Self { items: check::list("items", items, MAX_ENTRIES)? })
    }
}

impl TryFrom<wire::DemandItem> for DemandItem {
    type Error = WireError;

    fn try_from(item: wire::DemandItem) -> Result<Self, WireError> {
        let wire::DemandItem { role, shape, count, constraints, priority, ports } = item;
        let shape = check::optional("shape", shape)?;
        if shape.is_some() && count == 0 {
            return check::fail("count", Defect::Zero);
        }
        Ok(Self {
            role: check::role_or_default("role", &role)?,
            shape,
            count: (count > 0).then_some(count),
            constraints: check::list("constraints", constraints, MAX_ENTRIES)?,
            priority,
            ports: u32::try_from(check::at_most("ports", ports.into(), u16::MAX.into())?).unwrap_or(0),
        })
    }
}

impl From<Demand> for wire::Demand {
    fn from(Demand { items }: Demand) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}

impl From<DemandItem> for wire::DemandItem {
    fn from(DemandItem { role, shape, count, constraints, priority, ports }: DemandItem) -> Self {
        // The wire has no word for "a shape without bound": the largest count stands for it.
        let unbounded = if shape.is_some() { u32::MAX } else { 0 };
        Self {
            role: role.into(),
            shape: shape.map(Into::into),
            count: count.unwrap_or(unbounded),
            constraints: constraints.into_iter().map(Into::into).collect(),
            priority,
            ports,
        }
    }
}
