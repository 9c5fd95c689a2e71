//! What is refused, with which defect and where; and that nothing is lost on the way there and back.

use proffer_proto_wire::{agent, common, scheduler};
use proptest::prelude::*;
use scheduler::call::Call as C;
use scheduler::operation::Operation as Op;

use super::{Defect, SchedulerCall, WireError, testing};
use crate::{IdError, TaskSpec};

pub(super) fn good_task() -> common::TaskSpec {
    common::TaskSpec {
        task_id: "web-1".into(),
        name: "web".into(),
        container: Some(common::ContainerSpec {
            image: "hello:latest".into(),
            ports: vec![port("http", 31_000), port("admin", 31_001)],
            env: vec![common::EnvVar { name: "A".into(), value: "b".into() }],
            ..Default::default()
        }),
        resources: Some(common::Resources { cpus_milli: 100, memory_bytes: 1 << 20, ..Default::default() }),
        ..Default::default()
    }
}

fn port(name: &str, host_port: u32) -> common::PortMapping {
    common::PortMapping { name: name.into(), host_port, ..Default::default() }
}

/// One way to spoil a good task, the path of the field, and the defect.
type Spoiled = (fn(&mut common::TaskSpec), &'static str, fn(&Defect) -> bool);

fn container(task: &mut common::TaskSpec) -> &mut common::ContainerSpec {
    task.container.as_mut().unwrap()
}

#[test]
fn every_wrong_field_of_a_task_is_refused_by_its_own_defect() {
    let table: &[Spoiled] = &[
        (|t| t.task_id.clear(), "task_id", |d| *d == Defect::EmptyId),
        (|t| t.task_id = "..".into(), "task_id", |d| *d == Defect::BadId(IdError::Dots)),
        (|t| t.name.clear(), "name", |d| *d == Defect::Missing),
        (|t| t.name = "a\u{1b}[31m".into(), "name", |d| *d == Defect::BadCharacter { found: '\u{1b}' }),
        (|t| t.name = "x".repeat(256), "name", |d| matches!(d, Defect::TooLong { length: 256, max: 255, .. })),
        (|t| t.container = None, "container", |d| *d == Defect::Missing),
        (|t| container(t).image.clear(), "container.image", |d| *d == Defect::Missing),
        (|t| container(t).image = "a b".into(), "container.image", |d| *d == Defect::BadCharacter { found: ' ' }),
        (|t| container(t).pull = 9, "container.pull", |d| matches!(d, Defect::UnknownEnum { value: 9, .. })),
        (|t| container(t).network = -1, "container.network", |d| matches!(d, Defect::UnknownEnum { value: -1, .. })),
        (
            |t| container(t).ports[1].host_port = 70_000,
            "container.ports[1].host_port",
            |d| *d == Defect::PortOutOfRange { port: 70_000 },
        ),
        (
            |t| container(t).ports[0].host_port = 0,
            "container.ports[0].host_port",
            |d| *d == Defect::PortOutOfRange { port: 0 },
        ),
        (
            |t| container(t).ports[1].name = "http".into(),
            "container.ports[1].name",
            |d| *d == Defect::DuplicatePortName { name: "http".into() },
        ),
        (
            |t| container(t).env[0].name = "A=B".into(),
            "container.env[0].name",
            |d| matches!(d, Defect::BadEnvName { .. }),
        ),
        (|t| container(t).env[0].value = "a\0b".into(), "container.env[0].value", |d| *d == Defect::HoldsNul),
        (
            |t| container(t).env = vec![common::EnvVar { name: "A".into(), value: String::new() }; 1_001],
            "container.env",
            |d| *d == Defect::TooMany { count: 1_001, max: 1_000 },
        ),
        (
            |t| container(t).args = vec!["x".repeat(40_000)],
            "container.args[0]",
            |d| matches!(d, Defect::TooLong { .. }),
        ),
        (
            |t| container(t).working_dir = "tmp".into(),
            "container.working_dir",
            |d| matches!(d, Defect::NotAbsolute { .. }),
        ),
        (
            |t| container(t).mounts = vec![common::Mount { target: "data".into(), ..Default::default() }],
            "container.mounts[0].target",
            |d| matches!(d, Defect::NotAbsolute { .. }),
        ),
        (|t| resources(t).cpus_milli = -1, "resources.cpus_milli", |d| *d == Defect::Negative { value: -1 }),
        (
            |t| resources(t).ports = vec![common::PortRange { begin: 9, end: 8 }],
            "resources.ports[0]",
            |d| matches!(d, Defect::BadPorts(_)),
        ),
        (
            |t| resources(t).ports = vec![common::PortRange { begin: 1, end: 9 }; 2],
            "resources.ports",
            |d| *d == Defect::OverlappingPorts,
        ),
        (
            |t| resources(t).scalars_milli = [("tokens".to_owned(), -5)].into(),
            "resources.scalars_milli[\"tokens\"]",
            |d| *d == Defect::Negative { value: -5 },
        ),
        (
            |t| t.limits = Some(common::ResourceLimits { memory_bytes: 1 << 10, ..Default::default() }),
            "limits.memory_bytes",
            |d| matches!(d, Defect::LimitBelowRequest { .. }),
        ),
        (
            |t| t.kill_policy = Some(common::KillPolicy { grace_ms: Some(86_400_001) }),
            "kill_policy.grace_ms",
            |d| *d == Defect::TooLarge { value: 86_400_001, max: 86_400_000 },
        ),
        (|t| t.data = vec![0; (64 << 10) + 1], "data", |d| matches!(d, Defect::TooLong { length: 65_537, .. })),
        (|t| t.labels = [(String::new(), String::new())].into(), "labels", |d| *d == Defect::Missing),
    ];
    TaskSpec::try_from(good_task()).expect("the unspoiled task is right");
    for (number, (spoil, path, is_expected)) in table.iter().enumerate() {
        let mut task = good_task();
        spoil(&mut task);
        let error = TaskSpec::try_from(task).expect_err(path);
        assert!(error.path == *path && is_expected(&error.defect), "row {number}, {path}: {error:?}");
        let told = error.to_string();
        assert!(told.starts_with(path) && told.len() > path.len() + 5 && told.len() < 300, "{told}");
    }
}

fn resources(task: &mut common::TaskSpec) -> &mut common::Resources {
    task.resources.as_mut().unwrap()
}

fn accept(operation: Op) -> C {
    let operation = scheduler::Operation { operation_id: String::new(), operation: Some(operation) };
    C::Accept(scheduler::Accept { offer_ids: vec!["O1-1".into()], operations: vec![operation], ..Default::default() })
}

fn launch(tasks: Vec<common::TaskSpec>) -> Op {
    let launch = |task| scheduler::TaskLaunch { agent_id: String::new(), task: Some(task), reserved_use: 0 };
    Op::Launch(scheduler::Launch { tasks: tasks.into_iter().map(launch).collect() })
}

#[test]
fn a_wrong_call_is_refused_with_the_whole_path() {
    let mut bad_port = good_task();
    container(&mut bad_port).ports[1].host_port = 70_000;
    let info = |name: &str, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        scheduler::FrameworkInfo { name: name.into(), roles, ..Default::default() }
    };
    let subscribe =
        |framework| C::Subscribe(scheduler::Subscribe { framework: Some(framework), demand: Some(Default::default()) });
    let item = |item| C::Demand(scheduler::Demand { items: vec![item] });
    let regex = common::Constraint { subject: "zone".into(), operator: 5, value: "(".into() };
    let table: Vec<(C, &str, &str)> = vec![
        (C::Subscribe(scheduler::Subscribe::default()), "subscribe.framework", "is missing"),
        (subscribe(info("", &["a"])), "subscribe.framework.name", "empty id"),
        (subscribe(info("a b", &["a"])), "subscribe.framework.name", "holds ' '"),
        (subscribe(info("a", &["a", "b", "a"])), "subscribe.framework.roles[2]", "repeats \"a\""),
        (subscribe(info("a", &["/"])), "subscribe.framework.roles[0]", "empty part"),
        (
            accept(launch(vec![good_task(), bad_port])),
            "accept.operations[0].launch.tasks[1].task.container.ports[1].host_port",
            "ports are 1 to 65535",
        ),
        (
            accept(launch(vec![good_task(), good_task()])),
            "accept.operations[0].launch.tasks[1].task.task_id",
            "repeats \"web-1\"",
        ),
        (accept(launch(vec![])), "accept.operations[0].launch.tasks", "is missing"),
        (accept(Op::Reserve(scheduler::Reserve::default())), "accept.operations[0].reserve.agent_id", "empty id"),
        (C::Accept(scheduler::Accept::default()), "accept.offer_ids", "is missing"),
        (
            C::Decline(scheduler::Decline { offer_ids: vec!["a".into(), "a".into()], ..Default::default() }),
            "decline.offer_ids[1]",
            "repeats \"a\"",
        ),
        (
            item(scheduler::DemandItem { shape: Some(Default::default()), ..Default::default() }),
            "demand.items[0].count",
            "at least 1",
        ),
        (
            item(scheduler::DemandItem { constraints: vec![regex], ..Default::default() }),
            "demand.items[0].constraints[0].value",
            "unclosed group",
        ),
        (C::Kill(scheduler::Kill::default()), "kill.task_id", "empty id"),
        (
            C::Acknowledge(scheduler::Acknowledge { acknowledgements: vec![Default::default()] }),
            "acknowledge.acknowledgements[0].seq",
            "at least 1",
        ),
        (
            C::Reconcile(scheduler::Reconcile { tasks: vec![Default::default()] }),
            "reconcile.tasks[0].task_id",
            "empty id",
        ),
    ];
    for (call, path, told) in table {
        let error = SchedulerCall::try_from(scheduler::Call { call: Some(call) }).expect_err(path);
        assert_eq!(error.path, path, "{error}");
        assert!(error.to_string().contains(told), "{error} must say {told:?}");
    }
    let error = SchedulerCall::try_from(scheduler::Call { call: None }).unwrap_err();
    assert_eq!(error, WireError::new("", Defect::EmptyMessage));
    assert!(error.to_string().starts_with("message has no content"), "{error}");
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let info = scheduler::FrameworkInfo { name: "a".into(), ..Default::default() };
    let call = C::Subscribe(scheduler::Subscribe { framework: Some(info), demand: None });
    let Ok(SchedulerCall::Subscribe { framework, demand }) =
        SchedulerCall::try_from(scheduler::Call { call: Some(call) })
    else {
        panic!("a subscription with defaults is right")
    };
    assert_eq!((framework.id, framework.principal.as_str()), (None, "default"));
    assert_eq!(framework.roles, [crate::Role::default_role()]);
    assert_eq!(framework.failover_timeout_ms, crate::DEFAULT_FAILOVER_TIMEOUT_MS);
    assert!(demand.items.is_empty());

    let task = TaskSpec::try_from(good_task()).unwrap();
    assert_eq!(task.kill_policy.grace_ms, 10_000);
    assert_eq!(task.container.ports[0].container_port, 31_000, "container port 0 takes the host port");
    assert_eq!(crate::Filter::try_from(scheduler::Filter::default()).unwrap().refuse_ms, 5_000);
}

