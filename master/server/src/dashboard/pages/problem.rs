//! Pages that say what went wrong and where to go from there.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::html;
use crate::dashboard::query::BadQuery;
use crate::dashboard::{Dashboard, Layout, Section};

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    layout: Layout,
    status: u16,
    message: String,
}

/// No such page.
pub(crate) async fn not_found(State(dashboard): State<Dashboard>) -> Response {
    let message = "There is no such page here. Follow one of the links above.";
    page(&dashboard, StatusCode::NOT_FOUND, "Page not found", message.to_owned())
}

/// The page exists, but it can only be read.
pub(crate) async fn method_not_allowed(State(dashboard): State<Dashboard>) -> Response {
    let message = "This page can only be read: ask with GET. Changes go through the proffer command or gRPC.";
    page(&dashboard, StatusCode::METHOD_NOT_ALLOWED, "Read only", message.to_owned())
}

/// No such thing on an existing page.
pub(super) fn missing(dashboard: &Dashboard, message: String) -> Response {
    page(dashboard, StatusCode::NOT_FOUND, "Not found", message)
}

/// The question is wrong.
pub(crate) fn bad_query(dashboard: &Dashboard, error: &BadQuery) -> Response {
    page(dashboard, StatusCode::BAD_REQUEST, "Bad request", format!("{error}."))
}

fn page(dashboard: &Dashboard, status: StatusCode, title: &str, message: String) -> Response {
    let layout = dashboard.layout(Section::Nowhere, title);
    html(status, &Problem { layout, status: status.as_u16(), message })
}
