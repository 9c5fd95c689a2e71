//! The dashboard in a real browser: it fits wide and narrow screens, follows changes without a reload, and the
//! browser has nothing to complain about.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_integration_harness::{Browser, Scheme};
use proffer_master_server::store::MemoryStore;
use proffer_master_server::{Config, Handle, Master, RawConfig};
use proffer_proto_transport::{Address, connect};
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use proffer_proto_wire::agent::{
    AgentInfo, AgentMessage, AttachRequest, MasterMessage, VolumeReport, VolumeReports, agent_message,
};
use proffer_proto_wire::common::{Attribute, ContainerSpec, Quota, ResourceLimit, Resources, TaskSpec, attribute};
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{
    CreateVolumeRequest, GetClusterRequest, ReserveRequest, ScheduleMaintenanceRequest, SetQuotaRequest,
};
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use proffer_proto_wire::scheduler::{
    Accept, Call, Demand, DemandItem, Event, FrameworkInfo, Launch, Operation, Subscribe, TaskLaunch, call, event,
    operation,
};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const PAGES: [&str; 7] = ["/", "/offers", "/agents", "/agents/A1-1", "/frameworks", "/roles", "/tasks"];

/// Both directions of a stream to the master.
type Link<Out, In> = (Sender<Out>, Streaming<In>);

async fn master(store: MemoryStore, listen: &str) -> Handle {
    let raw = RawConfig { data_dir: "unused".into(), listen: Some(listen.into()), ..RawConfig::default() };
    Master::start_on(Config::try_from(raw).unwrap(), Box::new(store)).await.unwrap()
}

fn channel_to(master: &Handle) -> tonic::transport::Channel {
    connect(&master.address().to_string().parse::<Address>().unwrap()).unwrap()
}

/// An agent with words so long that a careless page would burst.
async fn agent(master: &Handle) -> Link<AgentMessage, MasterMessage> {
    let (to, messages) = channel(4);
    let text = |length: usize| Some(attribute::Value::Text("x".repeat(length)));
    let info = AgentInfo {
        hostname: format!("host-{}", "y".repeat(180)),
        zone: "z".repeat(120),
        resources: Some(Resources {
            cpus_milli: 8_000,
            memory_bytes: 16 << 30,
            disk_bytes: 100 << 30,
            ..Default::default()
        }),
        attributes: vec![Attribute { name: "kernel".into(), value: text(200) }],
        ..Default::default()
    };
    let attach = AttachRequest { agent: Some(info), incarnation: 1, ..Default::default() };
    to.send(AgentMessage { message: Some(agent_message::Message::Attach(attach)) }).await.unwrap();
    let mut client = AgentRegistryClient::new(channel_to(master));
    (to, client.attach(ReceiverStream::new(messages)).await.unwrap().into_inner())
}

async fn framework(master: &Handle) -> Link<Call, Event> {
    let (to, calls) = channel(4);
    let info = FrameworkInfo { name: "f".repeat(200), roles: vec!["r".repeat(200)], ..Default::default() };
    let shape = Resources { cpus_milli: 500, memory_bytes: 64 << 20, ..Default::default() };
    let item = DemandItem { role: "r".repeat(200), shape: Some(shape), count: 1, ..Default::default() };
    let subscribe = Subscribe { framework: Some(info), demand: Some(Demand { items: vec![item] }) };
    to.send(Call { call: Some(call::Call::Subscribe(subscribe)) }).await.unwrap();
    let mut client = SchedulerClient::new(channel_to(master));
    (to, client.session(ReceiverStream::new(calls)).await.unwrap().into_inner())
}

