//! Finding the servers: the master among several, a framework's own API, an agent's own API.

use std::time::Duration;

use proffer_proto_transport::{Address, Again, MAX_MESSAGE_BYTES, Masters, RemoteError, connect, leader_of};
use proffer_proto_wire::agent::agent_host_client::AgentHostClient;
use proffer_proto_wire::batch::batch_client::BatchClient;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::service::services_client::ServicesClient;
use proffer_proto_wire::{operator, operator::AgentState};
use tonic::transport::Channel;

use crate::CliError;

/// How long a master may take to say that it is there.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// Lists of a large cluster are larger than what a server takes from strangers.
const MAX_ANSWER_BYTES: usize = 16 * MAX_MESSAGE_BYTES;

/// The cluster, by the addresses of its masters.
pub(crate) struct Cluster {
    masters: Vec<Address>,
}

impl Cluster {
    pub(crate) fn new(masters: Vec<Address>) -> Self {
        Self { masters }
    }

    /// The operator API of the master that leads.
    pub(crate) async fn operator(&self) -> Result<OperatorClient<Channel>, CliError> {
        let (mut masters, mut told) = (Masters::new(self.masters.clone()), Vec::new());
        while let Some(address) = masters.now() {
            let mut client = OperatorClient::new(connect(address)?).max_decoding_message_size(MAX_ANSWER_BYTES);
            let asked = client.get_cluster(operator::GetClusterRequest {});
            let leader = match tokio::time::timeout(FIRST_ANSWER, asked).await {
                Ok(Ok(_)) => return Ok(client),
                Ok(Err(status)) => {
                    let leader = leader_of(&status);
                    told.push(format!("{address}: {}", RemoteError::from(status)));
                    leader
                }
                Err(_) => {
                    told.push(format!("{address}: no answer in {} s", FIRST_ANSWER.as_secs()));
                    None
                }
            };
            if masters.failed(leader) == Again::AfterAWait {
                break;
            }
        }
        Err(CliError::away(
            format!("no master answers ({})", told.join("; ")),
            "start one with `proffer dev` or `proffer master`, or name another with --master or PROFFER_MASTER",
        ))
    }

    /// The API of the service framework.
    pub(crate) async fn services(&self) -> Result<ServicesClient<Channel>, CliError> {
        let channel = self.framework("service").await?;
        Ok(ServicesClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// The API of the batch framework.
    pub(crate) async fn batch(&self) -> Result<BatchClient<Channel>, CliError> {
        let channel = self.framework("batch").await?;
        Ok(BatchClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// The API of the framework of that name; a connected one is preferred.
    async fn framework(&self, name: &str) -> Result<Channel, CliError> {
        let mut frameworks = self.frameworks().await?;
        frameworks.retain(|framework| framework.info.as_ref().is_some_and(|info| info.name == name));
        frameworks.sort_by_key(|framework| !framework.connected);
        let Some(operator::Framework { info: Some(info), connected, .. }) = frameworks.into_iter().next() else {
            return Err(CliError::new(
                format!("the {name} framework is not part of this cluster"),
                format!("start it with `proffer {name}`"),
            ));
        };
        if !connected {
            return Err(CliError::new(
                format!("the {name} framework is not connected to the master"),
                format!("start it again with `proffer {name}`; its tasks go on meanwhile"),
            ));
        }
        if info.api_address.is_empty() {
            return Err(CliError::new(
                format!("the framework {name:?} has told no address of its API"),
                format!("use the framework that comes with proffer: `proffer {name}`"),
            ));
        }
        Ok(connect(&info.api_address.parse()?)?)
    }

    /// All frameworks.
    pub(crate) async fn frameworks(&self) -> Result<Vec<operator::Framework>, CliError> {
        let answer = self.operator().await?.list_frameworks(operator::ListFrameworksRequest {}).await;
        Ok(answer.map_err(|error| CliError::remote("list frameworks", error))?.into_inner().frameworks)
    }

    /// All agents.
    pub(crate) async fn agents(&self) -> Result<Vec<operator::Agent>, CliError> {
        let answer = self.operator().await?.list_agents(operator::ListAgentsRequest {}).await;
        Ok(answer.map_err(|error| CliError::remote("list agents", error))?.into_inner().agents)
    }

    /// The attached agents: all, or the one of that id or host name.
    pub(crate) async fn attached(&self, wanted: Option<&str>) -> Result<Vec<operator::Agent>, CliError> {
        let mut agents = self.agents().await?;
        if let Some(wanted) = wanted {
            agents.retain(|agent| agent.agent_id == wanted || agent.hostname == wanted);
            if agents.is_empty() {
                return Err(CliError::new(format!("there is no agent {wanted:?}"), "see `proffer agents`"));
            }
        }
        agents.retain(|agent| agent.state() == AgentState::Attached);
        if agents.is_empty() {
            return Err(CliError::new("no agent is attached", "start one with `proffer agent`; see `proffer agents`"));
        }
        Ok(agents)
    }

    /// All tasks, those that have ended included when asked for.
    pub(crate) async fn tasks(&self, framework_id: String, ended: bool) -> Result<Vec<operator::Task>, CliError> {
        let request = operator::ListTasksRequest { framework_id, ended };
        let answer = self.operator().await?.list_tasks(request).await;
        Ok(answer.map_err(|error| CliError::remote("list tasks", error))?.into_inner().tasks)
    }
}

/// The own API of an agent.
pub(crate) fn agent_host(agent: &operator::Agent) -> Result<AgentHostClient<Channel>, CliError> {
    if agent.api_address.is_empty() {
        return Err(CliError::new(
            format!("agent {} has told no address of its API", agent.agent_id),
            "start the agent with --listen",
        ));
    }
    Ok(AgentHostClient::new(connect(&agent.api_address.parse()?)?).max_decoding_message_size(MAX_ANSWER_BYTES))
}
