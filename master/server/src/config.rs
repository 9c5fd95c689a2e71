//! Settings of a master: raw as people give them, and checked.

use std::path::PathBuf;
use std::time::Duration;

use proffer_master_engine::{Config as EngineConfig, Sharing};
use proffer_proto_transport::{Address, AddressError};

use crate::election::ElectionOptions;
use crate::store::EtcdOptions;

/// Where a master listens when nobody said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5050";

/// Settings as flags, environment or files give them. Absent ones get the default.
#[derive(Debug, Clone, Default)]
pub struct RawConfig {
    /// Where the state is kept; required.
    pub data_dir: PathBuf,
    /// Where it is kept instead; the master then takes part in an election.
    pub etcd: Option<EtcdOptions>,
    /// `host:port` at which others reach this master; where it listens when absent. Only with etcd.
    pub advertise: Option<String>,
    /// How long a leader leads without being heard of; 5,000 when absent. Whole seconds, only with etcd.
    pub lease_ms: Option<u64>,
    /// `host:port`; [`DEFAULT_LISTEN`] when absent. Port 0 takes a free one.
    pub listen: Option<String>,
    /// An offer not answered in this time is withdrawn; 30,000 when absent.
    pub offer_timeout_ms: Option<u64>,
    /// Pings and heartbeats; 5,000 when absent.
    pub heartbeat_interval_ms: Option<u64>,
    /// An agent silent for this long is unreachable; 30,000 when absent.
    pub agent_timeout_ms: Option<u64>,
    /// So many agents, or a tenth of all, are declared unreachable in a minute; 20 when absent.
    pub agent_removals_per_minute: Option<u32>,
    /// Most outstanding offers of one framework; 1,000 when absent.
    pub max_offers_per_framework: Option<usize>,
    /// Most frameworks the master knows; 10,000 when absent.
    pub max_frameworks: Option<usize>,
    /// Calls one framework may make each second in the long run; 2,000 when absent.
    pub calls_per_second: Option<u32>,
    /// Calls one framework may make at once; 10,000 when absent.
    pub call_burst: Option<u32>,
    /// How long before a maintenance window frameworks are asked to leave its agents; 3,600,000 when absent.
    pub maintenance_notice_ms: Option<u64>,
    /// Roles that are short of their guarantee take room back after this notice; never when absent.
    pub preemption_notice_ms: Option<u64>,
    /// How what is free is shared out.
    pub sharing: Sharing,
    /// How long a stopping master waits for open calls; 2,000 when absent.
    pub drain_ms: Option<u64>,
}

/// Settings that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the state is kept.
    pub data_dir: PathBuf,
    /// Where it is kept instead; the master then takes part in an election.
    pub etcd: Option<EtcdOptions>,
    /// Where others reach this master; where it listens when absent.
    pub advertise: Option<Address>,
    /// How long a leader leads without being heard of.
    pub lease: Duration,
    /// Where to listen.
    pub listen: Address,
    /// Settings of the decisions.
    pub engine: EngineConfig,
    /// How fast one framework may call.
    pub call_rate: CallRate,
    /// How long a stopping master waits for open calls. Sessions are ended at once and do not need it.
    pub drain: Duration,
}

impl Config {
    /// How a master that is bound to this address takes part in the election.
    pub(crate) fn election(&self, bound: std::net::SocketAddr) -> ElectionOptions {
        let advertise = self.advertise.clone().unwrap_or_else(|| match self.listen.port() {
            0 => bound.into(),
            _ => self.listen.clone(),
        });
        ElectionOptions { advertise, lease: self.lease }
    }
}

/// How fast one framework may call: a token bucket. Most calls cost one token, those that concern the whole cluster ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// Tokens that come each second; at least 1.
    pub per_second: u32,
    /// Tokens that are kept; at least 1.
    pub burst: u32,
}

impl Default for CallRate {
    fn default() -> Self {
        Self { per_second: 2_000, burst: 10_000 }
    }
}

impl CallRate {
    /// A full bucket, in millionths of a token.
    pub(crate) fn burst_micro(self) -> i64 {
        i64::from(self.burst) * 1_000_000
    }
}

