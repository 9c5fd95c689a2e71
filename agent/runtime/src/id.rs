//! What a container id may look like, for every runtime alike.

use crate::RuntimeError;

/// An id is a path component and a cgroup name too: only plain ones.
pub(crate) fn check_id(id: &str) -> Result<(), RuntimeError> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let plain = !id.is_empty()
        && id.len() <= 76
        && id.chars().all(legal)
        && id.starts_with(|first: char| first.is_ascii_alphanumeric());
    match plain {
        true => Ok(()),
        false => Err(RuntimeError::invalid(
            format!("container id {id:?}"),
            "use 1 to 76 letters, digits, dots and dashes, beginning with a letter or digit",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_paths() {
        assert!(check_id("web.0_a-1").is_ok());
        for id in ["", "..", "a/b", "-a", &"a".repeat(77)] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }
}
