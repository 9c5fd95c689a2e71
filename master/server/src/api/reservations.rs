//! Reservations and volumes for operators: read from the wire, asked of the owner, answered in its words.

use proffer_master_engine::OperatorCall;
use proffer_master_engine::reservations::OperatorReservation;
use proffer_proto_model::AgentId;
use proffer_proto_model::convert::{ReserveCall, UnreserveCall, VolumeCall, WireError};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use tonic::Status;

use super::change::consequences;
use super::operator::OperatorApi;

/// Who reserves, while operators have no names.
const PRINCIPAL: &str = "operator";

impl OperatorApi {
    pub(super) async fn reserve_for(&self, request: wire::ReserveRequest) -> Result<wire::Consequences, Status> {
        let read = ReserveCall::try_from(request).map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let ReserveCall { agent, role, from_role, resources, labels, is_dry_run } = read;
        let principal = PRINCIPAL.to_owned();
        let wish = OperatorReservation::Reserve { role, from_role, resources, labels, principal, owner: None };
        self.reservation(agent, wish, is_dry_run).await
    }

    pub(super) async fn unreserve_for(&self, request: wire::UnreserveRequest) -> Result<wire::Consequences, Status> {
        let read = UnreserveCall::try_from(request).map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let UnreserveCall { agent, role, resources, is_forced, is_dry_run } = read;
        self.reservation(agent, OperatorReservation::Unreserve { role, resources, is_forced }, is_dry_run).await
    }

    /// Creates or destroys a volume.
    pub(super) async fn volume_for(&self, read: Result<VolumeCall, WireError>) -> Result<wire::Consequences, Status> {
        let read = read.map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let VolumeCall { agent, id, role, size, is_dry_run } = read;
        let wish = match size {
            Some(size) => OperatorReservation::CreateVolume { role, id, size, owner: None },
            None => OperatorReservation::DestroyVolume { role, id },
        };
        self.reservation(agent, wish, is_dry_run).await
    }

    async fn reservation(
        &self,
        agent: AgentId,
        wish: OperatorReservation,
        is_dry_run: bool,
    ) -> Result<wire::Consequences, Status> {
        self.change(OperatorCall::Reservation { request: 0, agent, wish }, is_dry_run).await.map(consequences)
    }
}
