//! `proffer snapshot save`, `restore` and `move`: whole registries, read and written where they are, without a master.

use std::path::Path;

use proffer_master_server::store::{
    Backup, DiskStore, EtcdOptions, EtcdStore, Loaded, StoreError, TransferError, move_from_disk, read_snapshot,
    restore, write_snapshot,
};
use serde::Serialize;

use crate::args::{Masters, SnapshotCommand, StoreArgs, etcd_options};
use crate::output::{self, Format};
use crate::serve::told;
use crate::{CliError, Outcome};

/// What was saved, restored or moved, as JSON.
#[derive(Debug, Serialize)]
struct View {
    cluster_id: String,
    epoch: u64,
    agents: usize,
    frameworks: usize,
    tasks: usize,
}

pub(crate) fn run(format: Format, command: SnapshotCommand) -> Result<Outcome, CliError> {
    match command {
        SnapshotCommand::Save { file, store } => {
            let (mut source, place) = open(&store, DiskStore::open_existing)?;
            let contents = source.look().map_err(told)?;
            let contents = contents.ok_or_else(|| told(TransferError::Empty { place: place.clone() }))?;
            write_snapshot(&file, &contents).map_err(told)?;
            say(format, &contents, &format!("saved {place} to {}", file.display()))
        }
        SnapshotCommand::Restore { file, store, force } => {
            let contents = read_snapshot(&file).map_err(told)?;
            let (mut target, place) = open(&store, DiskStore::open)?;
            restore(target.as_mut(), &place, contents.clone(), force).map_err(told)?;
            say(format, &contents, &format!("restored {} to {place}", file.display()))
        }
        SnapshotCommand::Move { data_dir, etcd: Masters(endpoints), etcd_prefix } => {
            let options = etcd_options(endpoints, etcd_prefix);
            let (from, to) = (data_dir.display().to_string(), options.to_string());
            let mut source = DiskStore::open_existing(&data_dir).map_err(told)?;
            let mut target = EtcdStore::open(&options).map_err(told)?;
            let contents = move_from_disk(&mut source, &from, &mut target, &to).map_err(told)?;
            say(format, &contents, &format!("moved {from} to {to}; start masters with --etcd from now on"))
        }
    }
}

/// A data directory is opened as `on_disk` does: what is only read must not be made.
fn open(
    args: &StoreArgs,
    on_disk: fn(&Path) -> Result<DiskStore, StoreError>,
) -> Result<(Box<dyn Backup>, String), CliError> {
    let etcd: Option<EtcdOptions> = args.etcd.options();
    match etcd {
        Some(options) => {
            let store = EtcdStore::open(&options).map_err(told)?;
            Ok((Box::new(store), options.to_string()))
        }
        None => {
            let store = on_disk(&args.data_dir).map_err(told)?;
            Ok((Box::new(store), args.data_dir.display().to_string()))
        }
    }
}

fn say(format: Format, contents: &Loaded, what: &str) -> Result<Outcome, CliError> {
    let registry = &contents.registry;
    let view = View {
        cluster_id: contents.cluster.to_string(),
        epoch: contents.epoch.0,
        agents: registry.agents.len(),
        frameworks: registry.frameworks.len(),
        tasks: registry.tasks.len(),
    };
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => {
            let View { cluster_id, agents, frameworks, tasks, .. } = view;
            let counts = format!("{agents} agents, {frameworks} frameworks, {tasks} tasks");
            output::say(&format!("{what}: cluster {cluster_id} with {counts}"))?;
        }
    }
    Ok(Outcome::Good)
}
