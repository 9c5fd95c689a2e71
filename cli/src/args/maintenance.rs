//! `proffer maintenance` and its times.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::amounts;

/// `proffer maintenance`
#[derive(Debug, Args)]
pub struct MaintenanceArgs {
    /// What to do with maintenance windows.
    #[command(subcommand)]
    pub command: MaintenanceCommand,
}

/// Every `proffer maintenance` command.
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Plan a window: at its start the agents are drained, at its end they are offered again
    Add(MaintenanceAddArgs),
    /// Show the windows that are planned or open, and what frameworks answered when they were asked to leave
    Ls,
    /// Show which frameworks are asked to leave which agents, by windows, drains and preemption alike
    Requests {
        /// Also so many that are over, newest first
        #[arg(long, default_value_t = 0, value_name = "N")]
        history: u32,
    },
    /// Take a window back; one that is open ends now
    Remove {
        /// Its id
        window: String,
        /// Only check
        #[arg(long)]
        dry_run: bool,
    },
}

/// `proffer maintenance add`
#[derive(Debug, Args)]
pub struct MaintenanceAddArgs {
    /// The agents: ids or host names
    #[arg(required = true)]
    pub agents: Vec<String>,
    /// When it begins: now, a time from now as 2h, or a date and time with zone as 2026-12-01T22:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub start: When,
    /// How long it lasts, e.g. 90m
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub duration: Duration,
    /// Most time between SIGTERM and SIGKILL, e.g. 5m; each task's own when left out
    #[arg(long, value_name = "TIME", conflicts_with = "deactivate", value_parser = amounts::duration)]
    pub grace: Option<Duration>,
    /// Only give them no new work; what runs there goes on
    #[arg(long)]
    pub deactivate: bool,
    /// Only check, and say what would come of it
    #[arg(long)]
    pub dry_run: bool,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as the master has it.
    Now,
    /// So long after the command was given.
    In(Duration),
    /// In wall-clock milliseconds since 1970.
    At(u64),
}

impl When {
    /// In wall-clock milliseconds since 1970; 0 is now.
    pub fn unix_ms(self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Now => 0,
            Self::In(wait) => u64::try_from((since + wait).as_millis()).unwrap_or(u64::MAX),
            Self::At(ms) => ms,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Ok(wait) = amounts::duration(text) {
            return Ok(Self::In(wait));
        }
        let at: Timestamp = text.parse().map_err(|_| {
            format!("{text:?} is no time; write now, a time from now as 2h, or 2026-12-01T22:00:00+01:00")
        })?;
        u64::try_from(at.as_millisecond()).map(Self::At).map_err(|_| format!("{text:?} is before 1970"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_now_from_now_or_dates_with_their_zone() {
        assert_eq!("now".parse(), Ok(When::Now));
        assert_eq!("90m".parse(), Ok(When::In(Duration::from_secs(5_400))));
        assert_eq!("1970-01-02T01:00:00+01:00".parse(), Ok(When::At(86_400_000)));
        for wrong in ["", "tomorrow", "2026-12-01", "2026-12-01T22:00:00", "90", "-5m", "1969-12-31T00:00:00Z"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong:?}");
        }
    }
}
