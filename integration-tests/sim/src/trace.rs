//! What happened, as a running hash over every step, and as text for the last of them.

use std::collections::VecDeque;
use std::fmt::Write;

use proffer_proto_model::Moment;

/// How many steps are kept as text.
const KEPT: usize = 400;

/// The record of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    steps: u64,
    last: VecDeque<String>,
    /// Steps that name this text are printed as they happen.
    pub watch: Option<String>,
}

impl Default for Trace {
    fn default() -> Self {
        // FNV-1a's offset basis.
        Self { hash: 0xcbf2_9ce4_8422_2325, steps: 0, last: VecDeque::new(), watch: None }
    }
}

impl Trace {
    /// Adds one step.
    pub fn step(&mut self, at: Moment, what: &dyn std::fmt::Debug) {
        let mut line = if self.last.len() == KEPT { self.last.pop_front() } else { None }.unwrap_or_default();
        line.clear();
        // Writing to a String cannot fail.
        let _ = write!(line, "{:>8} {what:?}", at.0);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.steps += 1;
        if self.watch.as_ref().is_some_and(|watched| line.contains(watched.as_str())) {
            println!("{line}");
        }
        self.last.push_back(line);
    }

    /// The hash over all steps.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Number of steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The last steps, one a line.
    pub fn tail(&self) -> String {
        self.last.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
