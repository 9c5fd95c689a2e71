//! Weights and quotas from end to end: set, refused with the fix, kept over restarts, and never exceeded by accepts.
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers

use crate::common::*;
use proffer_master_engine::registry::RoleRecord;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn cpus(milli: u64) -> Resources {
    Resources { cpus: MilliCpus(milli), ..Resources::default() }
}

fn quota(guarantee: u64, limit: Option<u64>) -> Quota {
    Quota { guarantee: cpus(guarantee), limit: Limit { cpus: limit.map(MilliCpus), ..Limit::default() } }
}

/// Asks as an operator; the answer's text when it is a refusal.
fn ask_dry(world: &mut World, call: RolesCall, is_dry_run: bool) -> Result<(), String> {
    let told = format!("operator: {call:?}");
    let effects = world.handle(&told, Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run }));
    let reply = effects.into_iter().find_map(|effect| match effect {
        Effect::OperatorReply { request: 1, result } => Some(result.map(drop).map_err(|error| error.message)),
        _ => None,
    });
    reply.expect("an answer")
}

fn ask(world: &mut World, call: RolesCall) -> Result<(), String> {
    ask_dry(world, call, false)
}

fn set(name: &str, quota: Quota, force: bool) -> RolesCall {
    RolesCall::SetQuota { role: role(name), quota: Box::new(quota), force }
}

fn remove(name: &str) -> RolesCall {
    RolesCall::RemoveQuota { role: role(name) }
}

fn weights(list: &[(&str, u32)]) -> RolesCall {
    let weight = |milli| Weight::from_milli(milli).unwrap();
    RolesCall::SetWeights { weights: list.iter().map(|(name, milli)| (role(name), weight(*milli))).collect() }
}

fn records(world: &World) -> Vec<(String, u32, Quota)> {
    let each = world.registry.roles.iter().cloned();
    each.map(|RoleRecord { role, weight, quota, .. }| (role.to_string(), weight.milli(), quota)).collect()
}

fn subscribe_in(world: &mut World, session: u64, name: &str, of: &str) {
    let framework = FrameworkInfo { roles: vec![role(of)], ..framework_info(name) };
    let demand = Demand::anything(role(of));
    world.handle("subscribe", Input::Subscribe { session: SessionId(session), framework, demand });
}

/// What living tasks hold in the role and below, in thousandths of a CPU.
fn held(world: &World, of: &str) -> u64 {
    let within =
        |task: &&registry::TaskRecord| task.role == role(of) || task.role.as_str().starts_with(&format!("{of}/"));
    let living = world.registry.tasks.iter().filter(|task| task.status.state.holds_resources());
    living.filter(within).map(|task| task.resources.cpus.0).sum()
}

/// The end of a task that never began, with why.
fn refusals(effects: &[Effect]) -> Vec<(TaskState, TaskReason, String)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { message: ToFramework::Status(statuses), .. } => Some(statuses.clone()),
        _ => None,
    });
    told.flatten().map(|status| (status.state, status.reason, status.message)).collect()
}

#[test]
fn settings_are_stored_before_the_answer_kept_by_new_masters_and_forgotten_with_their_defaults() {
    let mut world = World::new();
    world.attach(1, None, 8_000, vec![]);
    ask(&mut world, weights(&[("eng", 2_000), ("ops/web", 500)])).unwrap();
    ask(&mut world, set("eng", quota(2_000, Some(4_000)), false)).unwrap();
    let eng = ("eng".to_owned(), 2_000, quota(2_000, Some(4_000)));
    let web = ("ops/web".to_owned(), 500, Quota::default());
    assert_eq!(records(&world), [eng.clone(), web.clone()]);
    world.fail_over(2);
    assert_eq!(records(&world), [eng, web]);
    // The same again stores nothing.
    let again = ask(&mut world, weights(&[("eng", 2_000)]));
    assert_eq!(again, Ok(()));
    let last = world.trace.lines().last().unwrap();
    assert_eq!(last, "  operator 1: done");
    ask(&mut world, remove("eng")).unwrap();
    ask(&mut world, weights(&[("eng", 1_000), ("ops/web", 1_000)])).unwrap();
    assert_eq!(records(&world), [], "what is as if it had never been set needs no record");
    world.fail_over(3);
    assert!(ask(&mut world, remove("eng")).unwrap_err().contains("role: eng has no quota"));
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let mut world = World::new();
    world.attach(1, None, 8_000, vec![]);
    ask_dry(&mut world, weights(&[("eng", 2_000)]), true).unwrap();
    ask_dry(&mut world, set("eng", quota(2_000, None), false), true).unwrap();
    assert!(ask_dry(&mut world, set("eng", quota(9_000, None), false), true).is_err());
    assert_eq!(records(&world), []);
}

