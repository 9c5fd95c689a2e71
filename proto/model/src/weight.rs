//! How much a role's share counts beside the others': an exact number in thousandths, never zero.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::resources::{format_milli, parse_cpus};

/// A weight from 0.001 to 1,000,000 in steps of 0.001; 1 by default. Twice the weight is twice the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

/// What is wrong with a weight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a weight; give 0.001 to 1000000, such as 2 or 0.5 (1 is what a role without a weight has)")]
pub struct WeightError {
    /// What was given.
    pub text: String,
}

impl Weight {
    /// In thousandths.
    pub const MAX_MILLI: u32 = 1_000_000_000;

    /// A weight of so many thousandths.
    pub fn from_milli(milli: u32) -> Result<Self, WeightError> {
        match milli {
            1..=Self::MAX_MILLI => Ok(Self(milli)),
            _ => Err(WeightError { text: format_milli(milli.into()) }),
        }
    }

    /// In thousandths.
    pub fn milli(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1_000)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_milli(self.0.into()))
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, WeightError> {
        let wrong = || WeightError { text: format!("{:?}", text.chars().take(64).collect::<String>()) };
        // The grammar of CPUs without its unit: a decimal number with up to three places.
        let milli = parse_cpus(text).ok().filter(|_| !text.ends_with('m')).ok_or_else(wrong)?;
        let milli = u32::try_from(milli.0).map_err(|_| wrong())?;
        Self::from_milli(milli).map_err(|_| wrong())
    }
}

impl TryFrom<u32> for Weight {
    type Error = WeightError;

    fn try_from(milli: u32) -> Result<Self, WeightError> {
        Self::from_milli(milli)
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_exactly_and_wrong_ones_are_told_with_the_fix() {
        for (text, milli) in [("1", 1_000), ("0.5", 500), ("2", 2_000), ("0.001", 1), ("1000000", 1_000_000_000)] {
            let weight: Weight = text.parse().unwrap();
            assert_eq!((weight.milli(), weight.to_string().as_str()), (milli, text));
        }
        for text in ["0", "-1", "", "0.0001", "1000001", "500m", "heavy", "1e3", "99999999999999999999"] {
            let error = text.parse::<Weight>().expect_err(text).to_string();
            assert!(error.contains("0.001 to 1000000"), "{text:?}: {error}");
        }
    }
}
