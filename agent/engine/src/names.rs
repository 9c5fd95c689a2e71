//! Names of containers: short, unique per task, and the same after any restart.

use proffer_proto_model::TaskKey;

/// Label that holds the framework of a container.
pub const LABEL_FRAMEWORK: &str = "proffer.framework";
/// Label that holds the task of a container.
pub const LABEL_TASK: &str = "proffer.task";
/// Longest container id in bytes: what every runtime takes.
pub const MAX_CONTAINER_ID: usize = 76;

const HASH_DIGITS: usize = 16;

/// The id of a task's container: `pf-<framework>-<task>`.
///
/// Where that is too long, not a name containerd takes, or could be another task's too, it is cut, cleaned
/// and ends in a hash of the whole key.
pub fn container_id(key: &TaskKey) -> String {
    let plain = format!("pf-{}-{}", key.framework, key.task);
    let clean = cleaned(&plain);
    if plain == clean && plain.len() <= MAX_CONTAINER_ID && is_master_given(key.framework.as_str()) {
        return plain;
    }
    let head: String = clean.chars().take(MAX_CONTAINER_ID - HASH_DIGITS - 1).collect();
    format!("{}-{:016x}", head.trim_end_matches(is_separator), hash(&key.to_string()))
}

/// Ids that masters give (`F1-2`) hold exactly one `-`, so no two of them make the same plain container id.
fn is_master_given(framework: &str) -> bool {
    let Some((epoch, number)) = framework.strip_prefix('F').and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    [epoch, number].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// containerd's identifiers: words of letters and digits with exactly one separator between them.
fn cleaned(id: &str) -> String {
    let mut clean = String::with_capacity(id.len());
    for c in id.chars() {
        if !(is_separator(c) && clean.ends_with(is_separator)) {
            clean.push(c);
        }
    }
    clean.trim_matches(is_separator).to_owned()
}

fn is_separator(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

/// FNV-1a, 64 bit: stable over versions and machines.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proffer_proto_model::{FrameworkId, TaskId};

    use super::*;

    fn id(framework: &str, task: &str) -> String {
        container_id(&TaskKey { framework: FrameworkId::new(framework).unwrap(), task: TaskId::new(task).unwrap() })
    }

    #[test]
    fn short_names_can_be_read() {
        assert_eq!(id("F1-2", "web.3"), "pf-F1-2-web.3");
    }

    #[test]
    fn names_never_clash_and_are_always_taken_by_containerd() {
        let long = "x".repeat(255);
        let ids: Vec<String> = [
            ("F1-2", "a"),
            ("F1", "2-a"),
            ("F1-2-a", "a"),
            ("F1-2", "a-a"),
            ("F1-2", "a--a"),
            ("F1-2", "a-"),
            ("F1-2", "-a"),
            ("F1-2", "___"),
            ("F1-2", long.as_str()),
            (long.as_str(), "a"),
            (long.as_str(), "b"),
        ]
        .into_iter()
        .map(|(framework, task)| id(framework, task))
        .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        for id in &ids {
            assert!(id.len() <= MAX_CONTAINER_ID, "{id} is too long");
            assert_eq!(cleaned(id), *id, "{id} is not a containerd name");
        }
    }
}
