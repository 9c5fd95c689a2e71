//! Constraints.

use proffer_proto_wire::common as wire;
use wire::constraint::Operator as WireOperator;

use super::{Defect, MAX_NAME_BYTES, WireError, check};
use crate::{Constraint, ConstraintOperator};

const OPERATORS: &str = "EXISTS, NOT_EXISTS, EQUALS, NOT_EQUALS";

impl TryFrom<wire::Constraint> for Constraint {
    type Error = WireError;

    fn try_from(constraint: wire::Constraint) -> Result<Self, WireError> {
        let wire::Constraint { subject, operator, value } = constraint;
        let subject = check::required_name("subject", subject)?;
        let known = check::choice("operator", operator, OPERATORS, |known| match known {
            WireOperator::Unspecified => None,
            other => Some(other),
        })?;
        let operator = match known {
            WireOperator::Exists => ConstraintOperator::Exists,
            WireOperator::NotExists => ConstraintOperator::NotExists,
            WireOperator::Equals => ConstraintOperator::Equals,
            WireOperator::NotEquals => ConstraintOperator::NotEquals,
            WireOperator::Matches | WireOperator::NotMatches => {
                return check::fail("operator", Defect::NotImplemented { what: "matching by regular expression" });
            }
            WireOperator::Unspecified => return check::fail("operator", Defect::Missing),
        };
        let needs_no_value = matches!(operator, ConstraintOperator::Exists | ConstraintOperator::NotExists);
        if needs_no_value && !value.is_empty() {
            return check::fail("value", Defect::MustBeEmpty { why: "EXISTS and NOT_EXISTS compare with nothing" });
        }
        Ok(Self { subject, operator, value: check::text("value", value, MAX_NAME_BYTES)? })
    }
}

impl From<Constraint> for wire::Constraint {
    fn from(Constraint { subject, operator, value }: Constraint) -> Self {
        let operator = match operator {
            ConstraintOperator::Exists => WireOperator::Exists,
            ConstraintOperator::NotExists => WireOperator::NotExists,
            ConstraintOperator::Equals => WireOperator::Equals,
            ConstraintOperator::NotEquals => WireOperator::NotEquals,
        };
        Self { subject, operator: operator.into(), value }
    }
}
