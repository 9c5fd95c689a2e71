//! What people and programs see: plain tables and stable JSON. Nothing from the cluster is printed uncleaned.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::CliError;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document for programs; its fields are stable
    Json,
}

/// Makes control characters visible, so that a name cannot steer the terminal.
pub fn clean(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(|c| if steers(c) { c.escape_unicode().collect() } else { vec![c] }).collect())
}

/// Prints a line for people on standard output.
pub(crate) fn say(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", clean(text))?;
    Ok(out.flush()?)
}

/// Prints one JSON document.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Prints columns, or `empty` when there are no rows.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, empty: &str) -> Result<(), CliError> {
    if rows.is_empty() {
        return say(empty);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>());
    }
    let mut out = io::stdout().lock();
    for line in table.lines() {
        // The first column has no blank before it, the last none behind it.
        let line = line.strip_prefix(' ').unwrap_or(&line);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(out.flush()?)
}

fn one_line(cell: &str) -> String {
    if cell.is_empty() { "-".to_owned() } else { clean(cell).replace('\n', " ") }
}

/// How long ago a wall-clock time was: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let seconds = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(unix_ms) / 1000;
    span(seconds)
}

/// Seconds in the largest unit that keeps them readable.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A moment of the wall clock, in milliseconds since 1970, as people read it; empty for none.
pub(crate) fn when(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().filter(|ms| *ms > 0);
    let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_made_visible() {
        assert_eq!(clean("web-1 ä ☃"), "web-1 ä ☃");
        assert_eq!(clean("a\u{1b}[31mb\rc\u{202e}d"), "a\\u{1b}[31mb\\u{d}c\\u{202e}d");
        assert_eq!(one_line("a\nb\u{7}"), "a b\\u{7}");
        assert_eq!(one_line(""), "-");
    }

    #[test]
    fn times_are_short() {
        for (seconds, shown) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (200_000, "2d")] {
            assert_eq!(span(seconds), shown);
        }
    }
}
