//! Optimistic roles: the same is granted to several, used by one, free again when all have given it back.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::{Allocator, Grant, GrantId};
use proffer_proto_model::*;
use proptest::prelude::*;

use crate::common::*;

fn role(at: usize) -> Role {
    Role::new(["r0", "r1", "r0/a"][at]).unwrap()
}

/// What was granted and is held, kept beside the allocator.
struct World {
    allocator: Allocator,
    now: u64,
    grants: BTreeMap<GrantId, Grant>,
    /// Framework, role, agent, what.
    tasks: Vec<(usize, Role, AgentId, Resources)>,
    demands: BTreeMap<usize, Demand>,
    optimistic: BTreeSet<Role>,
    agents: BTreeMap<AgentId, Resources>,
    /// Framework, role and agent, until when.
    filters: Vec<(FrameworkId, Role, AgentId, u64)>,
}

impl World {
    fn new(agents: usize, frameworks: usize) -> Self {
        let mut world = Self {
            allocator: Allocator::new(100),
            now: 0,
            grants: BTreeMap::new(),
            tasks: Vec::new(),
            demands: BTreeMap::new(),
            optimistic: BTreeSet::new(),
            agents: BTreeMap::new(),
            filters: Vec::new(),
        };
        for at in 0..agents {
            let resources = Resources { ports: ports(100, 103), ..res(2_000, 1_000) };
            world.allocator.put_agent(&agent_id(at), &info(resources.clone()), true);
            world.agents.insert(agent_id(at), resources);
        }
        for at in 0..frameworks {
            world.allocator.put_framework(&framework_id(at), true);
        }
        world
    }

    fn set(&mut self, at: usize, is_optimistic: bool) {
        self.allocator.set_optimistic(&role(at), is_optimistic);
        if is_optimistic {
            self.optimistic.insert(role(at))
        } else {
            self.optimistic.remove(&role(at))
        };
    }

    fn demand(&mut self, framework: usize, items: Vec<DemandItem>) {
        let demand = Demand { items };
        self.allocator.set_demand(&framework_id(framework), &demand);
        self.demands.insert(framework, demand);
        self.allocate();
    }

    fn allocate(&mut self) {
        for grant in self.allocator.allocate(Moment(self.now)) {
            self.grants.insert(grant.id, grant);
        }
        self.check();
        assert_eq!(self.allocator.allocate(Moment(self.now)), [], "nothing changed");
    }

    fn close(&mut self, id: GrantId) -> Grant {
        self.allocator.close(id).unwrap();
        self.grants.remove(&id).unwrap()
    }

    fn decline(&mut self, at: usize, refuse_ms: u64) {
        let Some(id) = self.grants.keys().nth(at % self.grants.len().max(1)).copied() else { return };
        let closed = self.allocator.close(id).unwrap();
        let Grant { framework, role, agent, .. } = self.grants.remove(&id).unwrap();
        let refused = closed.resources.saturating_sum(&closed.beside);
        self.allocator.refuse(&framework, &role, &agent, refused, Moment(self.now), refuse_ms);
        if refuse_ms > 0 {
            self.filters.push((framework, role, agent, self.now + refuse_ms));
        }
        self.allocate();
    }

    /// The first to use it has it: the others lose theirs before anything is taken.
    fn accept(&mut self, at: usize) {
        let Some(id) = self.grants.keys().nth(at % self.grants.len().max(1)).copied() else { return };
        let won = self.close(id);
        let lost: Vec<GrantId> =
            self.grants.values().filter(|grant| grant.race == won.race).map(|grant| grant.id).collect();
        lost.into_iter().for_each(|id| drop(self.close(id)));
        let task = Resources { ports: won.resources.ports.lowest(1).unwrap_or_default(), ..res(400, 100) };
        if won.resources.contains(&task) {
            self.allocator.charge(&won.framework, &won.role, &won.agent, &task);
            let framework = won.framework.as_str()[1..].parse().unwrap();
            self.tasks.push((framework, won.role, won.agent, task));
        }
        self.allocate();
    }

    fn end(&mut self, at: usize) {
        if !self.tasks.is_empty() {
            let (framework, role, agent, task) = self.tasks.swap_remove(at % self.tasks.len());
            self.allocator.recover(&framework_id(framework), &role, &agent, &task);
            self.allocate();
        }
    }

