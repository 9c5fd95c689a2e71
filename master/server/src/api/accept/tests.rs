//! Accepts with parts that cannot be read.

use proffer_proto_wire::common;

use super::*;

fn launch(id: &str) -> wire::TaskLaunch {
    let container = common::ContainerSpec { image: "busybox:1.36".to_owned(), ..Default::default() };
    let resources = common::Resources { cpus_milli: 100, ..Default::default() };
    let task = common::TaskSpec {
        task_id: id.to_owned(),
        name: "web".to_owned(),
        container: Some(container),
        resources: Some(resources),
        ..Default::default()
    };
    wire::TaskLaunch { agent_id: "a1".to_owned(), task: Some(task), reserved_use: 0 }
}

/// Its image is missing.
fn bad(id: &str) -> wire::TaskLaunch {
    let mut launch = launch(id);
    launch.task.as_mut().unwrap().container.as_mut().unwrap().image.clear();
    launch
}

fn operation(id: &str, operation: WireOperation) -> wire::Operation {
    wire::Operation { operation_id: id.to_owned(), operation: Some(operation) }
}

fn tasks(tasks: Vec<wire::TaskLaunch>) -> wire::Operation {
    operation("", WireOperation::Launch(wire::Launch { tasks }))
}

fn group(id: &str, tasks: Vec<wire::TaskLaunch>) -> wire::Operation {
    operation(id, WireOperation::LaunchGroup(wire::LaunchGroup { tasks }))
}

fn judged(operations: Vec<wire::Operation>) -> (Vec<String>, Result<usize, Vec<OfferId>>) {
    let accept = wire::Accept { offer_ids: vec!["o1".to_owned()], operations, ..Default::default() };
    let Judged { told, rest } = judge(accept, UnixMillis(7));
    let told = told.into_iter().map(|event| match event {
        SchedulerEvent::Status(statuses) => {
            let status = &statuses[0];
            assert_eq!((status.seq, status.reason), (0, TaskReason::TaskInvalid));
            format!("{} {:?} {}", status.task, status.state, status.message)
        }
        SchedulerEvent::OperationStatus { operation_id, outcome, message } => {
            format!("{operation_id} {outcome:?} {message}")
        }
        SchedulerEvent::Error { message, is_fatal, .. } => {
            assert!(!is_fatal);
            format!("error {message}")
        }
        other => panic!("{other:?}"),
    });
    let rest = match rest {
        Rest::Accept(accept) => Ok(accept.operations.len()),
        Rest::GiveBack(offers, _) => Err(offers),
    };
    (told.collect(), rest)
}

fn assert_told(told: &[String], expected: &[(&str, &str)]) {
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (begin, part)) in told.iter().zip(expected) {
        assert!(told.starts_with(begin) && told.contains(part), "{told} is not {begin} ... {part}");
    }
}

#[test]
fn what_can_be_read_goes_on_silently() {
    let (told, rest) = judged(vec![tasks(vec![launch("t1"), launch("t2")]), group("g", vec![launch("t3")])]);
    assert_told(&told, &[]);
    assert_eq!(rest, Ok(2));
}

#[test]
fn a_bad_task_is_answered_by_its_own_place() {
    let (told, rest) = judged(vec![tasks(vec![launch("t1")]), tasks(vec![launch("t2"), bad("t3")])]);
    assert_told(&told, &[("t3 Error", "accept.operations[1].launch.tasks[1].task.container.image")]);
    assert_eq!(rest, Ok(2));
}

#[test]
fn a_launch_of_bad_tasks_only_leaves_an_accept_that_gives_the_offer_back() {
    let (told, rest) = judged(vec![tasks(vec![bad("t1")])]);
    assert_told(&told, &[("t1 Error", "accept.operations[0]")]);
    assert_eq!(rest, Ok(0));
}

#[test]
fn one_bad_task_stops_its_whole_group_and_nothing_else() {
    let mut members: Vec<_> = (0..11).map(|n| launch(&format!("t{n}"))).collect();
    members[10] = bad("t10");
    members.drain(2..10);
    let (told, rest) = judged(vec![group("g", members), tasks(vec![launch("other")])]);
    let place = "accept.operations[0].launch_group.tasks[2].task.container.image";
    assert_told(&told, &[("t0 Dropped", place), ("t1 Dropped", place), ("t10 Error", place), ("g Refused", place)]);
    assert_eq!(rest, Ok(1));
}

#[test]
fn what_has_no_name_is_answered_by_an_error() {
    let empty = wire::Operation::default();
    let (told, rest) = judged(vec![empty, tasks(vec![bad("")]), tasks(Vec::new())]);
    assert_told(
        &told,
        &[
            ("error", "accept.operations[0]"),
            ("error", "accept.operations[1].launch.tasks[0]"),
            ("error", "accept.operations[2].launch.tasks"),
        ],
    );
    assert_eq!(rest, Ok(0));
}

#[test]
fn a_task_that_is_there_twice_voids_the_accept() {
    let (told, rest) = judged(vec![tasks(vec![launch("t1")]), group("g", vec![launch("t1")])]);
    let place = "accept.operations[1].tasks[0].task.task_id";
    let expected = [("t1 Dropped", place), ("g Dropped", place), ("t1 Dropped", place), ("error", place)];
    assert_told(&told, &expected);
    assert_eq!(rest, Err(vec![OfferId::new("o1").unwrap()]));
}

#[test]
fn an_accept_whose_offers_make_no_sense_gives_back_those_that_do() {
    let offer_ids = vec!["o1".to_owned(), String::new()];
    let accept = wire::Accept { offer_ids, operations: vec![tasks(vec![launch("t1")])], ..Default::default() };
    let Judged { told, rest } = judge(accept, UnixMillis(7));
    assert_eq!(told.len(), 2);
    let Rest::GiveBack(offers, message) = rest else { panic!("it was taken") };
    assert_eq!(offers, [OfferId::new("o1").unwrap()]);
    assert!(message.contains("accept.offer_ids[1]"), "{message}");
}