/// A setting that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No data directory.
    #[error("data_dir is empty; name the directory that keeps the master's state")]
    NoDataDir,
    /// The address is wrong.
    #[error("listen: {0}")]
    Listen(#[from] AddressError),
    /// The address for others is wrong.
    #[error("advertise: {0}")]
    Advertise(AddressError),
    /// Others cannot reach a master at the address of all interfaces.
    #[error(
        "listen is {listen}, which is no address that others can use; name one with advertise (--advertise \
         HOST:PORT), for the other masters send agents and frameworks there"
    )]
    NoAdvertise {
        /// Where it listens.
        listen: Address,
    },
    /// Something that is not counted where only countable kinds have a meaning.
    #[error("{field} names {kind}; name countable kinds such as cpus, memory, disk and gpus")]
    NotCountable {
        /// The setting.
        field: &'static str,
        /// What it names.
        kind: String,
    },
    /// Agents are heard of once in a heartbeat: in less time nobody is missed.
    #[error(
        "agent_timeout_ms (--agent-timeout) is {given_ms}; the master hears of an agent every {heartbeat_ms} ms (its heartbeat), so give more: \
         {least_ms} at least, such as six heartbeats ({} ms)",
        .heartbeat_ms.saturating_mul(6)
    )]
    ShortTimeout {
        /// What was given.
        given_ms: u64,
        /// Between two heartbeats.
        heartbeat_ms: u64,
        /// The least that is taken.
        least_ms: u64,
    },
    /// A number is out of its bounds.
    #[error("{field} is {value}; it must be {rule}")]
    OutOfBounds {
        /// The setting.
        field: &'static str,
        /// The value given.
        value: u64,
        /// What is allowed.
        rule: &'static str,
    },
}

/// Longest time that can be set: one day.
const MAX_MS: u64 = 86_400_000;

/// Longest notice of a maintenance window: 30 days.
const MAX_NOTICE_MS: u64 = 30 * MAX_MS;

/// How long open calls may take when the master stops.
const DRAIN_MS: u64 = 2_000;

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let RawConfig {
            data_dir,
            etcd,
            advertise,
            lease_ms,
            listen,
            offer_timeout_ms,
            heartbeat_interval_ms,
            agent_timeout_ms,
            agent_removals_per_minute,
            max_offers_per_framework,
            max_frameworks,
            calls_per_second,
            call_burst,
            maintenance_notice_ms,
            preemption_notice_ms,
            sharing,
            drain_ms,
        } = raw;
        if data_dir.as_os_str().is_empty() {
            return Err(ConfigError::NoDataDir);
        }
        let default = EngineConfig::default();
        let time = |field, value: Option<u64>, default: u64| match value.unwrap_or(default) {
            value @ 10..=MAX_MS => Ok(value),
            value => Err(ConfigError::OutOfBounds { field, value, rule: "10 to 86400000 milliseconds" }),
        };
        check(&sharing)?;
        let notice = |value: Option<u64>, default: u64| match value.unwrap_or(default) {
            value @ 0..=MAX_NOTICE_MS => Ok(value),
            value => {
                let (field, rule) = ("maintenance_notice_ms", "at most 30 days");
                Err(ConfigError::OutOfBounds { field, value, rule })
            }
        };
        let least = |field, value: Option<u32>, default: u32| match value.unwrap_or(default) {
            0 => Err(ConfigError::OutOfBounds { field, value: 0, rule: "at least 1" }),
            value => Ok(value),
        };
        let removals = |value: Option<u32>, default: usize| match value {
            None => Ok(default),
            Some(_) => least("agent_removals_per_minute", value, 1).map(|value| value as usize),
        };
        let engine = EngineConfig {
            offer_timeout_ms: time("offer_timeout_ms", offer_timeout_ms, default.offer_timeout_ms)?,
            heartbeat_interval_ms: time("heartbeat_interval_ms", heartbeat_interval_ms, default.heartbeat_interval_ms)?,
            agent_timeout_ms: time("agent_timeout_ms", agent_timeout_ms, default.agent_timeout_ms)?,
            agent_removals_per_minute: removals(agent_removals_per_minute, default.agent_removals_per_minute)?,
            max_offers_per_framework: max_offers_per_framework.unwrap_or(default.max_offers_per_framework),
            max_frameworks: max_frameworks.unwrap_or(default.max_frameworks),
            maintenance_notice_ms: notice(maintenance_notice_ms, default.maintenance_notice_ms)?,
            preemption_notice_ms: preemption_notice_ms
                .map(|ms| time("preemption_notice_ms", Some(ms), ms))
                .transpose()?,
            sharing,
        };
        let drain = Duration::from_millis(time("drain_ms", drain_ms, DRAIN_MS)?);
        if engine.agent_timeout_ms <= engine.heartbeat_interval_ms {
            let (given_ms, heartbeat_ms) = (engine.agent_timeout_ms, engine.heartbeat_interval_ms);
            return Err(ConfigError::ShortTimeout { given_ms, heartbeat_ms, least_ms: heartbeat_ms + 1 });
        }
        if engine.max_offers_per_framework == 0 {
            return Err(ConfigError::OutOfBounds { field: "max_offers_per_framework", value: 0, rule: "at least 1" });
        }
        if engine.max_frameworks == 0 {
            return Err(ConfigError::OutOfBounds { field: "max_frameworks", value: 0, rule: "at least 1" });
        }
        let rate = CallRate::default();
        let call_rate = CallRate {
            per_second: least("calls_per_second", calls_per_second, rate.per_second)?,
            burst: least("call_burst", call_burst, rate.burst)?,
        };
        let listen: Address = listen.as_deref().unwrap_or(DEFAULT_LISTEN).parse()?;
        let advertise = advertise.map(|text| text.parse()).transpose().map_err(ConfigError::Advertise)?;
        if etcd.is_some() && advertise.is_none() && is_everywhere(listen.host()) {
            return Err(ConfigError::NoAdvertise { listen });
        }
        Ok(Self { data_dir, etcd, advertise, lease: lease(lease_ms)?, listen, engine, call_rate, drain })
    }
}