#[test]
fn every_wrong_setting_is_refused_with_the_field_and_the_fix() {
    let mut world = World::new();
    world.attach(1, None, 8_000, vec![]);
    subscribe_in(&mut world, 10, "web", "eng/web");
    world.launch(10, vec![task("a", 3_000)]);
    ask(&mut world, set("eng", quota(4_000, Some(6_000)), false)).unwrap();
    ask(&mut world, set("eng/web", quota(3_000, None), false)).unwrap();
    let ports = Resources { ports: vec![PortRange::new(80, 80).unwrap()].into(), ..Resources::default() };
    let before = records(&world);
    let table = [
        (weights(&[]), "none is given"),
        (weights(&[("eng", 1_000), ("eng", 2_000)]), "role eng is there twice"),
        (set("eng", Quota::default(), true), "promises and limits nothing"),
        (set("eng", quota(2_000, Some(1_000)), true), "guarantee of cpus is 2, more than the limit of 1"),
        (set("ops", Quota { guarantee: ports, ..Quota::default() }, true), "names ports"),
        (set("eng", quota(4_000, Some(2_000)), true), "raise the limit or lower the guarantee"),
        (set("eng", quota(2_500, None), true), "lower their guarantees first"),
        (set("eng/batch", quota(2_000, None), true), "raise the guarantee of eng by 1 cpus first"),
        (set("eng/web", quota(0, Some(2_000)), false), "its tasks hold 3 cpus now, more than the limit of 2"),
        (set("ops", quota(5_000, None), false), "the cluster has 8 cpus"),
        (remove("eng"), "lower their guarantees first"),
        (remove("nobody"), "has no quota"),
    ];
    for (call, told) in table {
        let what = format!("{call:?}");
        let error = ask(&mut world, call).expect_err(&what);
        assert!(error.contains(told), "{what}: {error}");
        assert_eq!(records(&world), before, "{what} changed something");
    }
    // What needs force is done with it.
    ask(&mut world, set("eng/web", quota(0, Some(2_000)), true)).unwrap();
    ask(&mut world, set("ops", quota(5_000, None), true)).unwrap();
}

#[test]
fn an_accept_never_goes_above_a_limit_of_its_role_or_of_one_above() {
    let mut world = World::new();
    for (session, host) in [(1, "one"), (2, "two")] {
        world.attach_from(host, session, None, 4_000, vec![]);
    }
    subscribe_in(&mut world, 10, "web", "eng/web");
    let offers: Vec<Offer> = world.offers.drain(..).map(|(_, offer)| offer).collect();
    assert_eq!(offers.len(), 2);
    // Out before the limit was set: they are withdrawn, and what comes too late starts nothing.
    ask(&mut world, set("eng", quota(0, Some(3_000)), false)).unwrap();
    let launch = |id: &str, cpus| TaskLaunch { agent: None, task: task(id, cpus), reserved_use: Default::default() };
    let late = accept(vec![offers[0].id.clone()], vec![Operation::Launch { tasks: vec![launch("late", 4_000)] }]);
    let effects = world.call(10, "accepts an offer from before", late);
    assert_eq!(refusals(&effects)[0].1, TaskReason::InvalidOffers);
    world.wait(10_000);
    world.offers.retain(|(_, offer)| offer.resources.cpus.0 > 0);
    assert_eq!(world.offers.iter().map(|(_, offer)| offer.resources.cpus.0).sum::<u64>(), 3_000, "cut to the limit");
    let launched = ["a", "b", "c"].map(|id| task(id, 1_500)).to_vec();
    let effects = world.launch(10, launched);
    assert_eq!(held(&world, "eng"), 3_000);
    let (state, reason, message) = refusals(&effects).pop().unwrap();
    assert_eq!(state, TaskState::Dropped, "it can run later");
    assert!(matches!(reason, TaskReason::QuotaExceeded | TaskReason::ResourcesExceeded), "{reason}: {message}");
}

#[test]
fn a_group_counts_as_a_whole_against_the_limit() {
    let mut world = World::new();
    for (session, host) in [(1, "one"), (2, "two")] {
        world.attach_from(host, session, None, 4_000, vec![]);
    }
    subscribe_in(&mut world, 10, "mpi", "eng");
    ask(&mut world, set("eng", quota(0, Some(8_000)), false)).unwrap();
    world.launch(10, vec![task("a", 2_000)]);
    world.wait(10_000);
    let offers: Vec<Offer> = world.offers.drain(..).map(|(_, offer)| offer).collect();
    // Whatever is offered, the group does not get above the limit.
    ask(&mut world, set("eng", quota(0, Some(4_000)), true)).unwrap();
    world.wait(10_000);
    let mut open: Vec<Offer> = world.offers.drain(..).map(|(_, offer)| offer).collect();
    open.extend(offers);
    let on = |at: usize, id: &str| TaskLaunch {
        agent: Some(open[at].agent.clone()),
        task: task(id, 1_500),
        reserved_use: Default::default(),
    };
    let tasks = vec![on(0, "b"), on(open.len() - 1, "c")];
    let group = Operation::LaunchGroup { operation_id: "gang".into(), tasks };
    world.call(10, "a group above the limit", accept(open.iter().map(|o| o.id.clone()).collect(), vec![group]));
    assert_eq!(held(&world, "eng"), 2_000, "none of it");
}

