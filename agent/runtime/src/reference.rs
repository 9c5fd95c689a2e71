//! Image references in one spelling, the one Docker users expect. Never asks a registry.

use oci_client::Reference;

use crate::RuntimeError;

/// The full form of an image reference: `busybox` is `docker.io/library/busybox:latest`.
///
/// # Errors
/// `Invalid` when the text is no image reference.
pub fn normalize_reference(text: &str) -> Result<String, RuntimeError> {
    parse_reference(text).map(|reference| reference.whole())
}

/// The parsed form of [`normalize_reference`].
pub(crate) fn parse_reference(text: &str) -> Result<Reference, RuntimeError> {
    text.trim().parse::<Reference>().map_err(|error| {
        RuntimeError::invalid(
            format!("image reference {text:?}"),
            format!("{error}; write it as [registry/]name[:tag][@sha256:digest]"),
        )
    })
}

/// True when this registry is on the machine itself, where nobody runs TLS.
pub(crate) fn is_loopback_registry(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.split(':').next().unwrap_or(registry),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_get_dockers_defaults() {
        let full = |text| normalize_reference(text).unwrap();
        assert_eq!(full("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(full("busybox:1.36"), "docker.io/library/busybox:1.36");
        assert_eq!(full("team/web"), "docker.io/team/web:latest");
        assert_eq!(full("127.0.0.1:5055/web:1"), "127.0.0.1:5055/web:1");
        assert_eq!(full("localhost:5000/web"), "localhost:5000/web:latest");
        assert_eq!(full("localhost/web"), "localhost/web:latest");
        assert_eq!(full(&full("busybox")), full("busybox"));
    }

    #[test]
    fn nonsense_is_refused_with_the_right_form() {
        let error = normalize_reference("Not A Reference").unwrap_err();
        assert_eq!(error.kind, crate::RuntimeErrorKind::Invalid);
        assert!(error.to_string().contains("name[:tag]"), "{error}");
    }

    #[test]
    fn loopback_registries_are_known_by_address() {
        assert!(is_loopback_registry("127.0.0.1:5055"));
        assert!(is_loopback_registry("localhost"));
        assert!(is_loopback_registry("[::1]:5000"));
        assert!(!is_loopback_registry("10.0.0.1:5000"));
        assert!(!is_loopback_registry("localhost.example.com"));
    }
}
