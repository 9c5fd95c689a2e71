//! Real servers and real parts for end-to-end tests: containerd, registry, wait-for helpers.
