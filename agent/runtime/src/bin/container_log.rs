//! The container logger as a program of its own, for tests and for agents that are not the `proffer` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if !proffer_agent_runtime::is_logger_invocation(&args) {
        eprintln!("usage: proffer-container-log {} <directory>", proffer_agent_runtime::LOGGER_ARGUMENT);
        return ExitCode::FAILURE;
    }
    proffer_agent_runtime::logger_main(&args)
}
