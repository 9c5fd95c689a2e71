//! Fairness in large trees of roles: whoever is served last was due, to one task, however the cluster changes.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant};
use proffer_proto_model::*;
use proptest::prelude::*;

/// Twelve roles at the top, two below each, five frameworks in each of those.
const TOPS: usize = 12;
const FRAMEWORKS: usize = TOPS * 2 * 5;

fn name(framework: usize) -> Role {
    Role::new(format!("t{}/s{}", framework % TOPS, framework / TOPS % 2)).unwrap()
}

/// All want the same, so whoever is due can be served. In thousandths of CPUs and in MiB.
const TASK: (u64, u64) = (500, 500);

/// What its tasks hold already, on an agent that offers nothing: mostly CPU, mostly memory, or both.
fn holds(framework: usize) -> (u64, u64) {
    let some = (framework as u64 * 37 % 61) * 1_000;
    [(some, some / 50), (some / 50, some), (some, some * 9 / 10), (some / 2, some)][framework % 4]
}

/// The agent on which that is.
const LARGE: (u64, u64) = (5_000_000, 5_000_000);

fn size(kind: u8) -> (u64, u64) {
    [(8_000, 8_000), (16_000, 4_000), (4_000, 30_000), (2_000, 2_000)][usize::from(kind) % 4]
}

struct Cluster {
    allocator: Allocator,
    agents: BTreeMap<usize, (u64, u64)>,
    open: Vec<Grant>,
    /// In CPU and MiB, by framework and by role.
    held: BTreeMap<String, (u64, u64)>,
}

impl Cluster {
    fn new() -> Self {
        let mut allocator = Allocator::new(1_000_000);
        allocator.put_agent(&agent_id(0), &info(res(LARGE.0, LARGE.1)), false);
        let mut cluster = Self { allocator, agents: BTreeMap::new(), open: Vec::new(), held: BTreeMap::new() };
        for n in 0..FRAMEWORKS {
            let (allocator, (cpus, mib)) = (&mut cluster.allocator, holds(n));
            allocator.put_framework(&framework_id(n), true);
            allocator.charge(&framework_id(n), &name(n), &agent_id(0), &res(cpus, mib));
            let item = item(name(n), res(TASK.0, TASK.1), None);
            allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
            cluster.count(&framework_id(n), &name(n), &res(cpus, mib), true);
        }
        for at in 0..TOPS {
            cluster.allocator.set_weight(&Role::new(format!("t{at}")).unwrap(), weight_of(1 + at as u32 % 3));
        }
        cluster
    }

    fn put_agent(&mut self, at: usize, (cpus, mib): (u64, u64)) {
        self.allocator.put_agent(&agent_id(at), &info(res(cpus, mib)), true);
        self.agents.insert(at, (cpus, mib));
    }

    fn remove_agent(&mut self, at: usize) {
        let id = agent_id(at);
        let (gone, kept) = std::mem::take(&mut self.open).into_iter().partition(|grant| grant.agent == id);
        self.open = kept;
        let gone: Vec<Grant> = gone;
        for grant in gone {
            self.close(&grant);
        }
        self.allocator.remove_agent(&id);
        self.agents.remove(&at);
    }

    fn close(&mut self, grant: &Grant) {
        self.allocator.close(grant.id).unwrap();
        self.count(&grant.framework, &grant.role, &grant.resources, false);
    }

    fn count(&mut self, framework: &FrameworkId, role: &Role, what: &Resources, is_more: bool) {
        let path = std::iter::successors(Some(role.clone()), Role::parent).map(|role| role.to_string());
        for key in path.chain([framework.to_string()]) {
            let held = self.held.entry(key).or_default();
            let (cpus, mib) = (what.cpus.0, what.memory.0 >> 20);
            *held = if is_more { (held.0 + cpus, held.1 + mib) } else { (held.0 - cpus, held.1 - mib) };
        }
    }

    fn total(&self) -> (u64, u64) {
        self.agents.values().fold(LARGE, |sum, agent| (sum.0 + agent.0, sum.1 + agent.1))
    }

    /// The weighted dominant share of what is held.
    fn share(&self, (cpus, mib): (u64, u64), weight: u64) -> f64 {
        let total = self.total();
        (cpus as f64 / total.0 as f64).max(mib as f64 / total.1 as f64) / weight as f64
    }

    /// Children of one place, with their weights.
    fn families() -> Vec<Vec<(String, u64)>> {
        let subs = (0..TOPS).map(|top| (0..2).map(|sub| (format!("t{top}/s{sub}"), 1)).collect());
        let tops = (0..TOPS).map(|top| (format!("t{top}"), 1 + top as u64 % 3)).collect();
        let own = (0..TOPS * 2).map(|role| {
            let own = (0..FRAMEWORKS).filter(|n| n % (TOPS * 2) == role);
            own.map(|n| (framework_id(n).to_string(), 1)).collect()
        });
        subs.chain([tops]).chain(own).collect()
    }

    /// Serves all, and says who got something although somebody beside it was more than a task behind it.
    fn serve(&mut self) -> Option<String> {
        let before = self.held.clone();
        for grant in self.allocator.allocate(Moment(0)) {
            self.count(&grant.framework, &grant.role, &grant.resources, true);
            self.open.push(grant);
        }
        let held = |key: &String| self.held.get(key).copied().unwrap_or_default();
        for family in Self::families() {
            for (key, weight) in family.iter().filter(|(key, _)| self.held.get(key) != before.get(key)) {
                // When it was its turn the last time.
                let (cpus, mib) = held(key);
                let then = self.share((cpus - TASK.0, mib - TASK.1), *weight);
                let is_behind = |(other, of_other): &&(String, u64)| {
                    let tasks = self.share(TASK, *weight).max(self.share(TASK, *of_other));
                    then > self.share(held(other), *of_other) + tasks * 1.000_001
                };
                if let Some((other, _)) = family.iter().find(is_behind) {
                    return Some(format!("{key} was served at {then}, before {other} with {:?}", held(other)));
                }
            }
        }
        None
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_order_is_wrong_by_more_than_a_task_while_unequal_agents_come_and_go(
        first in proptest::collection::vec(any::<u8>(), 60..120),
        later in proptest::collection::vec((any::<bool>(), any::<u8>(), any::<u16>()), 20..60),
    ) {
        let mut cluster = Cluster::new();
        first.iter().enumerate().for_each(|(at, kind)| cluster.put_agent(1 + at, size(*kind)));
        prop_assert_eq!(cluster.serve(), None);
        for (round, (is_more, kind, at)) in later.into_iter().enumerate() {
            let ids: Vec<usize> = cluster.agents.keys().copied().collect();
            let at = ids[usize::from(at) % ids.len()];
            if is_more {
                cluster.put_agent(1_000 + round, size(kind));
            } else {
                cluster.remove_agent(at);
            }
            prop_assert_eq!(cluster.serve(), None);
        }
    }
}
