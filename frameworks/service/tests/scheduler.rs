//! The scheduler through the SDK's session engine, in virtual time: what people ask for, what breaks, what is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proffer_proto_wire::{common, service as wire};
use proffer_sdk::model::task::PortMapping;
use proffer_sdk::{DeclineKind, InverseEnd, TaskReason, TaskState};
use proffer_service::{ApiError, ChangeKind, ServiceScheduler, ServiceSpec};
use proffer_testkit::{Calls, TestDriver, agent};

type Driver = TestDriver<ServiceScheduler>;

fn wire_spec(name: &str, instances: u32) -> wire::ServiceSpec {
    wire::ServiceSpec {
        name: name.to_owned(),
        container: Some(common::ContainerSpec {
            image: "busybox".to_owned(),
            ports: vec![common::PortMapping { name: "http".to_owned(), ..Default::default() }],
            ..Default::default()
        }),
        instances,
        ..Default::default()
    }
}

fn spec(name: &str, instances: u32) -> ServiceSpec {
    wire_spec(name, instances).try_into().unwrap()
}

fn start() -> Driver {
    let mut driver = TestDriver::new(ServiceScheduler::new());
    driver.connect();
    driver
}

fn apply(driver: &mut Driver, spec: ServiceSpec) -> (ChangeKind, Calls) {
    let (changes, calls) = driver.with(|s, cx| s.apply(vec![spec], false, cx));
    (changes.unwrap()[0].kind, calls)
}

/// A service of so many instances that all run, two agents.
fn running(instances: u32) -> Driver {
    let mut driver = start();
    apply(&mut driver, spec("web", instances));
    let launched = driver.offers([agent("a1"), agent("a2")]);
    assert_eq!(launched.launched().len(), instances as usize);
    for slot in 0..instances {
        driver.status(&format!("web.{slot}.{}", slot + 1), TaskState::Running);
    }
    driver
}

fn view(driver: &mut Driver) -> wire::Service {
    driver.with(|s, cx| s.view(s.find("web").unwrap(), cx)).0
}

fn tasks(driver: &mut Driver) -> Vec<String> {
    view(driver).instances.into_iter().map(|instance| instance.task_id).collect()
}

#[test]
fn an_instance_whose_agent_is_drained_moves_at_once() {
    let mut driver = running(2);
    let calls = driver.status_because("web.0.1", TaskState::Killed, TaskReason::AgentDraining);
    assert!(calls.demand().is_some(), "no back-off: {calls}");
    assert_eq!(driver.offers([agent("a3")]).launched().len(), 1);
}

#[test]
fn missing_instances_are_asked_for_and_spread_over_agents_with_a_port_each() {
    let mut driver = start();
    let (kind, calls) = apply(&mut driver, spec("web", 3));
    assert_eq!(kind, ChangeKind::Created);
    calls.assert(&["demand 3 x 0.1 cpus, 32MiB memory and 1 ports"]);
    assert_eq!(view(&mut driver).message, "0 of 3 instances run; waiting for an offer: none came yet");
    let calls = driver.offers([agent("a1"), agent("a2")]);
    assert_eq!(calls.launched_ids(), ["web.0.1", "web.2.3", "web.1.2"]);
    let ports: Vec<u16> =
        calls.launched().iter().flat_map(|task| &task.container.ports).map(|p: &PortMapping| p.host_port).collect();
    assert_eq!(ports, [31_000, 31_001, 31_000]);
    assert!(calls.demand().unwrap().items.is_empty());
    let hosts: Vec<String> = view(&mut driver).instances.into_iter().map(|i| i.hostname).collect();
    assert_eq!(hosts, ["a1", "a2", "a1"]);
    driver.status("web.0.1", TaskState::Running);
    assert_eq!(view(&mut driver).message, "1 of 3 instances run");
}

