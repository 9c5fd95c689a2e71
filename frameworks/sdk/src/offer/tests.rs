//! Tests of offers: what is subtracted, which ports are chosen, what an unused offer says.

use proffer_proto_wire::{MAX_CALL_PARTS, count_parts, scheduler};
use proptest::prelude::*;

use super::*;
use crate::model::{PortRange, PortSet};
use crate::{Bytes, MilliCpus, NetworkMode, Task, VolumeId, VolumeInfo, VolumeState};

fn offer(cpus: u64, ports: &[(u16, u16)]) -> (Offer, Outbox) {
    let mut resources = Resources::new(MilliCpus(cpus), Bytes::mib(1_024));
    resources.ports = ports.iter().map(|&(begin, end)| PortRange { begin, end }).collect();
    let facts = model::Offer {
        id: OfferId::new("O1-1").unwrap(),
        agent: AgentId::new("a1").unwrap(),
        hostname: "host-1".into(),
        role: Role::default_role(),
        resources,
        attributes: Vec::new(),
        expires_in_ms: 30_000,
        region: String::new(),
        zone: "z1".into(),
        agent_address: "10.0.0.1".into(),
        unavailability: None,
        is_optimistic: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
    };
    let outbox = Outbox::default();
    (Offer::new(facts, outbox.clone()), outbox)
}

fn task(id: &str) -> Task {
    Task::new(id).image("hello").cpus(0.5).memory_mib(100)
}

#[test]
fn a_task_that_does_not_fit_leaves_the_offer_as_it_was() {
    let (mut offer, _) = offer(700, &[]);
    offer.launch(task("a").build().unwrap()).unwrap();
    let left = offer.left().clone();
    let refused = offer.launch(task("b").build().unwrap()).unwrap_err();
    assert_eq!(refused.to_string(), "task b does not fit on agent a1: 0.3 cpus missing");
    assert_eq!(refused.task.id.as_str(), "b");
    assert_eq!(offer.left(), &left);
    assert_eq!(offer.shortage(&task("c").cpus(0.2).build().unwrap()), None);
}

#[test]
fn open_ports_are_chosen_and_fixed_ports_are_kept_free() {
    let (mut offer, _) = offer(4_000, &[(31_000, 31_002)]);
    let mapping = |name: &str, container_port, host_port| PortMapping {
        name: name.to_owned(),
        container_port,
        host_port,
        protocol: Default::default(),
    };
    let fixed = task("a").port_mapping(mapping("admin", 9_000, 31_000)).port("http", 8_080).build().unwrap();
    assert_eq!(fixed.container.network, NetworkMode::Bridge);
    let launched = offer.launch(fixed).unwrap();
    assert_eq!(launched.ports.iter().map(|p| p.host_port).collect::<Vec<_>>(), [31_000, 31_001]);
    assert_eq!(offer.left().ports.to_string(), "31002");
    let two = task("b").port("x", 1).port("y", 2).build().unwrap();
    assert_eq!(offer.launch(two).unwrap_err().shortage.ports.count(), 1);
    let same = task("c").port_mapping(mapping("admin", 1, 31_000)).build().unwrap();
    assert_eq!(offer.launch(same).unwrap_err().shortage.ports, PortSet::single(31_000));
}

#[test]
fn ports_taken_by_hand_serve_only_tasks_that_name_them() {
    let (mut offer, outbox) = offer(4_000, &[(31_000, 31_002)]);
    assert_eq!(offer.take_ports(4), None);
    assert_eq!(offer.take_ports(2), Some(vec![31_000, 31_001]));
    let open = offer.launch(task("a").port("http", 0).build().unwrap()).unwrap();
    assert_eq!(open.ports[0].host_port, 31_002);
    let named = PortMapping { name: "x".into(), container_port: 0, host_port: 31_001, protocol: Default::default() };
    offer.launch(task("b").port_mapping(named).build().unwrap()).unwrap();
    drop(offer);
    let Operation::Launch { tasks } = &outbox.take()[0].operations[0] else { panic!() };
    assert_eq!(tasks[1].task.resources.ports, PortSet::single(31_001));
}

