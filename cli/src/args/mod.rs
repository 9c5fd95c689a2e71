//! The command line: every command and flag, with its default.

mod amounts;
mod drain;
mod events;
mod frameworks;
mod maintenance;
mod reservations;
mod reserve_file;
mod role_policy;
mod roles;
mod serve;
mod snapshot;
mod volumes;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use proffer_proto_model::Role;
use proffer_proto_transport::{Address, AddressError, parse_addresses};

pub use crate::dev::DevArgs;
pub use amounts::{AttributeArg, ResourcesArg};
pub use drain::{AgentsArgs, AgentsCommand, DrainArgs, DrainCommand, OneAgentArgs};
pub use events::{EventKind, EventsArgs};
pub use frameworks::{FrameworksArgs, FrameworksCommand, TeardownArgs};
pub use maintenance::{MaintenanceAddArgs, MaintenanceArgs, MaintenanceCommand, When};
pub use reservations::{ReserveArg, ReserveArgs, UnreserveArgs};
pub use reserve_file::ReserveFile;
pub use role_policy::{OffersArg, RolesArgs, RolesCommand, RolesSetArgs};
pub use roles::{LimitArg, QuotaArgs, QuotaCommand, QuotaSetArgs, WeightArg, WeightsArgs, WeightsCommand};
pub use serve::{AgentArgs, BatchArgs, MasterArgs, RuntimeKind, ServiceArgs};
pub(crate) use snapshot::options as etcd_options;
pub use snapshot::{EtcdArgs, SnapshotArgs, SnapshotCommand, StoreArgs};
pub use volumes::{CreateVolumeArgs, VolumeArgs, VolumesArgs, VolumesCommand};

use crate::CliError;
use crate::output::Format;

/// Runs containers on many machines through resource offers.
#[derive(Debug, Parser)]
#[command(name = "proffer", version, propagate_version = true, subcommand_required = true)]
pub struct Cli {
    /// Addresses of the masters, joined by commas; the first that answers is used
    #[arg(long, global = true, env = "PROFFER_MASTER", default_value = "127.0.0.1:5050", value_name = "HOST:PORT")]
    pub master: Masters,
    /// How to print results
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Addresses of masters; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masters(pub Vec<Address>);

impl FromStr for Masters {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_addresses(text).map(Self)
    }
}

impl std::fmt::Display for Masters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(","))
    }
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole cluster on this machine
    Dev(DevArgs),
    /// Run a master
    Master(MasterArgs),
    /// Run an agent: the part that runs containers on this machine
    Agent(Box<AgentArgs>),
    /// Run the framework for long-running services
    Service(ServiceArgs),
    /// Run the framework for jobs
    Batch(BatchArgs),
    /// Create or change the services of a file, and start its jobs
    Apply(ApplyArgs),
    /// Show services and their instances
    Ps(PsArgs),
    /// Show the output of a service, job or task
    Logs(LogsArgs),
    /// Change how many instances a service has
    Scale(ScaleArgs),
    /// Remove a service and its instances
    Rm(RmArgs),
    /// Run and watch jobs
    Job(JobArgs),
    /// Bring images to the agents
    Image(ImageArgs),
    /// Show the agents, or change what one is for
    Agents(AgentsArgs),
    /// Empty an agent: no new work, and an end to all that runs there
    Drain(DrainArgs),
    /// Plan when agents take no work
    Maintenance(MaintenanceArgs),
    /// Show the frameworks, or remove one for good
    Frameworks(FrameworksArgs),
    /// Show outstanding offers and the latest answers
    Offers(OffersArgs),
    /// Show what there is, and what changes
    Events(EventsArgs),
    /// Show the roles: weights, shares, quotas and what they hold; set how one is offered what is free
    Roles(RolesArgs),
    /// Set and show how much roles' shares count
    Weights(WeightsArgs),
    /// Set and show what roles are promised and may hold at most
    Quota(QuotaArgs),
    /// Show tasks of all frameworks
    Tasks(TasksArgs),
    /// Reserve a part of an agent for a role
    Reserve(ReserveArgs),
    /// End a reservation, or a part of one
    Unreserve(UnreserveArgs),
    /// Show what is reserved
    Reservations,
    /// Show, create and destroy persistent volumes
    Volumes(VolumesArgs),
    /// Save, restore and move a whole registry
    Snapshot(SnapshotArgs),
    /// Say why something is not started: a service, job, task or framework
    Why(WhyArgs),
}