/// Others cannot use it: it stands for all addresses of a host.
fn is_everywhere(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// A lease as etcd keeps it: in whole seconds, and long enough to be renewed several times.
fn lease(given_ms: Option<u64>) -> Result<Duration, ConfigError> {
    let Some(value) = given_ms else { return Ok(ElectionOptions::DEFAULT_LEASE) };
    match value {
        2_000..=300_000 if value % 1_000 == 0 => Ok(Duration::from_millis(value)),
        value => Err(ConfigError::OutOfBounds { field: "lease_ms", value, rule: "whole seconds from 2000 to 300000" }),
    }
}

/// Ports and sets have no share and no least amount.
fn check(sharing: &Sharing) -> Result<(), ConfigError> {
    let Sharing { excluded_kinds, min_offer, placement: _, gpus_for_all: _ } = sharing;
    let refuse = |field, kind: &str| Err(ConfigError::NotCountable { field, kind: kind.to_owned() });
    if let Some(kind) = excluded_kinds.iter().find(|kind| kind.trim().is_empty() || *kind == "ports") {
        return refuse("exclude_from_shares", if kind == "ports" { kind } else { "nothing" });
    }
    if !min_offer.ports.is_empty() {
        return refuse("min_offer", "ports");
    }
    min_offer.sets.keys().next().map_or(Ok(()), |set| refuse("min_offer", set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawConfig {
        RawConfig { data_dir: "/tmp/x".into(), ..RawConfig::default() }
    }

    fn ports() -> proffer_proto_model::Resources {
        let range = proffer_proto_model::PortRange { begin: 1, end: 9 };
        proffer_proto_model::Resources { ports: vec![range].into(), ..Default::default() }
    }

    #[test]
    fn absent_settings_get_their_defaults() {
        let config = Config::try_from(raw()).unwrap();
        assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
        assert_eq!(config.engine, EngineConfig::default());
        assert_eq!(config.call_rate, CallRate { per_second: 2_000, burst: 10_000 });
    }

    #[test]
    fn wrong_settings_are_refused_with_the_field() {
        let cases = [
            (RawConfig::default(), "data_dir"),
            (RawConfig { listen: Some("5050".into()), ..raw() }, "listen"),
            (RawConfig { offer_timeout_ms: Some(0), ..raw() }, "offer_timeout_ms"),
            (RawConfig { heartbeat_interval_ms: Some(u64::MAX), ..raw() }, "heartbeat_interval_ms"),
            (
                RawConfig { agent_timeout_ms: Some(5_000), ..raw() },
                "every 5000 ms (its heartbeat), so give more: 5001 at least",
            ),
            (RawConfig { max_offers_per_framework: Some(0), ..raw() }, "max_offers_per_framework"),
            (RawConfig { agent_removals_per_minute: Some(0), ..raw() }, "agent_removals_per_minute"),
            (RawConfig { maintenance_notice_ms: Some(u64::MAX), ..raw() }, "maintenance_notice_ms"),
            (RawConfig { preemption_notice_ms: Some(0), ..raw() }, "preemption_notice_ms"),
            (RawConfig { calls_per_second: Some(0), ..raw() }, "calls_per_second"),
            (RawConfig { call_burst: Some(0), ..raw() }, "call_burst"),
            (
                RawConfig { sharing: Sharing { excluded_kinds: vec!["ports".into()], ..Sharing::default() }, ..raw() },
                "exclude_from_shares names ports",
            ),
            (
                RawConfig { sharing: Sharing { excluded_kinds: vec![" ".into()], ..Sharing::default() }, ..raw() },
                "exclude_from_shares names nothing",
            ),
            (
                RawConfig { sharing: Sharing { min_offer: ports(), ..Sharing::default() }, ..raw() },
                "min_offer names ports",
            ),
        ];
        for (raw, told) in cases {
            let error = Config::try_from(raw).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
