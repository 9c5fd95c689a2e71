//! `proffer roles`: the list, and how one is offered what is free.

use proffer_proto_wire::operator::{OfferMode, SetRolePolicyRequest};

use super::roles::{list_roles, say_notes, views};
use crate::args::{OffersArg, RolesArgs, RolesCommand, RolesSetArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::{CliError, Outcome};

pub(crate) async fn roles(cluster: &Cluster, format: Format, args: RolesArgs) -> Result<Outcome, CliError> {
    match args.command {
        None | Some(RolesCommand::List) => list_roles(cluster, format).await,
        Some(RolesCommand::Set(args)) => set(cluster, format, args).await,
    }
}

async fn set(cluster: &Cluster, format: Format, args: RolesSetArgs) -> Result<Outcome, CliError> {
    let RolesSetArgs { role, placement, min_offer, offers, dry_run } = args;
    let mode = match offers {
        None => OfferMode::Unspecified,
        Some(OffersArg::Exclusive) => OfferMode::Exclusive,
        Some(OffersArg::Optimistic) => OfferMode::Optimistic,
    };
    let request = SetRolePolicyRequest {
        role: role.to_string(),
        placement: placement.as_ref().map(|arg| arg.0.clone().map(String::from).unwrap_or_default()),
        min_offer: min_offer.as_ref().and_then(|arg| arg.0.clone()).map(Into::into),
        reset_min_offer: min_offer.as_ref().is_some_and(|arg| arg.0.is_none()),
        dry_run,
        offers: mode.into(),
    };
    let answer = cluster.operator().await?.set_role_policy(request).await;
    let answer = answer.map_err(|error| CliError::remote(&format!("set the policy of {role}"), error))?;
    if format == Format::Json {
        output::json(&views(cluster).await?.iter().find(|view| view.role == role.as_str()))?;
        return Ok(Outcome::Good);
    }
    let placement = placement.map(|arg| match arg.0 {
        Some(placement) => format!("by {placement}"),
        None => "placed as the whole cluster".to_owned(),
    });
    let least = min_offer.map(|arg| match arg.0 {
        None => "at least what the whole cluster says".to_owned(),
        Some(least) if least.is_empty() => "any amount".to_owned(),
        Some(least) => format!("at least {least}"),
    });
    let mode = offers.map(|mode| match mode {
        OffersArg::Exclusive => "to one framework at a time".to_owned(),
        OffersArg::Optimistic => "to all at once".to_owned(),
    });
    let words = placement.into_iter().chain(least).chain(mode).collect::<Vec<_>>().join(", ");
    let done = if dry_run { "would be" } else { "is" };
    output::say(&format!("role {role} {done} offered what is free {words}"))?;
    say_notes(&answer.into_inner().notes)
}
