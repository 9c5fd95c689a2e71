//! The proffer binary: every server and every user command.
//!
//! The library part exists so that tests reach the spec file, the flags and the printing without a process.
//! Nothing here decides anything about the cluster: commands ask the servers and print what they say.

pub mod args;
mod client;
mod commands;
pub mod dev;
mod error;
pub mod output;
mod progress;
pub mod serve;
pub mod spec;
mod views;
mod waiting;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, OffersArgs};
pub use error::CliError;

/// How a command ended that went as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Good,
    /// The answer itself is bad news, already told: a failed job, for example.
    Bad,
}

/// Runs the program with the process's arguments. Exit codes: 0 well, 1 an error or bad news, 2 wrong usage.
///
/// The same binary writes the output of containers: containerd starts it so, and then nothing else runs.
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if proffer_agent_runtime::is_logger_invocation(&args) {
        return proffer_agent_runtime::logger_main(&args);
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli));
    // Reading standard input may still block a thread; it must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<Outcome, CliError> {
    let Cli { master, output, command } = cli;
    let cluster = client::Cluster::new(master.0.clone());
    match command {
        Command::Dev(args) => dev::run(args).await.map(|()| Outcome::Good),
        Command::Master(args) => serve::master::run(args).await,
        Command::Agent(args) => serve::agent::run(*args, master).await,
        Command::Service(args) => serve::service::run(args, master).await,
        Command::Batch(args) => serve::batch::run(args, master).await,
        Command::Apply(args) => commands::apply::run(&cluster, output, args).await,
        Command::Ps(args) => commands::ps::run(&cluster, output, args).await,
        Command::Logs(args) => commands::logs::run(&cluster, args).await,
        Command::Scale(args) => commands::scale::scale(&cluster, output, args).await,
        Command::Rm(args) => commands::scale::remove(&cluster, output, args).await,
        Command::Job(args) => commands::job::run(&cluster, output, args).await,
        Command::Image(args) => commands::image::run(&cluster, output, args).await,
        Command::Agents(args) => commands::drain::agents(&cluster, output, args).await,
        Command::Maintenance(args) => commands::maintenance::run(&cluster, output, args).await,
        Command::Drain(args) => commands::drain::run(&cluster, output, args).await,
        Command::Frameworks(args) => commands::frameworks::run(&cluster, output, args).await,
        Command::Offers(OffersArgs { watch: true, .. }) => commands::events::offers(&cluster, output).await,
        Command::Roles(args) => commands::role_policy::roles(&cluster, output, args).await,
        Command::Weights(args) => commands::roles::weights(&cluster, output, args).await,
        Command::Quota(args) => commands::roles::quota(&cluster, output, args).await,
        Command::Offers(args) => commands::lists::offers(&cluster, output, args).await,
        Command::Events(args) => commands::events::run(&cluster, output, args).await,
        Command::Tasks(args) => commands::lists::tasks(&cluster, output, args).await,
        Command::Reserve(args) => commands::reservations::reserve(&cluster, output, args).await,
        Command::Unreserve(args) => commands::reservations::unreserve(&cluster, output, args).await,
        Command::Volumes(args) => commands::volumes::volumes(&cluster, output, args.command).await,
        Command::Reservations => commands::reservations::list(&cluster, output).await,
        Command::Snapshot(args) => commands::snapshot::run(output, args.command),
        Command::Why(args) => commands::why::run(&cluster, output, args).await,
    }
}
