//! Which address a container gets: the lowest free one.
//!
//! Never asks the system; the owner tells it what is in use.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::config::Subnet;

/// Addresses of one subnet.
#[derive(Debug)]
pub(crate) struct AddressPool {
    subnet: Subnet,
    used: BTreeSet<Ipv4Addr>,
}

impl AddressPool {
    pub(crate) fn new(subnet: Subnet) -> Self {
        Self { subnet, used: BTreeSet::new() }
    }

    /// Takes the lowest free address; `None` when all are in use.
    pub(crate) fn take(&mut self) -> Option<Ipv4Addr> {
        let free = self.subnet.hosts().find(|address| !self.used.contains(address))?;
        self.used.insert(free);
        Some(free)
    }

    /// Marks an address that is in use already; `false` when it is not one of ours or somebody else has it.
    pub(crate) fn claim(&mut self, address: Ipv4Addr) -> bool {
        self.subnet.is_host(address) && self.used.insert(address)
    }

    /// Gives an address back.
    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_free_address_comes_first() {
        let subnet = Subnet::new(10, 88, 3).unwrap();
        let mut pool = AddressPool::new(subnet);
        assert!(pool.claim(Ipv4Addr::new(10, 88, 3, 3)));
        assert!(!pool.claim(Ipv4Addr::new(10, 88, 3, 3)));
        assert!(!pool.claim(subnet.gateway()));
        assert!(!pool.claim(Ipv4Addr::new(10, 88, 4, 2)));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 88, 3, 2)));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 88, 3, 4)));
        pool.release(Ipv4Addr::new(10, 88, 3, 2));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 88, 3, 2)));
    }

    #[test]
    fn a_full_subnet_gives_nothing() {
        let mut pool = AddressPool::new(Subnet::new(10, 88, 3).unwrap());
        let taken = std::iter::from_fn(|| pool.take()).count();
        assert_eq!(taken, 253);
        pool.clear();
        assert!(pool.take().is_some());
    }
}
