//! Errors as people see them: what is wrong, where, and what to do.

use std::fmt;
use std::io;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use proffer_proto_transport::{AddressError, ErrorKind, RemoteError};

use crate::output::clean;
use crate::spec::SpecError;

/// Why a command could not do its work.
#[derive(Debug)]
pub enum CliError {
    /// A spec file is wrong.
    Spec(SpecError),
    /// Something else; the help says what to do.
    Told {
        /// What is wrong and where.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// No server answers, or not now: trying again can help.
    Away {
        /// Who does not answer and why.
        message: String,
        /// What to do.
        help: String,
    },
    /// Standard output cannot be written.
    Output(io::Error),
}

impl CliError {
    /// An error with the way out of it.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Told { message: message.into(), help: Some(help.into()) }
    }

    /// Nobody answers.
    pub(crate) fn away(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Away { message: message.into(), help: help.into() }
    }

    /// Nobody answers: trying again can help.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// An error of a server: `what` was tried.
    pub(crate) fn remote(what: &str, error: impl Into<RemoteError>) -> Self {
        let error = error.into();
        let message = format!("cannot {what}: {error}");
        match (error.is_local, error.kind) {
            (true, _) => Self::away(message, "check that it runs and can be reached, then try again"),
            (false, ErrorKind::Unavailable) => Self::away(message, "try again"),
            (false, _) => Self::Told { message, help: None },
        }
    }

    /// A command whose part is not in this version.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(format!("{what} is not implemented in this version"), "use a newer version of proffer")
    }

    /// The reader of standard output has gone, as with `proffer ps | head -1`.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(error) => error.fmt(f),
            Self::Told { message, .. } | Self::Away { message, .. } => f.write_str(&clean(message)),
            Self::Output(error) => write!(f, "cannot write the result: {error}"),
        }
    }
}

impl std::error::Error for CliError {}

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self {
            Self::Told { help: Some(help), .. } | Self::Away { help, .. } => Some(Box::new(clean(help))),
            Self::Spec(_) | Self::Told { .. } | Self::Output(_) => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::Spec(error) => error.source_code(),
            Self::Told { .. } | Self::Away { .. } | Self::Output(_) => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            Self::Spec(error) => error.labels(),
            Self::Told { .. } | Self::Away { .. } | Self::Output(_) => None,
        }
    }
}

impl From<SpecError> for CliError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<AddressError> for CliError {
    fn from(error: AddressError) -> Self {
        Self::Told { message: error.to_string(), help: None }
    }
}
