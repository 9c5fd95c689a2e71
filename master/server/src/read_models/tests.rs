//! What readers see of things that are gone, come back, or are added up.

use proffer_proto_model::{PortRange, TaskState};

use super::*;
use crate::store::suite;

fn readers() -> ReadModels {
    ReadModels::new(ClusterId::new("c").unwrap(), Epoch(1), UnixMillis(0))
}

fn task(name: &str, state: TaskState) -> TaskRecord {
    let mut record = suite::task(1, name);
    record.status.state = state;
    record
}

/// A task has ended and was confirmed.
fn forget(readers: &ReadModels, name: &str) {
    let ended = task(name, TaskState::Finished);
    let key = ended.key.clone();
    readers.apply(Change::Task(Box::new(ended)));
    readers.apply(Change::TaskForgotten(key));
}

fn agent(number: u64, ports: PortRange) -> AgentView {
    let record = suite::agent(number);
    let mut info = record.info;
    info.resources.ports = [ports].into_iter().collect();
    let allocated = Resources { ports: [PortRange { end: ports.begin, ..ports }].into_iter().collect(), ..default() };
    AgentView {
        id: record.id,
        info,
        state: AgentState::Attached,
        mode: proffer_master_engine::registry::AgentMode::Active,
        allocated,
        offered: default(),
        tasks_active: 1,
        reserved: Vec::new(),
        volumes: Vec::new(),
    }
}

fn framework(number: u64) -> FrameworkView {
    let record = suite::framework(number);
    FrameworkView {
        id: record.id,
        info: record.info,
        is_connected: true,
        allocated: default(),
        offered: default(),
        tasks_active: 0,
        demand: Default::default(),
        share_millionths: 0,
        offers: 0,
        max_offers: 1_000,
    }
}

fn default() -> Resources {
    Resources::default()
}

#[test]
fn a_task_whose_id_is_used_again_stays_when_history_is_evicted() {
    let readers = readers();
    forget(&readers, "again");
    readers.apply(Change::Task(Box::new(task("again", TaskState::Running))));
    for number in 0..TASK_HISTORY {
        forget(&readers, &format!("t{number}"));
    }
    let living = readers.tasks().into_iter().find(|t| t.key.task.as_str() == "again").expect("the living task");
    assert_eq!(living.status.state, TaskState::Running);
    assert_eq!(readers.tasks().len(), TASK_HISTORY + 1);
}

#[test]
fn history_keeps_the_latest_and_no_more() {
    let readers = readers();
    for number in 0..TASK_HISTORY {
        forget(&readers, &format!("t{number}"));
    }
    // The oldest ends a second time: it is the latest now.
    forget(&readers, "t0");
    forget(&readers, "one-more");
    let tasks = readers.tasks();
    assert_eq!(tasks.len(), TASK_HISTORY);
    let has = |name: &str| tasks.iter().any(|t| t.key.task.as_str() == name);
    assert!(has("t0") && has("one-more") && !has("t1"));
}

#[test]
fn a_task_that_is_forgotten_alive_is_not_shown_for_ever() {
    let readers = readers();
    let lost = task("lost", TaskState::Unreachable);
    let key = lost.key.clone();
    readers.apply(Change::Task(Box::new(lost)));
    readers.apply(Change::TaskForgotten(key));
    assert_eq!(readers.tasks(), []);
}

#[test]
fn history_keeps_the_names_of_what_is_gone() {
    let readers = readers();
    let (agent, framework) = (agent(1, PortRange { begin: 1, end: 2 }), framework(1));
    let (agent_id, framework_id) = (agent.id.clone(), framework.id.clone());
    readers.apply(Change::Agent(Box::new(agent)));
    readers.apply(Change::Framework(Box::new(framework)));
    readers.apply(Change::AgentRemoved(agent_id.clone()));
    readers.apply(Change::FrameworkRemoved(framework_id.clone()));
    assert_eq!(readers.hostname(&agent_id), "host-1");
    assert_eq!(readers.framework_name(&framework_id), "framework-1");
    assert!(readers.agents().is_empty() && readers.frameworks().is_empty());
}

#[test]
fn the_same_ports_of_two_agents_count_twice() {
    let readers = readers();
    for number in 1..=2 {
        let agent = agent(number, PortRange { begin: 31_000, end: 31_099 });
        readers.apply(Change::Agent(Box::new(agent)));
    }
    let summary = readers.cluster();
    assert_eq!(summary.ports, PortCounts { total: 200, allocated: 2, offered: 0 });
    assert!(summary.total.ports.is_empty(), "{}", summary.total);
    assert_eq!(summary.total.cpus.0, 8_000);
}
