//! Updates: in order, one at a time, until confirmed.

use proffer_proto_model::TaskState::*;

use super::world::*;
use crate::*;

#[test]
fn only_the_oldest_unconfirmed_update_travels() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.run();
    world.exit("a", ExitCause::Code(0));
    world.run();
    assert_eq!(world.states("a"), [Starting]);
    let ToMaster::Updates(updates) = world.sent.last().unwrap() else { panic!("an update is the last message") };
    assert_eq!(updates[0].latest, Starting, "as it was when it was sent");
    world.ack("a");
    assert_eq!(world.states("a"), [Starting, Running]);
    let ToMaster::Updates(updates) = world.sent.last().unwrap() else { panic!("an update is the last message") };
    assert_eq!(updates[0].latest, Finished, "the master may count early");
    world.ack("a");
    assert_eq!(world.states("a"), [Starting, Running, Finished]);
}

#[test]
fn a_wrong_or_repeated_confirmation_is_ignored() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.run();
    for seq in [0, 2, 3, 99] {
        world.master(MasterMessage::Acknowledge(vec![(key("a"), seq)]));
    }
    assert_eq!(world.states("a"), [Starting]);
    world.ack("a");
    world.master(MasterMessage::Acknowledge(vec![(key("a"), 1)]));
    assert_eq!(world.store.progress[&key("a")].unconfirmed.len(), 1);
}

#[test]
fn an_unconfirmed_update_is_sent_again_ever_more_rarely() {
    let mut world = World::attached();
    world.launch(spec("a"));
    let count = |world: &World| world.sent.iter().filter(|m| matches!(m, ToMaster::Updates(_))).count();
    let mut waits = Vec::new();
    let mut waited = 0;
    while waits.len() < 9 {
        let before = count(&world);
        waited += 1_000;
        world.master(MasterMessage::Ping { nonce: 0 });
        world.pass(1_000);
        if count(&world) > before {
            waits.push(waited / 1_000);
            waited = 0;
        }
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
}

#[test]
fn a_new_connection_gets_every_oldest_update_at_once() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.launch(spec("b"));
    world.disconnect();
    world.run();
    world.sent.clear();
    world.connect();
    let ToMaster::Updates(updates) = &world.sent[1] else { panic!("updates follow the attach") };
    assert_eq!(updates.len(), 2, "in one message");
    let ToMaster::Attach { tasks, .. } = &world.sent[0] else { panic!("the attach comes first") };
    assert_eq!(tasks.len(), 2);
    assert_eq!(tasks[0].latest.state, Running, "the attach tells the latest state");
}

#[test]
fn nothing_is_said_before_the_master_admitted_the_agent() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.disconnect();
    world.session += 1;
    world.connected = true;
    world.sent.clear();
    world.input(Input::MasterConnected { session: SessionId(world.session) });
    world.run();
    assert_eq!(world.sent.len(), 1, "only the attach");
}