/// Waits for an offer and launches one task with it.
async fn launch((to, from): &mut Link<Call, Event>) {
    let offer = loop {
        if let Some(event::Event::Offers(offers)) = from.message().await.unwrap().expect("the session goes on").event {
            break offers.offers[0].offer_id.clone();
        }
    };
    let task = TaskSpec {
        task_id: format!("task-{}", "t".repeat(200)),
        name: "web".into(),
        container: Some(ContainerSpec { image: format!("registry/{}", "i".repeat(200)), ..Default::default() }),
        resources: Some(Resources { cpus_milli: 500, memory_bytes: 64 << 20, ..Default::default() }),
        ..Default::default()
    };
    let launch = Launch { tasks: vec![TaskLaunch { agent_id: String::new(), task: Some(task), reserved_use: 0 }] };
    let operation = Operation { operation: Some(operation::Operation::Launch(launch)), ..Default::default() };
    let accept = Accept { offer_ids: vec![offer], operations: vec![operation], ..Default::default() };
    to.send(Call { call: Some(call::Call::Accept(accept)) }).await.unwrap();
}

/// Reserves disk and makes a volume of it; the agent's open page shows both, and the volume ready once it is.
async fn keep_something(master: &Handle, (to_master, _): &Link<AgentMessage, MasterMessage>, browser: &mut Browser) {
    browser.open(&format!("http://{}/agents/A1-1", master.address()));
    browser.eval("window.mark = 'still here'");
    let (agent_id, role) = ("A1-1".to_owned(), "q".repeat(200));
    let mut operator = OperatorClient::new(channel_to(master));
    let resources = Some(Resources { cpus_milli: 1_000, disk_bytes: 8 << 30, ..Default::default() });
    let labels = [("l".repeat(60), "v".repeat(60))].into();
    let reserve = ReserveRequest { agent_id, role, resources, labels, ..Default::default() };
    operator.reserve(reserve.clone()).await.unwrap();
    browser.wait_until("document.querySelector('#reserved')?.textContent.includes('8 GiB')");
    let ReserveRequest { agent_id, role, .. } = reserve;
    let create =
        CreateVolumeRequest { agent_id, role, volume_id: "w".repeat(200), size_bytes: 1 << 30, ..Default::default() };
    operator.create_volume(create).await.unwrap();
    browser.wait_until("document.querySelector('#volumes .badge')?.textContent === 'creating'");
    let reports = vec![VolumeReport { number: 1, is_ready: true, ..Default::default() }];
    let message = agent_message::Message::Volumes(VolumeReports { reports });
    to_master.send(AgentMessage { message: Some(message) }).await.unwrap();
    browser.wait_until("document.querySelector('#volumes .badge')?.textContent === 'ready'");
    assert_eq!(browser.eval("window.mark"), "still here");
}

/// Plans a window; the open list of agents hints at it and leads to it.
async fn plan_a_window(master: &Handle, browser: &mut Browser) {
    browser.open(&format!("http://{}/agents", master.address()));
    browser.eval("window.mark = 'still here'");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let window = ScheduleMaintenanceRequest {
        agent_ids: vec!["A1-1".into()],
        start_unix_ms: u64::try_from(now.as_millis()).unwrap() + 3 * 3_600_000,
        duration_ms: 7_200_000,
        ..Default::default()
    };
    OperatorClient::new(channel_to(master)).schedule_maintenance(window).await.unwrap();
    browser.wait_until("document.querySelector('#agents a.hint')?.textContent === 'drained in 2 h'");
    assert_eq!(browser.eval("window.mark"), "still here");
    let to = browser.eval("document.querySelector('#agents a.hint').href");
    browser.open(to.as_str().unwrap());
    browser.wait_until("document.querySelector('#windows #window-M1-1 .badge')?.textContent === 'planned'");
}

