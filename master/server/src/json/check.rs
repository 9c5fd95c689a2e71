//! What is wrong with the JSON of a request, in words of ours: the field by its path, what is there, what may be there.
//! It refuses nothing that the conversion after it takes, and need not find all that is wrong.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::problem::{Problem, short};

/// Checks an object that is to become a message.
pub(super) fn check(message: &MessageDescriptor, given: &Map<String, Value>) -> Result<(), Problem> {
    object(message, given, "")
}

fn object(message: &MessageDescriptor, given: &Map<String, Value>, path: &str) -> Result<(), Problem> {
    for (name, value) in given {
        let at = join(path, name);
        let field = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name));
        let Some(field) = field else {
            let names: Vec<String> = message.fields().map(|field| field.name().to_owned()).collect();
            let fix = match names.as_slice() {
                [] => "this takes no fields".to_owned(),
                some => format!("use {}", some.join(", ")),
            };
            return Err(Problem::bad(&at, format!("{} is not known", short(&at)), fix));
        };
        values(&field, value, &at)?;
    }
    Ok(())
}

/// A field, a list of it or a map with it. Null is as if it was not there.
fn values(field: &FieldDescriptor, value: &Value, at: &str) -> Result<(), Problem> {
    match value {
        Value::Null => Ok(()),
        Value::Array(all) if field.is_list() => {
            all.iter().enumerate().try_for_each(|(index, value)| one(&field.kind(), value, &format!("{at}[{index}]")))
        }
        Value::Object(all) if field.is_map() => {
            let Kind::Message(entry) = field.kind() else { return Ok(()) };
            let of = entry.map_entry_value_field().kind();
            all.iter().try_for_each(|(name, value)| one(&of, value, &join(at, name)))
        }
        _ if field.is_list() => Err(wrong(at, value, "give a list")),
        _ if field.is_map() => Err(wrong(at, value, "give an object")),
        value => one(&field.kind(), value, at),
    }
}

fn one(kind: &Kind, value: &Value, at: &str) -> Result<(), Problem> {
    let whole = |least: i128, most: i128| match number(value) {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(wrong(at, value, &format!("give a whole number, {least} to {most}"))),
    };
    match kind {
        Kind::Message(message) => match value {
            Value::Object(inner) => object(message, inner, at),
            _ => Err(wrong(at, value, "give an object")),
        },
        Kind::Uint32 | Kind::Fixed32 => whole(0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => whole(0, u64::MAX.into()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole(i32::MIN.into(), i32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => whole(i64::MIN.into(), i64::MAX.into()),
        Kind::Bool if !value.is_boolean() => Err(wrong(at, value, "give true or false")),
        Kind::String | Kind::Bytes if !value.is_string() => Err(wrong(at, value, "give a text")),
        Kind::Enum(words) => match value {
            Value::String(word) if words.get_value_by_name(word).is_none() => {
                let all = words.values().map(|value| value.name().to_owned());
                let all: Vec<String> = all.filter(|name| !name.ends_with("UNSPECIFIED")).collect();
                Err(wrong(at, value, &format!("use one of {}", all.join(", "))))
            }
            Value::String(_) | Value::Number(_) => Ok(()),
            _ => Err(wrong(at, value, "give a word")),
        },
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Double | Kind::Float => Ok(()),
    }
}

/// A whole number, also in a text, as JSON of protocol buffers has those of 64 bits.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            // 2.0 is whole; what is larger than any field is told as such.
            whole.or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i128))
        }
        _ => None,
    }
}

fn wrong(at: &str, value: &Value, fix: &str) -> Problem {
    Problem::bad(at, format!("{} is {}", short(at), short(&value.to_string())), fix)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