#[test]
fn what_ends_is_replaced_at_once_and_then_after_longer_and_longer_waits() {
    let mut driver = running(1);
    let mut wait_ms = 0;
    for number in 2..6 {
        let calls = driver.status_because(&format!("web.0.{}", number - 1), TaskState::Failed, TaskReason::Exited);
        if wait_ms > 0 {
            assert!(calls.demand().is_none(), "{calls}");
            assert!(driver.advance(wait_ms - 1).demand().is_none());
            assert!(view(&mut driver).message.contains("backing off"));
            assert!(view(&mut driver).instances[0].back_off_until_unix_ms > 0);
            assert_eq!(driver.advance(1).demand().unwrap().items.len(), 1);
        } else {
            assert_eq!(calls.demand().unwrap().items.len(), 1);
        }
        assert_eq!(driver.offers([agent("a1")]).launched_ids(), [format!("web.0.{number}")]);
        driver.status(&format!("web.0.{number}"), TaskState::Running);
        wait_ms = if wait_ms == 0 { 1_000 } else { wait_ms * 2 };
    }
    assert_eq!(view(&mut driver).instances[0].restarts, 4);
    assert!(view(&mut driver).instances[0].last_failure.contains("web.0.4 FAILED (EXITED)"));
    // After a minute of running all is forgiven.
    driver.advance(60_000);
    assert!(driver.status("web.0.5", TaskState::Failed).demand().is_some());
}

#[test]
fn a_refused_description_waits_before_it_is_tried_again() {
    let mut driver = start();
    apply(&mut driver, spec("web", 1));
    driver.offers([agent("a1")]);
    assert!(driver.status_because("web.0.1", TaskState::Error, TaskReason::TaskInvalid).demand().is_none());
    assert!(view(&mut driver).message.contains("TASK_INVALID"));
    assert!(driver.advance(1_000).demand().is_some());
}

#[test]
fn scaling_adds_slots_and_ends_the_highest_first() {
    let mut driver = running(2);
    let (change, calls) = driver.with(|s, cx| s.scale("web", 4, cx));
    assert_eq!(change.unwrap().kind, ChangeKind::Scaled);
    assert_eq!(calls.demand().unwrap().items[0].count, Some(2));
    driver.offers([agent("a1"), agent("a2")]);
    let (_, calls) = driver.with(|s, cx| s.scale("web", 1, cx));
    calls.assert(&["kill web.3.4", "kill web.2.3", "kill web.1.2"]);
    for task in ["web.3.4", "web.2.3", "web.1.2"] {
        assert!(driver.status(task, TaskState::Killed).demand().is_none());
    }
    assert_eq!(tasks(&mut driver), ["web.0.1"]);
    let (refused, _) = driver.with(|s, cx| s.scale("web", 10_001, cx));
    assert!(matches!(refused, Err(ApiError::TooMany { .. })));
}

#[test]
fn the_service_that_matters_most_is_served_first_and_its_instances_say_so() {
    let mut driver = start();
    apply(&mut driver, ServiceSpec { priority: -1, is_revocable: true, ..spec("aside", 100) });
    let (_, calls) = apply(&mut driver, ServiceSpec { priority: 7, ..spec("urgent", 2) });
    let priorities: Vec<i32> = calls.demand().unwrap().items.iter().map(|item| item.priority).collect();
    assert_eq!(priorities, [-1, 7]);
    let calls = driver.offers([agent("a1")]);
    let launched: Vec<_> =
        calls.launched().iter().map(|task| (task.name.clone(), task.priority, task.is_revocable)).collect();
    let of = |name: &str| launched.iter().filter(|task| task.0 == name).count();
    assert!(of("urgent") == 2 && of("aside") > 0 && of("aside") < 100, "{launched:?}");
    let is_said =
        |task: &(String, i32, bool)| (task.1, task.2) == if task.0 == "urgent" { (7, false) } else { (-1, true) };
    assert!(launched.iter().all(is_said), "{launched:?}");
}

fn changed(instances: u32) -> ServiceSpec {
    let mut changed = spec("web", instances);
    changed.container.image = "busybox:2".to_owned();
    changed
}

