//! What an agent is told by people: as texts, and checked.
//!
//! Nothing here looks at the host; what was not given is found out when the agent starts.

use std::fmt;
use std::path::PathBuf;

use proffer_agent_engine::Timing;
use proffer_proto_model::resources::{parse_bytes, parse_cpus, parse_ports};
use proffer_proto_model::{Attribute, AttributeValue, Bytes, MilliCpus, PortRange, PortSet, StaticReservation};
use proffer_proto_transport::Address;

/// Where an agent listens when nobody said: all addresses, port 5051.
const DEFAULT_LISTEN: &str = "0.0.0.0:5051";
/// Ports an agent offers when nobody said.
const DEFAULT_PORTS: PortRange = PortRange { begin: 31_000, end: 32_000 };

/// An agent's configuration as people write it. `None` and empty mean "not given".
#[derive(Debug, Clone, Default)]
pub struct RawConfig {
    /// Directory for the checkpoint, logs and temporary files. Must be given.
    pub data_dir: String,
    /// Address for the agent's own API, `0.0.0.0:5051` when not given; port 0 takes any free one.
    pub listen: Option<String>,
    /// Masters as `host:port`, in the order they are tried. At least one.
    pub masters: Vec<String>,
    /// Host name for people; the system's when not given.
    pub hostname: Option<String>,
    /// Address at which published ports and the API answer; that of `listen` when that is a real one.
    pub address: Option<String>,
    /// CPUs such as `2` or `1500m`; all of the host when not given.
    pub cpus: Option<String>,
    /// Memory such as `4GiB`; when not given the host's, less a reserve of a tenth but at least 512 MiB.
    pub memory: Option<String>,
    /// Disk such as `20GiB`; what the data directory's file system has when not given.
    pub disk: Option<String>,
    /// Whole GPUs; none when not given.
    pub gpus: Option<String>,
    /// Ports such as `31000-32000`, which is also the default.
    pub ports: Option<String>,
    /// Attributes as `name=value`; a value that is a number with at most three decimal places is a number.
    pub attributes: Vec<String>,
    /// What of its resources the agent reserves.
    pub reservations: Vec<StaticReservation>,
    /// Region; may be empty.
    pub region: String,
    /// Zone; may be empty.
    pub zone: String,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory for the checkpoint, logs and temporary files.
    pub data_dir: PathBuf,
    /// Address for the agent's own API.
    pub listen: Address,
    /// Masters in the order they are tried. Never empty.
    pub masters: Vec<Address>,
    /// Host name; the system's when `None`.
    pub hostname: Option<String>,
    /// Address at which published ports and the API answer.
    pub address: Option<String>,
    /// What the agent offers, as far as it was given.
    pub resources: GivenResources,
    /// Given attributes; found ones (`kernel`, `arch`, …) are added where the name is free.
    pub attributes: Vec<Attribute>,
    /// What of its resources the agent reserves.
    pub reservations: Vec<StaticReservation>,
    /// Region; may be empty.
    pub region: String,
    /// Zone; may be empty.
    pub zone: String,
    /// How patient the engine is.
    pub timing: Timing,
    /// How many ended tasks are remembered with their logs.
    pub ended_kept: usize,
    /// Longest wait between two tries to reach a master, in milliseconds.
    pub reconnect_max_ms: u64,
}

/// What an agent offers; `None` is found out at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenResources {
    /// CPU.
    pub cpus: Option<MilliCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Disk.
    pub disk: Option<Bytes>,
    /// Whole GPUs.
    pub gpus: u32,
    /// Host ports.
    pub ports: PortSet,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {defect}")]
