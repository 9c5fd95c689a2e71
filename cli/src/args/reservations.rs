//! `proffer reserve`, `unreserve`, and what an agent reserves by its own flags.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use proffer_proto_model::{Role, StaticReservation};

use super::{ResourcesArg, amounts};

/// `proffer reserve`
#[derive(Debug, Args)]
pub struct ReserveArgs {
    /// The agent: its id or host name
    pub agent: String,
    /// For which role and those below it
    #[arg(long, value_parser = super::role)]
    pub role: Role,
    /// Refine what is reserved for this role above; what is not reserved is taken when left out
    #[arg(long, value_name = "ROLE", value_parser = super::role)]
    pub from: Option<Role>,
    /// How much, e.g. cpus=2,memory=4GiB
    #[arg(long, value_name = "AMOUNTS")]
    pub resources: ResourcesArg,
    /// A free word kept with it, name=value; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = amounts::variable)]
    pub label: Vec<(String, String)>,
    /// Only check, and say what would come of it
    #[arg(long)]
    pub dry_run: bool,
}

/// `proffer unreserve`
#[derive(Debug, Args)]
pub struct UnreserveArgs {
    /// The agent: its id or host name
    pub agent: String,
    /// Of which role
    #[arg(long, value_parser = super::role)]
    pub role: Role,
    /// How much, e.g. cpus=2,memory=4GiB
    #[arg(long, value_name = "AMOUNTS")]
    pub resources: ResourcesArg,
    /// Also destroy unused volumes that rest on it, with their data: the newest first, as many as must go
    #[arg(long)]
    pub force: bool,
    /// Only check, and say what would come of it
    #[arg(long)]
    pub dry_run: bool,
}

/// What an agent reserves, as `eng:cpus=2,memory=4GiB`, with labels after blanks: `eng:cpus=2 tier=gold`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveArg(pub StaticReservation);

impl FromStr for ReserveArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once(':') else {
            return Err(format!("{text:?} has no \":\"; write ROLE:AMOUNTS, e.g. eng:cpus=2,memory=4GiB"));
        };
        let mut words = rest.split_whitespace();
        let ResourcesArg(resources) = words.next().unwrap_or_default().parse()?;
        let mut labels = BTreeMap::new();
        for word in words {
            let (name, value) =
                amounts::variable(word).map_err(|_| format!("{word:?} is no label; write NAME=VALUE"))?;
            if labels.insert(name.clone(), value).is_some() {
                return Err(format!("{text:?} has the label {name} twice; give it once"));
            }
        }
        if resources.is_empty() {
            return Err(format!("{text:?} reserves nothing; write e.g. eng:cpus=2,memory=4GiB"));
        }
        Ok(Self(StaticReservation { role: super::role(name)?, resources, labels }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_read_and_a_wrong_one_is_told_with_the_fix() {
        let ReserveArg(read) = "eng/web:cpus=2,ports=31000-31009,31020".parse().unwrap();
        assert_eq!((read.role.as_str(), read.resources.cpus.0, read.resources.ports.count()), ("eng/web", 2_000, 11));
        for (text, words) in [
            ("eng", "write ROLE:AMOUNTS"),
            ("eng:gpus=0", "reserves nothing"),
            ("eng:cpus=1 gold", "\"gold\" is no label; write NAME=VALUE"),
            ("eng:cpus=1 tier=gold tier=silver", "label tier twice"),
            ("eng:cpu=1", "did you mean \"cpus\"?"),
            ("/eng:cpus=1", "role: "),
        ] {
            let error = text.parse::<ReserveArg>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
