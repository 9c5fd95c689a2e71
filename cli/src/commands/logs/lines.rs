//! Lines of several tasks in one output: each with its label. Never splits a line that ends in time.

use crate::output::clean;

/// Puts a label in front of each whole line. A line without end is held back, up to a bound.
pub(super) struct Lines {
    prefix: Vec<u8>,
    held: Vec<u8>,
}

impl Lines {
    /// Longest line that is held back.
    const MAX_HELD_BYTES: usize = 64 << 10;

    /// The label is for people, such as `web.0`.
    pub(super) fn new(label: &str) -> Self {
        Self { prefix: format!("{} | ", clean(label)).into_bytes(), held: Vec::new() }
    }

    /// The whole lines among what came, labelled.
    pub(super) fn push(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + self.prefix.len());
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(line);
            let is_whole = line.ends_with(b"\n");
            if is_whole || self.held.len() > Self::MAX_HELD_BYTES {
                out.extend_from_slice(&self.prefix);
                out.append(&mut self.held);
                if !is_whole {
                    out.push(b'\n');
                }
            }
        }
        out
    }

    /// What is left of a line without end.
    pub(super) fn end(mut self) -> Vec<u8> {
        if self.held.is_empty() { Vec::new() } else { self.push(b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_their_label_however_they_arrive() {
        let mut lines = Lines::new("web.0");
        assert_eq!(lines.push(b"a\nb"), b"web.0 | a\n");
        assert_eq!(lines.push(b"c\n\n"), b"web.0 | bc\nweb.0 | \n");
        assert_eq!(lines.push(b"end"), b"");
        assert_eq!(lines.end(), b"web.0 | end\n");
        assert_eq!(Lines::new("x").end(), b"");
    }
}
