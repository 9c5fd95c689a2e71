//! Resources.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_wire::common as wire;

use super::check::{self, Checked, Within};
use super::{Defect, MAX_ENTRIES, WireError};
use crate::{Bytes, MilliCpus, PortRange, PortSet, Resources};

impl TryFrom<wire::Resources> for Resources {
    type Error = WireError;

    fn try_from(resources: wire::Resources) -> Result<Self, WireError> {
        let wire::Resources { cpus_milli, memory_bytes, disk_bytes, gpus, ports, scalars_milli, sets } = resources;
        let mut resources = Resources {
            cpus: MilliCpus(check::amount("cpus_milli", cpus_milli)?),
            memory: Bytes(memory_bytes),
            disk: Bytes(disk_bytes),
            gpus,
            ports: port_set(ports)?,
            scalars: scalars(scalars_milli.into_iter().collect())?,
            sets: name_sets(sets.into_iter().collect())?,
        };
        resources.normalize();
        Ok(resources)
    }
}

fn port_set(ports: Vec<wire::PortRange>) -> Checked<PortSet> {
    let ranges: Vec<PortRange> = check::list("ports", ports, usize::from(u16::MAX))?;
    let asked: u64 = ranges.iter().map(|range| u64::from(range.count())).sum();
    let set = PortSet::from(ranges);
    if u64::from(set.count()) < asked { check::fail("ports", Defect::OverlappingPorts) } else { Ok(set) }
}

fn scalars(scalars: BTreeMap<String, i64>) -> Checked<BTreeMap<String, u64>> {
    check::bounded("scalars_milli", scalars.len(), MAX_ENTRIES)?;
    let each = scalars.into_iter();
    each.map(|(name, value)| {
        let name = check::required_name("scalars_milli", name)?;
        let value = check::amount(&format!("scalars_milli[{name:?}]"), value)?;
        Ok((name, value))
    })
    .collect()
}

fn name_sets(sets: BTreeMap<String, wire::StringSet>) -> Checked<BTreeMap<String, BTreeSet<String>>> {
    check::bounded("sets", sets.len(), MAX_ENTRIES)?;
    let each = sets.into_iter();
    each.map(|(name, wire::StringSet { items })| {
        let name = check::required_name("sets", name)?;
        let field = format!("sets[{name:?}]");
        check::bounded(&field, items.len(), MAX_ENTRIES)?;
        let items: Checked<BTreeSet<String>> =
            items.into_iter().map(|item| check::required_name("items", item).within(&field)).collect();
        Ok((name, items?))
    })
    .collect()
}

impl TryFrom<wire::PortRange> for PortRange {
    type Error = WireError;

    fn try_from(wire::PortRange { begin, end }: wire::PortRange) -> Result<Self, WireError> {
        PortRange::new(begin.into(), end.into()).map_err(|error| WireError::new("", Defect::BadPorts(error)))
    }
}

impl From<Resources> for wire::Resources {
    fn from(resources: Resources) -> Self {
        let Resources { cpus, memory, disk, gpus, ports, scalars, sets } = resources;
        let set = |items: BTreeSet<String>| wire::StringSet { items: items.into_iter().collect() };
        Self {
            cpus_milli: check::signed(cpus.0),
            memory_bytes: memory.0,
            disk_bytes: disk.0,
            gpus,
            ports: ports.ranges().iter().copied().map(Into::into).collect(),
            scalars_milli: scalars.into_iter().map(|(name, value)| (name, check::signed(value))).collect(),
            sets: sets.into_iter().map(|(name, items)| (name, set(items))).collect(),
        }
    }
}

impl From<PortRange> for wire::PortRange {
    fn from(PortRange { begin, end }: PortRange) -> Self {
        Self { begin: begin.into(), end: end.into() }
    }
}
