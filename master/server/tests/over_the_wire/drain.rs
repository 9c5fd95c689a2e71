//! Operators drain, deactivate and remove agents over the wire; a restart keeps what they asked for.

use proffer_proto_wire::agent::{self, master_message};
use proffer_proto_wire::common::TaskReason;
use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::{
    CancelDrainRequest, DeactivateAgentRequest, DrainAgentRequest, ListAgentsRequest, MarkAgentGoneRequest,
    ReactivateAgentRequest,
};
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::{attach, task};

async fn mode(cluster: &Cluster) -> Mode {
    let agents = soon("agents", cluster.operator().list_agents(ListAgentsRequest {})).await.unwrap();
    agents.into_inner().agents[0].mode()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_tasks_and_outlives_the_master() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    framework.launch(&offer, vec![task("t1")]).await;
    agent.launched().await;
    let (agent_id, cluster_id) = (agent.id.clone(), agent.cluster.clone());
    let request = DrainAgentRequest {
        agent_id: agent_id.clone(),
        max_grace_ms: Some(250),
        mark_gone: false,
        ..Default::default()
    };
    soon("the drain", cluster.operator().drain_agent(request)).await.unwrap();
    assert_eq!(killed(&mut agent).await, ("t1".to_owned(), 250));
    assert_eq!(mode(&cluster).await, Mode::Draining);
    drop((agent, framework));
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    assert_eq!(mode(&cluster).await, Mode::Draining);
    let mut request = attach("one");
    request.agent.as_mut().unwrap().agent_id = agent_id.clone();
    let request = agent::AttachRequest { cluster_id, incarnation: 1, ..request };
    let mut agent = Agent::attach_with(&cluster, request).await;
    assert_eq!(killed(&mut agent).await, ("t1".to_owned(), 250), "told again");
    let back = ReactivateAgentRequest { agent_id: agent_id.clone(), ..Default::default() };
    let told = soon("a refusal", cluster.operator().reactivate_agent(back)).await.unwrap_err();
    assert!(told.message().contains("proffer drain cancel"), "{told}");
    let back = CancelDrainRequest { agent_id, ..Default::default() };
    soon("the end of the drain", cluster.operator().cancel_drain(back)).await.unwrap();
    assert_eq!(mode(&cluster).await, Mode::Active);
    drop(agent);
    cluster.assert_serves().await;
}

async fn killed(agent: &mut Agent) -> (String, u64) {
    let kill = agent.wait_for("a kill", |order| match order {
        master_message::Message::Kill(kill) => Some(kill),
        _ => None,
    });
    let kill = kill.await;
    assert_eq!(kill.reason(), TaskReason::AgentDraining);
    (kill.task_id, kill.kill_policy.unwrap().grace_ms.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_marked_gone_is_told_so_and_never_let_in_again() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let (agent_id, cluster_id) = (agent.id.clone(), agent.cluster.clone());
    let mut operator = cluster.operator();
    let request = DeactivateAgentRequest { agent_id: agent_id.clone(), ..Default::default() };
    soon("deactivation", operator.deactivate_agent(request)).await.unwrap();
    assert_eq!(mode(&cluster).await, Mode::Deactivated);
    let request = MarkAgentGoneRequest { agent_id: agent_id.clone(), ..Default::default() };
    soon("removal", operator.mark_agent_gone(request.clone())).await.unwrap();
    soon("removal again", operator.mark_agent_gone(request)).await.unwrap();
    let told = agent.refused().await;
    assert!(told.r#final && told.message.contains("empty its work directory"), "{told:?}");
    assert_eq!(mode(&cluster).await, Mode::Gone);

    let mut again = Agent::open(&cluster).await;
    let mut request = attach("one");
    request.agent.as_mut().unwrap().agent_id = agent_id.clone();
    let request = agent::AttachRequest { cluster_id, incarnation: 2, ..request };
    again.say(agent::agent_message::Message::Attach(request)).await;
    assert!(again.refused().await.r#final);
    let request = ReactivateAgentRequest { agent_id, ..Default::default() };
    let told = soon("a refusal", operator.reactivate_agent(request)).await.unwrap_err();
    assert!(told.message().contains("gone for good"), "{told}");
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_what_to_do() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let request = |agent_id: &str, max_grace_ms| DrainAgentRequest {
        agent_id: agent_id.to_owned(),
        max_grace_ms,
        mark_gone: false,
        ..Default::default()
    };
    let table = [
        (request("A9-9", None), Code::NotFound, "see `proffer agents`"),
        (request("", None), Code::InvalidArgument, "agent_id"),
        (request("A9-9", Some(u64::MAX)), Code::InvalidArgument, "max_grace_ms"),
    ];
    for (request, code, words) in table {
        let told = soon("a refusal", cluster.operator().drain_agent(request)).await.unwrap_err();
        assert!(told.code() == code && told.message().contains(words), "{told}");
    }
    cluster.assert_serves().await;
}
