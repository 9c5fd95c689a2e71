//! Runs a framework as a whole process, for frameworks that are nothing more.

use std::process::ExitCode;

use super::{Driver, DriverError};
use crate::{FrameworkConfig, Scheduler};

/// Runs a framework until it is done, as the last thing `main` does. Keeps its state in memory; SIGINT and SIGTERM stop it and its
/// tasks keep running. Warnings go to stderr, or what `RUST_LOG` asks for. An error is printed there too and gives exit code 1.
pub fn run<S: Scheduler>(config: FrameworkConfig, scheduler: S) -> ExitCode {
    log_to_stderr();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run_until_signal(config, scheduler)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter};
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // The process has a log of its own already: that one is used.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .try_init();
}

async fn run_until_signal<S: Scheduler>(config: FrameworkConfig, scheduler: S) -> Result<(), DriverError> {
    let driver = Driver::new(config);
    let handle = driver.handle();
    let stopper = tokio::spawn(async move {
        wait_for_signal().await;
        handle.stop().await;
    });
    let outcome = driver.run(scheduler).await;
    stopper.abort();
    outcome
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            if interrupted.is_err() {
                std::future::pending::<()>().await;
            }
        }
        _ = terminate.recv() => {}
    }
}
