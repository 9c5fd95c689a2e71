//! How often a wanted shape fits into what is there, and the cut that holds it so often.

use std::collections::BTreeMap;

use proffer_proto_model::{Bytes, DemandItem, MilliCpus, Resources};

/// Least CPU an offer to somebody who takes anything must hold, unless it holds [`LEAST_MEMORY`].
pub(crate) const LEAST_CPUS: MilliCpus = MilliCpus(10);
/// Least memory an offer to somebody who takes anything must hold, unless it holds [`LEAST_CPUS`].
pub(crate) const LEAST_MEMORY: Bytes = Bytes::mib(32);

/// How often the item fits; for an item without shape 1 when the rest is worth offering.
pub(crate) fn times_it_fits(item: &DemandItem, available: &Resources) -> u32 {
    let by_ports = |ports_left: u32| ports_left.checked_div(item.ports).unwrap_or(u32::MAX);
    let Some(shape) = &item.shape else {
        let is_worth_it = available.cpus >= LEAST_CPUS || available.memory >= LEAST_MEMORY;
        return u32::from(is_worth_it && by_ports(available.ports.count()) > 0);
    };
    // Nothing at all would fit without end.
    if !available.contains(shape) || (shape.is_empty() && item.ports == 0) {
        return 0;
    }
    let named = shape.ports.count();
    let mut times = by_ports(available.ports.count() - named);
    // Named ports and set items exist once.
    if named > 0 || !shape.sets.is_empty() {
        times = times.min(1);
    }
    let mut limit = |have: u64, want: u64| {
        if let Some(fits) = have.checked_div(want) {
            times = times.min(u32::try_from(fits).unwrap_or(u32::MAX));
        }
    };
    limit(available.cpus.0, shape.cpus.0);
    limit(available.memory.0, shape.memory.0);
    limit(available.disk.0, shape.disk.0);
    limit(u64::from(available.gpus), u64::from(shape.gpus));
    for (name, want) in &shape.scalars {
        limit(available.scalars.get(name).copied().unwrap_or(0), *want);
    }
    times
}

/// The item `times` over, cut from `available`; `None` when it does not fit so often. Without shape all of it.
pub(crate) fn cut(item: &DemandItem, times: u32, available: &Resources) -> Option<Resources> {
    if times == 0 || times_it_fits(item, available) < times {
        return None;
    }
    let Some(shape) = &item.shape else {
        return Some(available.clone());
    };
    let scaled = |amount: u64| amount.checked_mul(u64::from(times));
    let mut scalars = BTreeMap::new();
    for (name, milli) in &shape.scalars {
        scalars.insert(name.clone(), scaled(*milli)?);
    }
    let extra = available.ports.minus(&shape.ports).lowest(item.ports.checked_mul(times)?)?;
    Some(Resources {
        cpus: MilliCpus(scaled(shape.cpus.0)?),
        memory: Bytes(scaled(shape.memory.0)?),
        disk: Bytes(scaled(shape.disk.0)?),
        gpus: shape.gpus.checked_mul(times)?,
        ports: shape.ports.union(&extra),
        scalars,
        sets: shape.sets.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{PortRange, PortSet, Role};

    use super::*;

    fn item(shape: Option<Resources>, ports: u32) -> DemandItem {
        DemandItem { role: Role::default_role(), shape, count: None, constraints: vec![], priority: 0, ports }
    }

    fn have(cpus: u64, ports: u16) -> Resources {
        let range = PortRange { begin: 100, end: 99 + ports };
        Resources { ports: vec![range].into(), ..Resources::new(MilliCpus(cpus), Bytes::mib(100)) }
    }

    #[test]
    fn the_scarcest_kind_decides() {
        let want = item(Some(Resources::new(MilliCpus(300), Bytes::mib(10))), 2);
        assert_eq!(times_it_fits(&want, &have(1000, 10)), 3);
        assert_eq!(times_it_fits(&want, &have(1000, 5)), 2);
        let piece = cut(&want, 2, &have(1000, 5)).unwrap();
        assert_eq!(piece.to_string(), "0.6 cpus, 20MiB memory, ports 100-103");
        assert_eq!(cut(&want, 3, &have(1000, 5)), None);
    }

    #[test]
    fn a_named_port_exists_once() {
        let shape = Resources { ports: PortSet::single(100), ..Resources::new(MilliCpus(1), Bytes(0)) };
        let want = item(Some(shape), 1);
        assert_eq!(times_it_fits(&want, &have(1000, 5)), 1);
        assert_eq!(cut(&want, 1, &have(1000, 5)).unwrap().ports.to_string(), "100-101");
    }

    #[test]
    fn anything_takes_all_that_is_worth_an_offer() {
        assert_eq!(times_it_fits(&item(None, 0), &have(1000, 5)), 1);
        assert_eq!(times_it_fits(&item(None, 0), &Resources::new(MilliCpus(5), Bytes(5))), 0);
        assert_eq!(times_it_fits(&item(None, 6), &have(1000, 5)), 0);
    }
}
