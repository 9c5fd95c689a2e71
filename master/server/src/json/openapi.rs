//! The description of `/v1/` in the format of OpenAPI 3.1, made from the table of routes and the schema's comments.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::problem::KINDS;
use super::routes::{ROUTES, Route, Verb};
use super::schema::{Schema, comment};

/// The whole document.
pub(super) fn document(schema: &Schema) -> Result<Value, String> {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(schema, route, &mut schemas)?;
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.word()] = operation;
    }
    let mut described = schemas.described;
    described.insert("Problem".to_owned(), problem());
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Proffer master",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The operator API as JSON. Units are in the names of fields. Numbers of 64 bits are written \
                            as numbers.",
        },
        "paths": paths,
        "components": { "schemas": described },
    }))
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let kinds: Vec<&str> = KINDS.iter().map(|(_, word, _)| *word).collect();
    json!({
        "type": "object",
        "description": "What is wrong and what to do.",
        "required": ["kind", "message", "field", "fix"],
        "properties": {
            "kind": { "type": "string", "enum": kinds },
            "message": text("What is wrong."),
            "field": { "type": ["string", "null"], "description": "The field or parameter that is wrong." },
            "fix": text("What to do; empty when the message says it."),
        },
    })
}

fn operation(schema: &Schema, route: &Route, schemas: &mut Schemas) -> Result<Value, String> {
    let method = schema.method(route)?;
    let (input, output) = (method.input(), method.output());
    let kind = if method.is_server_streaming() { "text/event-stream" } else { "application/json" };
    let mut operation = json!({
        "operationId": method.name(),
        "summary": comment(&method.parent_file(), method.path()),
        "responses": {
            "200": {
                "description": comment(&output.parent_file(), output.path()),
                "content": { kind: { "schema": schemas.message(&output) } },
            },
            "default": {
                "description": "What is wrong and what to do.",
                "content": { "application/json": { "schema": reference("Problem") } },
            },
        },
    });
    let in_path: Vec<&str> = route.path_fields().collect();
    let (path, rest): (Vec<_>, Vec<_>) = input.fields().partition(|field| in_path.contains(&field.name()));
    let mut parameters: Vec<Value> = path.iter().map(|field| parameter(field, "path", schemas)).collect();
    match route.verb {
        Verb::Get => parameters.extend(rest.iter().map(|field| parameter(field, "query", schemas))),
        Verb::Post if !rest.is_empty() => {
            let body = properties(rest.iter(), schemas);
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": body } } });
        }
        Verb::Post => {}
    }
    operation["parameters"] = Value::Array(parameters);
    Ok(operation)
}

fn parameter(field: &FieldDescriptor, place: &str, schemas: &mut Schemas) -> Value {
    json!({
        "name": field.name(),
        "in": place,
        "required": place == "path",
        "description": field_comment(field),
        "schema": schemas.field(field),
    })
}

fn field_comment(field: &FieldDescriptor) -> String {
    comment(&field.parent_message().parent_file(), field.path())
}

fn properties<'a>(fields: impl Iterator<Item = &'a FieldDescriptor>, schemas: &mut Schemas) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = schemas.field(field);
        schema["description"] = Value::from(field_comment(field));
        properties.insert(field.name().to_owned(), schema);
    }
    json!({ "type": "object", "properties": properties })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The types that are used, each described once.
#[derive(Default)]
struct Schemas {
    described: BTreeMap<String, Value>,
}

impl Schemas {
    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let name = message.full_name();
        if !self.described.contains_key(name) {
            // First the place: messages may hold themselves.
            self.described.insert(name.to_owned(), Value::Null);
            let fields: Vec<FieldDescriptor> = message.fields().collect();
            let mut schema = properties(fields.iter(), self);
            schema["description"] = Value::from(comment(&message.parent_file(), message.path()));
            self.described.insert(name.to_owned(), schema);
        }
        reference(name)
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Value {
        let name = kind.full_name();
        let words: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
        let description = comment(&kind.parent_file(), kind.path());
        let schema = json!({ "type": "string", "enum": words, "description": description });
        self.described.insert(name.to_owned(), schema);
        reference(name)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let values = self.kind(&entry.map_entry_value_field().kind());
                json!({ "type": "object", "additionalProperties": values })
            }
            kind if field.is_list() => json!({ "type": "array", "items": self.kind(&kind) }),
            kind => self.kind(&kind),
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "integer", "minimum": 0 }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "integer", "format": "int64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Enum(kind) => self.enumeration(kind),
            Kind::Message(message) => self.message(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn everything_is_described_and_every_reference_leads_somewhere() {
        let schema = Schema::new().unwrap();
        let document = document(&schema).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            let target = &document["components"]["schemas"][name];
            assert!(target.is_object(), "{reference} leads nowhere");
            assert!(!target["description"].as_str().unwrap().is_empty(), "{reference} has no description");
        }
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.verb.word()];
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{} has no summary", route.path);
        }
        let history = &document["paths"]["/v1/offers"]["get"]["parameters"][0];
        assert_eq!((&history["name"], &history["in"]), (&Value::from("history"), &Value::from("query")));
    }
}
