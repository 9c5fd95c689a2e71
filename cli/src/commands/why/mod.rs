//! `proffer why`: what stands against a task, service, job or framework. Asks its own framework first, then the master.

mod found;
mod view;
mod words;

use proffer_proto_wire::operator::{self, WhyRequest};
use tonic::Code;

use crate::args::WhyArgs;
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::{CliError, Outcome};
use proffer_proto_model::nearest;

use self::found::{Found, Looked};
use self::view::WhyView;

/// Most names that are compared with a misspelt one.
const MAX_NAMES: usize = 5_000;

pub(crate) async fn run(cluster: &Cluster, format: Format, args: WhyArgs) -> Result<Outcome, CliError> {
    let found = match &args.framework {
        Some(_) => Looked::default(),
        None => found::look(cluster, &args.name).await?,
    };
    let view = match found.found {
        Some(Found::Service { service, framework }) => WhyView::of_service(*service, ask(cluster, framework).await)?,
        Some(Found::Job { job, framework }) => WhyView::of_job(*job, ask(cluster, framework).await)?,
        None => WhyView::of_master(at_master(cluster, &args, &found).await?)?,
    };
    if format == Format::Json {
        output::json(&view)?;
        return Ok(Outcome::Good);
    }
    for line in words::lines(&view) {
        output::say(&line)?;
    }
    Ok(Outcome::Good)
}

/// What the master says of all that a framework wants.
async fn ask(cluster: &Cluster, framework_id: String) -> Result<operator::WhyResponse, CliError> {
    let request = WhyRequest { framework_id, ..Default::default() };
    let answer = cluster.operator().await?.why(request).await;
    Ok(answer.map_err(|error| CliError::remote("ask the master why", error))?.into_inner())
}

/// Asks the master about a task or a framework.
async fn at_master(cluster: &Cluster, args: &WhyArgs, looked: &Looked) -> Result<operator::WhyResponse, CliError> {
    let framework_id = match &args.framework {
        Some(wanted) => framework_id(cluster, wanted).await?,
        None => String::new(),
    };
    let role = args.role.clone().unwrap_or_default();
    let request = WhyRequest { name: args.name.clone(), framework_id, role };
    match cluster.operator().await?.why(request).await {
        Ok(answer) => Ok(answer.into_inner()),
        // A framework that is gone, or a role it does not have, is told by the master's own words.
        Err(status) if status.code() == Code::NotFound && status.message().starts_with("name: there is no") => {
            Err(unknown(cluster, args, looked).await)
        }
        Err(status) => Err(CliError::remote("ask the master why", status)),
    }
}

async fn framework_id(cluster: &Cluster, wanted: &str) -> Result<String, CliError> {
    let infos = cluster.frameworks().await?.into_iter().filter_map(|framework| framework.info);
    let found = infos.into_iter().find(|info| info.framework_id == wanted || info.name == wanted);
    found.map(|info| info.framework_id).ok_or_else(|| {
        CliError::new(format!("there is no framework {wanted:?}"), "see `proffer frameworks` for names and ids")
    })
}

/// Nothing has that name: what is near it, and who could not be asked.
async fn unknown(cluster: &Cluster, args: &WhyArgs, looked: &Looked) -> CliError {
    let mut names = looked.names.clone();
    names.extend(cluster.frameworks().await.into_iter().flatten().filter_map(|f| f.info).map(|info| info.name));
    let tasks = cluster.tasks(String::new(), true).await.unwrap_or_default();
    names.extend(tasks.into_iter().take(MAX_NAMES).filter_map(|task| task.spec).map(|spec| spec.task_id));
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let kinds = if args.framework.is_some() { "task" } else { "service, job, task or framework" };
    let mut message = format!("there is no {kinds} {:?}", args.name);
    if !looked.not_asked.is_empty() {
        message = format!("{message} as far as can be known: {}", looked.not_asked.join("; "));
    }
    let help = match nearest(&args.name, &known) {
        Some(near) => format!("did you mean {near:?}? All: `proffer ps`, `proffer job ls`, `proffer tasks -a`"),
        None => "see `proffer ps`, `proffer job ls`, `proffer tasks -a` and `proffer frameworks`".to_owned(),
    };
    CliError::new(message, help)
}