#[test]
fn an_update_starts_each_replacement_beside_the_instance_it_replaces() {
    let mut driver = running(2);
    let (kind, calls) = apply(&mut driver, changed(2));
    assert_eq!(kind, ChangeKind::Updated);
    assert!(calls.killed().is_empty() && calls.demand().unwrap().items[0].count == Some(1), "{calls}");
    let calls = driver.offers([agent("a1")]);
    assert_eq!(calls.launched()[0].container.image, "busybox:2");
    assert!(calls.killed().is_empty());
    let beside: Vec<_> = view(&mut driver).instances.into_iter().map(|i| (i.slot, i.task_id, i.version)).collect();
    let row = |slot, task: &str, version| (slot, task.to_owned(), version);
    assert_eq!(beside, [row(0, "web.0.1", 1), row(0, "web.0.3", 2), row(1, "web.1.2", 1)]);
    assert!(driver.status("web.0.3", TaskState::Starting).killed().is_empty());
    let calls = driver.status("web.0.3", TaskState::Running);
    assert_eq!(calls.killed().iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["web.0.1"]);
    assert_eq!(calls.demand().unwrap().items[0].count, Some(1));
    driver.status("web.0.1", TaskState::Killed);
    assert_eq!(driver.offers([agent("a2")]).launched_ids(), ["web.1.4"]);
    assert_eq!(driver.status("web.1.4", TaskState::Running).killed().len(), 1);
    driver.status("web.1.2", TaskState::Killed);
    let service = view(&mut driver);
    assert_eq!((service.version, service.message.as_str()), (2, ""));
    assert!(service.instances.len() == 2 && service.instances.iter().all(|i| i.version == 2 && i.restarts == 0));
    assert_eq!(apply(&mut driver, changed(2)).0, ChangeKind::Unchanged);
}

#[test]
fn an_update_without_room_ends_one_instance_after_the_other() {
    let mut driver = running(2);
    apply(&mut driver, changed(2));
    assert!(driver.advance(2_999).killed().is_empty());
    // No offer came: there is no room beside, and nobody waits again in this update.
    assert_eq!(driver.advance(1).killed().len(), 1);
    driver.status("web.0.1", TaskState::Killed);
    driver.offers([agent("a1")]);
    assert!(driver.status("web.0.3", TaskState::Starting).killed().is_empty());
    assert_eq!(driver.status("web.0.3", TaskState::Running).killed().len(), 1);
    driver.status("web.1.2", TaskState::Killed);
    driver.offers([agent("a2")]);
    assert!(driver.status("web.1.4", TaskState::Running).killed().is_empty());
    assert_eq!(view(&mut driver).message, "");
}

#[test]
fn instances_that_share_a_directory_or_a_port_never_overlap() {
    let mut shared = spec("web", 1);
    let source = proffer_sdk::model::task::MountSource::Host { path: "/data".into(), read_only: false };
    shared.container.mounts = vec![proffer_sdk::model::task::Mount { target: "/data".into(), source }];
    assert!(!shared.may_overlap() && spec("web", 1).may_overlap());
    let mut driver = running(1);
    let (_, calls) = apply(&mut driver, shared);
    assert_eq!(calls.killed().len(), 1, "{calls}");
    let mut host = spec("web", 1);
    host.container.ports.clear();
    assert!(!host.may_overlap(), "it may bind a port of the host that nobody was told of");
}

#[test]
fn an_update_that_does_not_start_leaves_the_old_instances_alone_and_can_be_taken_back() {
    let mut driver = running(2);
    apply(&mut driver, changed(2));
    for number in [3, 4] {
        driver.offers([agent("a1")]);
        let calls = driver.status_because(&format!("web.0.{number}"), TaskState::Failed, TaskReason::ImageUnavailable);
        assert!(calls.killed().is_empty(), "{calls}");
    }
    let service = view(&mut driver);
    assert_eq!(tasks(&mut driver), ["web.0.1", "web.1.2"]);
    assert!(service.message.contains("backing off") && service.message.contains("IMAGE_UNAVAILABLE"), "{service:?}");
    // A third try is under way when the old spec is applied again: it is ended, and the others are replaced.
    driver.advance(1_000);
    assert_eq!(driver.offers([agent("a1")]).launched_ids(), ["web.0.5"]);
    let (_, calls) = apply(&mut driver, spec("web", 2));
    assert_eq!(calls.killed().iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["web.0.5"]);
    assert!(driver.status("web.0.5", TaskState::Running).killed().is_empty(), "it was told to end");
    assert!(driver.status("web.0.5", TaskState::Killed).demand().is_some());
}

