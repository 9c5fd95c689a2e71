//! Names that others choose, as label values: only so many different ones, the rest is `other`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Names that get series of their own.
const MOST: usize = 50;
/// Longest name that gets series of its own, in bytes.
const LONGEST: usize = 128;

/// The names that came first. They keep their series as long as the master runs.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<BTreeSet<String>>);

impl Names {
    /// The name as a label value.
    pub(super) fn label(&self, name: &str) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() >= MOST || name.len() > LONGEST {
            return "other".to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_kept_and_the_rest_is_other() {
        let names = Names::default();
        for number in 0..MOST {
            assert_eq!(names.label(&format!("f{number}")), format!("f{number}"));
        }
        assert_eq!(names.label("late"), "other");
        assert_eq!(names.label("f0"), "f0");
        assert_eq!(Names::default().label(&"x".repeat(LONGEST + 1)), "other");
    }
}
