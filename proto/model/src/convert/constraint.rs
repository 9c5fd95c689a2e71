//! Constraints.

use proffer_proto_wire::common as wire;
use wire::constraint::Operator as WireOperator;

use super::check::{self, Checked};
use super::{Defect, MAX_NAME_BYTES, WireError};
use crate::{Constraint, ConstraintOperator, Pattern, PatternError};

const OPERATORS: &str = "EXISTS, NOT_EXISTS, EQUALS, NOT_EQUALS, MATCHES, NOT_MATCHES";

impl TryFrom<wire::Constraint> for Constraint {
    type Error = WireError;

    fn try_from(constraint: wire::Constraint) -> Result<Self, WireError> {
        constraint_from(constraint, &mut Pattern::new)
    }
}

/// A constraint whose pattern, if it has one, is made by `compile`.
pub(super) fn constraint_from(
    constraint: wire::Constraint,
    compile: &mut impl FnMut(&str) -> Result<Pattern, PatternError>,
) -> Checked<Constraint> {
    let wire::Constraint { subject, operator, value } = constraint;
    let subject = check::required_name("subject", subject)?;
    let known = check::choice("operator", operator, OPERATORS, |known| match known {
        WireOperator::Unspecified => None,
        other => Some(other),
    })?;
    let value = check::text("value", value, MAX_NAME_BYTES)?;
    let mut pattern = || compile(&value).map_err(|error| WireError::new("value", Defect::BadPattern(error)));
    let operator = match known {
        WireOperator::Exists => ConstraintOperator::Exists,
        WireOperator::NotExists => ConstraintOperator::NotExists,
        WireOperator::Equals => ConstraintOperator::Equals,
        WireOperator::NotEquals => ConstraintOperator::NotEquals,
        WireOperator::Matches => ConstraintOperator::Matches(pattern()?),
        WireOperator::NotMatches => ConstraintOperator::NotMatches(pattern()?),
        WireOperator::Unspecified => return check::fail("operator", Defect::Missing),
    };
    let value = match operator {
        ConstraintOperator::Exists | ConstraintOperator::NotExists if !value.is_empty() => {
            return check::fail("value", Defect::MustBeEmpty { why: "EXISTS and NOT_EXISTS compare with nothing" });
        }
        ConstraintOperator::Matches(_) | ConstraintOperator::NotMatches(_) => String::new(),
        _ => value,
    };
    Ok(Constraint { subject, operator, value })
}

impl From<Constraint> for wire::Constraint {
    fn from(Constraint { subject, operator, value }: Constraint) -> Self {
        let (operator, value) = match operator {
            ConstraintOperator::Exists => (WireOperator::Exists, value),
            ConstraintOperator::NotExists => (WireOperator::NotExists, value),
            ConstraintOperator::Equals => (WireOperator::Equals, value),
            ConstraintOperator::NotEquals => (WireOperator::NotEquals, value),
            ConstraintOperator::Matches(pattern) => (WireOperator::Matches, pattern.into()),
            ConstraintOperator::NotMatches(pattern) => (WireOperator::NotMatches, pattern.into()),
        };
        Self { subject, operator: operator.into(), value }
    }
}
