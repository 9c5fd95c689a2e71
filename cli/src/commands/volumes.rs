//! `proffer volumes ls`, `create` and `destroy`.

use std::time::Duration;

use proffer_proto_model::{Role, TaskKey, VolumeId, VolumeInfo, VolumeState};
use proffer_proto_wire::operator::{Agent, CreateVolumeRequest, DestroyVolumeRequest};
use serde::Serialize;

use super::reservations::{find, is_it};
use crate::args::{CreateVolumeArgs, VolumeArgs, VolumesCommand};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::read;
use crate::{CliError, Outcome};

/// Between two looks at whether the agent has done it.
const LOOK: Duration = Duration::from_millis(200);
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
    let request = CreateVolumeRequest { agent_id: agent_id.clone(), volume_id, role, size_bytes: size.0 };
    let answer = cluster.operator().await?.create_volume(request).await;
    answer.map_err(|error| CliError::remote(&format!("create volume {} on {}", args.volume, args.agent), error))?;
    if args.wait {
        wait_until(cluster, &agent_id, &args, |state| state == Some(VolumeState::Ready)).await?;
    }
    list(cluster, format, Some(&agent_id)).await
}

async fn destroy(cluster: &Cluster, format: Format, args: VolumeArgs) -> Result<Outcome, CliError> {
    let agent_id = find(cluster, &args.agent).await?.agent_id;
    let (volume_id, role) = (args.volume.to_string(), args.role.to_string());
    let request = DestroyVolumeRequest { agent_id: agent_id.clone(), volume_id, role };
    let answer = cluster.operator().await?.destroy_volume(request).await;
    answer.map_err(|error| CliError::remote(&format!("destroy volume {} on {}", args.volume, args.agent), error))?;
    if args.wait {
        wait_until(cluster, &agent_id, &args, |state| state != Some(VolumeState::Destroying)).await?;
    }
    list(cluster, format, Some(&agent_id)).await
}

/// Looks again and again until the volume, or its absence, is as wanted.
async fn wait_until(
    cluster: &Cluster,
    agent: &str,
    args: &VolumeArgs,
    is_done: impl Fn(Option<VolumeState>) -> bool,
) -> Result<(), CliError> {
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    loop {
        let found = find(cluster, agent).await?;
        if is_done(state_of(&found, &args.volume, &args.role)?) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let message = format!("agent {agent} has not done it within {} s", LONGEST_WAIT.as_secs());
            return Err(CliError::new(message, "it goes on by itself; see `proffer volumes ls` and the agent's log"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A destroyed volume that is still being removed counts for as long as it is listed.
fn state_of(agent: &Agent, id: &VolumeId, role: &Role) -> Result<Option<VolumeState>, CliError> {
    let known: Result<Vec<VolumeInfo>, CliError> = agent.volumes.iter().cloned().map(read).collect();
    let states = known?.into_iter().filter(|known| known.id == *id && known.role == *role).map(|known| known.state);
    Ok(states.max_by_key(|state| *state == VolumeState::Destroying))
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
            view.state.to_owned(),
            view.used_by.join(" "),
        ]
    };
    let head = ["AGENT", "HOST", "ROLE", "VOLUME", "SIZE", "STATE", "USED BY"];
    output::table(head, views.iter().map(row).collect(), "there are no volumes")?;
    Ok(Outcome::Good)
}

fn views(agent: Agent) -> Result<Vec<VolumeView>, CliError> {
    let view = |wire| {
        let VolumeInfo { id, role, size, state, used_by } = read(wire)?;
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
        })
    };
    agent.volumes.iter().cloned().map(view).collect()
}
