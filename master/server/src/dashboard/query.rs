//! Query parameters, read strictly: what is not understood is refused, never guessed or dropped.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;

/// The parameters of a request, taken one by one.
#[derive(Debug, Default)]
pub(super) struct Params {
    left: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

/// The parameters as the server hands them over.
pub(super) type RawParams = Result<axum::extract::Query<Vec<(String, String)>>, QueryRejection>;

/// A parameter that is wrong, and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    /// The query itself cannot be read.
    #[error("the query cannot be read: {0}")]
    Unreadable(String),
    /// The same name twice.
    #[error("parameter {0:?} is given twice; give it once")]
    Twice(String),
    /// A name nobody knows.
    #[error("parameter {name:?} is not known here; {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// What there is instead.
        known: String,
    },
    /// A value that is wrong.
    #[error("parameter {name:?} is {value:?}; {fix}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        fix: String,
    },
}

/// Longest value that is repeated in an error.
const MAX_ECHO: usize = 64;

impl Params {
    /// Reads all parameters. An empty value is the same as none: a form sends those.
    pub(super) fn new(raw: RawParams) -> Result<Self, BadQuery> {
        let axum::extract::Query(pairs) = raw.map_err(|e| BadQuery::Unreadable(e.body_text()))?;
        let mut left = BTreeMap::new();
        for (name, value) in pairs {
            if left.insert(name.clone(), value).is_some() {
                return Err(BadQuery::Twice(short(&name)));
            }
        }
        Ok(Self { left, known: Vec::new() })
    }

    /// Takes one parameter; `read` makes it a value or says what would be right.
    pub(super) fn take<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadQuery> {
        self.known.push(name);
        let Some(value) = self.left.remove(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        read(&value).map(Some).map_err(|fix| BadQuery::Value { name, value: short(&value), fix })
    }

    /// The number of a page of a long list, from 1.
    pub(super) fn take_page(&mut self) -> Result<usize, BadQuery> {
        let read = |text: &str| match text.parse::<usize>() {
            Ok(page @ 1..) => Ok(page),
            _ => Err("give the number of a page, 1 or higher".to_owned()),
        };
        Ok(self.take("page", read)?.unwrap_or(1))
    }

    /// Nothing else may be there.
    pub(super) fn end(self) -> Result<(), BadQuery> {
        let Some((name, _)) = self.left.into_iter().next() else { return Ok(()) };
        let known = match self.known.as_slice() {
            [] => "this page takes none".to_owned(),
            known => format!("use {}", known.join(", ")),
        };
        Err(BadQuery::Unknown { name: short(&name), known })
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use axum::http::Uri;

    use super::*;

    fn params(query: &str) -> Result<Params, BadQuery> {
        let uri: Uri = format!("/tasks?{query}").parse().unwrap();
        Params::new(Query::try_from_uri(&uri))
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_fix() {
        assert!(matches!(params("a=1&a=2").unwrap_err(), BadQuery::Twice(name) if name == "a"));
        for bad in ["page=0", "page=-1", "page=x", "page=99999999999999999999999"] {
            let error = params(bad).unwrap().take_page().unwrap_err().to_string();
            assert!(error.contains("page") && error.contains("1 or higher"), "{error}");
        }
        let mut left = params("page=2&sort=age").unwrap();
        assert_eq!(left.take_page().unwrap(), 2);
        let error = left.end().unwrap_err().to_string();
        assert!(error.contains("\"sort\"") && error.contains("use page"), "{error}");
        assert!(params("x=1").unwrap().end().unwrap_err().to_string().contains("takes none"));
    }

    #[test]
    fn an_empty_value_is_none() {
        let mut params = params("page=").unwrap();
        assert_eq!(params.take_page().unwrap(), 1);
        assert_eq!(params.end(), Ok(()));
    }
}
