//! Settings of a master: raw as people give them, and checked.

use std::path::PathBuf;
use std::time::Duration;

use proffer_master_engine::Config as EngineConfig;
use proffer_proto_transport::{Address, AddressError};

/// Where a master listens when nobody said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5050";

/// Settings as flags, environment or files give them. Absent ones get the default.
#[derive(Debug, Clone, Default)]
pub struct RawConfig {
    /// Where the state is kept; required.
    pub data_dir: PathBuf,
    /// `host:port`; [`DEFAULT_LISTEN`] when absent. Port 0 takes a free one.
    pub listen: Option<String>,
    /// An offer not answered in this time is withdrawn; 30,000 when absent.
    pub offer_timeout_ms: Option<u64>,
    /// Pings and heartbeats; 5,000 when absent.
    pub heartbeat_interval_ms: Option<u64>,
    /// An agent silent for this long is unreachable; 30,000 when absent.
    pub agent_timeout_ms: Option<u64>,
    /// Most outstanding offers of one framework; 1,000 when absent.
    pub max_offers_per_framework: Option<usize>,
    /// Calls one framework may make each second in the long run; 2,000 when absent.
    pub calls_per_second: Option<u32>,
    /// Calls one framework may make at once; 10,000 when absent.
    pub call_burst: Option<u32>,
    /// How long a stopping master waits for open calls; 2,000 when absent.
    pub drain_ms: Option<u64>,
}

/// Settings that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the state is kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Address,
    /// Settings of the decisions.
    pub engine: EngineConfig,
    /// How fast one framework may call.
    pub call_rate: CallRate,
    /// How long a stopping master waits for open calls. Sessions are ended at once and do not need it.
    pub drain: Duration,
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

/// How long open calls may take when the master stops.
const DRAIN_MS: u64 = 2_000;

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let RawConfig {
            data_dir,
            listen,
            offer_timeout_ms,
            heartbeat_interval_ms,
            agent_timeout_ms,
            max_offers_per_framework,
            calls_per_second,
            call_burst,
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
        let engine = EngineConfig {
            offer_timeout_ms: time("offer_timeout_ms", offer_timeout_ms, default.offer_timeout_ms)?,
            heartbeat_interval_ms: time("heartbeat_interval_ms", heartbeat_interval_ms, default.heartbeat_interval_ms)?,
            agent_timeout_ms: time("agent_timeout_ms", agent_timeout_ms, default.agent_timeout_ms)?,
            max_offers_per_framework: max_offers_per_framework.unwrap_or(default.max_offers_per_framework),
        };
        let drain = Duration::from_millis(time("drain_ms", drain_ms, DRAIN_MS)?);
        if engine.agent_timeout_ms <= engine.heartbeat_interval_ms {
            let (field, value) = ("agent_timeout_ms", engine.agent_timeout_ms);
            return Err(ConfigError::OutOfBounds { field, value, rule: "longer than heartbeat_interval_ms" });
        }
        if engine.max_offers_per_framework == 0 {
            return Err(ConfigError::OutOfBounds { field: "max_offers_per_framework", value: 0, rule: "at least 1" });
        }
        let least = |field, value: Option<u32>, default: u32| match value.unwrap_or(default) {
            0 => Err(ConfigError::OutOfBounds { field, value: 0, rule: "at least 1" }),
            value => Ok(value),
        };
        let rate = CallRate::default();
        let call_rate = CallRate {
            per_second: least("calls_per_second", calls_per_second, rate.per_second)?,
            burst: least("call_burst", call_burst, rate.burst)?,
        };
        Ok(Self { data_dir, listen: listen.as_deref().unwrap_or(DEFAULT_LISTEN).parse()?, engine, call_rate, drain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawConfig {
        RawConfig { data_dir: "/tmp/x".into(), ..RawConfig::default() }
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
            (RawConfig { agent_timeout_ms: Some(5_000), ..raw() }, "longer than heartbeat_interval_ms"),
            (RawConfig { max_offers_per_framework: Some(0), ..raw() }, "max_offers_per_framework"),
            (RawConfig { calls_per_second: Some(0), ..raw() }, "calls_per_second"),
            (RawConfig { call_burst: Some(0), ..raw() }, "call_burst"),
        ];
        for (raw, told) in cases {
            let error = Config::try_from(raw).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