/// How to wait for a change.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Return at once instead of waiting until it is done
    #[arg(long)]
    pub no_wait: bool,
    /// Give up waiting after this time, e.g. 90s or 5m
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = amounts::duration)]
    pub timeout: std::time::Duration,
}

/// `proffer apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `proffer ps`
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Only this service
    pub service: Option<String>,
}

/// `proffer logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A service, a job or a task id
    pub name: String,
    /// Go on as output comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines of each stream
    #[arg(long, value_name = "N")]
    pub tail: Option<u64>,
    /// Only this stream
    #[arg(long, value_enum)]
    pub stream: Option<Stream>,
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// `proffer scale`
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// The service
    pub service: String,
    /// How many instances, 0 to 10000
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub instances: u32,
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `proffer rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The service
    pub service: String,
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `proffer job`
#[derive(Debug, Args)]
pub struct JobArgs {
    /// What to do with jobs.
    #[command(subcommand)]
    pub command: JobCommand,
}

/// Every `proffer job` command.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Run a job and wait for its end; the exit code tells how it ended
    Run(Box<JobRunArgs>),
    /// Show all jobs
    Ls,
    /// Show a job with its attempts
    Status {
        /// Its id, or its name for the newest of that name
        job: String,
    },
    /// End a job and kill what runs of it
    Cancel {
        /// Its id, or its name for the newest of that name
        job: String,
    },
}

/// `proffer job run`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["file", "image"]))]
pub struct JobRunArgs {
    /// A file with jobs; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["completions", "parallelism", "retries", "cpus", "memory", "env", "attempt_timeout", "priority", "revocable", "args"])]
    pub file: Option<PathBuf>,
    /// The image to run
    #[arg(long)]
    pub image: Option<String>,
    /// Which job of the file, or the name of the new job
    #[arg(long)]
    pub name: Option<String>,
    /// How many tasks must succeed
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub completions: u32,
    /// How many run at once; all when left out
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub parallelism: Option<u32>,
    /// How often one task may be tried again
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub retries: u32,
    /// CPUs of each task, e.g. 0.5 or 500m
    #[arg(long, default_value = "0.1", value_parser = amounts::cpus)]
    pub cpus: proffer_proto_model::MilliCpus,
    /// Memory of each task, e.g. 64MiB
    #[arg(long, default_value = "128MiB", value_parser = amounts::bytes)]
    pub memory: proffer_proto_model::Bytes,
    /// A variable of the environment, NAME=value; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = amounts::variable)]
    pub env: Vec<(String, String)>,
    /// An attempt that runs longer fails, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub attempt_timeout: Option<std::time::Duration>,
    /// Where preemption is on: work of a lower priority may have to go for this, and this for work of a higher one
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "NUMBER", value_parser = priority)]
    pub priority: i32,
    /// Where preemption is on: may have to go for what others are promised, whatever its priority
    #[arg(long)]
    pub revocable: bool,
    /// Return as soon as the job is taken
    #[arg(long)]
    pub detach: bool,
    /// Replaces the image's command, after --
    #[arg(last = true, value_name = "COMMAND")]
    pub args: Vec<String>,
}

/// `proffer image`
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// What to do with images.
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// Every `proffer image` command.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Load images from a tar archive (docker save, or an OCI layout)
    Import {
        /// The archive
        tar: PathBuf,
        /// Only to this agent: its id or host name
        #[arg(long)]
        agent: Option<String>,
    },
    /// Pull an image from its registry
    Pull {
        /// Reference, e.g. 127.0.0.1:5000/hello:1
        reference: String,
        /// Only to this agent: its id or host name
        #[arg(long)]
        agent: Option<String>,
    },
    /// Show the images of the agents
    Ls {
        /// Only of this agent: its id or host name
        #[arg(long)]
        agent: Option<String>,
    },
}

/// `proffer offers`
#[derive(Debug, Args)]
pub struct OffersArgs {
    /// How many answered offers to show, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub history: u32,
    /// Go on: show each offer when it is sent and when it ends, with its answer, how long it was held, and why
    #[arg(short, long, conflicts_with = "history")]
    pub watch: bool,
}

/// `proffer tasks`
#[derive(Debug, Args)]
pub struct TasksArgs {
    /// Also those that have ended
    #[arg(short, long)]
    pub all: bool,
    /// Only of this framework: its id or name
    #[arg(long)]
    pub framework: Option<String>,
}

/// `proffer why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A service, a job, a task id, or a framework's name or id
    pub name: String,
    /// Only a task of this framework: its id or name
    #[arg(long)]
    pub framework: Option<String>,
    /// Of a framework only what it wants in this role
    #[arg(long)]
    pub role: Option<String>,
}

