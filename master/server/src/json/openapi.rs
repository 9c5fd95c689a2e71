//! The description of `/v1/` in the format of OpenAPI 3.1, made from the table of routes and the types of the answers.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::problem::ProblemBody;
use super::routes::{Query, ROUTES, Route};

/// The whole document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<ProblemBody>();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let good = json!({
            "description": "Done",
            "content": { route.content: { "schema": (route.answer)(&mut generator) } },
        });
        let bad = json!({
            "description": "What is wrong and the fix",
            "content": { "application/json": { "schema": problem } },
        });
        let operation = json!({
            "summary": route.summary,
            "operationId": operation_id(route),
            "parameters": parameters(route),
            "responses": { "200": good, "default": bad },
        });
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Proffer master",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the operator API says, as JSON. Units are in the names of fields.",
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

/// `get_v1_agents_agent_id`.
fn operation_id(route: &Route) -> String {
    let words: String = route.path.chars().filter(|c| !"{}".contains(*c)).collect();
    format!("{}{}", route.method, words.replace(['/', '.'], "_"))
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter().map(|Query { name, meaning, kind }| {
        json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": kind } })
    });
    in_path.chain(in_query).collect()
}
