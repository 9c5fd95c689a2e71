//! `proffer roles`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use proffer_proto_model::{Placement, Resources, Role};

use super::ResourcesArg;

/// `proffer roles`
#[derive(Debug, Args)]
pub struct RolesArgs {
    /// What to do; shows the roles when left out.
    #[command(subcommand)]
    pub command: Option<RolesCommand>,
}

/// Every `proffer roles` command.
#[derive(Debug, Subcommand)]
pub enum RolesCommand {
    /// Show the roles
    #[command(visible_alias = "ls")]
    List,
    /// Set how a role itself is offered what is free; what is left out stays
    Set(RolesSetArgs),
}

/// `proffer roles set`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("policy").required(true).multiple(true).args(["placement", "min_offer", "offers"]))]
pub struct RolesSetArgs {
    /// The role; roles below it have policies of their own
    #[arg(value_parser = super::roles::role)]
    pub role: Role,
    /// Which of the agents that fit come first: first, pack, least-loaded, spread:ATTRIBUTE such as spread:@zone, or
    /// default for that of the whole cluster
    #[arg(long, value_name = "POLICY")]
    pub placement: Option<PlacementArg>,
    /// No offer holds less than this, e.g. cpus=500m,memory=1GiB; none for no least amount, default for that of the
    /// whole cluster
    #[arg(long, value_name = "AMOUNTS")]
    pub min_offer: Option<MinOfferArg>,
    /// To how many of its frameworks the same is offered: exclusive (to one), or optimistic (to all in such roles; the
    /// first that uses it has it)
    #[arg(long, value_enum, value_name = "MODE")]
    pub offers: Option<OffersArg>,
    /// Only check and say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `--offers`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OffersArg {
    /// To one.
    Exclusive,
    /// To all that want it.
    Optimistic,
}

/// A policy, or `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementArg(pub Option<Placement>);

impl FromStr for PlacementArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "default" => Ok(Self(None)),
            _ => text.parse().map(|placement| Self(Some(placement))).map_err(|error| format!("{error}, or default")),
        }
    }
}

/// Amounts, `none` or `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinOfferArg(pub Option<Resources>);

impl FromStr for MinOfferArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "default" => Ok(Self(None)),
            "none" => Ok(Self(Some(Resources::default()))),
            _ => {
                let ResourcesArg(least) = text.parse()?;
                if !least.ports.is_empty() {
                    return Err("\"ports\" have no least amount; name cpus, memory, disk or gpus".to_owned());
                }
                Ok(Self(Some(least)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;

    #[test]
    fn wrong_values_are_told_with_the_fix() {
        let table: [(&[&str], &str); 6] = [
            (&["set", "eng"], "--placement"),
            (&["set", "en g", "--placement", "pack"], "a path like"),
            (&["set", "eng", "--placement", "packed"], "write first, pack, least-loaded"),
            (&["set", "eng", "--min-offer", "ports=1-9"], "have no least amount"),
            (&["set", "eng", "--offers", "optimist"], "optimistic"),
            (&["set", "eng", "--min-offer", "mem=1GiB"], "did you mean \"memory\"?"),
        ];
        for (line, told) in table {
            let error = Cli::try_parse_from([&["proffer", "roles"], line].concat()).expect_err(told).to_string();
            assert!(error.contains(told), "{line:?}: {error}");
        }
        for line in [&["roles"][..], &["roles", "ls"], &["roles", "set", "eng", "--min-offer", "none"]] {
            Cli::try_parse_from([&["proffer"], line].concat()).unwrap();
        }
    }
}
