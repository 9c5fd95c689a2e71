//! The operator API: the read models as wire messages, and the few things an operator can ask for.

use std::sync::Arc;

use proffer_master_engine::registry::TaskRecord;
use proffer_master_engine::view::{AgentState, AgentView, FrameworkView, OfferOutcome, OfferView};
use proffer_master_engine::{AgentCommand, OperatorCall};
use proffer_proto_model::{RescindReason, UnixMillis};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use proffer_proto_wire::operator::offer_record::Outcome;
use proffer_proto_wire::operator::operator_server::Operator;
use proffer_proto_wire::scheduler::rescind::Reason;
use tonic::{Request, Response, Status};

use super::change::consequences;
use super::watch::{Kinds, WATCH_QUEUE};
use super::{OwnerLink, stopping};
use crate::clock::unix_now;
use crate::queue::{Messages, queue};
use crate::read_models::ReadModels;

/// Most answered offers in one answer.
const MAX_HISTORY: u32 = 1_000;
/// Longest name of a framework.
const MAX_NAME_BYTES: usize = 255;

/// Serves operators.
#[derive(Debug, Clone)]
pub(crate) struct OperatorApi {
    pub(crate) owner: OwnerLink,
    pub(crate) readers: Arc<ReadModels>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Operator for OperatorApi {
    type WatchStream = Messages<wire::ClusterEvent>;

    async fn get_cluster(&self, _: Request<wire::GetClusterRequest>) -> Answer<wire::Cluster> {
        let c = self.readers.cluster();
        Ok(Response::new(wire::Cluster {
            cluster_id: c.cluster.to_string(),
            epoch: c.epoch.0,
            version: c.version.to_owned(),
            started_unix_ms: c.started.0,
            total: Some(c.total.into()),
            allocated: Some(c.allocated.into()),
            offered: Some(c.offered.into()),
            agents_attached: c.agents_attached,
            agents_detached: c.agents_detached,
            frameworks_connected: c.frameworks_connected,
            frameworks_disconnected: c.frameworks_disconnected,
            offers: c.offers,
            tasks_active: c.tasks_active,
            ports_total: c.ports.total,
            ports_allocated: c.ports.allocated,
            ports_offered: c.ports.offered,
        }))
    }

    async fn list_agents(&self, _: Request<wire::ListAgentsRequest>) -> Answer<wire::ListAgentsResponse> {
        let agents = self.readers.agents().iter().map(|a| agent(a)).collect();
        Ok(Response::new(wire::ListAgentsResponse { agents }))
    }

    async fn list_frameworks(&self, _: Request<wire::ListFrameworksRequest>) -> Answer<wire::ListFrameworksResponse> {
        let frameworks = self.readers.frameworks().iter().map(|f| framework(f)).collect();
        Ok(Response::new(wire::ListFrameworksResponse { frameworks }))
    }

    async fn list_offers(&self, request: Request<wire::ListOffersRequest>) -> Answer<wire::ListOffersResponse> {
        let most = request.into_inner().history.min(MAX_HISTORY) as usize;
        let outstanding = self.readers.offers().iter().map(|o| self.offer(o)).collect();
        let history = self.readers.offer_history(most).iter().map(|o| self.offer(o)).collect();
        Ok(Response::new(wire::ListOffersResponse { outstanding, history }))
    }

    async fn list_tasks(&self, request: Request<wire::ListTasksRequest>) -> Answer<wire::ListTasksResponse> {
        let wire::ListTasksRequest { framework_id, ended } = request.into_inner();
        let mut tasks = self.readers.tasks();
        tasks.retain(|task| {
            let is_of_framework = framework_id.is_empty() || task.key.framework.as_str() == framework_id;
            is_of_framework && (ended || !task.status.state.is_terminal())
        });
        Ok(Response::new(wire::ListTasksResponse { tasks: tasks.iter().map(|t| self.task(t)).collect() }))
    }

    async fn teardown_framework(
        &self,
        request: Request<wire::TeardownFrameworkRequest>,
    ) -> Answer<wire::TeardownFrameworkResponse> {
        let wire::TeardownFrameworkRequest { framework_id, dry_run } = request.into_inner();
        if framework_id.is_empty() || framework_id.len() > MAX_NAME_BYTES {
            let message = format!(
                "framework_id: must be the id or the name of a framework, 1 to {MAX_NAME_BYTES} bytes; see `proffer frameworks`"
            );
            return Err(to_status(ErrorKind::Invalid, message));
        }
        let call = OperatorCall::TeardownFramework { request: 0, framework: framework_id };
        let came = self.change(call, dry_run).await?;
        let (framework_id, name) = came.framework.clone().map(|(id, name)| (id.into(), name)).unwrap_or_default();
        let consequences = Some(consequences(came));
        Ok(Response::new(wire::TeardownFrameworkResponse { framework_id, name, consequences }))
    }

    async fn list_roles(&self, _: Request<wire::ListRolesRequest>) -> Answer<wire::ListRolesResponse> {
        Ok(Response::new(wire::ListRolesResponse { roles: self.roles() }))
    }

    async fn set_weights(&self, request: Request<wire::SetWeightsRequest>) -> Answer<wire::SetWeightsResponse> {
        self.weights(request.into_inner()).await.map(Response::new)
    }

    async fn set_quota(&self, request: Request<wire::SetQuotaRequest>) -> Answer<wire::SetQuotaResponse> {
        self.quota(request.into_inner()).await.map(Response::new)
    }

    async fn remove_quota(&self, request: Request<wire::RemoveQuotaRequest>) -> Answer<wire::RemoveQuotaResponse> {
        self.no_quota(request.into_inner()).await.map(Response::new)
    }

    async fn set_role_policy(
        &self,
        request: Request<wire::SetRolePolicyRequest>,
    ) -> Answer<wire::SetRolePolicyResponse> {
        self.policy(request.into_inner()).await.map(Response::new)
    }

    async fn drain_agent(&self, request: Request<wire::DrainAgentRequest>) -> Answer<wire::DrainAgentResponse> {
        let consequences = Some(self.drain(request.into_inner()).await?);
        Ok(Response::new(wire::DrainAgentResponse { consequences }))
    }

    async fn cancel_drain(&self, request: Request<wire::CancelDrainRequest>) -> Answer<wire::CancelDrainResponse> {
        let wire::CancelDrainRequest { agent_id, dry_run } = request.into_inner();
        let consequences = Some(self.command(agent_id, AgentCommand::CancelDrain, dry_run).await?);
        Ok(Response::new(wire::CancelDrainResponse { consequences }))
    }

    async fn deactivate_agent(
        &self,
        request: Request<wire::DeactivateAgentRequest>,
    ) -> Answer<wire::DeactivateAgentResponse> {
        let wire::DeactivateAgentRequest { agent_id, dry_run } = request.into_inner();
        let consequences = Some(self.command(agent_id, AgentCommand::Deactivate, dry_run).await?);
        Ok(Response::new(wire::DeactivateAgentResponse { consequences }))
    }

    async fn reactivate_agent(
        &self,
        request: Request<wire::ReactivateAgentRequest>,
    ) -> Answer<wire::ReactivateAgentResponse> {
        let wire::ReactivateAgentRequest { agent_id, dry_run } = request.into_inner();
        let consequences = Some(self.command(agent_id, AgentCommand::Reactivate, dry_run).await?);
        Ok(Response::new(wire::ReactivateAgentResponse { consequences }))
    }

    async fn mark_agent_gone(
        &self,
        request: Request<wire::MarkAgentGoneRequest>,
    ) -> Answer<wire::MarkAgentGoneResponse> {
        let wire::MarkAgentGoneRequest { agent_id, dry_run } = request.into_inner();
        let consequences = Some(self.command(agent_id, AgentCommand::MarkGone, dry_run).await?);
        Ok(Response::new(wire::MarkAgentGoneResponse { consequences }))
    }

    async fn schedule_maintenance(
        &self,
        request: Request<wire::ScheduleMaintenanceRequest>,
    ) -> Answer<wire::MaintenanceWindow> {
        OperatorApi::schedule_maintenance(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_maintenance(
        &self,
        _: Request<wire::ListMaintenanceRequest>,
    ) -> Answer<wire::ListMaintenanceResponse> {
        Ok(Response::new(self.maintenance()))
    }

    async fn remove_maintenance(
        &self,
        request: Request<wire::RemoveMaintenanceRequest>,
    ) -> Answer<wire::RemoveMaintenanceResponse> {
        let consequences = Some(self.remove_window(request.into_inner()).await?);
        Ok(Response::new(wire::RemoveMaintenanceResponse { consequences }))
    }

    async fn list_inverse_offers(
        &self,
        request: Request<wire::ListInverseOffersRequest>,
    ) -> Answer<wire::ListInverseOffersResponse> {
        Ok(Response::new(self.inverse_offers(request.into_inner())))
    }

    async fn why(&self, request: Request<wire::WhyRequest>) -> Answer<wire::WhyResponse> {
        self.answer_why(request.into_inner()).await.map(Response::new)
    }

    async fn reserve(&self, request: Request<wire::ReserveRequest>) -> Answer<wire::ReserveResponse> {
        let consequences = Some(self.reserve_for(request.into_inner()).await?);
        Ok(Response::new(wire::ReserveResponse { consequences }))
    }

    async fn unreserve(&self, request: Request<wire::UnreserveRequest>) -> Answer<wire::UnreserveResponse> {
        let consequences = Some(self.unreserve_for(request.into_inner()).await?);
        Ok(Response::new(wire::UnreserveResponse { consequences }))
    }

    async fn create_volume(&self, request: Request<wire::CreateVolumeRequest>) -> Answer<wire::CreateVolumeResponse> {
        let consequences = Some(self.volume_for(request.into_inner().try_into()).await?);
        Ok(Response::new(wire::CreateVolumeResponse { consequences }))
    }

    async fn destroy_volume(
        &self,
        request: Request<wire::DestroyVolumeRequest>,
    ) -> Answer<wire::DestroyVolumeResponse> {
        let consequences = Some(self.volume_for(request.into_inner().try_into()).await?);
        Ok(Response::new(wire::DestroyVolumeResponse { consequences }))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let kinds = Kinds::try_from(request.into_inner())?;
        let (to, events) = queue(WATCH_QUEUE);
        let (api, watching) = (self.clone(), self.readers.watching());
        tokio::spawn(async move {
            let stopped = tokio::select! {
                watched = api.watch_into(&to, kinds) => watched.err(),
                () = api.owner.shutdown.draining() => Some(stopping()),
            };
            to.end(None, stopped);
            drop(watching);
        });
        Ok(Response::new(events))
    }
}

impl OperatorApi {
    pub(super) fn offer(&self, view: &OfferView) -> wire::OfferRecord {
        let UnixMillis(sent) = view.sent;
        let (mut decline_reason, mut rescind_reason) = (None, Reason::Unspecified);
        let outcome = match &view.outcome {
            OfferOutcome::Outstanding => Outcome::Outstanding,
            OfferOutcome::Accepted { leftover, .. } => {
                decline_reason = leftover.clone();
                Outcome::Accepted
            }
            OfferOutcome::Declined(reason) => {
                decline_reason = Some(reason.clone());
                Outcome::Declined
            }
            OfferOutcome::Rescinded(reason) => {
                rescind_reason = rescinded(*reason);
                Outcome::Rescinded
            }
        };
        let held_ms = if outcome == Outcome::Outstanding { unix_now().0.saturating_sub(sent) } else { view.held_ms };
        wire::OfferRecord {
            offer: Some(view.offer.clone().into()),
            framework_id: view.framework.to_string(),
            framework_name: self.readers.framework_name(&view.framework),
            outcome: outcome.into(),
            sent_unix_ms: sent,
            held_ms,
            decline_reason: decline_reason.map(Into::into),
            rescind_reason: rescind_reason.into(),
        }
    }

    pub(super) fn task(&self, record: &TaskRecord) -> wire::Task {
        wire::Task {
            framework_id: record.key.framework.to_string(),
            framework_name: self.readers.framework_name(&record.key.framework),
            spec: Some(record.spec.clone().into()),
            status: Some(record.status.clone().into()),
            agent_id: record.agent.to_string(),
            hostname: self.readers.hostname(&record.agent),
            role: record.role.to_string(),
        }
    }
}

pub(super) fn rescinded(reason: RescindReason) -> Reason {
    match reason {
        RescindReason::Expired => Reason::Expired,
        RescindReason::AgentLost => Reason::AgentLost,
        RescindReason::AgentChanged => Reason::AgentChanged,
        RescindReason::DemandChanged => Reason::DemandChanged,
        RescindReason::Operator => Reason::Operator,
        RescindReason::LostRace => Reason::LostRace,
    }
}

pub(super) fn agent(view: &AgentView) -> wire::Agent {
    let state = match view.state {
        AgentState::Attached => wire::AgentState::Attached,
        AgentState::Detached => wire::AgentState::Detached,
        AgentState::Unreachable => wire::AgentState::Unreachable,
    };
    let info = &view.info;
    let (mode, drain) = super::drain::mode(&view.mode);
    wire::Agent {
        mode: mode.into(),
        drain,
        agent_id: view.id.to_string(),
        hostname: info.hostname.clone(),
        api_address: info.api_address.clone(),
        state: state.into(),
        total: Some(info.resources.clone().into()),
        allocated: Some(view.allocated.clone().into()),
        offered: Some(view.offered.clone().into()),
        attributes: info.attributes.iter().cloned().map(Into::into).collect(),
        region: info.region.clone(),
        zone: info.zone.clone(),
        version: info.version.clone(),
        tasks_active: view.tasks_active,
        address: info.address.clone(),
        reservations: view.reserved.iter().cloned().map(Into::into).collect(),
        volumes: view.volumes.iter().cloned().map(Into::into).collect(),
    }
}

pub(super) fn framework(view: &FrameworkView) -> wire::Framework {
    wire::Framework {
        info: Some(view.info.clone().into()),
        connected: view.is_connected,
        allocated: Some(view.allocated.clone().into()),
        offered: Some(view.offered.clone().into()),
        tasks_active: view.tasks_active,
        demand: Some(view.demand.clone().into()),
        share_millionths: view.share_millionths,
        offers: u32::try_from(view.offers).unwrap_or(u32::MAX),
        max_offers: u32::try_from(view.max_offers).unwrap_or(u32::MAX),
    }
}
