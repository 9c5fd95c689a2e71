//! All paths in one table: the router serves what it lists and the description describes what it lists.

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::problem::Problem;
use super::views::{AgentBody, ClusterBody, EventLine, FrameworkBody, OffersBody, TaskBody};
use super::{JsonApi, agent, agents, cluster, description, events, framework, frameworks, offers, tasks, teardown};

/// One method of one path.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// In lower case.
    pub(super) method: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Query],
    /// Type of the good answer.
    pub(super) content: &'static str,
    /// What the good answer holds; for a stream, one line of it.
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
    handler: fn() -> MethodRouter<JsonApi>,
}

/// A query parameter; all are optional.
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    /// Type in words of JSON Schema.
    pub(super) kind: &'static str,
}

const JSON: &str = "application/json";
/// Lines of JSON.
pub(super) const LINES: &str = "application/x-ndjson";

const HISTORY: Query =
    Query { name: "history", meaning: "how many answered offers to add, newest first, 0 to 1,000", kind: "integer" };
const FRAMEWORK: Query =
    Query { name: "framework", meaning: "only tasks of this framework, id or name", kind: "string" };
const ALL: Query =
    Query { name: "all", meaning: "true adds tasks that have ended and are still remembered", kind: "boolean" };

/// Everything there is.
pub(super) const ROUTES: &[Route] = &[
    Route { handler: || get(cluster), ..read::<ClusterBody>("/v1/cluster", "The cluster in one view") },
    Route { handler: || get(agents), ..read::<Vec<AgentBody>>("/v1/agents", "All agents, ordered by id") },
    Route { handler: || get(agent), ..read::<AgentBody>("/v1/agents/{agent_id}", "One agent") },
    Route { handler: || get(frameworks), ..read::<Vec<FrameworkBody>>("/v1/frameworks", "All frameworks, by id") },
    Route { handler: || get(framework), ..read::<FrameworkBody>("/v1/frameworks/{framework_id}", "One framework") },
    Route {
        method: "delete",
        handler: || delete(teardown),
        ..read::<FrameworkBody>(
            "/v1/frameworks/{framework_id}",
            "Ends a framework and all its tasks, for good; answers with the framework as it was",
        )
    },
    Route {
        query: &[HISTORY],
        handler: || get(offers),
        ..read::<OffersBody>("/v1/offers", "Outstanding offers and the latest answers")
    },
    Route {
        query: &[FRAMEWORK, ALL],
        handler: || get(tasks),
        ..read::<Vec<TaskBody>>("/v1/tasks", "Tasks, ordered by framework and id")
    },
    Route {
        content: LINES,
        handler: || get(events),
        ..read::<EventLine>(
            "/v1/events",
            "A snapshot, then every change, one JSON object on each line; offers come when they are sent and when they end",
        )
    },
    Route { handler: || get(description), ..read::<serde_json::Value>("/v1/openapi.json", "This description") },
];

const fn read<T: JsonSchema>(path: &'static str, summary: &'static str) -> Route {
    Route {
        path,
        method: "get",
        summary,
        query: &[],
        content: JSON,
        answer: |generator| generator.subschema_for::<T>(),
        handler: || any(Problem::no_such_path),
    }
}

/// A router of all of it. What is under `/v1` and not in the table is a problem in JSON too.
pub(super) fn router() -> Router<JsonApi> {
    let all = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    all.method_not_allowed_fallback(Problem::wrong_method)
        .route("/v1", any(Problem::no_such_path))
        .route("/v1/{*rest}", any(Problem::no_such_path))
}
