//! Makes a gRPC request of a path, a query and a body. What is not understood is refused, never guessed or dropped.

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use proffer_proto_transport::ErrorKind;
use prost_reflect::{DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::problem::{Problem, short};
use super::routes::Verb;

/// Largest body, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Names with values, as a path or a query holds them.
type Pairs = Vec<(String, String)>;

/// What a request is made of.
pub(super) struct Parts {
    pub(super) path: Result<Path<Pairs>, PathRejection>,
    pub(super) query: Result<Query<Pairs>, QueryRejection>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Parts {
    /// The request, read as the verb wants it.
    pub(super) async fn read(self, verb: Verb, input: &MessageDescriptor) -> Result<DynamicMessage, Problem> {
        let Parts { path, query, headers, body } = self;
        let in_path = match path {
            Ok(Path(pairs)) => pairs,
            Err(PathRejection::MissingPathParams(_)) => Pairs::new(),
            Err(error) => return Err(unreadable("path", &error.body_text())),
        };
        let Query(in_query) = query.map_err(|error| unreadable("query", &error.body_text()))?;
        let mut given = match verb {
            Verb::Get => from_query(input, in_query)?,
            Verb::Post => {
                if let Some((name, _)) = in_query.first() {
                    let name = short(name);
                    let message = format!("parameter {name:?} is not known here");
                    return Err(Problem::bad(&name, message, "put fields into a JSON object in the body"));
                }
                refuse_foreign_pages(&headers)?;
                from_body(&headers, body).await?
            }
        };
        for (name, text) in in_path {
            let Some(field) = input.get_field_by_name(&name) else { continue };
            if given.insert(name.clone(), value(&field, &text)?).is_some() {
                return Err(Problem::bad(&name, format!("{name} is given twice"), "give it in the path alone"));
            }
        }
        message(input, given)
    }
}

fn unreadable(what: &str, told: &str) -> Problem {
    let message = format!("the {what} cannot be read: {}", short(told));
    Problem::new(ErrorKind::Invalid, message, "write it percent-encoded, as UTF-8")
}

fn from_query(input: &MessageDescriptor, pairs: Pairs) -> Result<Map<String, Value>, Problem> {
    let mut given = Map::new();
    for (name, text) in pairs {
        let field = input.get_field_by_name(&name).filter(|field| !matches!(field.kind(), Kind::Message(_)));
        let Some(field) = field else {
            let name = short(&name);
            return Err(Problem::bad(&name, format!("parameter {name:?} is not known here"), known(input)));
        };
        let value = value(&field, &text)?;
        if field.is_list() {
            if let Value::Array(list) = given.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                list.push(value);
            }
        } else if given.insert(name.clone(), value).is_some() {
            return Err(Problem::bad(&name, format!("parameter {name:?} is given twice"), "give it once"));
        }
    }
    Ok(given)
}

fn known(input: &MessageDescriptor) -> String {
    let fields = input.fields().filter(|field| !matches!(field.kind(), Kind::Message(_)));
    let names: Vec<String> = fields.map(|field| field.name().to_owned()).collect();
    if names.is_empty() { "this path takes none".to_owned() } else { format!("use {}", names.join(", ")) }
}

/// One value of a path or a query.
fn value(field: &FieldDescriptor, text: &str) -> Result<Value, Problem> {
    let name = field.name();
    let wrong = |fix: &str| Problem::bad(name, format!("{name} is {:?}", short(text)), fix);
    match field.kind() {
        Kind::Bool => text.parse::<bool>().map(Value::from).map_err(|_| wrong("give true or false")),
        Kind::Uint32 | Kind::Fixed32 => {
            text.parse::<u32>().map(Value::from).map_err(|_| wrong("give a whole number, 0 to 4294967295"))
        }
        Kind::Uint64 | Kind::Fixed64 => {
            text.parse::<u64>().map(Value::from).map_err(|_| wrong("give a whole number, 0 or more"))
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            text.parse::<i64>().map(Value::from).map_err(|_| wrong("give a whole number"))
        }
        Kind::Double | Kind::Float => text.parse::<f64>().map(Value::from).map_err(|_| wrong("give a number")),
        Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => Ok(Value::from(text)),
    }
}

/// Pages of other places must not make a browser do what its user may do.
fn refuse_foreign_pages(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_foreign_site = text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| site != "same-origin" && site != "none");
    let host = text(header::HOST).unwrap_or_default();
    let is_foreign_origin = text(header::ORIGIN).is_some_and(|origin| {
        let address = origin.split_once("://").map_or(origin, |(_, address)| address);
        !address.eq_ignore_ascii_case(host)
    });
    if is_foreign_site || is_foreign_origin {
        let message = "a page of another place asks for a change";
        return Err(Problem::new(
            ErrorKind::Forbidden,
            message,
            "ask with a program, such as curl, or a page of this master",
        ));
    }
    Ok(())
}

async fn from_body(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Problem> {
    let too_large = || {
        let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
        let problem = Problem::new(ErrorKind::Exhausted, message, "send it in smaller parts");
        problem.with(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(too_large());
    }
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| too_large())?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = format!("the body is {:?}, not JSON", short(kind));
        let problem = Problem::new(ErrorKind::Invalid, message, "send Content-Type: application/json");
        return Err(problem.with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    object(&body)
}

fn object(body: &Bytes) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => {
            let message = "the body is JSON and no object";
            Err(Problem::new(ErrorKind::Invalid, message, "send an object, e.g. {}"))
        }
        Err(error) => {
            let message = format!("the body is no JSON: {error}");
            Err(Problem::new(ErrorKind::Invalid, message, "send one JSON object in UTF-8"))
        }
    }
}

fn message(input: &MessageDescriptor, given: Map<String, Value>) -> Result<DynamicMessage, Problem> {
    super::check::check(input, &given)?;
    let mut track = serde_path_to_error::Track::new();
    let from = Value::Object(given);
    let tracked = serde_path_to_error::Deserializer::new(from, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(input.clone(), tracked, &options).map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        Problem::bad(&path, format!("{path}: {error}"), "see /v1/openapi.json for its type")
    })
}