/// No page is wider than the screen, with rows and without.
fn assert_fits(browser: &mut Browser, base: &str) {
    for (width, scheme) in [(1200, Scheme::Light), (400, Scheme::Dark)] {
        browser.resize(width, 900, scheme);
        for path in PAGES {
            browser.open(&format!("{base}{path}"));
            let over = browser.eval("document.documentElement.scrollWidth - window.innerWidth");
            assert!(over.as_i64().unwrap() <= 0, "{path} is {over} px wider than {width} px");
            let seen = browser.eval("window.innerWidth").as_u64().unwrap();
            assert_eq!(seen, u64::from(width), "{path} was shown at another width");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_changes_without_a_reload_and_fit_wide_and_narrow_screens() {
    let master = master(MemoryStore::default(), "127.0.0.1:0").await;
    let base = format!("http://{}", master.address());
    let mut browser = Browser::new();
    browser.resize(1200, 900, Scheme::Light);
    browser.open(&format!("{base}/agents"));
    // Gone after a reload; the page must change without one.
    browser.eval("window.mark = 'still here'");
    assert_eq!(browser.eval("document.querySelector('.empty') !== null"), true);
    browser.wait_until("document.getElementById('live').textContent === 'live'");
    let agent = agent(&master).await;
    browser.wait_until("document.getElementById('A1-1') !== null && document.querySelector('.empty') === null");
    assert_eq!(browser.eval("window.mark"), "still here");

    browser.open(&format!("{base}/offers"));
    browser.eval("window.mark = 'still here'");
    let mut framework = framework(&master).await;
    browser.wait_until("document.querySelector('#open tbody tr time[data-until]') !== null");
    let said = browser.eval("document.querySelector('#open time[data-until]').textContent");
    browser.wait_until(&format!("document.querySelector('#open time[data-until]')?.textContent !== {said}"));
    assert_eq!(browser.eval("window.mark"), "still here");

    browser.open(&format!("{base}/tasks?state=active"));
    browser.eval("window.mark = 'still here'");
    launch(&mut framework).await;
    browser.wait_until("document.querySelector('#tasks .badge')?.textContent === 'staging'");
    assert_eq!(browser.eval("window.mark"), "still here");

    browser.open(&format!("{base}/roles"));
    browser.eval("window.mark = 'still here'");
    let limit = ResourceLimit { cpus_milli: Some(2_000), ..Default::default() };
    let guarantee = Resources { cpus_milli: 1_000, memory_bytes: 256 << 20, ..Default::default() };
    let quota = Quota { guarantee: Some(guarantee), limit: Some(limit) };
    let set = SetQuotaRequest { role: "r".repeat(200), quota: Some(quota), ..Default::default() };
    OperatorClient::new(channel_to(&master)).set_quota(set).await.unwrap();
    browser.wait_until("document.querySelector('#roles')?.textContent.includes('0.5 of at most 2, 1 promised')");
    assert_eq!(browser.eval("window.mark"), "still here");
    keep_something(&master, &agent, &mut browser).await;
    plan_a_window(&master, &mut browser).await;
    assert_fits(&mut browser, &base);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    master.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_page_says_that_the_master_is_gone_and_follows_the_next_one() {
    let store = MemoryStore::default();
    let first = master(store.clone(), "127.0.0.1:0").await;
    let address = first.address().to_string();
    let mut browser = Browser::new();
    browser.open(&format!("http://{address}/"));
    browser.eval("window.mark = 'still here'");
    browser.wait_until("document.getElementById('live').textContent === 'live'");
    first.shutdown().await.unwrap();
    browser.wait_until("document.getElementById('live').textContent === 'reconnecting'");
    let second = master(store, &address).await;
    browser.wait_until("document.querySelector('footer').textContent.includes('epoch 2')");
    browser.wait_until("document.getElementById('live').textContent === 'live'");
    let _agent = agent(&second).await;
    browser.wait_until("document.querySelector('.usage') !== null");
    assert_eq!(browser.eval("window.mark"), "still here");
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_work_without_scripts() {
    let master = master(MemoryStore::default(), "127.0.0.1:0").await;
    let base = format!("http://{}", master.address());
    let mut browser = Browser::new();
    browser.scripts(false);
    let _agent = agent(&master).await;
    let mut operator = OperatorClient::new(channel_to(&master));
    let is_attached =
        async { while operator.get_cluster(GetClusterRequest {}).await.unwrap().into_inner().agents_attached == 0 {} };
    tokio::time::timeout(Duration::from_secs(20), is_attached).await.expect("the agent attaches");
    for path in PAGES {
        browser.open(&format!("{base}{path}"));
        let refresh = browser.eval("document.querySelector('noscript a')?.href");
        assert_eq!(refresh, format!("{base}{path}"), "the link that refreshes leads back to the page");
        assert_eq!(browser.eval("document.getElementById('live').hidden"), true, "{path} must not claim to be live");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    master.shutdown().await.unwrap();
}
