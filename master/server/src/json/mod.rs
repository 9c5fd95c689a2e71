//! JSON over HTTP under `/v1/`: what the gRPC operator API says, for scripts and browsers.
//!
//! The table in `routes.rs` is the one source of paths: the router and `/v1/openapi.json` are both made from it. Every
//! error is JSON with what is wrong, which field, and the fix.

mod events;
mod openapi;
mod problem;
mod routes;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use proffer_proto_model::{AgentId, FrameworkId};
use tokio::sync::{Semaphore, oneshot};

use crate::api::OwnerLink;
use crate::dashboard::query::{Params, RawParams};
use crate::owner::ToOwner;
use crate::read_models::ReadModels;
use problem::Problem;
use views::{AgentBody, ClusterBody, FrameworkBody, OfferBody, OffersBody, TaskBody};

/// Most answered offers in one answer.
const MAX_HISTORY: usize = 1_000;
/// Event streams that may be open at a time.
const MAX_STREAMS: usize = 128;

type Answer<T> = Result<axum::Json<T>, Problem>;

/// Serves `/v1/`. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct JsonApi {
    owner: OwnerLink,
    readers: Arc<ReadModels>,
    places: Arc<Semaphore>,
}

impl JsonApi {
    /// Everything under `/v1`.
    pub(crate) fn router(owner: OwnerLink, readers: Arc<ReadModels>) -> Router {
        let api = Self { owner, readers, places: Arc::new(Semaphore::new(MAX_STREAMS)) };
        routes::router().with_state(api)
    }
}

async fn cluster(State(api): State<JsonApi>, query: RawParams) -> Answer<ClusterBody> {
    Params::new(query)?.end()?;
    Ok(axum::Json(api.readers.cluster().into()))
}

async fn agents(State(api): State<JsonApi>, query: RawParams) -> Answer<Vec<AgentBody>> {
    Params::new(query)?.end()?;
    Ok(axum::Json(api.readers.agents().iter().map(|agent| AgentBody::new(agent)).collect()))
}

async fn agent(State(api): State<JsonApi>, Path(id): Path<String>, query: RawParams) -> Answer<AgentBody> {
    Params::new(query)?.end()?;
    let known = AgentId::new(id.as_str()).ok().and_then(|id| api.readers.agent(&id));
    let missing = || Problem::not_found("agent_id", format!("there is no agent {id:?}"), "see /v1/agents for the ids");
    Ok(axum::Json(AgentBody::new(&known.ok_or_else(missing)?)))
}

async fn frameworks(State(api): State<JsonApi>, query: RawParams) -> Answer<Vec<FrameworkBody>> {
    Params::new(query)?.end()?;
    Ok(axum::Json(api.readers.frameworks().iter().map(|framework| FrameworkBody::new(framework)).collect()))
}

async fn framework(State(api): State<JsonApi>, Path(id): Path<String>, query: RawParams) -> Answer<FrameworkBody> {
    Params::new(query)?.end()?;
    let all = api.readers.frameworks();
    let known = all.iter().find(|framework| framework.id.as_str() == id);
    known.map(|framework| axum::Json(FrameworkBody::new(framework))).ok_or_else(|| no_framework(&id))
}

async fn teardown(State(api): State<JsonApi>, Path(id): Path<String>, query: RawParams) -> Answer<FrameworkBody> {
    Params::new(query)?.end()?;
    let all = api.readers.frameworks();
    let known = all.iter().find(|framework| framework.id.as_str() == id).ok_or_else(|| no_framework(&id))?;
    let framework = FrameworkId::new(id.as_str()).map_err(|_| no_framework(&id))?;
    let (reply, answer) = oneshot::channel();
    api.owner.send(ToOwner::Teardown(framework, reply)).await.map_err(|_| Problem::stopping())?;
    match answer.await.map_err(|_| Problem::stopping())? {
        Ok(()) => Ok(axum::Json(FrameworkBody::new(known))),
        Err(error) if error.is_not_found => Err(no_framework(&id)),
        Err(error) => Err(Problem::bad("framework_id", error.message, "see /v1/frameworks")),
    }
}

async fn offers(State(api): State<JsonApi>, query: RawParams) -> Answer<OffersBody> {
    let mut params = Params::new(query)?;
    let history = params.take("history", |text| match text.parse::<usize>() {
        Ok(history @ 0..=MAX_HISTORY) => Ok(history),
        _ => Err(format!("give a number of answered offers, 0 to {MAX_HISTORY}")),
    })?;
    params.end()?;
    let body = |offer: &Arc<_>| OfferBody::new(offer, &api.readers);
    let outstanding = api.readers.offers().iter().map(body).collect();
    let history = api.readers.offer_history(history.unwrap_or(0)).iter().map(body).collect();
    Ok(axum::Json(OffersBody { outstanding, history }))
}

async fn tasks(State(api): State<JsonApi>, query: RawParams) -> Answer<Vec<TaskBody>> {
    let mut params = Params::new(query)?;
    let framework = params.take("framework", |text| Ok(text.to_owned()))?;
    let all = params.take("all", |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("give true to see those that have ended too, or false".to_owned()),
    })?;
    params.end()?;
    let mut tasks = api.readers.tasks();
    if let Some(wanted) = framework {
        let of = |id: &FrameworkId, name: &str| id.as_str() == wanted || name == wanted;
        // A misspelt framework must not look like one without tasks.
        if !api.readers.frameworks().iter().any(|known| of(&known.id, &known.info.name)) {
            return Err(Problem::bad(
                "framework",
                format!("there is no framework {:?}", problem::short(&wanted)),
                "see /v1/frameworks for names and ids",
            ));
        }
        tasks.retain(|task| of(&task.key.framework, &api.readers.framework_name(&task.key.framework)));
    }
    tasks.retain(|task| all.unwrap_or(false) || !task.status.state.is_terminal());
    Ok(axum::Json(tasks.iter().map(|task| TaskBody::new(task, &api.readers)).collect()))
}

async fn events(State(api): State<JsonApi>, query: RawParams) -> Result<Response, Problem> {
    Params::new(query)?.end()?;
    let place = Arc::clone(&api.places).try_acquire_owned().map_err(|_| {
        Problem::busy(format!("{MAX_STREAMS} event streams are open already"), "close one, or ask again later")
    })?;
    Ok(events::stream(api, place))
}

async fn description(query: RawParams) -> Result<Response, Problem> {
    Params::new(query)?.end()?;
    Ok(axum::Json(openapi::document()).into_response())
}

fn no_framework(id: &str) -> Problem {
    let error = format!("there is no framework {:?}", problem::short(id));
    Problem::not_found("framework_id", error, "see /v1/frameworks for the ids")
}
