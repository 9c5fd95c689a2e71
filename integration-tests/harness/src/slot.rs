//! Ports and addresses for one cluster, kept apart from those of all others on this machine by a lock file.

use std::fs::File;
use std::net::TcpListener;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::wait_for;

/// Clusters of tests that can run at once.
const SLOTS: u16 = 6;
/// How long other test runs may hold all slots.
const PATIENCE: Duration = Duration::from_secs(600);

/// A number nobody else has while this lives.
pub(crate) struct Slot {
    number: u16,
    _lock: Flock<File>,
}

impl Slot {
    /// Takes the first free slot; waits while all are taken.
    pub(crate) fn take() -> Self {
        wait_for("a free slot for a cluster", PATIENCE, || {
            (0..SLOTS).find_map(Self::try_take).ok_or("all are taken by other test runs")
        })
    }

    fn try_take(number: u16) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("proffer-e2e-slot-{number}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(path).ok()?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
        let slot = Self { number, _lock: lock };
        // Somebody who does not know of slots may have the port.
        TcpListener::bind(("127.0.0.1", slot.port())).is_ok().then_some(slot)
    }

    /// Port of the master; the other parts use the ports after it.
    pub(crate) fn port(&self) -> u16 {
        7_000 + self.number * 50
    }

    /// First host port: below the range the kernel takes ports for outgoing connections from.
    pub(crate) fn host_ports(&self) -> u16 {
        12_000 + self.number * 3_000
    }

    /// Far from the default, so that a developer's own cluster can go on beside the tests.
    pub(crate) fn subnet(&self) -> String {
        format!("10.{}.0.0/16", 200 + self.number)
    }
}
