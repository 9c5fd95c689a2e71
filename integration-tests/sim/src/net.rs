//! Connections as streams meet them: messages in order with a delay, until the connection is cut.
//!
//! A cut loses everything in flight on it; each end learns of it some time later. That is what message loss
//! looks like above TCP: a suffix of the stream is gone, never one message in the middle.

use std::collections::BTreeMap;

use proffer_proto_model::Moment;

use crate::rng::Rng;

/// A connection, never used again once cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Which end of a connection: the one that dialled, or the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The agent or framework that dialled.
    Client,
    /// The master.
    Server,
}

impl End {
    /// The other one.
    pub fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

#[derive(Debug)]
struct Conn {
    is_alive: bool,
    /// Earliest delivery of the next message to each end, so that order is kept.
    next: [Moment; 2],
}

/// All connections.
#[derive(Debug)]
pub struct Net {
    rng: Rng,
    conns: BTreeMap<ConnId, Conn>,
    opened: u64,
    /// Longest delay of a message in milliseconds.
    pub max_delay_ms: u64,
}

impl Net {
    /// A network whose delays come from the seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::child(seed, "net"), conns: BTreeMap::new(), opened: 0, max_delay_ms: 20 }
    }

    /// Opens a connection.
    pub fn open(&mut self, now: Moment) -> ConnId {
        self.opened += 1;
        self.conns.insert(ConnId(self.opened), Conn { is_alive: true, next: [now; 2] });
        ConnId(self.opened)
    }

    /// When a message sent now arrives at `to`; `None` when the connection is cut.
    pub fn send(&mut self, now: Moment, conn: ConnId, to: End) -> Option<Moment> {
        let delay = self.rng.range(0, self.max_delay_ms);
        let conn = self.conns.get_mut(&conn).filter(|c| c.is_alive)?;
        let slot = &mut conn.next[usize::from(to == End::Server)];
        *slot = (*slot).max(now + delay);
        Some(*slot)
    }

    /// Whether messages still arrive.
    pub fn is_alive(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|c| c.is_alive)
    }

    /// Cuts a connection; false when it was cut before.
    pub fn cut(&mut self, conn: ConnId) -> bool {
        match self.conns.get_mut(&conn) {
            Some(conn) if conn.is_alive => {
                conn.is_alive = false;
                true
            }
            _ => false,
        }
    }

    /// Every connection that is alive, oldest first.
    pub fn alive(&self) -> Vec<ConnId> {
        self.conns.iter().filter(|(_, c)| c.is_alive).map(|(id, _)| *id).collect()
    }

    /// A delay from the network's own generator, in milliseconds.
    pub fn delay_ms(&mut self, low: u64, high: u64) -> u64 {
        self.rng.range(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_and_a_cut_loses_the_rest() {
        let mut net = Net::new(3);
        let conn = net.open(Moment(0));
        let arrivals: Vec<_> = (0..100).filter_map(|at| net.send(Moment(at), conn, End::Server)).collect();
        assert_eq!(arrivals.len(), 100);
        assert!(arrivals.is_sorted());
        assert!(net.cut(conn));
        assert_eq!(net.send(Moment(200), conn, End::Client), None);
        assert!(!net.cut(conn));
    }
}
