//! Defects of an attach request that can be seen without asking the system.
//!
//! Never changes anything.

use std::collections::BTreeMap;

use super::Wired;
use crate::contract::{AttachRequest, NetworkError, Protocol, PublishedPort};

/// Longest container id: rule comments hold 256 letters, with room for our own.
const ID_MAX: usize = 200;

/// The request's ports in order, when the request is right by itself and no other container has them.
pub(super) fn check(
    request: &AttachRequest,
    containers: &BTreeMap<String, Wired>,
) -> Result<Vec<PublishedPort>, NetworkError> {
    let failed = |cause: String| NetworkError::new(format!("attach container {}", request.container_id), cause);
    check_id(&request.container_id)?;
    let mut ports = request.ports.clone();
    ports.sort();
    if ports.iter().any(|port| port.host_port == 0 || port.container_port == 0) {
        return Err(failed("a published port is 0: use 1 to 65535".to_owned()));
    }
    let host_side = |port: &PublishedPort| (port.host_port, port.protocol);
    let mut sides: Vec<_> = ports.iter().map(host_side).collect();
    sides.sort();
    if let Some(twice) = sides.windows(2).find(|pair| pair[0] == pair[1]) {
        let (port, protocol) = twice[0];
        let name = protocol_name(protocol);
        return Err(failed(format!("host port {port}/{name} is asked for twice: ask once")));
    }
    let others = containers.iter().filter(|(id, _)| **id != request.container_id);
    for (id, wired) in others {
        if let Some(taken) = wired.ports.iter().find(|port| sides.contains(&host_side(port))) {
            let (port, name) = (taken.host_port, protocol_name(taken.protocol));
            return Err(failed(format!("host port {port}/{name} belongs to container {id}: detach it first")));
        }
    }
    Ok(ports)
}

/// Checks that an id can stand in a rule's comment.
pub(super) fn check_id(container_id: &str) -> Result<(), NetworkError> {
    let right = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if container_id.is_empty() || container_id.len() > ID_MAX || !container_id.chars().all(right) {
        return Err(NetworkError::new(
            format!("use container id `{}`", container_id.escape_debug()),
            format!("it must be 1 to {ID_MAX} of the letters a-z, A-Z, 0-9, dot, underscore and hyphen"),
        ));
    }
    Ok(())
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
