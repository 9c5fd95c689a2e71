//! Names that others choose, as label values: only so many different ones at a time, the rest is `other`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Labels;

/// Names that have series of their own at a time.
const MOST: usize = 50;
/// Longest name that gets series of its own, in bytes.
const LONGEST: usize = 128;
/// What all others are counted under.
const OTHER: &str = "other";

/// The names that came first. Each keeps its series as long as there is somebody of that name, and after that until another
/// needs its place.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<BTreeMap<String, Owner>>,
    /// Counters by these names.
    counters: Vec<Named>,
}

/// Who has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Here,
    Gone,
}

impl Names {
    /// Names under which these count.
    pub(super) fn of(counters: Vec<Named>) -> Self {
        Self { known: Mutex::default(), counters }
    }

    /// The name of somebody who is there, as a label value.
    pub(super) fn label(&self, name: &str) -> String {
        let mut known = lock(&self.known);
        if known.contains_key(name) {
            return name.to_owned();
        }
        if name.len() > LONGEST || (known.len() >= MOST && !self.make_room(&mut known)) {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned(), Owner::Here);
        name.to_owned()
    }

    /// The name of somebody who may be gone: it gets no series that it did not have.
    pub(super) fn known(&self, name: &str) -> String {
        if lock(&self.known).contains_key(name) { name.to_owned() } else { OTHER.to_owned() }
    }

    /// One of the two.
    pub(super) fn known_or_new(&self, name: &str, is_here: bool) -> String {
        if is_here { self.label(name) } else { self.known(name) }
    }

    /// Somebody of that name is there, again perhaps.
    pub(super) fn is_here(&self, name: &str) {
        self.set(name, Owner::Here);
    }

    /// Nobody has that name any more.
    pub(super) fn is_gone(&self, name: &str) {
        self.set(name, Owner::Gone);
    }

    fn set(&self, name: &str, owner: Owner) {
        if let Some(known) = lock(&self.known).get_mut(name) {
            *known = owner;
        }
    }

    fn make_room(&self, known: &mut BTreeMap<String, Owner>) -> bool {
        let gone = known.iter().find(|(_, owner)| **owner == Owner::Gone).map(|(name, _)| name.clone());
        let Some(name) = gone else { return false };
        self.counters.iter().for_each(|counter| counter.forget(&name));
        known.remove(&name).is_some()
    }
}

/// A counter with a name as the value of its first label. What was counted under a name can be forgotten.
#[derive(Debug, Clone)]
pub(super) struct Named {
    family: Family<Labels, Counter>,
    series: Arc<Mutex<BTreeMap<String, BTreeSet<Labels>>>>,
}

impl From<Family<Labels, Counter>> for Named {
    fn from(family: Family<Labels, Counter>) -> Self {
        Self { family, series: Arc::default() }
    }
}

impl Named {
    /// Counts one more.
    pub(super) fn inc(&self, labels: &Labels) {
        self.add(labels, 1);
    }

    /// Counts so many more; with none it is there to be asked for.
    pub(super) fn add(&self, labels: &Labels, count: u64) {
        self.family.get_or_create(labels).inc_by(count);
        let Some((_, name)) = labels.first() else { return };
        let mut series = lock(&self.series);
        match series.get_mut(name) {
            Some(known) if known.contains(labels) => {}
            Some(known) => drop(known.insert(labels.clone())),
            None => drop(series.insert(name.clone(), BTreeSet::from([labels.clone()]))),
        }
    }

    fn forget(&self, name: &str) {
        for labels in lock(&self.series).remove(name).unwrap_or_default() {
            self.family.remove(&labels);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

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

    #[test]
    fn a_name_that_is_gone_gives_its_place_to_another_and_its_series_with_it() {
        let family = Family::default();
        let mut registry = Registry::default();
        registry.register("offers", "Offers", family.clone());
        let counter = Named::from(family);
        let names = Names::of(vec![counter.clone()]);
        let count = |name: String| {
            counter.inc(&vec![("framework", name.clone()), ("outcome", "accepted".to_owned())]);
            counter.inc(&vec![("framework", name), ("outcome", "declined".to_owned())]);
        };
        (0..MOST).for_each(|number| count(names.label(&format!("f{number}"))));
        let shown = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        names.is_gone("f7");
        names.is_gone("f8");
        names.is_here("f8");
        assert!(shown().contains("framework=\"f7\""), "what was counted stays while there is room");
        count(names.label("late"));
        let text = shown();
        assert!(
            !text.contains("framework=\"f7\"") && text.contains("framework=\"late\",outcome=\"declined\"} 1"),
            "{text}"
        );
        assert!(text.contains("framework=\"f8\""), "{text}");
        assert_eq!(
            (names.label("later"), names.known("late"), names.known("f7")),
            ("other".into(), "late".into(), "other".into())
        );
        assert_eq!(text.lines().filter(|line| line.contains("framework=")).count(), 2 * MOST);
    }
}
