//! Reservations: who is offered what, how tasks take from them and give back, what is refused, what a restart keeps.
//! The audit after each input checks that pools add up and that no offer holds what is reserved for another role.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_engine::reservations::OperatorReservation;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// CPU and as many MiB.
fn res(cpus: u64) -> Resources {
    Resources::new(MilliCpus(cpus), Bytes::mib(cpus))
}

fn subscribe(world: &mut World, session: u64, role_name: &str, demand: Option<(u64, u32)>) {
    let framework = FrameworkInfo { roles: vec![role(role_name)], ..framework_info(&role_name.replace('/', "-")) };
    let demand = match demand {
        None => Demand::anything(role(role_name)),
        Some((cpus, count)) => {
            let mut demand = want(cpus, count);
            demand.items[0].role = role(role_name);
            demand
        }
    };
    let input = Input::Subscribe { session: SessionId(session), framework, demand };
    world.handle(&format!("subscribe {role_name} on {session}"), input);
}

fn attach(world: &mut World, id: Option<&str>, statics: &[(&str, u64)]) {
    let fixed = |(name, cpus): &(&str, u64)| StaticReservation {
        role: role(name),
        resources: res(*cpus),
        labels: BTreeMap::new(),
    };
    let input = Input::AgentAttach {
        session: SessionId(1),
        agent: AgentInfo { reservations: statics.iter().map(fixed).collect(), ..agent_info(id, 8_000) },
        incarnation: 1,
        tasks: vec![],
        seen_epoch: Epoch(0),
        cluster: id.map(|_| cluster()),
        volumes: Vec::new(),
    };
    world.handle("attach", input);
}

fn reserve(name: &str, from: Option<&str>, cpus: u64) -> OperatorReservation {
    OperatorReservation::Reserve {
        role: role(name),
        from_role: from.map(role),
        resources: res(cpus),
        labels: BTreeMap::new(),
        principal: "operator".into(),
        owner: None,
    }
}

fn unreserve(name: &str, cpus: u64) -> OperatorReservation {
    OperatorReservation::Unreserve { role: role(name), resources: res(cpus), is_forced: false }
}

/// An operator's wish, and the answer.
fn operate(world: &mut World, wish: OperatorReservation) -> Result<(), String> {
    let agent = AgentId::new("A1-1").unwrap();
    ask(world, OperatorCall::Reservation { request: 1, agent, wish })
}

fn ask(world: &mut World, call: OperatorCall) -> Result<(), String> {
    let effects = world.handle("operator", Input::Operator(call));
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::OperatorReply { result, .. } => Some(result.map(drop).map_err(|error| error.message)),
        _ => None,
    });
    answer.unwrap()
}

/// The last offer to a session, as its total and what of it is reserved for whom.
fn last_offer(world: &World, session: u64) -> (u64, Vec<(String, u64)>) {
    let (_, offer) = world.offers.iter().rev().find(|(to, _)| to.0 == session).unwrap();
    let each = offer.reserved.iter().map(|part| (part.role.to_string(), part.resources.cpus.0));
    (offer.resources.cpus.0, each.collect())
}

fn parts(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(name, cpus)| ((*name).to_owned(), *cpus)).collect()
}

fn pools(world: &World) -> Vec<(String, u64)> {
    let record = &world.registry.agents[0];
    record.pools.iter().map(|pool| (pool.role.to_string(), pool.resources.cpus.0)).collect()
}

fn operations(world: &mut World, session: u64, operations: Vec<Operation>) -> Vec<Effect> {
    let at = world.offers.iter().rposition(|(to, _)| to.0 == session).unwrap();
    let (_, offer) = world.offers.remove(at);
    world.call(session, "accept", accept(vec![offer.id], operations))
}

fn accept_of(offer: OfferId, operations: Vec<Operation>) -> Accept {
    match accept(vec![offer], operations) {
        FrameworkCall::Accept(accept) => accept,
        other => panic!("{other:?}"),
    }
}

