//! A real master on loopback with an agent and frameworks that the test plays over gRPC, and an HTTP client.

use std::time::{Duration, Instant};

use proffer_master_server::store::MemoryStore;
use proffer_master_server::{Config, Handle, Master, RawConfig};
use proffer_proto_transport::{Address, connect};
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use proffer_proto_wire::agent::{self, agent_message, master_message};
use proffer_proto_wire::common;
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use proffer_proto_wire::scheduler::{self, call, event};
use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// How long anything may take on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A master and a browser's view of it.
pub struct World {
    pub master: Handle,
    pub http: reqwest::Client,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl World {
    pub async fn start() -> Self {
        let raw = RawConfig { data_dir: "unused".into(), listen: Some("127.0.0.1:0".into()), ..RawConfig::default() };
        let master = Master::start_on(Config::try_from(raw).unwrap(), Box::new(MemoryStore::default())).await.unwrap();
        Self { master, http: reqwest::Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.master.address())
    }

    pub fn channel(&self) -> Channel {
        connect(&self.master.address().to_string().parse::<Address>().unwrap()).unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }

    /// A page that must be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Asks for a page until it holds all of `wanted`.
    pub async fn page_with(&self, path: &str, wanted: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let body = self.page(path).await;
            match wanted.iter().find(|text| !body.contains(**text)) {
                None => return body,
                Some(missing) => assert!(begun.elapsed() < DEADLINE, "{path} never showed {missing:?}:\n{body}"),
            }
            // The pause between two looks.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn agent(&self, info: agent::AgentInfo) -> Agent {
        let (to, messages) = mpsc::channel(16);
        let attach = agent::AttachRequest { agent: Some(info), incarnation: 1, ..Default::default() };
        let attach = agent::AgentMessage { message: Some(agent_message::Message::Attach(attach)) };
        to.send(attach).await.unwrap();
        let mut client = AgentRegistryClient::new(self.channel());
        let from = client.attach(ReceiverStream::new(messages)).await.unwrap().into_inner();
        Agent { to, from }
    }

    pub async fn framework(&self, name: &str, demand: scheduler::Demand) -> Framework {
        let (to, calls) = mpsc::channel(16);
        let info = scheduler::FrameworkInfo {
            name: name.into(),
            principal: "<script>alert('principal')</script>".into(),
            roles: vec!["eng/web".into()],
            ..Default::default()
        };
        let subscribe = scheduler::Subscribe { framework: Some(info), demand: Some(demand) };
        to.send(scheduler::Call { call: Some(call::Call::Subscribe(subscribe)) }).await.unwrap();
        let mut client = SchedulerClient::new(self.channel());
        let from = client.session(ReceiverStream::new(calls)).await.unwrap().into_inner();
        Framework { to, from }
    }
}

/// An agent the test plays.
pub struct Agent {
    to: mpsc::Sender<agent::AgentMessage>,
    from: Streaming<agent::MasterMessage>,
}

impl Agent {
    /// Waits for a launch.
    pub async fn launched(&mut self) -> agent::LaunchTask {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.from.message()).await.expect("a launch comes");
            if let Some(master_message::Message::Launch(launch)) = message.unwrap().unwrap().message {
                return launch.tasks[0].clone();
            }
        }
    }

    /// Tells that a volume is there.
    pub async fn made(&self, number: u64) {
        let reports = vec![agent::VolumeReport { number, is_ready: true, ..Default::default() }];
        let message = agent_message::Message::Volumes(agent::VolumeReports { reports });
        self.to.send(agent::AgentMessage { message: Some(message) }).await.unwrap();
    }

    /// Tells a task's first update.
    pub async fn tell(&self, task: &agent::LaunchTask, state: common::TaskState, message: &str) {
        let status = common::TaskStatus {
            task_id: task.task.as_ref().unwrap().task_id.clone(),
            agent_id: "A1-1".into(),
            state: state.into(),
            source: common::TaskSource::Agent.into(),
            seq: 1,
            message: message.into(),
            unix_ms: 1_000,
            ..Default::default()
        };
        let update = agent::StatusUpdate {
            framework_id: task.framework_id.clone(),
            status: Some(status),
            latest_state: state.into(),
        };
        let updates = agent::StatusUpdates { updates: vec![update] };
        self.to.send(agent::AgentMessage { message: Some(agent_message::Message::Updates(updates)) }).await.unwrap();
    }
}

/// A framework the test plays.
pub struct Framework {
    to: mpsc::Sender<scheduler::Call>,
    from: Streaming<scheduler::Event>,
}

impl Framework {
    pub async fn say(&self, call: call::Call) {
        self.to.send(scheduler::Call { call: Some(call) }).await.unwrap();
    }

    /// Waits for an offer and gives its id.
    pub async fn offered(&mut self) -> String {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.from.message()).await.expect("an offer comes");
            match event.unwrap().expect("the session goes on").event {
                Some(event::Event::Offers(offers)) => return offers.offers[0].offer_id.clone(),
                Some(event::Event::Error(error)) => panic!("{}", error.message),
                _ => {}
            }
        }
    }
}

/// CPU in thousandths and memory in MiB.
pub fn amount(cpus_milli: i64, memory_mib: u64) -> common::Resources {
    common::Resources { cpus_milli, memory_bytes: memory_mib << 20, ..Default::default() }
}

/// An agent whose every word is an attack.
pub fn hostile_agent() -> agent::AgentInfo {
    let value = common::attribute::Value::Text("\"><script>alert('attribute')</script>".into());
    agent::AgentInfo {
        hostname: "<script>alert('host')</script>".into(),
        api_address: "127.0.0.1:5051".into(),
        zone: "'><img/src=x>".into(),
        resources: Some(amount(4_000, 8_192)),
        attributes: vec![common::Attribute { name: "<b>rack</b>".into(), value: Some(value) }],
        ..Default::default()
    }
}

/// So many of one CPU and 512 MiB.
pub fn wants(count: u32) -> scheduler::Demand {
    let item =
        scheduler::DemandItem { role: "eng/web".into(), shape: Some(amount(1_000, 512)), count, ..Default::default() };
    scheduler::Demand { items: vec![item] }
}
