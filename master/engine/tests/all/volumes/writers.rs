//! One writer at a time, also under a master that has yet to hear which of two is over.

use super::*;

#[test]
fn a_new_master_hears_from_the_agent_which_of_two_writers_is_over() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("db", "eng", 4)).unwrap();
    report(&mut world, 1, 1, true);
    subscribe(&mut world, 11, "eng");
    launch(&mut world, 11, task_with("a", "db", None, false));
    let attach_with = |world: &mut World, session: u64| {
        let tasks = world.registry.tasks.iter().map(|task| {
            let state = if task.key.task.as_str() == "a" { TaskState::Finished } else { TaskState::Running };
            AttachedTask { role: role("eng"), ..attached("F1-1", task.spec.clone(), 2, state) }
        });
        let mut agent = agent_info(Some("A1-1"), 8_000);
        agent.resources.disk = gib(100);
        agent.reservations =
            vec![StaticReservation { role: role("eng"), resources: disk(10), labels: BTreeMap::new() }];
        let input = Input::AgentAttach {
            session: SessionId(session),
            agent,
            incarnation: 1,
            tasks: tasks.collect(),
            seen_epoch: Epoch(0),
            cluster: Some(cluster()),
            volumes: vec![held(1, "db", "eng", 4, HeldState::Ready)],
        };
        world.handle("attach with tasks", input);
    };
    // It has ended, says the agent, whose update of that is yet to come.
    attach_with(&mut world, 2);
    launch(&mut world, 11, task_with("b", "db", None, false));
    assert_eq!(world.registry.tasks.len(), 2, "{}", world.trace);
    world.fail_over(2);
    attach_with(&mut world, 3);
    world.update(3, "F1-1", "a", 1, TaskState::Finished);
    assert_eq!(volumes(&world), [(1, "db".into(), "eng".into(), VolumeState::Ready)]);
}
