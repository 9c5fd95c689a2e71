//! Masters: old ones, silent ones, wrong ones, and those who expect what is not there.

use proffer_proto_model::TaskState::*;
use proffer_proto_model::*;

use super::world::*;
use crate::*;

#[test]
fn an_old_master_has_no_effect() {
    let mut world = World::attached();
    world.epoch = 5;
    world.launch(spec("a"));
    world.run();
    world.epoch = 4;
    world.kill("a", 0);
    assert!(world.pending.iter().all(|e| !matches!(e, Effect::SignalContainer { .. })));
    assert_eq!((world.engine.stale_messages(), world.closed), (1, 1));
    assert_eq!(world.store.identity.seen_epoch, Epoch(5));
    world.crash();
    world.session += 1;
    world.connected = true;
    world.input(Input::MasterConnected { session: SessionId(world.session) });
    world.master(MasterMessage::Refused { message: "x".to_owned(), last: true });
    assert!(world.refused.is_empty(), "an old master cannot send the agent away, also after a restart");
}

#[test]
fn a_silent_master_is_given_up_and_the_link_is_ready_for_another() {
    let mut world = World::attached();
    world.pass(3 * PING_MS - 1);
    assert!(world.engine.is_attached());
    world.pass(1);
    assert!(!world.engine.is_attached());
    assert_eq!(world.closed, 1);
    world.connect();
    assert!(world.engine.is_attached());
    world.master(MasterMessage::Ping { nonce: 9 });
    assert_eq!(world.sent.last(), Some(&ToMaster::Pong { nonce: 9 }));
}

#[test]
fn a_master_that_never_answers_the_attach_is_given_up() {
    let mut world = World::new();
    world.session = 1;
    world.connected = true;
    world.input(Input::MasterConnected { session: SessionId(1) });
    world.pass(10_000);
    assert_eq!(world.closed, 1);
}

#[test]
fn messages_of_an_earlier_connection_are_ignored() {
    let mut world = World::attached();
    let late = Input::Master {
        session: SessionId(world.session),
        epoch: Epoch(1),
        message: MasterMessage::Kill { key: key("a"), policy: None, reason: TaskReason::None },
    };
    world.connect();
    world.sent.clear();
    world.input(late);
    assert!(world.sent.is_empty());
}

#[test]
fn an_expected_task_that_never_came_is_dropped_for_good() {
    let mut world = World::attached();
    world.master(MasterMessage::Expect(vec![key("a")]));
    assert_eq!(world.states("a"), [Dropped]);
    assert_eq!((world.last("a").reason, world.last("a").seq), (TaskReason::AgentRestarted, 1));
    world.crash();
    world.connect();
    world.master(MasterMessage::Expect(vec![key("a")]));
    world.launch(spec("a"));
    world.run();
    world.ack("a");
    world.launch(spec("a"));
    world.run();
    assert_eq!(world.states("a"), [Dropped], "a late launch does not start what was said to be dropped");
    assert!(world.starts.is_empty() && world.store.progress.is_empty());
}

#[test]
fn an_expected_task_that_ended_gets_the_same_end_again() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.run();
    world.exit("a", ExitCause::Code(3));
    world.run();
    world.ack_all("a");
    assert!(world.store.progress.is_empty());
    world.sent.clear();
    world.master(MasterMessage::Expect(vec![key("a")]));
    let ToMaster::Updates(updates) = &world.sent[0] else { panic!("the end is said again") };
    assert_eq!((updates[0].status.state, updates[0].status.seq), (Failed, 3));
    world.ack("a");
    assert!(world.store.progress.is_empty());
}

#[test]
fn a_running_task_that_is_expected_needs_no_answer() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.run();
    world.sent.clear();
    world.master(MasterMessage::Expect(vec![key("a")]));
    assert!(world.sent.is_empty());
}

#[test]
fn a_kill_of_an_unknown_task_is_answered() {
    let mut world = World::attached();
    world.kill("a", 0);
    assert_eq!(world.states("a"), [Dropped]);
}

#[test]
fn a_master_of_another_cluster_is_refused_with_what_to_do() {
    let mut world = World::attached();
    world.session += 1;
    world.connected = true;
    world.input(Input::MasterConnected { session: SessionId(world.session) });
    world.master(MasterMessage::Attached {
        agent: AgentId::numbered(9, 9),
        ping_interval_ms: 1,
        cluster: ClusterId::new("other").unwrap(),
    });
    assert_eq!(world.store.identity.agent, Some(AgentId::numbered(1, 1)));
    let (message, last) = world.refused.pop().unwrap();
    assert!(last && message.contains("cluster other") && message.contains("data directory"), "{message}");
}

#[test]
fn memory_of_ended_tasks_is_bounded_and_takes_their_logs_along() {
    let mut few = config();
    few.ended_kept = 2;
    let mut world = World::with(few);
    world.connect();
    for task in ["a", "b", "c"] {
        world.launch(spec(task));
        world.perform(0, Some(FailureKind::Permanent), false);
        world.perform(0, None, false);
        world.ack_all(task);
    }
    assert_eq!(world.store.ended.values().map(|e| e.key.clone()).collect::<Vec<_>>(), [key("b"), key("c")]);
    assert_eq!(world.pending, [Effect::RemoveLogs { container: container_id(&key("a")) }]);
    let changed: Vec<_> = world.engine.take_changed();
    assert!(changed.iter().any(|(k, summary)| *k == key("a") && summary.is_none()));
}
