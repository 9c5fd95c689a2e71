//! `proffer volumes ls`, `create` and `destroy`.

use std::time::Duration;

use proffer_proto_model::{Role, TaskKey, VolumeId, VolumeInfo, VolumeState};
use proffer_proto_wire::operator::cluster_event::Event;
use proffer_proto_wire::operator::watch_request::Kind;
use proffer_proto_wire::operator::{Agent, ClusterEvent, CreateVolumeRequest, DestroyVolumeRequest, WatchRequest};
use serde::Serialize;

use super::dry_run;
use super::reservations::{find, is_it};
use crate::args::{CreateVolumeArgs, VolumeArgs, VolumesCommand};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::read;
use crate::{CliError, Outcome};

/// How long `--wait` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A volume, as JSON.
#[derive(Debug, Serialize)]
struct VolumeView {
    agent_id: String,
    hostname: String,
    volume_id: String,
    role: String,
    size_bytes: u64,
    state: &'static str,
    /// The tasks that mount it, as framework-id/task-id.
    used_by: Vec<String>,
    /// Why it is lost, or why the last try to make or remove it failed, when the agent said so.
    message: String,
    /// The framework with which it is destroyed; null when it stays until somebody destroys it.
    owner_framework_id: Option<String>,
}

pub(crate) async fn volumes(cluster: &Cluster, format: Format, command: VolumesCommand) -> Result<Outcome, CliError> {
    match command {
        VolumesCommand::Ls => list(cluster, format, None).await,
        VolumesCommand::Create(args) => create(cluster, format, args).await,
        VolumesCommand::Destroy(args) => destroy(cluster, format, args).await,
    }
}

async fn create(cluster: &Cluster, format: Format, args: CreateVolumeArgs) -> Result<Outcome, CliError> {
    let CreateVolumeArgs { volume: args, size } = args;
    let agent_id = find(cluster, &args.agent).await?.agent_id;
    let (volume_id, role) = (args.volume.to_string(), args.role.to_string());
    let dry_run = args.dry_run;
    let request = CreateVolumeRequest { agent_id: agent_id.clone(), volume_id, role, size_bytes: size.0, dry_run };
    let answer = cluster.operator().await?.create_volume(request).await;
    let what = format!("create volume {} on {}", args.volume, args.agent);
    let answer = answer.map_err(|error| CliError::remote(&what, error))?;
    if dry_run {
        let change = format!("volume {} of {} would be made on {agent_id}", args.volume, args.role);
        return dry_run::show(format, &change, answer.into_inner().consequences);
    }
    if args.wait {
        wait_until(cluster, &agent_id, &args, is_made).await?;
    }
    list(cluster, format, Some(&agent_id)).await
}

async fn destroy(cluster: &Cluster, format: Format, args: VolumeArgs) -> Result<Outcome, CliError> {
    let agent_id = find(cluster, &args.agent).await?.agent_id;
    let (volume_id, role) = (args.volume.to_string(), args.role.to_string());
    let dry_run = args.dry_run;
    let request = DestroyVolumeRequest { agent_id: agent_id.clone(), volume_id, role, dry_run };
    let answer = cluster.operator().await?.destroy_volume(request).await;
    let what = format!("destroy volume {} on {}", args.volume, args.agent);
    let answer = answer.map_err(|error| CliError::remote(&what, error))?;
    if dry_run {
        let change = format!("volume {} of {} would be destroyed on {agent_id}", args.volume, args.role);
        return dry_run::show(format, &change, answer.into_inner().consequences);
    }
    if args.wait {
        wait_until(cluster, &agent_id, &args, is_removed).await?;
    }
    list(cluster, format, Some(&agent_id)).await
}

/// Follows what the master says of the agent until the volume, or its absence, is as wanted.
async fn wait_until(
    cluster: &Cluster,
    agent: &str,
    args: &VolumeArgs,
    is_done: impl Fn(&Found) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    let late = || {
        let message = format!("agent {agent} has not done it within {} s", LONGEST_WAIT.as_secs());
        CliError::new(message, "it goes on by itself; see `proffer volumes ls` and the agent's log")
    };
    let followed = follow(cluster, agent, args, is_done);
    tokio::time::timeout(LONGEST_WAIT, followed).await.unwrap_or_else(|_| Err(late()))
}

