//! `proffer snapshot`, and where a master keeps its registry.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proffer_master_server::store::EtcdOptions;
use proffer_proto_transport::Address;

use super::Masters;

/// Where a registry is kept: a data directory, or etcd.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The data directory of the master
    #[arg(long, default_value = "/var/lib/proffer/master", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Which etcd
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// An etcd cluster that keeps a registry.
#[derive(Debug, Clone, Args)]
pub struct EtcdArgs {
    /// Keep the registry in this etcd cluster instead: addresses of its members, joined by commas
    #[arg(long, value_name = "HOST:PORT")]
    pub etcd: Option<Masters>,
    /// Begins all keys there; each cluster has its own
    #[arg(long, value_name = "PREFIX", requires = "etcd", default_value = EtcdOptions::DEFAULT_PREFIX, value_parser = prefix)]
    pub etcd_prefix: String,
}

impl EtcdArgs {
    /// What was given, when etcd is meant.
    pub fn options(&self) -> Option<EtcdOptions> {
        let Masters(endpoints): Masters = self.etcd.clone()?;
        Some(options(endpoints, self.etcd_prefix.clone()))
    }
}

/// `proffer snapshot`
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SnapshotCommand,
}

/// What to do with a whole registry.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Write all of a registry to a new file; from etcd also while masters run
    Save {
        /// The file; it must not be there yet
        file: PathBuf,
        /// Which registry
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Put a snapshot into an empty registry
    Restore {
        /// The file
        file: PathBuf,
        /// Which registry
        #[command(flatten)]
        store: StoreArgs,
        /// Put it in the place of what is there, for good
        #[arg(long)]
        force: bool,
    },
    /// Move the registry of a data directory to an empty place in etcd; no master starts on the directory any more
    Move {
        /// The data directory of the master
        #[arg(long, default_value = "/var/lib/proffer/master", value_name = "DIR")]
        data_dir: PathBuf,
        /// To this etcd cluster: addresses of its members, joined by commas
        #[arg(long, value_name = "HOST:PORT")]
        etcd: Masters,
        /// Begins all keys there
        #[arg(long, value_name = "PREFIX", default_value = EtcdOptions::DEFAULT_PREFIX, value_parser = prefix)]
        etcd_prefix: String,
    },
}

pub(crate) fn options(endpoints: Vec<Address>, prefix: String) -> EtcdOptions {
    EtcdOptions { endpoints, prefix, patience: EtcdOptions::DEFAULT_PATIENCE }
}

fn prefix(text: &str) -> Result<String, String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.len() > 1 && text.starts_with('/') && !text.ends_with('/') && text.chars().all(is_right) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a prefix; write a path such as /proffer, without a slash at its end"))
}
