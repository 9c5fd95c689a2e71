//! A regular expression over a whole text, at a bounded cost: what would take long to compile is refused unread, and matching
//! takes time linear in the text. Never backtracks.

use std::fmt;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use serde::{Deserialize, Serialize};

use crate::pattern_cost::{self, TooBroad};

/// Most memory a compiled pattern may take, and the cache it matches with; in bytes.
const MAX_COMPILED_BYTES: usize = 64 * 1024;

/// Deepest nesting of groups.
const MAX_DEPTH: u32 = 32;

/// A regular expression that a whole text must match, in the syntax of the `regex` crate (no look-around, no
/// back-references). Two are equal when their texts are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    whole: Regex,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It cannot be read.
    #[error("is no regular expression: {0}")]
    Syntax(String),
    /// It would cost too much.
    #[error("is a regular expression that takes more than 64 KiB; repeat less, or list fewer values")]
    TooCostly,
    /// Compiling it would take long.
    #[error("is a regular expression that {0}")]
    TooBroad(#[from] TooBroad),
    /// It is longer than [`Pattern::MAX_BYTES`].
    #[error("is a regular expression of {0} bytes; at most 256 are allowed")]
    TooLong(usize),
}

impl Pattern {
    /// Longest text of a pattern.
    pub const MAX_BYTES: usize = 256;

    /// Reads a pattern.
    ///
    /// # Errors
    /// It is too long, no regular expression, or one that would cost too much.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > Self::MAX_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        // By itself first: `)(` is a pattern only within the brackets.
        let read = ParserBuilder::new().nest_limit(MAX_DEPTH).build().parse(text);
        pattern_cost::check(&read.map_err(|error| PatternError::Syntax(last_line(&error.to_string())))?)?;
        let mut builder = RegexBuilder::new(&format!("^(?:{text})$"));
        builder.size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_DEPTH);
        match builder.build() {
            Ok(whole) => Ok(Self { text: text.to_owned(), whole }),
            Err(regex::Error::CompiledTooBig(_)) => Err(PatternError::TooCostly),
            Err(error) => Err(PatternError::Syntax(last_line(&error.to_string()))),
        }
    }

    /// The whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

/// The lines before it draw where the error is.
fn last_line(error: &str) -> String {
    let last = error.lines().last().unwrap_or(error);
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        let pattern = Pattern::new("r[0-9]+|top").unwrap();
        for (text, is_match) in
            [("r1", true), ("r22", true), ("top", true), ("r", false), ("xr1", false), ("tops", false)]
        {
            assert_eq!(pattern.is_match(text), is_match, "{text}");
        }
        assert!(!Pattern::new("a").unwrap().is_match("a\n"), "the end is the end of the text");
    }

    #[test]
    fn what_would_cost_too_much_or_cannot_be_read_is_told() {
        let told = |text: &str| Pattern::new(text).unwrap_err().to_string();
        assert!(told("(").contains("unclosed group"), "{}", told("("));
        assert!(told(")(").contains("unopened group"), "{}", told(")("));
        assert!(told("(?=a)").contains("look-around"), "{}", told("(?=a)"));
        assert!(told("((a{200}){200}){200}").contains("64 KiB"), "{}", told("((a{200}){200}){200}"));
        assert!(told(&"(".repeat(100)).contains("regular expression"));
        assert!(told(&"a".repeat(257)).contains("257 bytes"));
    }

    #[test]
    fn it_is_kept_as_it_was_written() {
        let pattern = Pattern::new("a|b").unwrap();
        let json = serde_json::to_string(&pattern).unwrap();
        assert_eq!(json, "\"a|b\"");
        assert_eq!(serde_json::from_str::<Pattern>(&json).unwrap(), pattern);
        assert!(serde_json::from_str::<Pattern>("\"(\"").is_err());
    }
}