#[test]
fn a_group_is_launched_whole_or_not_at_all() {
    let (mut offer, outbox) = offer(1_200, &[]);
    let group = |ids: &[&str]| ids.iter().map(|id| task(id).build().unwrap()).collect::<Vec<_>>();
    assert_eq!(offer.launch_group(group(&["a", "b", "c"])).unwrap_err().task.id.as_str(), "c");
    assert_eq!(offer.left().cpus, MilliCpus(1_200));
    assert_eq!(offer.launch_group(group(&["a", "b"])).unwrap().len(), 2);
    drop(offer);
    assert!(matches!(&outbox.take()[0].operations[..], [Operation::LaunchGroup { tasks, .. }] if tasks.len() == 2));
}

#[test]
fn an_offer_says_why_it_was_not_used() {
    let (silent, outbox) = offer(1, &[]);
    drop(silent);
    assert_eq!(outbox.take()[0].reason, None);
    let (short, outbox) = offer(1, &[]);
    let shortage = short.shortage(&task("a").build().unwrap()).unwrap();
    short.decline_short(shortage);
    let answers = outbox.take();
    assert!(
        matches!(&answers[0].reason.as_ref().unwrap().kind, DeclineKind::ResourcesShort { shortage } if shortage.cpus.0 == 499)
    );
    let (later, outbox) = offer(1, &[]);
    later.decline_for(DeclineReason::new(DeclineKind::BackOff), u64::MAX);
    assert_eq!(outbox.take()[0].filter.refuse_ms, model::MAX_REFUSE_MS);
}

proptest! {
    /// Whatever is launched in whatever order: no port twice, and nothing beyond the offer.
    #[test]
    fn launches_never_exceed_the_offer(wants in proptest::collection::vec((0u64..900, 0usize..4, 0u16..3), 0..12)) {
        let (mut offer, outbox) = offer(2_000, &[(100, 104), (200, 202)]);
        let whole = offer.left().clone();
        for (at, (cpus, open, fixed)) in wants.into_iter().enumerate() {
            let mut task = Task::new(format!("t{at}")).image("x").cpus(cpus as f64 / 1000.0).memory_mib(1);
            for port in 0..open {
                task = task.port(format!("p{port}"), 0);
            }
            if fixed > 0 {
                let host_port = 99 + fixed * 3;
                let mapping = PortMapping { name: "f".into(), container_port: 0, host_port, protocol: Default::default() };
                task = task.port_mapping(mapping);
            }
            let before = offer.left().clone();
            match offer.launch(task.build().unwrap()) {
                Ok(launched) => prop_assert!(launched.ports.iter().all(|p| before.ports.contains(&PortSet::single(p.host_port)))),
                Err(_) => prop_assert_eq!(offer.left(), &before),
            }
        }
        let left = offer.left().clone();
        drop(offer);
        let mut sum = left;
        for operation in &outbox.take()[0].operations {
            let Operation::Launch { tasks } = operation else { panic!() };
            for launch in tasks {
                sum = sum.checked_add(&launch.task.resources).expect("a port is there twice");
            }
        }
        prop_assert_eq!(sum, whole);
    }
}

#[test]
fn a_volume_is_made_of_what_is_left_and_mounted_by_a_later_task() {
    let (mut offer, outbox) = offer(4_000, &[]);
    offer.left.disk = Bytes::mib(10);
    offer.facts.volumes = vec![volume("old", VolumeState::Lost, &[]), volume("busy", VolumeState::Ready, &["F1-1/a"])];
    let db = VolumeId::new("db").unwrap();
    let missing = offer.create_volume("c", db.clone(), Bytes::mib(11)).unwrap_err();
    assert_eq!(missing.shortage.disk, Bytes::mib(1));
    let mount = |id: &str| task("t").volume(id, "/data").build().unwrap();
    for (id, words) in [("db", "not on this agent"), ("old", "lost"), ("busy", "in use by task F1-1/a")] {
        assert!(offer.volume_problem(&mount(id).container).unwrap().contains(words));
    }
    let reader = task("r").volume_read_only("busy", "/data").build().unwrap();
    assert_eq!(offer.volume_problem(&reader.container), None);
    offer.reserve("r", Resources { disk: Bytes::mib(10), ..Resources::default() }).unwrap();
    offer.create_volume("c", db, Bytes::mib(8)).unwrap();
    assert_eq!((offer.volume_problem(&mount("db").container), offer.left().disk), (None, Bytes::mib(2)));
    offer.launch(mount("db")).unwrap();
    assert!(offer.volume_problem(&mount("db").container).unwrap().contains("launched on this offer"));
    offer.destroy_volume("d", VolumeId::new("old").unwrap());
    drop(offer);
    let kinds: Vec<_> = outbox.take().remove(0).operations.iter().map(kind).collect();
    assert_eq!(kinds, ["reserve", "create", "launch", "destroy"]);
    let defects = task("t").volume("a/b", "/data").build().unwrap_err().defects;
    assert!(defects[0].field == "volume" && defects[0].problem.contains("a/b"), "{defects:?}");
}