#[test]
fn a_limit_below_what_is_held_ends_nothing_and_starts_nothing_also_over_a_restart() {
    let mut world = World::new();
    world.attach(1, None, 8_000, vec![]);
    subscribe_in(&mut world, 10, "web", "eng");
    world.launch(10, vec![task("a", 2_000), task("b", 2_000)]);
    assert!(ask(&mut world, set("eng", quota(0, Some(3_000)), false)).unwrap_err().contains("force"));
    ask(&mut world, set("eng", quota(0, Some(3_000)), true)).unwrap();
    assert_eq!(held(&world, "eng"), 4_000, "what runs goes on");
    world.fail_over(2);
    let tasks = ["a", "b"]
        .map(|id| AttachedTask { role: role("eng"), ..attached("F1-1", task(id, 2_000), 1, TaskState::Running) });
    world.attach(2, Some("A1-1"), 8_000, tasks.to_vec());
    subscribe_in(&mut world, 11, "web", "eng");
    for step in 0..3 {
        world.wait(6_000);
        if world.offers.is_empty() {
            continue;
        }
        world.launch(11, vec![task(&format!("c{step}"), 500)]);
        assert_eq!(held(&world, "eng"), 4_000, "nothing new above the limit");
    }
    world.update(2, "F1-1", "a", 2, TaskState::Finished);
    world.wait(6_000);
    world.launch(11, vec![task("d", 1_000)]);
    assert_eq!(held(&world, "eng"), 3_000, "there is room again");
}

fn policy(name: &str, change: PolicyChange) -> RolesCall {
    RolesCall::SetPolicy { role: role(name), change: Box::new(change) }
}

fn placed(placement: Placement) -> PolicyChange {
    PolicyChange { placement: Some(Some(placement)), ..PolicyChange::default() }
}

fn at_least(least: Resources) -> PolicyChange {
    PolicyChange { min_offer: Some(Some(least)), ..PolicyChange::default() }
}

/// Three agents of 1, 2 and 3 CPUs; the agents of the offers that a newcomer gets, in order.
fn offered_first(world: &mut World, session: u64, info: FrameworkInfo) -> Vec<u64> {
    world.offers.clear();
    let item = DemandItem { role: info.roles[0].clone(), ..want(500, 1).items[0].clone() };
    let demand = Demand { items: vec![item] };
    world.handle("subscribe", Input::Subscribe { session: SessionId(session), framework: info, demand });
    let cpus = world.offers.iter().map(|(_, offer)| offer.resources.cpus.0 / 1_000).collect();
    world.call(session, "wants nothing more", FrameworkCall::Demand(Demand::default()));
    let offers = world.offers.drain(..).map(|(_, offer)| offer.id).collect();
    let reason = DeclineReason::new(DeclineKind::NoDemand);
    world.call(session, "decline", FrameworkCall::Decline { offers, reason, filter: Filter::NONE });
    cpus
}

#[test]
fn a_role_and_a_framework_say_which_agents_come_first() {
    let mut world = World::new();
    for (session, cpus) in [(1, 2_000), (2, 1_000), (3, 3_000)] {
        world.attach_from(&format!("n{session}"), session, None, cpus, vec![]);
    }
    let of = |name: &str| FrameworkInfo { roles: vec![role("eng")], ..framework_info(name) };
    assert_eq!(ask(&mut world, policy("eng", placed(Placement::Pack))), Ok(()));
    assert_eq!(offered_first(&mut world, 10, of("a")), [1]);
    assert_eq!(ask(&mut world, policy("eng", placed(Placement::First))), Ok(()));
    assert_eq!(offered_first(&mut world, 11, of("b")), [2]);
    let own = FrameworkInfo { placement: Some(Placement::Pack), ..of("c") };
    assert_eq!(offered_first(&mut world, 12, own), [1], "what the framework says comes before what its role says");
    assert_eq!(ask(&mut world, policy("eng", placed(Placement::Pack))), Ok(()));
    world.fail_over(2);
    for (session, cpus) in [(21, 2_000), (22, 1_000), (23, 3_000)] {
        world.attach_from(&format!("n{}", session - 20), session, Some(&format!("A1-{}", session - 20)), cpus, vec![]);
    }
    assert_eq!(offered_first(&mut world, 30, of("d")), [1], "a new master knows the policy");
}