#[test]
fn a_replacement_outlives_a_new_run_and_the_instance_it_was_to_replace() {
    let mut driver = running(1);
    apply(&mut driver, changed(1));
    driver.offers([agent("a2")]);
    let mut driver = driver.restart(ServiceScheduler::new());
    let calls = driver.connect();
    assert!(calls.killed().is_empty() && calls.launched().is_empty(), "{calls}");
    let calls = driver.status("web.0.1", TaskState::Failed);
    assert!(calls.demand().is_none_or(|demand| demand.items.is_empty()), "the replacement stands in: {calls}");
    driver.status("web.0.2", TaskState::Running);
    assert_eq!((tasks(&mut driver), view(&mut driver).message), (vec!["web.0.2".to_owned()], String::new()));
}

#[test]
fn an_agent_with_fewer_instances_is_waited_for_but_not_long() {
    let mut driver = running(3);
    driver.with(|s, cx| s.scale("web", 5, cx).map(|_| ())).0.unwrap();
    // a1 has two and a2 one: the offer of a1 goes back with the reason.
    let calls = driver.offers([agent("a1")]);
    assert!(calls.launched().is_empty() && matches!(calls.declined()[0].1.kind, DeclineKind::Spread), "{calls}");
    assert!(view(&mut driver).message.contains("has more of it"));
    assert_eq!(driver.offers([agent("a2")]).launched_ids(), ["web.3.4", "web.4.5"]);
    // Now a2 has more. a1 says nothing: after a second any agent will do.
    driver.with(|s, cx| s.scale("web", 7, cx).map(|_| ())).0.unwrap();
    assert!(driver.offers([agent("a2")]).launched().is_empty());
    driver.advance(1_000);
    assert_eq!(driver.offers([agent("a2")]).launched().len(), 2);
}

#[test]
fn a_new_instance_goes_where_fewest_of_its_service_are_even_when_that_agent_has_less_left() {
    let mut driver = running(3);
    driver.with(|s, cx| s.scale("web", 5, cx).map(|_| ())).0.unwrap();
    driver.offers([agent("a1"), agent("a2"), agent("a3")]);
    let mut hosts: Vec<String> = view(&mut driver).instances.into_iter().map(|i| i.hostname).collect();
    hosts.sort();
    assert_eq!(hosts, ["a1", "a1", "a2", "a2", "a3"]);
}

#[test]
fn a_removed_service_is_gone_when_its_instances_are_and_its_task_ids_are_never_used_again() {
    let mut driver = running(2);
    let (ending, calls) = driver.with(|s, cx| s.remove("web", cx));
    assert_eq!(ending.unwrap(), 2);
    calls.assert(&["kill web.1.2", "kill web.0.1"]);
    let (refused, _) = driver.with(|s, cx| s.apply(vec![spec("web", 1)], false, cx));
    assert!(matches!(refused, Err(ApiError::Removing { .. })));
    driver.status("web.1.2", TaskState::Killed);
    assert_eq!(view(&mut driver).message, "removing: 1 instances still end");
    driver.status("web.0.1", TaskState::Killed);
    assert!(driver.scheduler().state().is_empty());
    apply(&mut driver, spec("web", 1));
    assert_eq!(driver.offers([agent("a1")]).launched_ids(), ["web.0.3"]);
    let (missing, _) = driver.with(|s, _| s.find("wbe").map(|_| ()));
    assert_eq!(missing.unwrap_err().to_string(), "there is no service \"wbe\"; known are web");
}

#[test]
fn a_new_run_adopts_what_runs_and_goes_on_with_what_it_began() {
    let mut driver = running(3);
    driver.with(|s, cx| s.scale("web", 2, cx).map(|_| ())).0.unwrap();
    let mut driver = driver.restart(ServiceScheduler::new());
    let calls = driver.connect();
    assert!(calls.launched().is_empty() && calls.demand().is_none_or(|d| d.items.is_empty()), "{calls}");
    driver.status("web.2.3", TaskState::Killed);
    assert_eq!(tasks(&mut driver), ["web.0.1", "web.1.2"]);
    assert_eq!(view(&mut driver).message, "");
    assert!(driver.status("web.1.2", TaskState::Failed).demand().is_some());
    assert_eq!(driver.offers([agent("a1")]).launched_ids(), ["web.1.4"]);
}