fn volume(id: &str, state: VolumeState, users: &[&str]) -> VolumeInfo {
    let key = |text: &&str| {
        let (framework, task) = text.split_once('/').unwrap();
        model::TaskKey { framework: crate::FrameworkId::new(framework).unwrap(), task: TaskId::new(task).unwrap() }
    };
    let (id, role) = (VolumeId::new(id).unwrap(), Role::default_role());
    VolumeInfo {
        id,
        role,
        size: Bytes::mib(1),
        state,
        used_by: users.iter().map(key).collect(),
        message: String::new(),
        owner: None,
    }
}

fn kind(operation: &Operation) -> &'static str {
    match operation {
        Operation::Launch { .. } | Operation::LaunchGroup { .. } => "launch",
        Operation::Reserve { .. } => "reserve",
        Operation::Unreserve { .. } => "unreserve",
        Operation::CreateVolume { .. } => "create",
        Operation::DestroyVolume { .. } => "destroy",
    }
}

#[test]
fn an_offer_takes_as_many_tasks_as_a_master_takes_in_one_answer() {
    let small =
        |number: usize| Task::new(format!("t-{number}")).image("hello").cpus(0.001).memory_mib(1).build().unwrap();
    let (mut offer, _) = offer(64_000, &[]);
    offer.launch_group((0..400).map(small).collect()).unwrap();
    for number in 400..1_000 {
        offer.launch(small(number)).unwrap();
    }
    let left = offer.left().clone();
    let refused = offer.launch(small(1_000)).unwrap_err();
    assert!(refused.is_full && refused.to_string().contains("use the next one"), "{refused}");
    assert!(offer.launch_group(vec![small(1_000), small(1_001)]).unwrap_err().is_full);
    assert_eq!(offer.left(), &left);
}

#[test]
fn a_gang_takes_no_more_over_all_its_offers() {
    let small =
        |number: usize| Task::new(format!("t-{number}")).image("hello").cpus(0.001).memory_mib(1).build().unwrap();
    let mut gang = Gang::new();
    gang.add(offer(64_000, &[]).0, (0..600).map(small).collect()).unwrap();
    let refused = gang.add(offer(64_000, &[]).0, (600..1_001).map(small).collect()).unwrap_err();
    assert!(matches!(&refused, NotAdded::DoesNotFit { reason, .. } if reason.is_full), "{refused}");
    gang.add(offer(64_000, &[]).0, (600..1_000).map(small).collect()).unwrap();
}

/// Tasks with so many variables that a thousand of them are no call any more: as many as fit are, and the answer is one
/// that a master reads.
#[test]
fn an_answer_is_never_longer_than_a_call_may_be() {
    let long = |number: usize| {
        let mut task = Task::new(format!("t{number}")).image("i").cpus(0.001).memory_mib(1);
        for at in 0..100 {
            task = task.env(format!("V{at}"), "1");
        }
        task.build().unwrap()
    };
    let (mut offer, outbox) = offer(4_000, &[]);
    let launched = (0..1_000).take_while(|number| offer.launch(long(*number)).is_ok()).count();
    assert!((400..1_000).contains(&launched), "{launched}");
    assert!(offer.launch(long(1_000)).unwrap_err().is_full);
    drop(offer);
    let answer = outbox.take().pop().unwrap();
    let operations = answer.operations.into_iter().map(Into::into).collect();
    let accept = scheduler::Accept { operations, ..Default::default() };
    let call = scheduler::Call { call: Some(scheduler::call::Call::Accept(accept)) };
    let parts = count_parts(&call);
    assert!((MAX_CALL_PARTS / 10 * 8..MAX_CALL_PARTS).contains(&parts), "{parts}");
}
