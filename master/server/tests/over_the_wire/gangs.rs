//! Groups over several agents: whole or not at all, also when the master restarts half-way.

use proffer_proto_wire::agent::{self, agent_message, master_message};
use proffer_proto_wire::common::{self, TaskReason, TaskState};
use proffer_proto_wire::operator::cluster_event;
use proffer_proto_wire::scheduler::{self, call, event, operation::Operation};
use tempfile::tempdir;

use crate::support::{Agent, Cluster, Framework};
use crate::words::{attach, task};

/// Two agents at addresses of their own, and a framework whose tasks t1 and t2 were launched on them together.
async fn gang(cluster: &Cluster) -> ([Agent; 2], Framework) {
    let mut agents = [Agent::attach(cluster, "one").await, Agent::attach(cluster, "two").await];
    let mut framework = Framework::subscribe(cluster, "mpi").await;
    framework.demand_anything().await;
    let mut offers: Vec<scheduler::Offer> = Vec::new();
    framework
        .wait_for("offers of both agents", |event| {
            if let event::Event::Offers(more) = event {
                offers.extend(more.offers);
            }
            (offers.len() == 2).then_some(())
        })
        .await;
    offers.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
    let launches = offers.iter().zip(["t1", "t2"]).map(|(offer, id)| scheduler::TaskLaunch {
        agent_id: offer.agent_id.clone(),
        task: Some(task(id)),
        reserved_use: 0,
    });
    let group = Operation::LaunchGroup(scheduler::LaunchGroup { tasks: launches.collect() });
    let accept = scheduler::Accept {
        offer_ids: offers.iter().map(|offer| offer.offer_id.clone()).collect(),
        operations: vec![scheduler::Operation { operation_id: "gang".to_owned(), operation: Some(group) }],
        ..Default::default()
    };
    framework.say(call::Call::Accept(accept)).await;
    for (agent, id) in agents.iter_mut().zip(["t1", "t2"]) {
        assert_eq!(agent.launched().await.task.unwrap().task_id, id);
    }
    (agents, framework)
}

async fn tell(agent: &Agent, framework: &Framework, id: &str, seq: u64, state: TaskState) {
    let status = common::TaskStatus {
        task_id: id.to_owned(),
        agent_id: agent.id.clone(),
        state: state.into(),
        source: common::TaskSource::Agent.into(),
        seq,
        unix_ms: 1_000,
        ..Default::default()
    };
    let framework_id = framework.id.clone();
    let update = agent::StatusUpdate { framework_id, status: Some(status), latest_state: state.into() };
    agent.say(agent_message::Message::Updates(agent::StatusUpdates { updates: vec![update] })).await;
}

async fn killed(agent: &mut Agent) -> (String, TaskReason) {
    let kill = agent.wait_for("a kill", |order| match order {
        master_message::Message::Kill(kill) => Some(kill),
        _ => None,
    });
    let kill = kill.await;
    (kill.task_id.clone(), kill.reason())
}

/// Waits until the master knows a task's state.
async fn seen(cluster: &Cluster, id: &str, state: TaskState) {
    let is_there = |event: &cluster_event::Event| match event {
        cluster_event::Event::Task(task) => {
            let status = task.status.as_ref().unwrap();
            status.task_id == id && status.state() == state
        }
        _ => false,
    };
    cluster.watch_until("a state", is_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_half_way_kills_the_other_also_after_a_restart_of_the_master() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let ([one, mut two], framework) = gang(&cluster).await;
    tell(&two, &framework, "t2", 1, TaskState::Running).await;
    tell(&one, &framework, "t1", 1, TaskState::Failed).await;
    assert_eq!(killed(&mut two).await, ("t2".to_owned(), TaskReason::GangFailed));
    let (agent_id, cluster_id) = (two.id.clone(), two.cluster.clone());
    drop((one, two, framework));
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    let mut request = attach("two");
    request.agent.as_mut().unwrap().agent_id = agent_id;
    let mut two = Agent::attach_with(&cluster, agent::AttachRequest { cluster_id, incarnation: 1, ..request }).await;
    // It lists no task: asked for t2, it is told to be unknown, and not to be killed.
    let expected = two.wait_for("a question", |order| match order {
        master_message::Message::Expect(expect) => Some(expect),
        _ => None,
    });
    assert_eq!(expected.await.tasks.len(), 1);
    drop(two);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_that_runs_is_left_alone() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let ([one, mut two], framework) = gang(&cluster).await;
    tell(&one, &framework, "t1", 1, TaskState::Running).await;
    tell(&two, &framework, "t2", 1, TaskState::Running).await;
    seen(&cluster, "t1", TaskState::Running).await;
    seen(&cluster, "t2", TaskState::Running).await;
    tell(&one, &framework, "t1", 2, TaskState::Failed).await;
    seen(&cluster, "t1", TaskState::Failed).await;
    // Had there been a kill for the gang, it came first.
    let kill = scheduler::Kill { task_id: "t2".to_owned(), ..Default::default() };
    framework.say(call::Call::Kill(kill)).await;
    assert_eq!(killed(&mut two).await, ("t2".to_owned(), TaskReason::KillRequested));
    cluster.stop().await;
}
