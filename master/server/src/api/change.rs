//! The one way of every change that an operator asks for: to the owner and back, done or only looked at.

use proffer_master_engine::{Consequences, OperatorCall, VolumeName};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use tokio::sync::oneshot;
use tonic::Status;

use super::operator::OperatorApi;
use crate::owner::ToOwner;

impl OperatorApi {
    /// Waits until the change is stored, or, in a dry run, until it is known what would come of it.
    pub(super) async fn change(&self, call: OperatorCall, is_dry_run: bool) -> Result<Consequences, Status> {
        let (reply, answer) = oneshot::channel();
        let gone = || to_status(ErrorKind::Unavailable, "this master is stopping; try again");
        let call = Box::new(call);
        self.owner.send(ToOwner::Operator { call, is_dry_run, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|error| {
            let kind = if error.is_not_found { ErrorKind::NotFound } else { ErrorKind::Invalid };
            to_status(kind, error.message)
        })
    }
}

/// What came of it, on the wire. Which framework it was about is said beside it.
pub(super) fn consequences(came: Consequences) -> wire::Consequences {
    let Consequences { is_so_already, tasks, offers, volumes, framework: _ } = came;
    let volume = |VolumeName { agent, role, id }: VolumeName| wire::VolumeName {
        agent_id: agent.into(),
        role: role.into(),
        volume_id: id.into(),
    };
    wire::Consequences {
        already: is_so_already,
        tasks_ended: u32::try_from(tasks).unwrap_or(u32::MAX),
        offers_withdrawn: u32::try_from(offers).unwrap_or(u32::MAX),
        volumes_destroyed: volumes.into_iter().map(volume).collect(),
    }
}