#[test]
fn a_back_off_outlives_the_process() {
    let mut driver = running(1);
    driver.status("web.0.1", TaskState::Failed);
    driver.offers([agent("a1")]);
    driver.status("web.0.2", TaskState::Failed);
    let mut driver = driver.restart(ServiceScheduler::new());
    assert!(driver.connect().demand().is_none_or(|d| d.items.is_empty()));
    assert!(driver.advance(1_000).demand().is_some_and(|d| d.items.len() == 1));
}

#[test]
fn an_unreachable_instance_is_replaced_and_ended_when_it_returns() {
    let mut driver = running(1);
    let calls = driver.status_because("web.0.1", TaskState::Unreachable, TaskReason::AgentLost);
    assert!(calls.demand().is_some() && calls.killed().is_empty(), "{calls}");
    driver.offers([agent("a2")]);
    driver.status("web.0.2", TaskState::Running);
    let calls = driver.status("web.0.1", TaskState::Running);
    assert_eq!(calls.killed().iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["web.0.1"]);
    driver.status("web.0.1", TaskState::Killed);
    assert_eq!(tasks(&mut driver), ["web.0.2"]);
}

#[test]
fn an_unreachable_instance_that_returns_before_its_replacement_is_kept() {
    let mut driver = running(1);
    driver.status("web.0.1", TaskState::Unreachable);
    let calls = driver.status("web.0.1", TaskState::Running);
    assert!(calls.killed().is_empty(), "{calls}");
    assert!(calls.demand().unwrap().items.is_empty());
    assert_eq!(view(&mut driver).message, "");
}

#[test]
fn offers_that_cannot_be_used_go_back_with_the_reason() {
    let mut driver = start();
    let mut big = spec("web", 1);
    big.resources.cpus = proffer_sdk::MilliCpus(8_000);
    apply(&mut driver, big);
    let calls = driver.offers([agent("a1")]);
    assert!(matches!(calls.declined()[0].1.kind, DeclineKind::ResourcesShort { .. }));
    assert_eq!(view(&mut driver).message, "0 of 1 instances run; waiting for an offer: a1 is short of 4 cpus");
    let mut picky = spec("web", 1);
    picky.constraints = zone_rule();
    apply(&mut driver, picky);
    let calls = driver.offers([agent("a1")]);
    assert!(matches!(calls.declined()[0].1.kind, DeclineKind::Constraint { .. }));
    assert_eq!(driver.offers([agent("a1").zone("z1")]).launched_ids(), ["web.0.1"]);
    assert!(matches!(driver.offers([agent("a1")]).declined()[0].1.kind, DeclineKind::NoDemand));
}

fn zone_rule() -> Vec<proffer_sdk::Constraint> {
    let operator = proffer_sdk::ConstraintOperator::Equals;
    vec![proffer_sdk::Constraint { subject: "@zone".into(), operator, value: "z1".into() }]
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut driver = start();
    let (changes, calls) = driver.with(|s, cx| s.apply(vec![spec("web", 3)], true, cx));
    assert_eq!(changes.unwrap()[0].kind, ChangeKind::Created);
    calls.assert(&[]);
    assert!(driver.scheduler().state().is_empty());
}

#[test]
fn every_defect_of_a_spec_is_told_with_its_field() {
    let mut bad = wire_spec("-Web", 10_001);
    let container = bad.container.as_mut().unwrap();
    container.ports[0].host_port = 80;
    bad.role = "a//b".to_owned();
    bad.resources = Some(common::Resources { cpus_milli: -1, ..Default::default() });
    let defects = ServiceSpec::try_from(bad).unwrap_err().to_string();
    let lines: Vec<&str> = defects.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["name", "instances", "resources.cpus_milli", "role", "container.ports[0].host_port"]);
    let mut none = wire_spec("web", 1);
    none.container = None;
    assert_eq!(ServiceSpec::try_from(none).unwrap_err().to_string(), "container is missing; set it");
}

#[test]
fn specs_survive_the_wire() {
    let spec = spec("web", 2);
    assert_eq!(ServiceSpec::try_from(wire::ServiceSpec::from(spec.clone())), Ok(spec));
}

const HOUR_MS: u64 = 3_600_000;

