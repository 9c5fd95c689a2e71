//! `proffer frameworks`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::amounts;

/// `proffer frameworks`
#[derive(Debug, Args)]
pub struct FrameworksArgs {
    /// Something else than to show them.
    #[command(subcommand)]
    pub command: Option<FrameworksCommand>,
}

/// Every `proffer frameworks` command.
#[derive(Debug, Subcommand)]
pub enum FrameworksCommand {
    /// Remove a framework for good: its tasks are ended, and what it reserved and its volumes go with it
    Teardown(TeardownArgs),
}

/// `proffer frameworks teardown`
#[derive(Debug, Args)]
pub struct TeardownArgs {
    /// The framework: its id or name
    pub framework: String,
    /// Only say what would end
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until its last task has ended
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// Give up waiting after this time, e.g. 90s or 5m
    #[arg(long, default_value = "15m", value_name = "TIME", requires = "wait", value_parser = amounts::duration)]
    pub timeout: Duration,
}
