//! Roles, weights and quotas, as operators ask for them over the wire.

use proffer_master_engine::view::RoleView;
use proffer_master_engine::{OperatorCall, PolicyChange, RolesCall};
use proffer_proto_model::{OfferMode, Quota, Resources, Role, RolePolicy, Weight};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use tonic::Status;

use super::operator::OperatorApi;

/// Most weights in one request.
const MAX_WEIGHTS: usize = 10_000;

impl OperatorApi {
    /// All roles, parents before their children.
    pub(super) fn roles(&self) -> Vec<wire::Role> {
        let total = self.readers.total();
        self.readers.roles().iter().map(|view| self.role(view, &total)).collect()
    }

    pub(super) fn role(&self, view: &RoleView, total: &Resources) -> wire::Role {
        let framework = |id: &proffer_proto_model::FrameworkId| wire::RoleFramework {
            framework_id: id.to_string(),
            name: self.readers.framework_name(id),
        };
        wire::Role {
            role: view.role.to_string(),
            weight_milli: view.weight.milli(),
            quota: (!view.quota.is_empty()).then(|| view.quota.clone().into()),
            allocated: Some(view.allocated.clone().into()),
            offered: Some(view.offered.clone().into()),
            reserved: Some(view.reserved.clone().into()),
            unreachable: Some(view.unreachable.clone().into()),
            tasks_active: view.tasks_active,
            share_millionths: view.share_millionths(total),
            frameworks: view.frameworks.iter().map(framework).collect(),
            policy: (!view.policy.is_empty()).then(|| policy(&view.policy)),
        }
    }

    pub(super) async fn weights(&self, request: wire::SetWeightsRequest) -> Result<wire::SetWeightsResponse, Status> {
        let wire::SetWeightsRequest { weights, dry_run } = request;
        if weights.len() > MAX_WEIGHTS {
            return Err(invalid(format!(
                "weights has {}; at most {MAX_WEIGHTS} are allowed in one call; send several",
                weights.len()
            )));
        }
        let read = |(at, wire::RoleWeight { role, weight_milli }): (usize, wire::RoleWeight)| {
            let role = Role::new(role).map_err(|error| invalid(format!("weights[{at}].role: {error}")))?;
            let wrong = |error| invalid(format!("weights[{at}].weight_milli of role {role}: {error}"));
            let weight = Weight::from_milli(weight_milli).map_err(wrong)?;
            Ok((role, weight))
        };
        let weights = weights.into_iter().enumerate().map(read).collect::<Result<_, Status>>()?;
        self.ask(RolesCall::SetWeights { weights }, dry_run).await?;
        Ok(wire::SetWeightsResponse {})
    }

    pub(super) async fn quota(&self, request: wire::SetQuotaRequest) -> Result<wire::SetQuotaResponse, Status> {
        let wire::SetQuotaRequest { role, quota, force, dry_run } = request;
        let role = read_role(role)?;
        let quota =
            Quota::try_from(quota.unwrap_or_default()).map_err(|error| invalid(error.within("quota").to_string()))?;
        self.ask(RolesCall::SetQuota { role, quota: Box::new(quota), force }, dry_run).await?;
        Ok(wire::SetQuotaResponse {})
    }

    pub(super) async fn no_quota(
        &self,
        request: wire::RemoveQuotaRequest,
    ) -> Result<wire::RemoveQuotaResponse, Status> {
        let wire::RemoveQuotaRequest { role, dry_run } = request;
        self.ask(RolesCall::RemoveQuota { role: read_role(role)? }, dry_run).await?;
        Ok(wire::RemoveQuotaResponse {})
    }

    pub(super) async fn policy(
        &self,
        request: wire::SetRolePolicyRequest,
    ) -> Result<wire::SetRolePolicyResponse, Status> {
        let wire::SetRolePolicyRequest { role, placement, min_offer, reset_min_offer, dry_run, offers } = request;
        let role = read_role(role)?;
        let placement = match placement.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(text.parse().map_err(|error| invalid(format!("placement: {error}")))?)),
        };
        let min_offer = match (min_offer, reset_min_offer) {
            (Some(_), true) => {
                return Err(invalid("reset_min_offer: min_offer is given too; give one of them".to_owned()));
            }
            (None, true) => Some(None),
            (Some(least), false) => {
                let least =
                    Resources::try_from(least).map_err(|error| invalid(error.within("min_offer").to_string()))?;
                Some(Some(least))
            }
            (None, false) => None,
        };
        let offers = match wire::OfferMode::try_from(offers) {
            Ok(wire::OfferMode::Unspecified) => None,
            Ok(wire::OfferMode::Exclusive) => Some(OfferMode::Exclusive),
            Ok(wire::OfferMode::Optimistic) => Some(OfferMode::Optimistic),
            Err(_) => return Err(invalid(format!("offers: {offers} is not known; use EXCLUSIVE or OPTIMISTIC"))),
        };
        let change = Box::new(PolicyChange { placement, min_offer, offers });
        self.ask(RolesCall::SetPolicy { role, change }, dry_run).await?;
        Ok(wire::SetRolePolicyResponse {})
    }

    /// Sends it to the owner and waits until it is stored.
    async fn ask(&self, call: RolesCall, is_dry_run: bool) -> Result<(), Status> {
        let call = OperatorCall::Roles { request: 0, call, is_dry_run: false };
        self.change(call, is_dry_run).await.map(drop)
    }
}

fn policy(policy: &RolePolicy) -> wire::RolePolicy {
    let RolePolicy { placement, min_offer, offers } = policy;
    let offers = match offers {
        OfferMode::Exclusive => wire::OfferMode::Exclusive,
        OfferMode::Optimistic => wire::OfferMode::Optimistic,
    };
    wire::RolePolicy {
        placement: placement.as_ref().map(ToString::to_string),
        min_offer: min_offer.clone().map(Into::into),
        offers: offers.into(),
    }
}

fn read_role(text: String) -> Result<Role, Status> {
    Role::new(text).map_err(|error| invalid(format!("role: {error}")))
}

fn invalid(message: String) -> Status {
    to_status(ErrorKind::Invalid, message)
}