async fn follow(
    cluster: &Cluster,
    agent: &str,
    args: &VolumeArgs,
    is_done: impl Fn(&Found) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    let failed = |error| CliError::remote("follow the volume", error);
    // The snapshot comes after what was just done: it says how that stands.
    let request = WatchRequest { kinds: vec![Kind::Agent.into()], changes_only: false };
    let mut events = cluster.operator().await?.watch(request).await.map_err(failed)?.into_inner();
    while let Some(ClusterEvent { event, .. }) = events.message().await.map_err(failed)? {
        let is_over = match event {
            Some(Event::Agent(known)) if known.agent_id == agent => is_done(&found(&known, &args.volume, &args.role)?)?,
            Some(Event::AgentRemoved(id)) if id == agent => {
                let message = format!("agent {agent} is gone, and its volumes with it");
                return Err(CliError::new(message, "see `proffer agents`"));
            }
            _ => false,
        };
        if is_over {
            return Ok(());
        }
    }
    Err(CliError::new("the master has ended the stream of events", "see `proffer volumes ls` for how it stands"))
}

/// How a volume stands: its state, none when it is not there, and why it is lost.
type Found = (Option<VolumeState>, String);

fn is_made(found: &Found) -> Result<bool, CliError> {
    match found {
        (Some(VolumeState::Ready), _) => Ok(true),
        (Some(VolumeState::Creating), _) => Ok(false),
        (Some(VolumeState::Lost), why) => {
            let cause = if why.is_empty() { "the agent does not have it" } else { why };
            let fix = "destroy it with `proffer volumes destroy`, and make it anew, here or elsewhere";
            Err(CliError::new(format!("the volume was not made: {cause}"), fix))
        }
        (Some(VolumeState::Destroying) | None, _) => {
            let fix = "make it anew if it is still wanted";
            Err(CliError::new("the volume was destroyed by somebody else meanwhile", fix))
        }
    }
}

fn is_removed((state, _): &Found) -> Result<bool, CliError> {
    Ok(*state != Some(VolumeState::Destroying))
}

/// A destroyed volume that is still being removed counts for as long as it is listed.
fn found(agent: &Agent, id: &VolumeId, role: &Role) -> Result<Found, CliError> {
    let known: Result<Vec<VolumeInfo>, CliError> = agent.volumes.iter().cloned().map(read).collect();
    let all = known?.into_iter().filter(|known| known.id == *id && known.role == *role);
    let all = all.map(|known| (Some(known.state), known.message));
    Ok(all.max_by_key(|(state, _)| *state == Some(VolumeState::Destroying)).unwrap_or_default())
}

async fn list(cluster: &Cluster, format: Format, wanted: Option<&str>) -> Result<Outcome, CliError> {
    let mut agents = cluster.agents().await?;
    agents.retain(|agent| wanted.is_none_or(|wanted| is_it(agent, wanted)));
    let views: Result<Vec<Vec<VolumeView>>, CliError> = agents.into_iter().map(views).collect();
    let views: Vec<VolumeView> = views?.into_iter().flatten().collect();
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |view: &VolumeView| {
        [
            view.agent_id.clone(),
            view.hostname.clone(),
            view.role.clone(),
            view.volume_id.clone(),
            proffer_proto_model::resources::format_bytes(view.size_bytes),
            if view.message.is_empty() { view.state.to_owned() } else { format!("{}: {}", view.state, view.message) },
            view.used_by.join(" "),
            view.owner_framework_id.clone().unwrap_or_default(),
        ]
    };
    let head = ["AGENT", "HOST", "ROLE", "VOLUME", "SIZE", "STATE", "USED BY", "OWNER"];
    output::table(head, views.iter().map(row).collect(), "there are no volumes")?;
    Ok(Outcome::Good)
}

fn views(agent: Agent) -> Result<Vec<VolumeView>, CliError> {
    let view = |wire| {
        let VolumeInfo { id, role, size, state, used_by, message, owner } = read(wire)?;
        Ok(VolumeView {
            agent_id: agent.agent_id.clone(),
            hostname: agent.hostname.clone(),
            volume_id: id.into(),
            role: role.into(),
            size_bytes: size.0,
            state: match state {
                VolumeState::Creating => "CREATING",
                VolumeState::Ready => "READY",
                VolumeState::Destroying => "DESTROYING",
                VolumeState::Lost => "LOST",
            },
            used_by: used_by.iter().map(TaskKey::to_string).collect(),
            message,
            owner_framework_id: owner.map(String::from),
        })
    };
    agent.volumes.iter().cloned().map(view).collect()
}
