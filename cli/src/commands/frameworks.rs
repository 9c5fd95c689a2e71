//! `proffer frameworks`, and `proffer frameworks teardown`: the end of a framework and of all it has.

use proffer_proto_wire::operator::{Consequences, TeardownFrameworkRequest, TeardownFrameworkResponse};
use serde::Serialize;

use crate::args::{FrameworksArgs, FrameworksCommand, TeardownArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::waiting::{Seen, Waiting};
use crate::{CliError, Outcome};

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
    /// It was removed before: nothing was done.
    was_gone: bool,
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
    let late = |id: &str| {
        let message = format!("tasks of framework {wanted} have not ended yet");
        CliError::new(message, format!("they are told to; see `proffer tasks --framework {id}`"))
    };
    let ask = async || {
        let request = TeardownFrameworkRequest { framework_id: wanted.clone(), dry_run };
        let answer = cluster.operator().await?.teardown_framework(request).await;
        answer.map_err(|error| CliError::remote(&format!("tear down {wanted}"), error))
    };
    let mut waiting = wait.then(|| Waiting::new(&wanted, "tasks", timeout));
    let answer = match &mut waiting {
        // Asked twice it is the same as once.
        Some(waiting) => waiting.ask(ask).await?.ok_or_else(|| late(&wanted))?,
        None => ask().await?,
    };
    let mut view = TeardownView::new(answer.into_inner(), dry_run);
    if let Some(waiting) = waiting.as_mut().filter(|_| !view.is_over) {
        let over = waiting.until(async || left(cluster, &view.framework_id).await).await?;
        over.ok_or_else(|| late(&view.framework_id))?;
        view.is_over = true;
    }
    drop(waiting);
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => output::say(&view.told())?,
    }
    Ok(Outcome::Good)
}

impl TeardownView {
    fn new(answer: TeardownFrameworkResponse, dry_run: bool) -> Self {
        let TeardownFrameworkResponse { framework_id, name, consequences } = answer;
        let Consequences { already, tasks_ended, volumes_destroyed, .. } = consequences.unwrap_or_default();
        let volumes = volumes_destroyed.iter().map(|volume| format!("{}/{}", volume.role, volume.volume_id)).collect();
        Self { framework_id, name, tasks_active: tasks_ended, volumes, dry_run, was_gone: already, is_over: already }
    }

    /// One sentence for people.
    fn told(&self) -> String {
        let Self { framework_id, name, tasks_active, volumes, dry_run, was_gone, is_over } = self;
        if *was_gone {
            return format!("framework {framework_id} ({name}) is gone already: it was removed before");
        }
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

/// How many tasks it has still, until the master has forgotten it.
async fn left(cluster: &Cluster, framework_id: &str) -> Result<Seen<()>, CliError> {
    let all = cluster.frameworks().await?;
    let known = all.iter().find(|f| f.info.as_ref().is_some_and(|info| info.framework_id == framework_id));
    Ok(known.map_or(Seen::Done(()), |framework| Seen::Left(framework.tasks_active.into())))
}
