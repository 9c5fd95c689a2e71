//! `proffer drain` and what can be asked of agents.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::amounts;

/// `proffer drain`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct DrainArgs {
    /// Something else than to begin a drain.
    #[command(subcommand)]
    pub command: Option<DrainCommand>,
    /// The agent: its id or host name
    #[arg(required = true)]
    pub agent: Option<String>,
    /// Most time between SIGTERM and SIGKILL, e.g. 5m; each task's own when left out
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub grace: Option<Duration>,
    /// Remove the agent for good once it is empty
    #[arg(long)]
    pub mark_gone: bool,
    /// Only check, and say what would come of it
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// Wait until the agent is empty
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this time, e.g. 90s or 5m
    #[arg(long, default_value = "15m", value_name = "TIME", requires = "wait", value_parser = amounts::duration)]
    pub timeout: Duration,
}

/// Every `proffer drain` command.
#[derive(Debug, Subcommand)]
pub enum DrainCommand {
    /// End a drain that is under way; what was told to end still ends
    Cancel {
        /// The agent: its id or host name
        agent: String,
        /// Only check
        #[arg(long)]
        dry_run: bool,
    },
}

/// `proffer agents`
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// Something else than to show them.
    #[command(subcommand)]
    pub command: Option<AgentsCommand>,
}

/// Every `proffer agents` command.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// Give an agent no new work; what runs there goes on
    Deactivate(OneAgentArgs),
    /// Give an agent work again that is deactivated or drained
    Reactivate(OneAgentArgs),
    /// Remove an agent for good: its tasks count as ended, and it is never let in again
    Gone(OneAgentArgs),
}

/// Which agent, and whether anything is done.
#[derive(Debug, Args)]
pub struct OneAgentArgs {
    /// The agent: its id or host name
    pub agent: String,
    /// Only check, and say what would come of it
    #[arg(long)]
    pub dry_run: bool,
}
