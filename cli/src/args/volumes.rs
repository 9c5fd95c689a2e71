//! `proffer volumes`

use clap::{Args, Subcommand};
use proffer_proto_model::resources::parse_bytes;
use proffer_proto_model::{Bytes, Role, VolumeId};

/// `proffer volumes`
#[derive(Debug, Args)]
pub struct VolumesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: VolumesCommand,
}

/// What to do with volumes.
#[derive(Debug, Subcommand)]
pub enum VolumesCommand {
    /// Show the persistent volumes of all agents
    Ls,
    /// Make a persistent volume of disk that is reserved for a role
    Create(CreateVolumeArgs),
    /// Destroy a persistent volume and its data, for good
    Destroy(VolumeArgs),
}

/// `proffer volumes create`
#[derive(Debug, Args)]
pub struct CreateVolumeArgs {
    /// Which
    #[command(flatten)]
    pub volume: VolumeArgs,
    /// How much reserved disk it takes, e.g. 10GiB
    #[arg(long, value_parser = size)]
    pub size: Bytes,
}

/// Which volume.
#[derive(Debug, Args)]
pub struct VolumeArgs {
    /// The agent: its id or host name
    pub agent: String,
    /// The volume's name, unique within its role on the agent
    #[arg(value_parser = volume)]
    pub volume: VolumeId,
    /// Its role: tasks of this role and of those below it may mount it
    #[arg(long, value_parser = super::role)]
    pub role: Role,
    /// Come back only when the agent has done it
    #[arg(long)]
    pub wait: bool,
    /// Only check, and say what would come of it
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

fn volume(text: &str) -> Result<VolumeId, String> {
    VolumeId::new(text).map_err(|error| format!("the name {error}"))
}

fn size(text: &str) -> Result<Bytes, String> {
    match parse_bytes(text) {
        Ok(Bytes(0)) => Err("a volume has at least 1 byte; write e.g. 10GiB".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}
