//! A master that starts again on the same data directory knows every agent, framework and task.

use proffer_proto_wire::agent::{self, master_message};
use proffer_proto_wire::operator;
use proffer_proto_wire::scheduler::{self, call};
use tempfile::tempdir;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::{attach, info, task};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    framework.launch(&offer, vec![task("t1")]).await;
    agent.launched().await;
    let (agent_id, cluster_id, framework_id) = (agent.id.clone(), agent.cluster.clone(), framework.id.clone());
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    let mut client = cluster.operator();
    let agents = soon("agents", client.list_agents(operator::ListAgentsRequest {})).await;
    let agents = agents.unwrap().into_inner().agents;
    assert_eq!(
        agents.iter().map(|a| (a.agent_id.as_str(), a.hostname.as_str())).collect::<Vec<_>>(),
        [(agent_id.as_str(), "one")]
    );
    let frameworks = client.list_frameworks(operator::ListFrameworksRequest {});
    let frameworks = soon("frameworks", frameworks).await.unwrap().into_inner().frameworks;
    assert_eq!(frameworks.iter().map(|f| f.info.as_ref().unwrap().name.as_str()).collect::<Vec<_>>(), ["web"]);
    let tasks = cluster.tasks().await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].spec.as_ref().unwrap().task_id, "t1");
    assert_eq!((tasks[0].agent_id.as_str(), tasks[0].framework_name.as_str()), (agent_id.as_str(), "web"));

    // All of them come back as who they were; the agent is asked for the task that it did not list.
    let mut request = attach("one");
    request.agent.as_mut().unwrap().agent_id = agent_id.clone();
    let request = agent::AttachRequest { cluster_id, incarnation: 1, ..request };
    let mut agent = Agent::attach_with(&cluster, request).await;
    assert_eq!(agent.id, agent_id);
    let asked = agent.wait_for("the question for t1", |order| match order {
        master_message::Message::Expect(expect) => Some(expect.tasks),
        _ => None,
    });
    assert_eq!(asked.await, [agent::ExpectTask { framework_id: framework_id.clone(), task_id: "t1".to_owned() }]);
    let mut framework = Framework::open(&cluster).await;
    framework.join(info(&framework_id, "web")).await;
    assert_eq!(framework.id, framework_id);
    let reconcile = scheduler::Reconcile::default();
    framework.say(call::Call::Reconcile(reconcile)).await;
    assert_eq!(framework.status().await.task_id, "t1");
    drop((framework, agent));
    cluster.assert_serves().await;
}
