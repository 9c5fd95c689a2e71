//! Random lives: any order of messages, outcomes, failures, lost connections and deaths of the process.

use proffer_proto_model::task::{Mount, MountSource};
use proffer_proto_model::{Bytes, HeldState, Role, TaskSpec, Volume, VolumeId};
use proptest::prelude::*;

use super::world::*;
use crate::*;

const TASKS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Happening {
    Launch(usize),
    Kill(usize, u64),
    Expect(usize),
    Ack(usize),
    WrongAck(usize, u64),
    Do(usize),
    DoAndDie(usize),
    Fail(usize, FailureKind),
    Exit(usize, ExitCause),
    Die,
    DieInNext(Death),
    Connect,
    Disconnect,
    Pass(u64),
    /// The volume that task `a` mounts is made, or destroyed, under the next number.
    CreateVolume,
    DestroyVolume,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let task = 0..TASKS.len();
    let kind = prop_oneof![
        Just(FailureKind::Temporary),
        Just(FailureKind::Permanent),
        Just(FailureKind::NotFound),
        Just(FailureKind::AlreadyExists)
    ];
    let cause = prop_oneof![
        Just(ExitCause::Code(0)),
        Just(ExitCause::Code(1)),
        Just(ExitCause::OutOfMemory),
        Just(ExitCause::Unknown)
    ];
    prop_oneof![
        4 => task.clone().prop_map(Launch),
        1 => (task.clone(), 0u64..2_000).prop_map(|(t, g)| Kill(t, g)),
        1 => task.clone().prop_map(Expect),
        4 => task.clone().prop_map(Ack),
        1 => (task.clone(), 0u64..5).prop_map(|(t, s)| WrongAck(t, s)),
        10 => (0usize..8).prop_map(Do),
        1 => (0usize..8).prop_map(DoAndDie),
        1 => (0usize..8, kind).prop_map(|(i, k)| Fail(i, k)),
        2 => (task, cause).prop_map(|(t, c)| Exit(t, c)),
        1 => Just(Die),
        1 => prop_oneof![Just(Death::BeforeCommit), Just(Death::AfterCommit)].prop_map(DieInNext),
        2 => Just(Connect),
        1 => Just(Disconnect),
        2 => (1u64..20_000).prop_map(Pass),
        2 => Just(CreateVolume),
        1 => Just(DestroyVolume),
    ]
}

fn task(index: usize) -> TaskSpec {
    match index {
        0 => {
            let mut spec = spec(TASKS[0]);
            let source = MountSource::Volume { id: volume(1).id, role: Some(volume(1).role), read_only: false };
            spec.container.mounts = vec![Mount { target: "/data".to_owned(), source }];
            spec
        }
        // Two that want the same port.
        other => bridged(TASKS[other], 31000),
    }
}

fn volume(number: u64) -> Volume {
    Volume { number, id: VolumeId::new("db").unwrap(), role: Role::default_role(), size: Bytes::mib(1) }
}

/// The highest number of a volume, and whether it lives; a master makes a new one only when it does not.
fn newest(world: &World) -> (u64, bool) {
    let newest = world.store.volumes.last_key_value();
    (world.volumes, newest.is_some_and(|(number, held)| *number == world.volumes && held.state != HeldState::Removing))
}

fn happen(world: &mut World, happening: Happening) {
    let pick = |world: &World, index: usize| (!world.pending.is_empty()).then(|| index % world.pending.len().max(1));
    match happening {
        Happening::Launch(t) if world.engine.is_attached() => world.launch(task(t)),
        // A master kills and expects only what it launched.
        Happening::Kill(t, grace) if world.engine.is_attached() && world.launched.contains(&key(TASKS[t])) => {
            world.kill(TASKS[t], grace);
        }
        Happening::Expect(t) if world.engine.is_attached() && world.launched.contains(&key(TASKS[t])) => {
            world.master(MasterMessage::Expect(vec![key(TASKS[t])]));
        }
        Happening::Ack(t) if world.engine.is_attached() => world.ack(TASKS[t]),
        // A number the master was never told.
        Happening::WrongAck(t, more) if world.engine.is_attached() => {
            let seq = world.told.get(&key(TASKS[t])).map_or(0, Vec::len) as u64 + 1 + more;
            world.master(MasterMessage::Acknowledge(vec![(key(TASKS[t]), seq)]));
        }
        Happening::Do(i) => {
            if let Some(i) = pick(world, i) {
                world.perform(i, None, false);
            }
        }
        Happening::DoAndDie(i) => {
            if let Some(i) = pick(world, i) {
                world.perform(i, None, true);
                world.crash();
            }
        }
        Happening::Fail(i, kind) => {
            if let Some(i) = pick(world, i) {
                world.perform(i, Some(kind), false);
            }
        }
        Happening::Exit(t, cause) => world.exit(TASKS[t], cause),
        Happening::Die => world.crash(),
        Happening::DieInNext(death) => world.dies = Some(death),
        Happening::Connect if !world.connected => world.connect(),
        Happening::Disconnect if world.connected => world.disconnect(),
        Happening::Pass(ms) => world.pass(ms),
        Happening::CreateVolume if world.engine.is_attached() && !newest(world).1 => {
            world.volumes += 1;
            world.master(MasterMessage::CreateVolume(volume(world.volumes)));
        }
        Happening::DestroyVolume if world.engine.is_attached() => {
            world.master(MasterMessage::DestroyVolume { number: world.volumes });
        }
        _ => {}
    }
}

/// No more faults: the master wants every task to end, and everything must come to rest.
fn settle(world: &mut World) {
    world.dies = None;
    for _ in 0..40 {
        if !world.engine.is_attached() {
            world.connect();
        }
        (1..=world.volumes).for_each(|number| world.master(MasterMessage::DestroyVolume { number }));
        let open = |world: &World, k: &proffer_proto_model::TaskKey| {
            world.told.get(k).and_then(|told| told.last()).is_none_or(|last| !last.state.is_terminal())
        };
        let unfinished: Vec<_> = world.launched.iter().filter(|k| open(world, k)).cloned().collect();
        world.master(MasterMessage::Expect(unfinished.clone()));
        for k in unfinished {
            world.kill(k.task.as_str(), 10);
        }
        world.run();
        for t in TASKS {
            world.ack_all(t);
        }
        world.pass(4_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_task_ends_exactly_once_and_leaves_nothing(happenings in proptest::collection::vec(happening(), 1..120)) {
        let mut world = World::attached();
        for one in happenings {
            happen(&mut world, one);
            world.engine.audit().unwrap();
        }
        settle(&mut world);
        for key in &world.launched {
            let ends = world.told.get(key).map_or(0, |told| told.iter().filter(|s| s.state.is_terminal()).count());
            prop_assert_eq!(ends, 1, "{} must end once: {:?}", key, world.told.get(key));
        }
        prop_assert!(world.starts.values().all(|count| *count == 1), "started twice: {:?}", world.starts);
        prop_assert!(world.boxes.is_empty(), "containers left: {:?}", world.boxes);
        prop_assert!(world.networks.is_empty(), "networks left: {:?}", world.networks);
        prop_assert!(world.store.volumes.is_empty(), "volumes left: {:?}", world.store.volumes);
        prop_assert!(world.directories.is_empty(), "directories left: {:?}", world.directories);
        prop_assert!(world.store.progress.is_empty() && world.store.launches.is_empty());
    }
}