    /// Nothing is in two allocations, what is raced for is one thing, and all who may see it do.
    fn check(&self) {
        for (agent, total) in &self.agents {
            let tasks = self.tasks.iter().filter(|task| task.2 == *agent).map(|task| &task.3);
            let mut seen = BTreeSet::new();
            let granted = self.grants.values().filter(|grant| grant.agent == *agent && seen.insert(grant.race));
            let mut all = tasks.chain(granted.map(|grant| &grant.resources));
            let sum = all.try_fold(Resources::default(), |sum, more| sum.checked_add(more));
            let sum = sum.expect("nothing is granted or held twice");
            assert!(total.contains(&sum), "{sum} of {total}");
            assert_eq!(self.allocator.agent_used(agent), Some(sum));
        }
        for grant in self.grants.values() {
            let race: Vec<&Grant> = self.grants.values().filter(|other| other.race == grant.race).collect();
            assert!(race.iter().all(|other| other.agent == grant.agent && other.resources == grant.resources));
            let who: BTreeSet<_> = race.iter().map(|other| &other.framework).collect();
            assert_eq!(who.len(), race.len(), "nobody races against himself");
        }
        self.check_seen();
    }

    /// Frameworks that want anything in an optimistic role hold a part in each race, unless they refuse.
    fn check_seen(&self) {
        for grant in self.grants.values() {
            let is_race = self.allocator.races_on(&grant.agent).iter().any(|race| race.contains(&grant.id));
            if !is_race {
                continue;
            }
            for (framework, demand) in &self.demands {
                let framework = framework_id(*framework);
                let wants = |item: &&DemandItem| item.shape.is_none() && self.optimistic.contains(&item.role);
                let mut wanting = demand.items.iter().filter(wants);
                let mut in_race = self.grants.values().filter(|other| other.race == grant.race);
                let is_refused = |role: &Role| {
                    let same =
                        |f: &&(FrameworkId, Role, AgentId, u64)| (&f.0, &f.1, &f.2) == (&framework, role, &grant.agent);
                    self.filters.iter().filter(same).any(|filter| filter.3 > self.now)
                };
                let is_missed =
                    wanting.any(|item| !is_refused(&item.role)) && !in_race.any(|g| g.framework == framework);
                assert!(!is_missed, "{framework:?} does not see {grant:?}");
            }
        }
    }
}

fn anything(at: usize) -> DemandItem {
    DemandItem { shape: None, ..item(role(at), res(1, 1), None) }
}

#[test]
fn all_see_the_same_and_the_first_to_use_it_has_it() {
    let mut world = World::new(1, 3);
    world.set(0, true);
    world.set(1, true);
    for framework in 0..3 {
        world.demand(framework, vec![anything(framework % 2)]);
    }
    assert_eq!(world.grants.len(), 3, "the whole agent, three times");
    let whole = world.agents[&agent_id(0)].clone();
    assert!(world.grants.values().all(|grant| grant.resources == whole));
    let first = world.grants.keys().next().copied().unwrap();
    world.accept(1);
    assert!(!world.grants.contains_key(&first), "who was slower has lost");
    assert_eq!(world.grants.len(), 3, "and is granted what is left, with all others");
    let left = whole.saturating_minus(&world.tasks[0].3);
    assert!(world.grants.values().all(|grant| grant.resources == left));
}

#[test]
fn who_comes_later_sees_what_others_think_about_and_gives_it_back_alone() {
    let mut world = World::new(2, 3);
    world.set(0, true);
    world.demand(0, vec![anything(0)]);
    assert_eq!(world.grants.len(), 2);
    world.demand(1, vec![anything(0)]);
    assert_eq!(world.grants.len(), 4);
    world.demand(2, vec![anything(1)]);
    assert_eq!(world.grants.len(), 4, "an exclusive role waits for what is free");
    world.decline(0, 5_000);
    world.decline(0, 5_000);
    assert_eq!(world.grants.len(), 2, "the others keep theirs");
    world.decline(0, 5_000);
    world.decline(0, 5_000);
    assert!(world.grants.values().all(|grant| grant.role == role(1)) && world.grants.len() == 2);
}

#[test]
fn a_count_is_raced_for_once_and_a_limit_counts_what_is_raced_for() {
    let mut world = World::new(4, 2);
    world.set(0, true);
    world.set(1, true);
    world.demand(0, vec![anything(0)]);
    world.demand(1, vec![item(role(1), res(500, 100), Some(1))]);
    let of_second = |world: &World| world.grants.values().filter(|grant| grant.role == role(1)).count();
    assert_eq!(of_second(&world), 1, "one place is enough for one task");
    let limit = Limit { cpus: Some(MilliCpus(4_000)), ..Limit::default() };
    world.allocator.set_quota(&role(1), Some(&Quota { limit, ..Quota::default() }));
    world.demands.remove(&1);
    world.allocator.set_demand(&framework_id(1), &Demand { items: vec![anything(1)] });
    world.allocate();
    assert_eq!(of_second(&world), 2, "two agents of two CPUs reach the limit of four");
}