#[test]
fn an_unset_state_is_not_taken_for_one() {
    let status = common::TaskStatus { task_id: "a".into(), source: 2, ..Default::default() };
    let error = crate::TaskStatus::try_from(status).unwrap_err();
    assert_eq!(error, WireError::new("state", Defect::Missing));
    let agent = agent::AgentMessage { message: None };
    assert_eq!(super::AgentMessage::try_from(agent).unwrap_err().defect, Defect::EmptyMessage);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn calls_come_back_as_they_were(call in testing::call()) {
        prop_assert_eq!(SchedulerCall::try_from(call.clone().into_wire()), Ok(call));
    }

    #[test]
    fn events_come_back_as_they_were(event in testing::event()) {
        prop_assert_eq!(super::SchedulerEvent::try_from(event.clone().into_wire()), Ok(event));
    }

    #[test]
    fn agent_messages_come_back_as_they_were(message in testing::agent_message()) {
        let wire = agent::AgentMessage::from(message.clone());
        prop_assert_eq!(super::AgentMessage::try_from(wire), Ok(message));
    }

    #[test]
    fn master_messages_come_back_as_they_were(message in testing::master_message()) {
        let wire = agent::MasterMessage::from(message.clone());
        prop_assert_eq!(super::MasterEnvelope::try_from(wire), Ok(message));
    }

    #[test]
    fn resources_and_statuses_come_back_as_they_were(resources in testing::resources(), status in testing::status()) {
        prop_assert_eq!(crate::Resources::try_from(common::Resources::from(resources.clone())), Ok(resources));
        prop_assert_eq!(crate::TaskStatus::try_from(common::TaskStatus::from(status.clone())), Ok(status));
    }

    #[test]
    fn tasks_come_back_as_they_were(task in testing::task()) {
        prop_assert_eq!(TaskSpec::try_from(common::TaskSpec::from(task.clone())), Ok(task));
    }
}
