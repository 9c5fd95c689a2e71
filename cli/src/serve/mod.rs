//! The commands that run a server until they are told to stop.

pub mod agent;
pub mod batch;
pub mod master;
pub mod service;

use std::time::Duration;

use proffer_proto_transport::Shutdown;
use tracing_subscriber::EnvFilter;

use crate::CliError;

/// How long a server may take to end once it was told to.
const DRAIN: Duration = Duration::from_secs(5);

/// Log to standard error: `PROFFER_LOG` takes tracing's filter syntax, `info` when it is not set.
fn log() {
    let filter = EnvFilter::try_from_env("PROFFER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call in one process finds the first one's logger, which is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}

/// Ends with SIGTERM or Ctrl-C.
fn stop_signal() -> Result<Shutdown, CliError> {
    Shutdown::new(DRAIN)
        .on_signals()
        .map_err(|e| CliError::new(format!("cannot listen for signals: {e}"), "check the limits of this process"))
}

/// An error whose text says what to do itself.
pub(crate) fn told(error: impl std::error::Error) -> CliError {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    CliError::Told { message, help: None }
}
