//! Reading a tree: every getter notes what is wrong and goes on, so that all problems are told together.

use super::problem::Problem;
use super::tree::{Key, Node, Place, Value};
use proffer_proto_model::nearest;

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// All found so far.
    pub(super) problems: Vec<Problem>,
}

/// A node and the path that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) node: &'n Node,
}

/// The fields of a map, all of known names.
pub(super) struct Fields<'n> {
    path: String,
    at: Place,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// The field of that name; one that holds nothing counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<Field<'n>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        if matches!(node.value, Value::Nothing) {
            return None;
        }
        Some(Field { path: join(&self.path, name), node })
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Reader {
    /// Notes a problem of a field.
    pub(super) fn wrong(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.problems.push(Problem::new(&field.path, &field.node.at, message));
    }

    /// Notes that a map lacks a field.
    pub(super) fn lacks(&mut self, fields: &Fields<'_>, name: &str, fix: &str) {
        self.problems.push(Problem::new(&join(&fields.path, name), &fields.at, format!("is missing; {fix}")));
    }

    /// A map whose keys are all in `known`.
    pub(super) fn fields<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Option<Fields<'n>> {
        let entries = self.map(field)?;
        for (key, _) in entries {
            if known.contains(&key.name.as_str()) {
                continue;
            }
            let fix = match nearest(&key.name, known) {
                Some(near) => format!("is not a field here; did you mean {near:?}?"),
                None => format!("is not a field here; the fields are {}", known.join(", ")),
            };
            self.problems.push(Problem::new(&join(&field.path, &key.name), &key.at, fix));
        }
        Some(Fields { path: field.path.clone(), at: field.node.at.clone(), entries })
    }

    /// A map of free keys.
    pub(super) fn map<'n>(&mut self, field: &Field<'n>) -> Option<&'n [(Key, Node)]> {
        match &field.node.value {
            Value::Map(entries) => Some(entries),
            other => {
                self.wrong(field, format!("is {}, not a map; write \"name: value\" lines below it", other.kind()));
                None
            }
        }
    }

    /// Each entry of a map of free keys: its key and its field. Absent is empty.
    pub(super) fn entries<'n>(&mut self, field: Option<Field<'n>>) -> Vec<(&'n Key, Field<'n>)> {
        let Some(field) = field else { return Vec::new() };
        let entries = self.map(&field).unwrap_or_default();
        entries.iter().map(|(key, node)| (key, Field { path: join(&field.path, &key.name), node })).collect()
    }

    /// Each item of a list. Absent is empty.
    pub(super) fn items<'n>(&mut self, field: Option<Field<'n>>, example: &str) -> Vec<Field<'n>> {
        let Some(field) = field else { return Vec::new() };
        match &field.node.value {
            Value::List(items) => {
                let item = |(at, node)| Field { path: format!("{}[{at}]", field.path), node };
                items.iter().enumerate().map(item).collect()
            }
            other => {
                self.wrong(&field, format!("is {}, not a list; write {example}", other.kind()));
                Vec::new()
            }
        }
    }

    /// A single value.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        match &field.node.value {
            Value::Text(text) if text.contains('\0') => {
                self.wrong(field, "holds a NUL byte; remove it");
                None
            }
            Value::Text(text) => Some(text),
            other => {
                self.wrong(field, format!("is {}, not a single value", other.kind()));
                None
            }
        }
    }

    /// A single value that `parse` understands; its error says what is wrong and what to do.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        field: Option<Field<'_>>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let field = field?;
        let text = self.text(&field)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(&field, error.to_string());
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, field: Option<Field<'_>>, least: u64, most: u64) -> Option<u64> {
        self.parsed(field, |text| {
            let number: i128 = text.parse().map_err(|_| format!("is {text:?}, not a whole number"))?;
            match u64::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(format!("is {text}; it must be {least} to {most}")),
            }
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, field: Option<Field<'_>>) -> Option<bool> {
        self.parsed(field, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("is {other:?}; write true or false")),
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, field: Option<Field<'_>>, words: &[(&str, T)]) -> Option<T> {
        self.parsed(field, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                match nearest(text, &known) {
                    Some(near) => format!("is {text:?}; did you mean {near:?}?"),
                    None => format!("is {text:?}; write one of {}", known.join(", ")),
                }
            })
        })
    }
}
