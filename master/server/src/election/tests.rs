//! On a real etcd: one leads, another takes over, and who has lost the lease knows before anybody else leads.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use proffer_integration_harness::{Etcd, wait_for, wait_until};
use proffer_master_engine::registry::Operation;

use super::*;
use crate::store::{EtcdStore, Store};

const SOON: Duration = Duration::from_secs(60);

struct Member {
    election: Election,
    clock: Clock,
}

impl Member {
    fn start(etcd: &Etcd, name: &str) -> Self {
        let clock = Clock::start();
        let options =
            ElectionOptions { advertise: format!("{name}:1").parse().unwrap(), lease: Duration::from_secs(2) };
        Self { election: Election::start(&place(etcd), options, clock).unwrap(), clock }
    }

    fn term(&self) -> Option<Term> {
        match &*self.election.standing.borrow() {
            Standing::Leads(term) if !term.over.is_cancelled() && term.lease.is_held(self.clock.now().mono) => {
                Some(term.clone())
            }
            _ => None,
        }
    }

    fn leader(&self) -> Option<String> {
        match &*self.election.standing.borrow() {
            Standing::Follows(leader) => leader.as_ref().map(ToString::to_string),
            Standing::Leads(_) => None,
        }
    }
}

fn place(etcd: &Etcd) -> EtcdOptions {
    let endpoints = vec![etcd.address().parse().unwrap()];
    EtcdOptions { endpoints, prefix: "/election".to_owned(), patience: Duration::from_secs(5) }
}

/// Waits for a leader among them; two at once are a failure.
fn leader_of(members: &[Member]) -> (usize, Term) {
    wait_for("one to lead", SOON, || {
        let mut leading = members.iter().enumerate().filter_map(|(at, member)| Some((at, member.term()?)));
        let first = leading.next();
        assert!(leading.next().is_none(), "two lead at once");
        first.ok_or("nobody leads")
    })
}

#[test]
fn one_leads_the_others_know_it_and_the_next_one_leads_as_soon_as_it_leaves() {
    let etcd = Etcd::start();
    let mut members: Vec<_> = ["a", "b", "c"].iter().map(|name| Member::start(&etcd, name)).collect();
    let mut names = vec!["a:1", "b:1", "c:1"];
    let mut created = 0;
    for left in [2, 1, 0] {
        let (at, term) = leader_of(&members);
        assert!(term.fence.created > created, "each term has a fence of its own");
        created = term.fence.created;
        wait_until("the others to know", SOON, || {
            members.iter().enumerate().all(|(of, member)| of == at || member.leader().as_deref() == Some(names[at]))
        });
        let gone = members.remove(at);
        names.remove(at);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(gone.election.end());
        assert!(term.over.is_cancelled() && !term.lease.is_held(gone.clock.now().mono));
        assert_eq!(members.len(), left);
    }
}

#[test]
fn a_master_that_cannot_go_on_gives_the_lead_to_another_one() {
    let etcd = Etcd::start();
    let members: Vec<_> = ["a", "b"].iter().map(|name| Member::start(&etcd, name)).collect();
    let (first, term) = leader_of(&members);
    term.over.cancel();
    wait_until("the other one to lead", SOON, || members[1 - first].term().is_some());
    assert!(members[first].term().is_none());
}

#[test]
fn who_cannot_reach_etcd_stops_before_its_lease_ends_and_comes_back_by_itself() {
    let etcd = Etcd::start();
    let members = vec![Member::start(&etcd, "a")];
    let (_, term) = leader_of(&members);
    etcd.pause();
    let begun = Instant::now();
    wait_until("the lease to be lost", SOON, || !term.lease.is_held(members[0].clock.now().mono));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    wait_until("the term to be over", SOON, || term.over.is_cancelled());
    etcd.resume();
    let (_, again) = leader_of(&members);
    assert!(again.fence.created > term.fence.created);
}

#[test]
fn a_lease_outlives_a_restart_of_etcd() {
    let mut etcd = Etcd::start();
    let members = vec![Member::start(&etcd, "a")];
    let (_, term) = leader_of(&members);
    etcd.kill();
    etcd.run();
    // Renewed by the etcd that runs now, or lost while it was away and won again; never both.
    let (_, now) = leader_of(&members);
    assert!(now.fence == term.fence || term.over.is_cancelled());
}

#[test]
fn a_leader_whose_time_is_over_writes_nothing_also_when_nobody_else_has_yet() {
    let etcd = Etcd::start();
    let members = vec![Member::start(&etcd, "a")];
    let (_, term) = leader_of(&members);
    let mut store = EtcdStore::open_fenced(&place(&etcd), term.fence.clone()).unwrap();
    store.load().unwrap();
    let write = [Operation::PutAgent(Box::new(crate::store::suite::agent(1)))];
    store.commit(&write).unwrap();
    term.over.cancel();
    let (_, next) = leader_of(&members);
    assert_ne!(next.fence, term.fence);
    let told = store.commit(&write).unwrap_err();
    assert!(matches!(told, StoreError::LeaseEnded), "{told}");
    let late = EtcdStore::open_fenced(&place(&etcd), term.fence).unwrap().load().unwrap_err();
    assert!(matches!(late, StoreError::LeaseEnded), "it cannot take over either: {late}");
    let loaded = EtcdStore::open_fenced(&place(&etcd), next.fence).unwrap().load().unwrap();
    assert_eq!((loaded.epoch.0, loaded.registry.agents.len()), (2, 1));
}
