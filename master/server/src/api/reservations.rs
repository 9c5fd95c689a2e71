//! Reservations and volumes for operators: read from the wire, asked of the owner, answered in its words.

use proffer_master_engine::reservations::OperatorReservation;
use proffer_proto_model::AgentId;
use proffer_proto_model::convert::{ReserveCall, UnreserveCall, VolumeCall, WireError};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use tokio::sync::oneshot;
use tonic::Status;

use super::operator::OperatorApi;
use crate::owner::ToOwner;

/// Who reserves, while operators have no names.
const PRINCIPAL: &str = "operator";

impl OperatorApi {
    pub(super) async fn reserve_for(&self, request: wire::ReserveRequest) -> Result<(), Status> {
        let read = ReserveCall::try_from(request).map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let ReserveCall { agent, role, from_role, resources, labels } = read;
        let principal = PRINCIPAL.to_owned();
        self.reservation(
            agent,
            OperatorReservation::Reserve { role, from_role, resources, labels, principal, owner: None },
        )
        .await
    }

    pub(super) async fn unreserve_for(&self, request: wire::UnreserveRequest) -> Result<(), Status> {
        let read = UnreserveCall::try_from(request).map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let UnreserveCall { agent, role, resources, is_forced } = read;
        self.reservation(agent, OperatorReservation::Unreserve { role, resources, is_forced }).await
    }

    /// Creates or destroys a volume.
    pub(super) async fn volume_for(&self, read: Result<VolumeCall, WireError>) -> Result<(), Status> {
        let VolumeCall { agent, id, role, size } = read.map_err(|e| to_status(ErrorKind::Invalid, e.to_string()))?;
        let wish = match size {
            Some(size) => OperatorReservation::CreateVolume { role, id, size, owner: None },
            None => OperatorReservation::DestroyVolume { role, id },
        };
        self.reservation(agent, wish).await
    }

    async fn reservation(&self, agent: AgentId, wish: OperatorReservation) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        let gone = || to_status(ErrorKind::Unavailable, "this master is stopping; try again");
        self.owner.send(ToOwner::Reservation(agent, wish, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|error| {
            let kind = if error.is_not_found { ErrorKind::NotFound } else { ErrorKind::Invalid };
            to_status(kind, error.message)
        })
    }
}
