//! `proffer weights` and `proffer quota`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use proffer_proto_model::{Limit, Quota, Resources, Role, Weight};

use super::ResourcesArg;

/// `proffer weights`
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// What to do with weights.
    #[command(subcommand)]
    pub command: WeightsCommand,
}

/// Every `proffer weights` command.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Set how much roles' shares count beside the others': all of them, or none
    Set {
        /// Role and weight, 0.001 to 1000000; 1 is what a role without a weight has
        #[arg(required = true, value_name = "ROLE=WEIGHT")]
        weights: Vec<WeightArg>,
        /// Only check and say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the weights that differ from 1
    #[command(visible_alias = "ls")]
    List,
}

/// A weight as `eng/web=0.5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightArg {
    /// Which role.
    pub role: Role,
    /// How much it counts.
    pub weight: Weight,
}

impl FromStr for WeightArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((role, weight)) = text.split_once('=') else {
            return Err(format!("{text:?} has no \"=\"; write eng=2 or eng/web=0.5"));
        };
        let role = Role::new(role).map_err(|error| error.to_string())?;
        let weight = weight.parse().map_err(|error| format!("weight of {role}: {error}"))?;
        Ok(Self { role, weight })
    }
}

/// `proffer quota`
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// What to do with quotas.
    #[command(subcommand)]
    pub command: QuotaCommand,
}

/// Every `proffer quota` command.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Set all of a role's quota; what is left out is not promised and not limited
    Set(QuotaSetArgs),
    /// Show the quota and the use of a role, or of all roles with a quota
    Show {
        /// The role; all of them when left out
        #[arg(value_parser = super::role)]
        role: Option<Role>,
    },
    /// Show the roles with a quota
    #[command(visible_alias = "ls")]
    List,
    /// End a role's quota
    #[command(visible_alias = "rm")]
    Remove {
        /// The role
        #[arg(value_parser = super::role)]
        role: Role,
        /// Only check and say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// `proffer quota set`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("quota").required(true).multiple(true).args(["guarantee", "limit"]))]
pub struct QuotaSetArgs {
    /// The role; its quota is for all roles below it too
    #[arg(value_parser = super::role)]
    pub role: Role,
    /// Kept free for the role, e.g. cpus=10,memory=20GiB
    #[arg(long, value_name = "RESOURCES")]
    pub guarantee: Option<ResourcesArg>,
    /// Never exceeded, offers and tasks together, e.g. cpus=40,gpus=0
    #[arg(long, value_name = "RESOURCES")]
    pub limit: Option<LimitArg>,
    /// Also when the limit is below what tasks hold now, or more is promised than the cluster has
    #[arg(long)]
    pub force: bool,
    /// Only check and say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

impl QuotaSetArgs {
    /// What is asked for, in one.
    pub fn quota(&self) -> Quota {
        Quota {
            guarantee: self.guarantee.clone().map(|arg| arg.0).unwrap_or_default(),
            limit: self.limit.clone().map(|arg| arg.0).unwrap_or_default(),
        }
    }
}

/// The most of each kind, as `cpus=4,memory=8GiB,gpus=0`; what is not named is not limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitArg(pub Limit);

impl FromStr for LimitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ResourcesArg(most) = text.parse()?;
        if !most.ports.is_empty() {
            return Err("\"ports\" cannot be limited; limit cpus, memory, disk or gpus".to_owned());
        }
        let Resources { cpus, memory, disk, gpus, .. } = most;
        // Zero is a limit too: what counts is whether the kind is named.
        let is_named = |kind: &str| text.split(',').any(|part| part.split('=').next() == Some(kind));
        Ok(Self(Limit {
            cpus: is_named("cpus").then_some(cpus),
            memory: is_named("memory").then_some(memory),
            disk: is_named("disk").then_some(disk),
            gpus: is_named("gpus").then_some(gpus),
            ..Limit::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    #[test]
    fn limits_know_zero_from_nothing() {
        let LimitArg(limit) = "cpus=4,gpus=0".parse().unwrap();
        assert_eq!(limit.to_string(), "4 cpus, 0 gpus");
        assert_eq!((limit.memory, limit.gpus), (None, Some(0)));
    }

    #[test]
    fn wrong_values_are_told_with_the_fix() {
        let table: [(&[&str], &str); 19] = [
            (&["weights", "set"], "ROLE=WEIGHT"),
            (&["weights", "set", "eng"], "write eng=2"),
            (&["weights", "set", "eng=0"], "weight of eng: \"0\" is not a weight; give 0.001 to 1000000"),
            (&["weights", "set", "eng=-1"], "is not a weight"),
            (&["weights", "set", "eng=NaN"], "weight of eng: \"NaN\" is not a weight; give 0.001 to 1000000"),
            (&["weights", "set", "eng=inf"], "is not a weight"),
            (&["weights", "set", "eng=1e3"], "is not a weight"),
            (&["weights", "set", "eng=1000001"], "is not a weight"),
            (&["quota", "set", "eng", "--limit", "cpus=NaN"], "500m"),
            (&["quota", "set", "eng", "--limit", "cpus=inf"], "500m"),
            (&["quota", "set", "eng", "--guarantee", "memory=-1GiB"], "write sizes as 512MiB"),
            (&["quota", "set", "eng", "--limit", "licences=x"], "licences"),
            (&["weights", "set", "a//b=1"], "a path like"),
            (&["quota", "set", "eng"], "--guarantee"),
            (&["quota", "set", "en g", "--limit", "cpus=1"], "a path like"),
            (&["quota", "set", "eng", "--limit", "cpus=-1"], "500m"),
            (&["quota", "set", "eng", "--limit", "memory=20gb"], "did you mean 20GiB?"),
            (&["quota", "set", "eng", "--limit", "ports=80"], "cannot be limited"),
            (&["quota", "set", "eng", "--guarantee", "mem=1GiB"], "did you mean \"memory\"?"),
        ];
        for (line, told) in table {
            let error = Cli::try_parse_from([&["proffer"], line].concat()).expect_err(told).to_string();
            assert!(error.contains(told), "{line:?}: {error}");
        }
    }
}