#[test]
fn those_who_are_promised_something_race_with_nobody() {
    let mut world = World::new(1, 2);
    world.set(0, true);
    world.set(1, true);
    world.allocator.set_quota(&role(1), Some(&Quota { guarantee: res(2_000, 0), ..Quota::default() }));
    world.demands.insert(9, Demand::default());
    world.allocator.set_demand(&framework_id(1), &Demand { items: vec![anything(1)] });
    world.allocate();
    world.allocator.set_demand(&framework_id(0), &Demand { items: vec![anything(0)] });
    world.allocate();
    assert_eq!(world.grants.values().map(|grant| &grant.role).collect::<Vec<_>>(), [&role(1)]);
}

#[test]
fn a_place_in_a_full_race_that_somebody_leaves_is_for_who_found_none() {
    let mut world = World::new(1, 66);
    world.set(0, true);
    for framework in 0..66 {
        world.allocator.set_demand(&framework_id(framework), &Demand { items: vec![anything(0)] });
    }
    world.allocate();
    assert_eq!(world.grants.len(), 64);
    world.decline(7, 5_000);
    assert_eq!(world.grants.len(), 64, "one of the two who saw nothing");
    world.decline(8, 5_000);
    world.decline(9, 5_000);
    assert_eq!(world.grants.len(), 63, "nobody is left who has not seen it");
    world.now += 5_000;
    world.allocate();
    assert_eq!(world.grants.len(), 64, "but for those who refused it");
}

#[test]
fn who_found_its_limit_in_the_way_is_shown_races_once_it_has_room() {
    let mut world = World::new(2, 2);
    world.set(0, true);
    world.set(1, true);
    let limit = Limit { cpus: Some(MilliCpus(2_000)), ..Limit::default() };
    world.allocator.set_quota(&role(1), Some(&Quota { limit, ..Quota::default() }));
    let task = res(1_000, 0);
    world.allocator.set_agent_active(&agent_id(1), false);
    world.allocator.charge(&framework_id(1), &role(1), &agent_id(1), &task);
    world.tasks.push((1, role(1), agent_id(1), task));
    world.demand(0, vec![anything(0)]);
    world.allocator.set_demand(&framework_id(1), &Demand { items: vec![anything(1)] });
    world.allocate();
    assert_eq!(world.grants.len(), 1, "the agent has two CPUs, the limit leaves one");
    world.end(0);
    assert_eq!(world.grants.len(), 2);
}

#[test]
fn who_is_not_shown_a_deactivated_agent_is_shown_it_when_it_is_back() {
    let mut world = World::new(1, 2);
    world.set(0, true);
    world.demand(0, vec![anything(0)]);
    world.allocator.set_agent_active(&agent_id(0), false);
    world.allocator.set_demand(&framework_id(1), &Demand { items: vec![anything(0)] });
    world.allocate();
    assert_eq!(world.grants.len(), 1);
    world.allocator.set_agent_active(&agent_id(0), true);
    world.allocate();
    assert_eq!(world.grants.len(), 2);
}

/// One agent, and two frameworks of one optimistic role that may hold so many grants each.
fn with_cap(cap: usize) -> World {
    let mut world = World::new(1, 2);
    world.allocator = Allocator::new(cap);
    world.allocator.put_agent(&agent_id(0), &info(res(2_000, 1_000)), true);
    (0..2).for_each(|at| world.allocator.put_framework(&framework_id(at), true));
    world.set(0, true);
    world
}

/// Grants by framework and agent, without asking whether somebody should see more: caps are not known there.
fn after_pass(world: &mut World) -> Vec<(String, String)> {
    for grant in world.allocator.allocate(Moment(world.now)) {
        world.grants.insert(grant.id, grant);
    }
    world.grants.values().map(|grant| (grant.framework.to_string(), grant.agent.to_string())).collect()
}

fn give_back(world: &mut World, framework: usize, refuse_ms: u64) {
    let found = world.grants.values().find(|grant| grant.framework == framework_id(framework)).map(|grant| grant.id);
    let Grant { framework, role, agent, resources, .. } = world.close(found.unwrap());
    world.allocator.refuse(&framework, &role, &agent, resources, Moment(world.now), refuse_ms);
}

