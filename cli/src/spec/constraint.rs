//! Rules for agents as people write them: `zone == b`, `@hostname != x`, `rack =~ r[0-9]+`, `exists gpu`, `not exists gpu`.

use proffer_proto_model::{Constraint, ConstraintOperator, Pattern};

const FIX: &str = "write \"@zone == b\", \"disk != hdd\", \"rack =~ r[0-9]+\", \"rack !~ r1.*\", \"exists gpu\" or \"not exists gpu\"";

/// Reads one rule; the error says what would be right.
pub(super) fn parse_constraint(text: &str) -> Result<Constraint, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let rule = |subject: &str, operator, value: &str| {
        let subject = subject.to_owned();
        Ok(Constraint { subject, operator, value: value.to_owned() })
    };
    match words.as_slice() {
        ["exists", subject] => return rule(subject, ConstraintOperator::Exists, ""),
        ["not", "exists", subject] => return rule(subject, ConstraintOperator::NotExists, ""),
        _ => {}
    }
    // The first sign counts: a pattern may hold others.
    let sign = ["==", "!=", "=~", "!~"].into_iter().filter_map(|sign| Some((text.find(sign)?, sign))).min();
    if let Some((at, sign)) = sign {
        let (subject, value) = (text[..at].trim(), text[at + sign.len()..].trim());
        if subject.is_empty() || value.is_empty() || subject.contains(char::is_whitespace) {
            return Err(format!("is {text:?}, which lacks a side; {FIX}"));
        }
        let pattern = || Pattern::new(value).map_err(|error| format!("is {text:?}: {value:?} {error}"));
        return match sign {
            "==" => rule(subject, ConstraintOperator::Equals, value),
            "!=" => rule(subject, ConstraintOperator::NotEquals, value),
            "=~" => rule(subject, ConstraintOperator::Matches(pattern()?), ""),
            _ => rule(subject, ConstraintOperator::NotMatches(pattern()?), ""),
        };
    }
    if let Some((subject, value)) = text.split_once('=') {
        return Err(format!("is {text:?}; did you mean \"{} == {}\"?", subject.trim(), value.trim()));
    }
    Err(format!("is {text:?}; {FIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_wrong_ones_are_told_with_the_fix() {
        for (text, subject, value) in [("zone == b", "zone", "b"), ("@hostname!=x", "@hostname", "x")] {
            let rule = parse_constraint(text).unwrap();
            assert_eq!((rule.subject.as_str(), rule.value.as_str()), (subject, value));
        }
        for text in ["zone =~ a==b|c", "@zone !~ x", "zone == b", "zone != a=~b", "exists gpu", "not exists gpu"] {
            assert_eq!(parse_constraint(text).unwrap().to_string(), text);
        }
        assert_eq!(parse_constraint("exists gpu").unwrap().operator, ConstraintOperator::Exists);
        assert_eq!(parse_constraint("not exists gpu").unwrap().operator, ConstraintOperator::NotExists);
        for (text, told) in [
            ("zone = b", "\"zone == b\""),
            ("zone ==", "lacks a side"),
            ("a b == c", "lacks a side"),
            ("zone =~", "lacks a side"),
            ("zone =~ (", "unclosed group"),
            ("zone", "exists gpu"),
            ("", "exists gpu"),
        ] {
            let error = parse_constraint(text).unwrap_err();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
