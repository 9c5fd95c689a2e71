//! Amounts on the command line, in the one text grammar.

use std::str::FromStr;
use std::time::Duration;

use proffer_proto_model::resources::{ParseError, parse_bytes, parse_cpus, parse_duration_ms, parse_ports};
use proffer_proto_model::{Attribute, AttributeValue, Bytes, MilliCpus, Resources};

use proffer_proto_model::nearest;

pub(super) fn cpus(text: &str) -> Result<MilliCpus, ParseError> {
    parse_cpus(text)
}

pub(super) fn bytes(text: &str) -> Result<Bytes, ParseError> {
    parse_bytes(text)
}

pub(super) fn duration(text: &str) -> Result<Duration, ParseError> {
    parse_duration_ms(text).map(Duration::from_millis)
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a variable; write NAME=value")),
    }
}

/// Resources as `cpus=4,memory=8GiB,ports=31000-32000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcesArg(pub Resources);

impl FromStr for ResourcesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut resources = Resources::default();
        for (kind, amount) in pairs(text)? {
            let told = |error: ParseError| format!("{kind}: {error}");
            match kind.as_str() {
                "cpus" => resources.cpus = parse_cpus(&amount).map_err(told)?,
                "memory" => resources.memory = parse_bytes(&amount).map_err(told)?,
                "disk" => resources.disk = parse_bytes(&amount).map_err(told)?,
                "ports" => resources.ports = parse_ports(&amount).map_err(told)?,
                "gpus" => {
                    let fix = |_| format!("gpus: {amount:?} is not a whole number; write gpus=1");
                    resources.gpus = amount.parse().map_err(fix)?;
                }
                other => return Err(unknown_kind(other)),
            }
        }
        Ok(Self(resources))
    }
}

fn unknown_kind(kind: &str) -> String {
    const KINDS: [&str; 5] = ["cpus", "memory", "disk", "gpus", "ports"];
    match nearest(kind, &KINDS) {
        Some(near) => format!("{kind:?} is not a kind of resource; did you mean {near:?}?"),
        None => format!("{kind:?} is not a kind of resource; the kinds are {}", KINDS.join(", ")),
    }
}

/// Pairs joined by commas; a part without `=` belongs to the one before, so that ports may have commas.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        if let Some((kind, amount)) = part.split_once('=') {
            if pairs.iter().any(|(known, _)| known == kind) {
                return Err(format!("{kind:?} is there twice; give it once"));
            }
            pairs.push((kind.to_owned(), amount.to_owned()));
        } else if let Some((_, amount)) = pairs.last_mut() {
            amount.push(',');
            amount.push_str(part);
        } else {
            return Err(format!("{part:?} has no \"=\"; write cpus=4,memory=8GiB,ports=31000-32000"));
        }
    }
    Ok(pairs)
}

/// An attribute as `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeArg(pub Attribute);

impl FromStr for AttributeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !name.starts_with('@') => {
                Ok(Self(Attribute { name: name.to_owned(), value: AttributeValue::Text(value.to_owned()) }))
            }
            _ => Err(format!("{text:?} is not an attribute; write e.g. zone=b")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_and_wrong_ones_are_told_with_the_fix() {
        let ResourcesArg(all) = "cpus=4,memory=8GiB,ports=80,31000-32000,gpus=1".parse().unwrap();
        assert_eq!(all.to_string(), "4 cpus, 8GiB memory, 1 gpus, ports 80,31000-32000");
        for (text, told) in [
            ("", "has no \"=\""),
            ("4", "has no \"=\""),
            ("cpus=x", "500m"),
            ("memory=8gb", "did you mean 8GiB?"),
            ("mem=8GiB", "did you mean \"memory\"?"),
            ("ports=70000", "65535"),
            ("gpus=half", "gpus=1"),
            ("cpus=1,cpus=2", "there twice"),
        ] {
            let error = text.parse::<ResourcesArg>().unwrap_err();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