pub struct ConfigError {
    /// The field, as in [`RawConfig`].
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub defect: String,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the agent's configuration is wrong:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

impl RawConfig {
    /// Checks everything.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn validate(self) -> Result<Config, ConfigErrors> {
        let mut check = Check::default();
        if self.data_dir.is_empty() {
            check.wrong("data_dir", "is empty; give a directory the agent may write to");
        }
        if self.masters.is_empty() {
            check.wrong("masters", "is empty; give at least one master as host:port");
        }
        let listen = self.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let config = Config {
            data_dir: PathBuf::from(&self.data_dir),
            listen: check.address("listen", listen).unwrap_or_else(|| std::net::SocketAddr::from(([0; 4], 0)).into()),
            masters: self.masters.iter().filter_map(|master| check.address("masters", master)).collect(),
            hostname: self.hostname.clone(),
            address: self.address.clone(),
            resources: GivenResources {
                cpus: check.optional("cpus", self.cpus.as_deref(), |t| parse_cpus(t).map_err(|e| e.to_string())),
                memory: check.optional("memory", self.memory.as_deref(), |t| parse_bytes(t).map_err(|e| e.to_string())),
                disk: check.optional("disk", self.disk.as_deref(), |t| parse_bytes(t).map_err(|e| e.to_string())),
                gpus: check.optional("gpus", self.gpus.as_deref(), gpus).unwrap_or(0),
                ports: check
                    .optional("ports", self.ports.as_deref(), |t| parse_ports(t).map_err(|e| e.to_string()))
                    .unwrap_or_else(|| PortSet::from(vec![DEFAULT_PORTS])),
            },
            attributes: attributes(&self.attributes, &mut check),
            reservations: self.reservations,
            region: self.region,
            zone: self.zone,
            timing: Timing::default(),
            ended_kept: 1_000,
            reconnect_max_ms: 10_000,
        };
        if check.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(check.errors)) }
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Check {
    errors: Vec<ConfigError>,
}

impl Check {
    fn wrong(&mut self, field: &'static str, defect: impl Into<String>) {
        self.errors.push(ConfigError { field, defect: defect.into() });
    }

    fn tried<T>(&mut self, field: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|defect| self.wrong(field, defect)).ok()
    }

    fn optional<T>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        text.and_then(|text| self.tried(field, parse(text)))
    }

    fn address(&mut self, field: &'static str, text: &str) -> Option<Address> {
        self.tried(field, text.parse().map_err(|error: proffer_proto_transport::AddressError| error.to_string()))
    }
}

fn gpus(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of GPUs; write a whole number such as 2"))
}

fn attributes(texts: &[String], check: &mut Check) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for text in texts {
        match text.split_once('=') {
            Some((name, _)) if attributes.iter().any(|known| known.name == name) => {
                check.wrong("attributes", format!("{name:?} is given twice; give each attribute once"));
            }
            Some((name, value)) if !name.is_empty() => {
                attributes.push(Attribute { name: name.to_owned(), value: attribute_value(value) });
            }
            _ => check.wrong("attributes", format!("{text:?} is not an attribute; write it like rack=r12")),
        }
    }
    attributes
}

fn attribute_value(text: &str) -> AttributeValue {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    // A number of CPUs has the very grammar of a decimal number; its unit suffix is not a number here.
    let milli = parse_cpus(digits).ok().filter(|_| !digits.ends_with('m'));
    match milli.and_then(|milli| i64::try_from(milli.0).ok()) {
        Some(milli) => AttributeValue::ScalarMilli(sign * milli),
        None => AttributeValue::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> RawConfig {
        RawConfig { data_dir: "/tmp/x".to_owned(), masters: vec!["m:5050".to_owned()], ..RawConfig::default() }
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let config = good().validate().unwrap();
        assert_eq!(config.masters[0].to_string(), "m:5050");
        assert_eq!(config.listen.to_string(), "0.0.0.0:5051");
        assert_eq!(config.resources.ports.to_string(), "31000-32000");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let bad = RawConfig {
            listen: Some("here".to_owned()),
            masters: vec!["a b".to_owned(), "m".to_owned(), "m:99999".to_owned(), ":5".to_owned(), "::1".to_owned()],
            cpus: Some("-1".to_owned()),
            memory: Some("4gb".to_owned()),
            gpus: Some("1.5".to_owned()),
            ports: Some("70000".to_owned()),
            attributes: vec!["rack".to_owned(), "a=1".to_owned(), "a=2".to_owned()],
            ..RawConfig::default()
        };
        let ConfigErrors(errors) = bad.validate().unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            [
                "data_dir",
                "listen",
                "masters",
                "masters",
                "masters",
                "masters",
                "masters",
                "cpus",
                "memory",
                "gpus",
                "ports",
                "attributes",
                "attributes"
            ]
        );
        let told = ConfigErrors(errors).to_string();
        assert!(told.contains("did you mean 4GiB?"), "{told}");
    }

    #[test]
    fn attributes_are_numbers_when_they_look_like_it() {
        let mut raw = good();
        raw.attributes = vec!["rack=r1".to_owned(), "weight=-1.5".to_owned(), "size=2m".to_owned()];
        let values: Vec<_> = raw.validate().unwrap().attributes.into_iter().map(|a| a.value).collect();
        assert_eq!(
            values,
            [
                AttributeValue::Text("r1".to_owned()),
                AttributeValue::ScalarMilli(-1_500),
                AttributeValue::Text("2m".to_owned())
            ]
        );
    }
}
