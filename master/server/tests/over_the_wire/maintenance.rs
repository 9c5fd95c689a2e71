//! Operators plan maintenance over the wire; a restart keeps it.

use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::{
    ListAgentsRequest, ListMaintenanceRequest, MaintenanceWindow, RemoveMaintenanceRequest, ScheduleMaintenanceRequest,
};
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, soon};

const HOUR_MS: u64 = 3_600_000;

async fn mode(cluster: &Cluster) -> Mode {
    let agents = soon("agents", cluster.operator().list_agents(ListAgentsRequest {})).await.unwrap();
    agents.into_inner().agents[0].mode()
}

async fn windows(cluster: &Cluster) -> Vec<MaintenanceWindow> {
    soon("windows", cluster.operator().list_maintenance(ListMaintenanceRequest {})).await.unwrap().into_inner().windows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_outlives_the_master_and_can_be_taken_back() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let agent = Agent::attach(&cluster, "one").await;
    let agent_ids = vec![agent.id.clone()];
    let now = ScheduleMaintenanceRequest { agent_ids, duration_ms: HOUR_MS, ..Default::default() };
    let window = soon("a window", cluster.operator().schedule_maintenance(now.clone())).await.unwrap().into_inner();
    assert!(window.open && window.agent_ids == now.agent_ids && window.start_unix_ms > 0, "{window:?}");
    assert_eq!(mode(&cluster).await, Mode::Drained, "it was empty");
    let later = ScheduleMaintenanceRequest { start_unix_ms: window.start_unix_ms + 2 * HOUR_MS, ..now.clone() };
    let later = soon("a later one", cluster.operator().schedule_maintenance(later)).await.unwrap().into_inner();
    assert!(!later.open && later.window_id != window.window_id, "{later:?}");
    let told = soon("a refusal", cluster.operator().schedule_maintenance(now)).await.unwrap_err();
    assert!(told.code() == Code::InvalidArgument && told.message().contains(&window.window_id), "{told}");
    drop(agent);
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    let planned = [window.clone(), later].map(|window| MaintenanceWindow { consequences: None, ..window });
    assert_eq!(windows(&cluster).await, planned);
    assert_eq!(mode(&cluster).await, Mode::Drained);
    let request = RemoveMaintenanceRequest { window_id: window.window_id, ..Default::default() };
    soon("the end of the window", cluster.operator().remove_maintenance(request)).await.unwrap();
    assert_eq!((mode(&cluster).await, windows(&cluster).await.len()), (Mode::Active, 1));
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_windows_are_told_what_to_do() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let good = ScheduleMaintenanceRequest { agent_ids: vec!["A9-9".into()], duration_ms: 1, ..Default::default() };
    let table = [
        (good.clone(), Code::NotFound, "see `proffer agents`"),
        (
            ScheduleMaintenanceRequest { agent_ids: vec!["a b".into()], ..good.clone() },
            Code::InvalidArgument,
            "agent_ids[0]",
        ),
        (ScheduleMaintenanceRequest { agent_ids: vec![], ..good.clone() }, Code::InvalidArgument, "at least one agent"),
        (ScheduleMaintenanceRequest { duration_ms: 0, ..good.clone() }, Code::InvalidArgument, "duration"),
        (ScheduleMaintenanceRequest { start_unix_ms: 1, ..good.clone() }, Code::InvalidArgument, "start"),
        (ScheduleMaintenanceRequest { max_grace_ms: Some(u64::MAX), ..good.clone() }, Code::InvalidArgument, "24 h"),
        (
            ScheduleMaintenanceRequest { max_grace_ms: Some(1), deactivate_only: true, ..good },
            Code::InvalidArgument,
            "leave one of them out",
        ),
    ];
    for (request, code, words) in table {
        let told = soon("a refusal", cluster.operator().schedule_maintenance(request)).await.unwrap_err();
        assert!(told.code() == code && told.message().contains(words), "{told}");
    }
    let request = RemoveMaintenanceRequest { window_id: "M9-9".into(), ..Default::default() };
    let told = soon("a refusal", cluster.operator().remove_maintenance(request)).await.unwrap_err();
    assert!(told.code() == Code::NotFound && told.message().contains("maintenance ls"), "{told}");
    cluster.assert_serves().await;
}