#[test]
fn a_smallest_offer_of_a_role_is_kept_stored_and_taken_back() {
    let mut world = World::new();
    world.attach(1, None, 1_000, vec![]);
    let eng = |name: &str| FrameworkInfo { roles: vec![role("eng")], ..framework_info(name) };
    let two = Resources::new(MilliCpus(2_000), Bytes(0));
    assert_eq!(ask(&mut world, policy("eng", at_least(two.clone()))), Ok(()));
    assert_eq!(offered_first(&mut world, 10, eng("a")), Vec::<u64>::new());
    assert_eq!(offered_first(&mut world, 11, framework_info("b")), [1], "other roles are as before");
    let stored = world.registry.roles[0].policy.clone();
    assert_eq!((stored.min_offer, stored.placement), (Some(two), None));
    world.fail_over(2);
    world.attach(2, Some("A1-1"), 1_000, vec![]);
    assert_eq!(offered_first(&mut world, 20, eng("c")), Vec::<u64>::new());
    let reset = PolicyChange { min_offer: Some(None), ..PolicyChange::default() };
    assert_eq!(ask(&mut world, policy("eng", reset)), Ok(()));
    assert_eq!(offered_first(&mut world, 21, eng("d")), [1]);
    assert_eq!(world.registry.roles, [], "nothing is set any more");
}

#[test]
fn wrong_policies_are_refused_with_the_field() {
    let mut world = World::new();
    let ports = Resources { ports: vec![PortRange { begin: 1, end: 9 }].into(), ..Resources::default() };
    for (change, told) in [(PolicyChange::default(), "give a placement"), (at_least(ports), "min_offer names ports")] {
        let message = ask(&mut world, policy("eng", change)).unwrap_err();
        assert!(message.contains(told) && message.contains("; "), "{message}");
    }
    assert_eq!(world.registry.roles, []);
}

/// Zones `a` and `b`; each task is started where the first offer is.
fn start_by_turns(world: &mut World, session: u64, names: &[&str]) -> Vec<String> {
    let zone = |world: &World, agent: &AgentId| {
        let agents = &world.registry.agents;
        agents.iter().find(|record| record.id == *agent).map(|record| record.info.zone.clone()).unwrap()
    };
    let start = |name: &&str| {
        world.offers.clear();
        world.call(session, "wants", FrameworkCall::Demand(want(100, 1)));
        let at = world.offers.iter().rposition(|(to, _)| to.0 == session).unwrap();
        let place = zone(world, &world.offers[at].1.agent);
        world.launch(session, vec![task(name, 100)]);
        world.call(session, "has enough", FrameworkCall::Demand(Demand::default()));
        place
    };
    names.iter().map(start).collect()
}

fn attach_in(world: &mut World, zone: &str, session: u64, id: Option<&str>, tasks: Vec<AttachedTask>) {
    let agent = AgentInfo { hostname: format!("host-{zone}"), zone: zone.into(), ..agent_info(id, 8_000) };
    let (cluster, session) = (id.map(|_| cluster()), SessionId(session));
    let (seen_epoch, incarnation, volumes) = (Epoch(0), 1, Vec::new());
    let input = Input::AgentAttach { session, agent, incarnation, tasks, seen_epoch, cluster, volumes };
    world.handle(&format!("attach {zone}"), input);
}

#[test]
fn a_frameworks_spread_counts_what_it_held_before_and_over_a_failover() {
    let mut world = World::new();
    attach_in(&mut world, "a", 1, None, vec![]);
    world.subscribe(10, "web", Demand::default());
    assert_eq!(start_by_turns(&mut world, 10, &["t1", "t2"]), ["a", "a"]);
    attach_in(&mut world, "b", 2, None, vec![]);
    let spread = Some(Placement::Spread { attribute: "@zone".into() });
    let info =
        FrameworkInfo { id: Some(FrameworkId::new("F1-1").unwrap()), placement: spread, ..framework_info("web") };
    world.call(10, "spreads", FrameworkCall::Update(info.clone()));
    assert_eq!(start_by_turns(&mut world, 10, &["t3"]), ["b"], "two are in zone a already");
    world.fail_over(2);
    let running = |name: &str| attached("F1-1", task(name, 100), 1, TaskState::Running);
    attach_in(&mut world, "a", 11, Some("A1-1"), vec![running("t1"), running("t2")]);
    attach_in(&mut world, "b", 12, Some("A1-2"), vec![running("t3")]);
    world.handle("subscribe", Input::Subscribe { session: SessionId(20), framework: info, demand: Demand::default() });
    let mut next = start_by_turns(&mut world, 20, &["t4", "t5", "t6"]);
    next.sort();
    assert_eq!(next, ["a", "b", "b"], "three in each zone");
}
