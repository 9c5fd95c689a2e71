//! JSON over HTTP under `/v1/`: every method of the gRPC operator API, for scripts and browsers.
//!
//! Nothing is written twice: the table in `routes.rs` gives each gRPC method a path, and requests, answers, errors and
//! `/v1/openapi.json` follow from the schema. The gRPC service itself answers, called within this process.

mod call;
mod check;
mod events;
mod openapi;
mod problem;
mod request;
mod routes;
mod schema;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, on};
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use tokio::sync::Semaphore;

use call::Operator;
use problem::Problem;
use request::Parts;
use routes::{ROUTES, Verb};
use schema::Schema;

/// Event streams that may be open at a time.
const MAX_STREAMS: usize = 128;

/// How messages are written: names as in the schema, numbers as numbers, and what is zero or empty too.
const STYLE: SerializeOptions =
    SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false).skip_default_fields(false);

/// Everything under `/v1`, answered by `operator`.
///
/// # Errors
/// When the table of routes does not fit the schema.
pub(crate) fn router(operator: Operator) -> Result<Router, String> {
    let schema = Schema::new()?;
    let places = Arc::new(Semaphore::new(MAX_STREAMS));
    let mut router = Router::new();
    for route in ROUTES {
        let (method, verb) = (schema.method(route)?, route.verb);
        let (operator, places) = (operator.clone(), Arc::clone(&places));
        let serve = move |path, query, headers: HeaderMap, body: Body| async move {
            let parts = Parts { path, query, headers, body };
            let answer = answer(&operator, &method, verb, parts, &places).await;
            answer.unwrap_or_else(IntoResponse::into_response)
        };
        router = router.route(route.path, on(verb.filter(), serve));
    }
    let document = openapi::document(&schema)?.to_string();
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], document) };
    Ok(router
        .route("/v1/openapi.json", get(description))
        .route("/v1", any(Problem::no_such_path))
        .route("/v1/", any(Problem::no_such_path))
        .route("/v1/{*rest}", any(Problem::no_such_path))
        .method_not_allowed_fallback(Problem::wrong_method))
}

async fn answer(
    operator: &Operator,
    method: &MethodDescriptor,
    verb: Verb,
    parts: Parts,
    places: &Arc<Semaphore>,
) -> Result<Response, Problem> {
    let input = method.input();
    let request = parts.read(verb, &input).await?;
    if method.is_server_streaming() {
        return events::stream(operator, method, request, places).await;
    }
    let answer = call::unary(operator, method, request).await;
    let answer = json(&answer.map_err(|status| Problem::of_status(status, &input))?)?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], answer).into_response())
}

fn json(message: &DynamicMessage) -> Result<String, Problem> {
    let mut out = Vec::new();
    let written = message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &STYLE);
    let internal = |told: String| Problem::new(proffer_proto_transport::ErrorKind::Internal, told, "report this");
    written.map_err(|e| internal(e.to_string()))?;
    String::from_utf8(out).map_err(|e| internal(e.to_string()))
}