fn launch(id: &str, cpus: u64, reserved_use: ReservedUse) -> Operation {
    Operation::Launch { tasks: vec![TaskLaunch { agent: None, task: task(id, cpus), reserved_use }] }
}

fn in_offer(name: &str, from: Option<&str>, cpus: u64) -> Operation {
    Operation::Reserve {
        operation_id: "op".into(),
        agent: AgentId::new("A1-1").unwrap(),
        role: role(name),
        from_role: from.map(role),
        resources: res(cpus),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
    }
}

fn outcomes(effects: &[Effect]) -> Vec<(OperationOutcome, String)> {
    let outcome = |effect: &Effect| match effect {
        Effect::ToFramework { message: ToFramework::OperationStatus { outcome, message, .. }, .. } => {
            Some((*outcome, message.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(outcome).collect()
}

#[test]
fn what_is_reserved_is_offered_to_the_role_and_below_and_to_nobody_else() {
    let mut world = World::new();
    attach(&mut world, None, &[("eng", 3_000), ("eng/web", 1_000)]);
    subscribe(&mut world, 10, "ops", None);
    assert_eq!(last_offer(&world, 10), (4_000, vec![]), "only what is not reserved");
    subscribe(&mut world, 11, "eng/web", None);
    assert_eq!(last_offer(&world, 11), (4_000, parts(&[("eng/web", 1_000), ("eng", 3_000)])));
    let offer = world.offers.iter().find(|(to, _)| to.0 == 11).unwrap().1.clone();
    assert!(offer.reserved.iter().all(|part| part.is_static));
}

#[test]
fn agents_that_several_want_are_cut_within_what_each_may_have() {
    let mut world = World::new();
    attach(&mut world, None, &[("eng", 2_000)]);
    let agent = AgentId::new("A1-1").unwrap();
    // Both come while the agent is offered to somebody else: then both are tried at once.
    subscribe(&mut world, 12, "eng/all", None);
    subscribe(&mut world, 10, "ops", Some((1_000, 100)));
    subscribe(&mut world, 11, "eng", Some((1_000, 100)));
    let all = world.offers.pop().unwrap().1;
    assert_eq!((all.resources.cpus.0, all.agent), (8_000, agent));
    let reason = DeclineReason::new(DeclineKind::Other);
    let back = FrameworkCall::Decline { offers: vec![all.id], reason, filter: Filter { refuse_ms: 60_000 } };
    world.call(12, "decline", back);
    let (ops, eng) = (last_offer(&world, 10), last_offer(&world, 11));
    assert_eq!((ops.0 + eng.0, ops.1), (8_000, vec![]), "all of it is offered, to ops nothing reserved");
    assert_eq!(eng.1, parts(&[("eng", 2_000)]));
}

#[test]
fn a_task_takes_from_the_deepest_pool_first_and_gives_it_back_there() {
    let mut world = World::new();
    attach(&mut world, None, &[("eng", 3_000), ("eng/web", 1_000)]);
    subscribe(&mut world, 11, "eng/web", None);
    let only = ReservedUse::ReservedOnly;
    let tasks = vec![
        launch("first", 1_500, ReservedUse::ReservedFirst),
        launch("outside", 500, ReservedUse::UnreservedOnly),
        launch("too-much", 3_000, only),
        launch("within", 2_000, only),
    ];
    let effects = operations(&mut world, 11, tasks);
    let reserved = |world: &World, id: &str| {
        let record = world.registry.tasks.iter().find(|task| task.key.task.as_str() == id).unwrap();
        record.reserved.iter().map(|(pool, part)| (pool.0, part.cpus.0)).collect::<Vec<_>>()
    };
    assert_eq!(reserved(&world, "first"), [(1, 500), (2, 1_000)]);
    assert_eq!(reserved(&world, "outside"), []);
    assert_eq!(reserved(&world, "within"), [(1, 2_000)]);
    let refused = effects.iter().any(|effect| match effect {
        Effect::ToFramework { message: ToFramework::Status(statuses), .. } => statuses.iter().any(|status| {
            status.reason == TaskReason::ResourcesExceeded && status.message.contains("that is reserved")
        }),
        _ => false,
    });
    assert!(refused, "{}", world.trace);
    world.wait(6_000);
    assert_eq!(last_offer(&world, 11), (4_000, parts(&[("eng", 500)])), "what is left of the pools");

    // A new master knows the split; what ends goes back to where it came from.
    world.fail_over(2);
    let tasks = ["first", "outside", "within"].map(|id| {
        let cpus = if id == "first" {
            1_500
        } else if id == "outside" {
            500
        } else {
            2_000
        };
        AttachedTask { role: role("eng/web"), ..attached("F1-1", task(id, cpus), 1, TaskState::Running) }
    });
    let fixed =
        |name: &str, cpus| StaticReservation { role: role(name), resources: res(cpus), labels: BTreeMap::new() };
    let input = Input::AgentAttach {
        session: SessionId(2),
        agent: AgentInfo {
            reservations: vec![fixed("eng", 3_000), fixed("eng/web", 1_000)],
            ..agent_info(Some("A1-1"), 8_000)
        },
        incarnation: 1,
        tasks: tasks.to_vec(),
        seen_epoch: Epoch(1),
        cluster: Some(cluster()),
        volumes: Vec::new(),
    };
    world.handle("attach again", input);
    subscribe(&mut world, 12, "eng/web", None);
    assert_eq!(last_offer(&world, 12), (4_000, parts(&[("eng", 500)])));
    world.update(2, "F1-1", "first", 2, TaskState::Finished);
    assert_eq!(last_offer(&world, 12), (1_500, parts(&[("eng/web", 1_000), ("eng", 500)])));
}

#[test]
fn operations_of_one_accept_see_each_others_result() {
    let mut world = World::new();
    attach(&mut world, None, &[]);
    subscribe(&mut world, 11, "eng", None);
    let effects = operations(
        &mut world,
        11,
        vec![
            in_offer("eng", None, 4_000),
            in_offer("eng/web", Some("eng"), 1_000),
            launch("below", 3_500, ReservedUse::ReservedOnly),
            launch("inside", 3_000, ReservedUse::ReservedOnly),
            in_offer("eng", None, 5_000),
            in_offer("ops", None, 1_000),
        ],
    );
    let told: Vec<_> = outcomes(&effects);
    assert_eq!(told[0].0, OperationOutcome::Done);
    assert_eq!(told[1].0, OperationOutcome::Done);
    assert!(told[2].1.starts_with("resources: A1-1 lacks 1 cpus"), "{told:?}");
    assert!(told[3].1.starts_with("role: ops is neither"), "{told:?}");
    assert_eq!(pools(&world), parts(&[("eng", 3_000), ("eng/web", 1_000)]));
    let pool = &world.registry.agents[0].pools[1];
    assert_eq!(
        (pool.parent, pool.principal.as_str(), &pool.labels["tier"]),
        (Some(PoolId(1)), "somebody", &"gold".into())
    );
    let tasks: Vec<_> = world.registry.tasks.iter().map(|task| task.key.task.as_str()).collect();
    assert_eq!(tasks, ["inside"], "a task of eng does not get what is reserved for eng/web");
}

#[test]
fn what_was_just_reserved_is_offered_at_once_to_be_used() {
    let mut world = World::new();
    attach(&mut world, None, &[]);
    subscribe(&mut world, 11, "eng", None);
    for n in 1..=6 {
        let at = world.offers.iter().rposition(|(to, _)| to.0 == 11).unwrap();
        let (_, offer) = world.offers.remove(at);
        let reserve = vec![in_offer("eng", None, 500)];
        let call = Accept { filter: Filter { refuse_ms: 60_000 }, ..accept_of(offer.id, reserve) };
        world.call(11, "accept", FrameworkCall::Accept(call));
        assert_eq!(last_offer(&world, 11), (8_000, parts(&[("eng", 500 * n)])), "no filter, and no pause of the guard");
    }
    let at = world.offers.iter().rposition(|(to, _)| to.0 == 11).unwrap();
    let (_, offer) = world.offers.remove(at);
    let call = accept_of(offer.id, vec![in_offer("eng", None, 9_000)]);
    world.call(11, "accept", FrameworkCall::Accept(call));
    assert!(!world.offers.iter().any(|(to, _)| to.0 == 11), "what was refused changes nothing: the rest is given back");
}

#[test]
fn an_operator_reserves_what_is_only_offered_and_gives_back_in_turn() {
    let mut world = World::new();
    attach(&mut world, None, &[("ops", 1_000)]);
    subscribe(&mut world, 10, "ops", None);
    assert_eq!(last_offer(&world, 10).0, 8_000);
    operate(&mut world, reserve("eng", None, 6_000)).unwrap();
    assert!(world.trace.contains("Operator"), "the offer is withdrawn: {}", world.trace);
    assert_eq!(last_offer(&world, 10), (2_000, parts(&[("ops", 1_000)])));
    operate(&mut world, reserve("eng/web", Some("eng"), 2_000)).unwrap();
    assert_eq!(pools(&world), parts(&[("ops", 1_000), ("eng", 4_000), ("eng/web", 2_000)]));
    for (wish, words) in [
        (reserve("eng", None, 2_000), "resources: A1-1 lacks 1 cpus"),
        (reserve("eng", None, 0), "resources: nothing is named"),
        (reserve("ops/a", Some("eng"), 1), "role: ops/a does not lie below eng"),
        (unreserve("ops", 1_000), "can only be changed there"),
        (unreserve("nobody", 1_000), "role: nothing is reserved for nobody"),
        (unreserve("eng", 5_000), "resources: A1-1 lacks 1 cpus"),
    ] {
        let error = operate(&mut world, wish).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    world.fail_over(2);
    attach(&mut world, Some("A1-1"), &[("ops", 1_000)]);
    assert_eq!(pools(&world), parts(&[("ops", 1_000), ("eng", 4_000), ("eng/web", 2_000)]), "a new master knows them");
    operate(&mut world, unreserve("eng/web", 2_000)).unwrap();
    operate(&mut world, unreserve("eng", 6_000)).unwrap();
    assert_eq!(pools(&world), parts(&[("ops", 1_000)]));
}

#[test]
fn what_a_task_uses_cannot_be_unreserved() {
    let mut world = World::new();
    attach(&mut world, None, &[]);
    operate(&mut world, reserve("eng", None, 2_000)).unwrap();
    subscribe(&mut world, 11, "eng", None);
    operations(&mut world, 11, vec![launch("a", 1_500, ReservedUse::ReservedOnly)]);
    let error = operate(&mut world, unreserve("eng", 1_000)).unwrap_err();
    assert!(error.contains("0.5 cpus"), "{error}");
    operate(&mut world, unreserve("eng", 500)).unwrap();
    world.update(1, "F1-1", "a", 1, TaskState::Finished);
    operate(&mut world, unreserve("eng", 1_500)).unwrap();
    assert_eq!(pools(&world), vec![]);
}

#[test]
fn an_agent_may_change_its_own_reservations_but_not_beyond_what_it_has() {
    let mut world = World::new();
    attach(&mut world, None, &[("eng", 2_000), ("ops", 1_000)]);
    operate(&mut world, reserve("eng/web", Some("eng"), 1_500)).unwrap();
    attach(&mut world, Some("A1-1"), &[("eng", 4_000)]);
    assert_eq!(pools(&world), parts(&[("eng", 2_500), ("eng/web", 1_500)]), "what was refined stays refined");
    attach(&mut world, Some("A1-1"), &[("ops", 1_000)]);
    operate(&mut world, unreserve("eng/web", 1_500)).unwrap();
    assert_eq!(pools(&world), parts(&[("ops", 1_000)]), "what was refined from it is not reserved any more");
    attach(&mut world, Some("A1-1"), &[("ops", 9_000)]);
    assert!(world.trace.contains("reserves more than it has"), "{}", world.trace);
}

#[test]
fn what_is_reserved_counts_for_quotas_before_it_is_used() {
    let mut world = World::new();
    attach(&mut world, None, &[("eng", 3_000)]);
    let limit = |cpus| Quota { limit: Limit { cpus: Some(MilliCpus(cpus)), ..Limit::default() }, ..Quota::default() };
    let set = |world: &mut World, name: &str, cpus, force| {
        let call = RolesCall::SetQuota { role: role(name), quota: Box::new(limit(cpus)), force };
        ask(world, OperatorCall::Roles { request: 1, call, is_dry_run: false })
    };
    let refused = set(&mut world, "eng", 2_000, false).unwrap_err();
    assert!(refused.contains("its tasks and reservations hold 3 cpus now"), "{refused}");
    set(&mut world, "eng", 4_000, false).unwrap();
    let refused = operate(&mut world, reserve("eng/web", None, 2_000)).unwrap_err();
    assert!(refused.contains("limit of role eng: with this it would hold 5 cpus, more than 4"), "{refused}");
    operate(&mut world, reserve("eng/web", None, 1_000)).unwrap();
    operate(&mut world, reserve("eng/web", Some("eng"), 1_000)).unwrap();

    // All four are reserved: they may be used, and nothing beside them.
    subscribe(&mut world, 11, "eng/web", None);
    assert_eq!(last_offer(&world, 11).0, 4_000);
    let tasks = vec![
        launch("own", 3_000, ReservedUse::ReservedFirst),
        launch("beside", 500, ReservedUse::UnreservedOnly),
        launch("rest", 1_000, ReservedUse::ReservedOnly),
    ];
    operations(&mut world, 11, tasks);
    let running: Vec<_> = world.registry.tasks.iter().map(|task| task.key.task.as_str().to_owned()).collect();
    assert_eq!(running, ["own", "rest"], "{}", world.trace);
}

#[test]
fn a_reservation_above_a_forced_limit_is_used_with_what_is_not_limited() {
    let mut world = World::new();
    attach(&mut world, None, &[]);
    let only_cpus = Resources::new(MilliCpus(3_000), Bytes(0));
    let wish = OperatorReservation::Reserve {
        role: role("eng"),
        from_role: None,
        resources: only_cpus,
        labels: BTreeMap::new(),
        principal: "operator".into(),
        owner: None,
    };
    operate(&mut world, wish).unwrap();
    let limit = Limit { cpus: Some(MilliCpus(1_000)), memory: Some(Bytes::mib(8_000)), ..Limit::default() };
    let quota = Box::new(Quota { limit, ..Quota::default() });
    let call = RolesCall::SetQuota { role: role("eng"), quota, force: true };
    ask(&mut world, OperatorCall::Roles { request: 1, call, is_dry_run: false }).unwrap();
    subscribe(&mut world, 11, "eng", None);
    assert_eq!(last_offer(&world, 11).0, 3_000);
    operations(&mut world, 11, vec![launch("all", 3_000, ReservedUse::ReservedFirst)]);
    assert_eq!(world.registry.tasks.len(), 1, "{}", world.trace);
}

#[test]
fn what_is_reserved_on_an_agent_that_is_away_counts_for_the_next_master_too() {
    let mut world = World::new();
    attach(&mut world, None, &[]);
    operate(&mut world, reserve("eng", None, 4_000)).unwrap();
    world.handle("the agent goes", Input::AgentDisconnected { session: SessionId(1) });
    world.wait(70_000);
    assert!(world.registry.agents[0].is_unreachable);
    let limit = |cpus| {
        let limit = Limit { cpus: Some(MilliCpus(cpus)), ..Limit::default() };
        let quota = Box::new(Quota { limit, ..Quota::default() });
        let call = RolesCall::SetQuota { role: role("eng"), quota, force: false };
        OperatorCall::Roles { request: 1, call, is_dry_run: true }
    };
    let before = ask(&mut world, limit(3_000));
    assert!(before.is_err(), "4,000 are reserved");
    world.fail_over(2);
    assert_eq!(ask(&mut world, limit(3_000)), before);
}
