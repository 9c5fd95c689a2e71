//! The host's forwarding switch, and the bridge's note on who turned it on.
//!
//! Never turns off what somebody else turned on. The switch is machine-wide, so the duty to turn it off again is written
//! on the bridge itself (its alias), which lives exactly as long as the need for it: an agent that dies forgets nothing.
//! The duty goes to another agent's bridge while there is one, and lapses when any foreign bridge is there.

use std::fs;
use std::io;

use crate::contract::NetworkError;
use crate::links::Link;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
const PLAIN: &str = "proffer agent bridge";
const TURNS_OFF: &str = "proffer agent bridge, turns ip_forward off at the end";

/// What becomes of the switch when an agent leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Farewell<'a> {
    /// Leave it alone.
    Keep,
    /// Nobody is left who needs it.
    TurnOff,
    /// Another agent's bridge takes the duty.
    HandOver(&'a Link),
}

/// The note the bridge needs before the switch is turned on; `None` when it has it.
pub(crate) fn note(bridge: &Link, is_on: bool) -> Option<&'static str> {
    match (is_on, bridge.alias.as_deref()) {
        (_, Some(TURNS_OFF)) | (true, Some(PLAIN)) => None,
        (false, _) => Some(TURNS_OFF),
        (true, _) => Some(PLAIN),
    }
}

/// The note that hands the duty over.
pub(crate) fn duty() -> &'static str {
    TURNS_OFF
}

/// What to do with the switch when `bridge` goes and `links` stay.
pub(crate) fn farewell<'a>(bridge: &Link, links: &'a [Link]) -> Farewell<'a> {
    if bridge.alias.as_deref() != Some(TURNS_OFF) {
        return Farewell::Keep;
    }
    let mut others = links.iter().filter(|link| link.is_bridge && link.index != bridge.index);
    let is_ours = |link: &&Link| matches!(link.alias.as_deref(), Some(PLAIN | TURNS_OFF));
    match others.clone().find(is_ours) {
        Some(other) => Farewell::HandOver(other),
        None if others.next().is_some() => Farewell::Keep,
        None => Farewell::TurnOff,
    }
}

/// Whether the host forwards.
pub(crate) fn is_on() -> Result<bool, NetworkError> {
    let text = fs::read_to_string(SWITCH).map_err(|error| failure(SWITCH, &error))?;
    Ok(text.trim() != "0")
}

/// Turns forwarding on or off.
pub(crate) fn set(on: bool) -> Result<(), NetworkError> {
    write(SWITCH, if on { "1" } else { "0" })
}

/// Lets published ports be reached by 127.0.0.1 through this bridge.
pub(crate) fn route_loopback(bridge: &str) -> Result<(), NetworkError> {
    write(&format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"), "1")
}

fn write(path: &str, value: &str) -> Result<(), NetworkError> {
    fs::write(path, value).map_err(|error| failure(path, &error))
}

fn failure(path: &str, error: &io::Error) -> NetworkError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; run the agent as root with a writable /proc/sys"
        }
        _ => "",
    };
    NetworkError::new(format!("set {path}"), format!("{error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(index: u32, alias: Option<&str>) -> Link {
        Link { index, alias: alias.map(str::to_owned), is_bridge: true, ..Link::default() }
    }

    #[test]
    fn the_duty_is_noted_by_who_turns_it_on() {
        assert_eq!(note(&bridge(1, None), false), Some(TURNS_OFF));
        assert_eq!(note(&bridge(1, Some(PLAIN)), false), Some(TURNS_OFF));
        assert_eq!(note(&bridge(1, None), true), Some(PLAIN));
        assert_eq!(note(&bridge(1, Some(TURNS_OFF)), true), None);
        assert_eq!(note(&bridge(1, Some(PLAIN)), true), None);
    }

    #[test]
    fn the_last_one_turns_it_off() {
        let own = bridge(1, Some(TURNS_OFF));
        let (agent, foreign) = (bridge(2, Some(PLAIN)), bridge(3, None));
        assert_eq!(farewell(&own, std::slice::from_ref(&own)), Farewell::TurnOff);
        assert_eq!(farewell(&own, &[own.clone(), foreign.clone()]), Farewell::Keep);
        let all = [own.clone(), foreign, agent.clone()];
        assert_eq!(farewell(&own, &all), Farewell::HandOver(&agent));
        assert_eq!(farewell(&agent, &all), Farewell::Keep);
    }
}
