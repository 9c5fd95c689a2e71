//! Maintenance windows as operators plan them over the wire.

use proffer_master_engine::registry::{WindowAction, WindowId, WindowRecord};
use proffer_master_engine::{MaintenanceCommand, OperatorCall};
use proffer_proto_model::{AgentId, UnixMillis};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use tonic::Status;

use super::change::consequences;
use super::drain::check_grace;
use super::operator::OperatorApi;
use crate::clock::unix_now;

/// Longest id of a window: ours are far shorter, and it is repeated in the answer.
const MAX_ID_BYTES: usize = 64;

impl OperatorApi {
    /// Plans a window and gives it back as it is stored.
    pub(super) async fn schedule_maintenance(
        &self,
        request: wire::ScheduleMaintenanceRequest,
    ) -> Result<wire::MaintenanceWindow, Status> {
        let wire::ScheduleMaintenanceRequest {
            agent_ids,
            start_unix_ms,
            duration_ms,
            deactivate_only,
            max_grace_ms,
            dry_run,
        } = request;
        check_grace(max_grace_ms)?;
        if deactivate_only && max_grace_ms.is_some() {
            let message = "max_grace_ms: nothing is ended with deactivate_only; leave one of them out";
            return Err(to_status(ErrorKind::Invalid, message));
        }
        let mut agents = Vec::with_capacity(agent_ids.len());
        for (at, id) in agent_ids.into_iter().enumerate() {
            let wrong = |e| to_status(ErrorKind::Invalid, format!("agent_ids[{at}] {e}"));
            agents.push(AgentId::new(id).map_err(wrong)?);
        }
        let start = (start_unix_ms > 0).then_some(UnixMillis(start_unix_ms));
        let action = if deactivate_only { WindowAction::Deactivate } else { WindowAction::Drain { max_grace_ms } };
        let first = agents.first().cloned();
        let before: Vec<WindowId> = self.readers.windows().iter().map(|window| window.id.clone()).collect();
        let command = MaintenanceCommand::Schedule { agents: agents.clone(), start, duration_ms, action };
        let consequences = self.ask_maintenance(command, dry_run).await?;
        if dry_run {
            let start = start.unwrap_or_else(unix_now);
            let planned = WindowRecord { id: WindowId(String::new()), agents, start, duration_ms, action, taken: None };
            return Ok(wire::MaintenanceWindow { consequences: Some(consequences), ..self.window_message(&planned) });
        }
        // Windows of one agent never overlap: the new one that names it is the one that was asked for.
        let is_new = |window: &&std::sync::Arc<WindowRecord>| {
            !before.contains(&window.id) && first.as_ref().is_some_and(|agent| window.agents.contains(agent))
        };
        let all = self.readers.windows();
        let window = all
            .iter()
            .find(is_new)
            .map(|window| wire::MaintenanceWindow { consequences: Some(consequences), ..self.window_message(window) });
        window.ok_or_else(|| {
            to_status(
                ErrorKind::NotFound,
                "the window was taken back by somebody else meanwhile; plan it again if it is still wanted",
            )
        })
    }

    /// All windows that are planned or open, by their start.
    pub(super) fn maintenance(&self) -> wire::ListMaintenanceResponse {
        let mut windows = self.readers.windows();
        windows.sort_by_key(|window| window.start);
        wire::ListMaintenanceResponse { windows: windows.iter().map(|window| self.window_message(window)).collect() }
    }

    /// Takes a window back.
    pub(super) async fn remove_window(
        &self,
        request: wire::RemoveMaintenanceRequest,
    ) -> Result<wire::Consequences, Status> {
        let wire::RemoveMaintenanceRequest { window_id: id, dry_run } = request;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            let message = "window_id: must be the id of a window; see `proffer maintenance ls`";
            return Err(to_status(ErrorKind::Invalid, message));
        }
        self.ask_maintenance(MaintenanceCommand::Remove(WindowId(id)), dry_run).await
    }

    async fn ask_maintenance(
        &self,
        command: MaintenanceCommand,
        is_dry_run: bool,
    ) -> Result<wire::Consequences, Status> {
        self.change(OperatorCall::Maintenance { request: 0, command }, is_dry_run).await.map(consequences)
    }

    fn window_message(&self, window: &WindowRecord) -> wire::MaintenanceWindow {
        let (deactivate_only, max_grace_ms) = match window.action {
            WindowAction::Drain { max_grace_ms } => (false, max_grace_ms),
            WindowAction::Deactivate => (true, None),
        };
        wire::MaintenanceWindow {
            window_id: window.id.to_string(),
            agent_ids: window.agents.iter().map(ToString::to_string).collect(),
            start_unix_ms: window.start.0,
            duration_ms: window.duration_ms,
            deactivate_only,
            max_grace_ms,
            open: window.is_open(),
            inverse_offers: self.answers(window),
            consequences: None,
        }
    }
}