#[test]
fn an_instance_that_is_asked_to_leave_starts_elsewhere_before_it_ends() {
    let mut driver = running(2);
    let calls = driver.ask_to_leave(1, "a1", &["web.0.1"], HOUR_MS / 2);
    assert!(calls.lines().contains(&"leave V1-1: moving 1 instances".to_owned()), "{calls}");
    assert_eq!(calls.demand().unwrap().items[0].count, Some(1));
    let soon = |driver: &Driver, ms| proffer_sdk::UnixMillis(driver.now().unix.0 + ms);
    let leaves = soon(&driver, HOUR_MS / 2);
    let calls = driver.offers([agent("a1").unavailable(leaves, HOUR_MS)]);
    assert!(calls.launched().is_empty(), "not where it leaves: {calls}");
    let calls = driver.offers([agent("a3")]);
    assert_eq!(calls.launched_ids(), ["web.0.3"]);
    assert!(!calls.to_string().contains("kill"), "it still serves: {calls}");
    let calls = driver.status("web.0.3", TaskState::Running);
    assert!(calls.to_string().contains("kill web.0.1"), "{calls}");
    driver.status("web.0.1", TaskState::Killed);
    driver.stop_asking(1, InverseEnd::Left);
    assert_eq!(tasks(&mut driver), ["web.0.3", "web.1.2"]);
}

#[test]
fn instances_leave_one_after_the_other_and_stay_when_nobody_asks_any_more() {
    let mut driver = running(2);
    driver.ask_to_leave(1, "a1", &["web.0.1", "web.1.2"], HOUR_MS / 2);
    let calls = driver.offers([agent("a3")]);
    assert_eq!(calls.launched_ids(), ["web.0.3"], "one at a time");
    let calls = driver.status("web.0.3", TaskState::Running);
    assert!(calls.demand().is_none_or(|demand| demand.items.len() == 1));
    let calls = driver.stop_asking(1, InverseEnd::Cancelled);
    assert!(calls.demand().is_some_and(|demand| demand.items.is_empty()), "the second one stays: {calls}");
    driver.ask_to_leave(2, "a1", &["web.1.2"], HOUR_MS / 2);
    driver.disconnect();
    let calls = driver.connect();
    assert!(calls.demand().is_none_or(|demand| demand.items.is_empty()), "the master asks again itself: {calls}");
}

#[test]
fn what_cannot_run_twice_at_once_says_so() {
    let mut driver = start();
    let mut wire = wire_spec("web", 1);
    let container = wire.container.as_mut().unwrap();
    (container.ports, container.network) = (Vec::new(), common::container_spec::NetworkMode::Host.into());
    apply(&mut driver, wire.try_into().unwrap());
    driver.offers([agent("a1")]);
    driver.status("web.0.1", TaskState::Running);
    let calls = driver.ask_to_leave(1, "a1", &["web.0.1"], HOUR_MS / 2);
    let told = "stay V1-1: 1 instances cannot run twice at once: they start elsewhere once they were ended";
    calls.assert(&[told]);
}

#[test]
fn an_agent_that_leaves_soon_is_used_only_when_no_other_comes() {
    let mut driver = start();
    apply(&mut driver, spec("web", 1));
    let at = |driver: &Driver, ms| proffer_sdk::UnixMillis(driver.now().unix.0 + ms);
    let leaves = at(&driver, HOUR_MS / 2);
    let calls = driver.offers([agent("a1").unavailable(leaves, HOUR_MS)]);
    assert!(calls.to_string().contains("one that stays is waited for"), "{calls}");
    driver.advance(10_000);
    let too_soon = at(&driver, 59_000);
    let calls = driver.offers([agent("a2").unavailable(too_soon, HOUR_MS)]);
    assert!(calls.launched().is_empty(), "that is too soon for anything: {calls}");
    let calls = driver.offers([agent("a1").unavailable(leaves, HOUR_MS)]);
    assert_eq!(calls.launched().len(), 1, "half an hour is better than nothing: {calls}");
    driver.with(|s, cx| s.scale("web", 2, cx).unwrap());
    let far = at(&driver, HOUR_MS);
    assert_eq!(driver.offers([agent("a2").unavailable(far, 1)]).launched().len(), 1);
}
