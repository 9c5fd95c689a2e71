//! What is wrong with a spec file: every problem with its place, all told together.

use std::fmt;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use super::tree::Place;
use crate::output::clean;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read.
    #[error("cannot read {}: {source}; check the name and its permissions", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is read and wrong.
    #[error("{0}")]
    Wrong(Problems),
}

/// All problems of one file, in its order.
#[derive(Debug)]
pub struct Problems {
    list: Vec<Problem>,
    source: NamedSource<String>,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, e.g. `services.web.ports[0].container`; empty for the file itself.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Line, from 1; 0 when not known.
    pub line: u64,
    /// Column, from 1; 0 when not known.
    pub column: u64,
    bytes: std::ops::Range<usize>,
}

impl Problem {
    pub(super) fn new(path: &str, at: &Place, message: impl Into<String>) -> Self {
        let Place { line, column, bytes } = at.clone();
        Self { path: path.to_owned(), message: message.into(), line, column, bytes }
    }
}

impl Problems {
    pub(super) fn new(name: &Path, text: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| (problem.line, problem.column));
        Self { list, source: NamedSource::new(name.display().to_string(), text.to_owned()) }
    }

    /// The problems in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.source.name();
        match self.list.len() {
            1 => write!(f, "{file} has a problem:")?,
            count => write!(f, "{file} has {count} problems:")?,
        }
        for Problem { path, message, line, column, bytes: _ } in &self.list {
            let separator = if path.is_empty() { "" } else { " " };
            write!(f, "\n  {file}:{line}:{column}: {}{separator}{}", clean(path), clean(message))?;
        }
        Ok(())
    }
}

impl Diagnostic for SpecError {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            SpecError::Unreadable { .. } => None,
            SpecError::Wrong(problems) => Some(&problems.source),
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            SpecError::Unreadable { .. } => None,
            SpecError::Wrong(problems) => {
                let known = problems.list.iter().filter(|problem| problem.line > 0);
                Some(Box::new(known.map(|problem| {
                    let span = (problem.bytes.start, problem.bytes.len());
                    LabeledSpan::new(Some("here".to_owned()), span.0, span.1)
                })))
            }
        }
    }
}
