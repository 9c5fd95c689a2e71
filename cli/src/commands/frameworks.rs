//! `proffer frameworks`, and `proffer frameworks teardown`: the end of a framework and of all it has.

use std::time::Duration;

use proffer_proto_model::FrameworkInfo;
use proffer_proto_wire::operator::{self, TeardownFrameworkRequest};
use serde::Serialize;

use crate::args::{FrameworksArgs, FrameworksCommand, TeardownArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::read;
use crate::{CliError, Outcome};

/// How often a framework is looked at while its end is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// What ends with a framework, as JSON.
#[derive(Debug, Serialize)]
struct TeardownView {
    framework_id: String,
    name: String,
    /// Tasks that had not ended when it was asked for.
    tasks_active: u32,
    /// Its own volumes, as ROLE/NAME, whose data goes with it.
    volumes: Vec<String>,
    dry_run: bool,
    /// Its last task has ended.
    is_over: bool,
}

pub(crate) async fn run(cluster: &Cluster, format: Format, args: FrameworksArgs) -> Result<Outcome, CliError> {
    match args.command {
        None => super::lists::frameworks(cluster, format).await,
        Some(FrameworksCommand::Teardown(args)) => teardown(cluster, format, args).await,
    }
}

async fn teardown(cluster: &Cluster, format: Format, args: TeardownArgs) -> Result<Outcome, CliError> {
    let TeardownArgs { framework: wanted, dry_run, wait, timeout } = args;
    let (tasks_active, info) = find(cluster.frameworks().await?, &wanted)?;
    let framework_id = info.id.map(String::from).unwrap_or_default();
    let volumes = match info.leaves_reservations {
        true => Vec::new(),
        false => volumes_of(&cluster.agents().await?, &framework_id),
    };
    let mut view = TeardownView { framework_id, name: info.name, tasks_active, volumes, dry_run, is_over: false };
    if !dry_run {
        let request = TeardownFrameworkRequest { framework_id: view.framework_id.clone() };
        let answer = cluster.operator().await?.teardown_framework(request).await;
        answer.map_err(|error| CliError::remote(&format!("tear down {wanted}"), error))?;
    }
    if wait {
        let over = until_over(cluster, &view.framework_id);
        tokio::time::timeout(timeout, over).await.map_err(|_| {
            let message = format!("tasks of framework {wanted} have not ended yet");
            CliError::new(message, format!("they are told to; see `proffer tasks --framework {}`", view.framework_id))
        })??;
        view.is_over = true;
    }
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => output::say(&view.told())?,
    }
    Ok(Outcome::Good)
}

impl TeardownView {
    /// One sentence for people.
    fn told(&self) -> String {
        let Self { framework_id, name, tasks_active, volumes, dry_run, is_over } = self;
        let (done, end) = match (dry_run, is_over) {
            (true, _) => ("would be removed for good", "would end"),
            (false, false) => ("is being removed for good", "are told to end"),
            (false, true) => ("is removed for good", "have ended"),
        };
        let data = match volumes.as_slice() {
            [] => String::new(),
            some => format!("; with it {} the data of {}", if *dry_run { "would go" } else { "goes" }, some.join(", ")),
        };
        format!("framework {framework_id} ({name}) {done}: {tasks_active} tasks {end}{data}")
    }
}

/// The one framework of that id or name, with how many tasks it has.
fn find(mut frameworks: Vec<operator::Framework>, wanted: &str) -> Result<(u32, FrameworkInfo), CliError> {
    let is_it = |f: &operator::Framework| {
        f.info.as_ref().is_some_and(|info| info.framework_id == wanted || info.name == wanted)
    };
    // An id comes before a name that looks like it.
    frameworks.sort_by_key(|f| f.info.as_ref().is_none_or(|info| info.framework_id != wanted));
    let found = frameworks.into_iter().find(is_it).ok_or_else(|| {
        let message = format!("there is no framework {wanted:?}");
        CliError::new(message, "see `proffer frameworks` for names and ids; one that was removed is not there any more")
    })?;
    Ok((found.tasks_active, read(found.info.unwrap_or_default())?))
}

/// The volumes that end with a framework.
fn volumes_of(agents: &[operator::Agent], framework_id: &str) -> Vec<String> {
    let all = agents.iter().flat_map(|agent| &agent.volumes);
    let own = all.filter(|volume| volume.owner_framework_id == framework_id);
    own.map(|volume| format!("{}/{}", volume.role, volume.volume_id)).collect()
}

/// Waits until the master has forgotten it.
async fn until_over(cluster: &Cluster, framework_id: &str) -> Result<(), CliError> {
    loop {
        let all = cluster.frameworks().await?;
        if !all.iter().any(|f| f.info.as_ref().is_some_and(|info| info.framework_id == framework_id)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
