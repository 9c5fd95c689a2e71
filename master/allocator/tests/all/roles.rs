//! Roles come and go: nothing is left behind of those that nobody needs any more.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::Allocator;
use proffer_proto_model::*;

/// Subscribed in the role: an offer is answered with a task, which ends; then it leaves.
fn visit(allocator: &mut Allocator, framework: &FrameworkId, role: &Role, now: u64) {
    allocator.set_roles(framework, std::slice::from_ref(role));
    allocator.set_demand(framework, &Demand { items: vec![item(role.clone(), res(1_000, 1_000), Some(1))] });
    let grants = allocator.allocate(Moment(now));
    let grant = grants.iter().find(|grant| grant.role == *role).unwrap();
    launch(allocator, grant, &res(1_000, 1_000), now, 5_000);
    for other in grants.iter().filter(|other| other.id != grant.id) {
        decline(allocator, other, now, 5_000);
    }
    allocator.recover(framework, role, &grant.agent, &res(1_000, 1_000));
}

#[test]
fn ten_thousand_roles_one_after_the_other_take_the_place_of_few() {
    let mut allocator = cluster(3);
    // Others stay where they are.
    for n in 0..3 {
        allocator.put_framework(&framework_id(n), true);
        allocator.set_demand(&framework_id(n), &want(res(100, 100), 1));
    }
    allocator.put_framework(&framework_id(9), true);
    let mut most = 0;
    for n in 0..10_000 {
        let name = if n % 2 == 0 { format!("visit{n}") } else { format!("visit{n}/team/a{n}") };
        visit(&mut allocator, &framework_id(9), &Role::new(name).unwrap(), n * 10_000);
        if n < 10 {
            most = allocator.places_made();
        }
    }
    assert_eq!(allocator.places_made(), most, "the first ten needed as many places as all of them");
    assert!(most <= 20, "{most} places");
    allocator.set_roles(&framework_id(9), &[]);
    allocator.set_demand(&framework_id(9), &Demand::default());
    assert_eq!(allocator.roles_known(), [&role(0)]);
    assert!(allocator.filters() <= 6, "{} filters", allocator.filters());
}

#[test]
fn a_role_is_forgotten_only_when_its_last_task_and_its_settings_are() {
    let mut allocator = cluster(1);
    let (framework, left) = (framework_id(0), Role::new("eng/web").unwrap());
    let names = |allocator: &Allocator| allocator.roles_known().iter().map(ToString::to_string).collect::<Vec<_>>();
    allocator.put_framework(&framework, true);
    allocator.charge(&framework, &left, &agent_id(0), &res(1_000, 1_000));
    allocator.set_roles(&framework, &[role(0)]);
    assert_eq!(names(&allocator), ["eng", "eng/web"], "a task runs there");
    allocator.set_weight(&left, weight_of(2));
    allocator.recover(&framework, &left, &agent_id(0), &res(1_000, 1_000));
    assert_eq!(names(&allocator), ["eng", "eng/web"], "its weight is set");
    allocator.set_weight(&left, Weight::default());
    assert_eq!(names(&allocator), Vec::<String>::new());
    let quota = Quota { guarantee: res(1_000, 0), limit: Limit::default() };
    allocator.set_quota(&left, Some(&quota));
    allocator.set_quota(&left, None);
    assert_eq!(names(&allocator), Vec::<String>::new(), "a quota that ended is no setting");
}

#[test]
fn a_framework_that_comes_back_to_its_role_is_counted_on() {
    let mut allocator = cluster(1);
    for n in 0..2 {
        allocator.put_framework(&framework_id(n), true);
        allocator.set_roles(&framework_id(n), &[role(0)]);
    }
    let mut turns = Vec::new();
    for now in 0..4 {
        // Both want something again and again, and nothing in between.
        for n in 0..2 {
            allocator.set_demand(&framework_id(n), &want(res(3_000, 3_000), 1));
        }
        let grants = allocator.allocate(Moment(now));
        turns.push(grants[0].framework.clone());
        allocator.close(grants[0].id).unwrap();
        for n in 0..2 {
            allocator.set_demand(&framework_id(n), &Demand::default());
        }
    }
    assert_eq!(turns, [0, 1, 0, 1].map(framework_id), "grants made count as long as it is in the role");
}