#[test]
fn who_is_at_its_cap_when_a_race_is_its_again_is_shown_it_later() {
    let mut world = with_cap(2);
    (0..2).for_each(|at| world.allocator.set_demand(&framework_id(at), &Demand { items: vec![anything(0)] }));
    assert_eq!(after_pass(&mut world).len(), 2, "both race for the agent");
    world.allocator.put_agent(&agent_id(1), &info(res(2_000, 1_000)), true);
    assert_eq!(after_pass(&mut world).len(), 4, "and for another: both are at their caps");
    give_back(&mut world, 0, 0);
    world.allocator.put_agent(&agent_id(2), &info(res(2_000, 1_000)), true);
    let of = |framework: usize, agent: usize| (framework_id(framework).to_string(), agent_id(agent).to_string());
    let mut after = after_pass(&mut world);
    after.sort();
    assert_eq!(after, [of(0, 1), of(0, 2), of(1, 0), of(1, 1)], "a third comes before the first");
    give_back(&mut world, 0, 60_000);
    let mut after = after_pass(&mut world);
    after.sort();
    assert_eq!(after, [of(0, 0), of(0, 2), of(1, 0), of(1, 1)]);
}

#[test]
fn who_is_at_its_cap_when_a_race_is_for_all_again_is_shown_it_later() {
    let mut world = with_cap(1);
    world.allocator.set_demand(&framework_id(0), &Demand { items: vec![anything(0)] });
    assert_eq!(after_pass(&mut world).len(), 1);
    world.allocator.set_agent_active(&agent_id(0), false);
    world.allocator.set_demand(&framework_id(1), &Demand { items: vec![anything(0)] });
    assert_eq!(after_pass(&mut world).len(), 1, "a deactivated agent is shown to nobody");
    world.allocator.put_agent(&agent_id(1), &info(res(1_000, 1_000)), true);
    let of = |framework: usize, agent: usize| (framework_id(framework).to_string(), agent_id(agent).to_string());
    assert_eq!(after_pass(&mut world), [of(0, 0), of(1, 1)]);
    world.allocator.set_agent_active(&agent_id(0), true);
    assert_eq!(after_pass(&mut world).len(), 2, "both are at their caps");
    give_back(&mut world, 1, 60_000);
    assert_eq!(after_pass(&mut world), [of(0, 0), of(1, 0)]);
}

#[derive(Debug, Clone)]
enum Step {
    Demand { framework: usize, items: Vec<(usize, Option<u32>)> },
    Decline { at: usize, refuse_ms: u64 },
    Accept { at: usize },
    End { at: usize },
    Mode { role: usize, is_optimistic: bool },
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let items = proptest::collection::vec((0usize..3, proptest::option::of(1u32..4)), 0..3);
    prop_oneof![
        4 => (0usize..4, items).prop_map(|(framework, items)| Step::Demand { framework, items }),
        4 => (any::<usize>(), 0u64..3).prop_map(|(at, s)| Step::Decline { at, refuse_ms: s * 1_000 }),
        5 => any::<usize>().prop_map(|at| Step::Accept { at }),
        3 => any::<usize>().prop_map(|at| Step::End { at }),
        2 => (0usize..3, any::<bool>()).prop_map(|(role, is_optimistic)| Step::Mode { role, is_optimistic }),
        2 => (0u64..2_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_used_twice_whoever_races(steps in proptest::collection::vec(steps(), 1..60)) {
        let mut world = World::new(3, 4);
        world.set(0, true);
        world.set(1, true);
        for step in steps {
            match step {
                Step::Demand { framework, items } => {
                    let mut seen = BTreeSet::new();
                    let items = items.into_iter().filter(|(role, _)| seen.insert(*role));
                    let items = items.map(|(at, count)| match count {
                        None => anything(at),
                        Some(count) => item(role(at), res(500, 100), Some(count)),
                    });
                    world.demand(framework, items.collect());
                }
                Step::Decline { at, refuse_ms } => world.decline(at, refuse_ms),
                Step::Accept { at } => world.accept(at),
                Step::End { at } => world.end(at),
                Step::Mode { role, is_optimistic } => {
                    world.set(role, is_optimistic);
                    world.allocate();
                }
                Step::Wait { ms } => {
                    world.now += ms;
                    world.allocate();
                }
            }
        }
        // All that was granted comes back.
        for id in world.grants.keys().copied().collect::<Vec<_>>() {
            world.close(id);
        }
        world.check();
    }
}