/// A role, e.g. `eng/web`.
pub(crate) fn role(text: &str) -> Result<Role, String> {
    Role::new(text).map_err(|error| format!("role: {error}"))
}

fn priority(text: &str) -> Result<i32, String> {
    crate::spec::parse_priority(text).map_err(|error| format!("it {error}"))
}

/// Whether the agent would take these words, so that one that is wrong is told before anything is started.
///
/// # Errors
/// What clap says of them.
pub(crate) fn check_agent_flags(flags: &[String]) -> Result<(), CliError> {
    check_flags("agent", flags)
}

/// Whether the master would take these words, so that one that is wrong is told before anything is started.
///
/// # Errors
/// What clap says of them.
pub(crate) fn check_master_flags(flags: &[String]) -> Result<(), CliError> {
    check_flags("master", flags)
}

fn check_flags(part: &str, flags: &[String]) -> Result<(), CliError> {
    let words = ["proffer", part].into_iter().chain(flags.iter().map(String::as_str));
    let told = |error: clap::Error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        CliError::new(format!("--{part}-flag: {first}"), format!("see `proffer {part} --help`"))
    };
    Cli::try_parse_from(words).map(drop).map_err(told)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn wrong_flags_for_the_master_are_told_with_the_flag() {
        let check =
            |flags: &[&str]| check_master_flags(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>());
        check(&[]).unwrap();
        check(&["--preemption", "--preemption-notice", "1s"]).unwrap();
        for (flag, named) in [("--premption", "--premption"), ("--offer-timeout=1", "--offer-timeout"), ("x", "'x'")] {
            let told = check(&[flag]).unwrap_err().to_string();
            assert!(told.starts_with("--master-flag: ") && told.contains(named), "{told}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_flags_are_told_with_the_fix() {
        let table: [(&[&str], &str); 12] = [
            (&["job", "run", "--image", "a", "--priority", "high"], "it is \"high\"; write a whole number such as 10"),
            (&["job", "run", "--image", "a", "--priority", "-3000000000"], "it must be -2147483648 to 2147483647"),
            (&["job", "run", "-f", "a", "--revocable"], "cannot be used with"),
            (&["scale", "web", "-1"], "-1 is not in 0..=10000"),
            (&["job", "run", "--image", "a", "--completions", "-3"], "-3 is not in 1..=1000000"),
            (&["scale", "web", "10001"], "10000"),
            (&["--master", "localhost", "ps"], "write localhost:5050"),
            (&["apply"], "--file"),
            (&["job", "run"], "--image"),
            (&["job", "run", "--image", "a", "--memory", "64mb"], "did you mean 64MiB?"),
            (&["agent", "--resources", "cpu=4"], "did you mean \"cpus\"?"),
            (&["agents", "-o", "yaml"], "json"),
        ];
        for (line, told) in table {
            let error = Cli::try_parse_from([&["proffer"], line].concat()).expect_err(told).to_string();
            assert!(error.contains(told), "{line:?}: {error}");
        }
    }

    #[test]
    fn several_masters_are_taken() {
        let cli = Cli::try_parse_from(["proffer", "ps", "--master", "a:1,b:2"]).unwrap();
        assert_eq!(cli.master.0.len(), 2);
    }
}
