//! What a framework wants.

use std::collections::BTreeMap;

use proffer_proto_wire::scheduler as wire;

use super::caps::{check_demand_size, patterns_of};
use super::check::{self, Checked, Within};
use super::constraint::constraint_from;
use super::{Defect, WireError};
use crate::{Demand, DemandItem, Pattern, PatternError};

/// The regular expressions of the demand that was read last. Those that come again are not compiled again.
#[derive(Debug, Clone, Default)]
pub struct Patterns(BTreeMap<String, Pattern>);

impl Patterns {
    /// Expressions of a demand that would have to be compiled.
    pub fn missing(&self, demand: &wire::Demand) -> usize {
        patterns_of(demand).into_iter().filter(|text| !self.0.contains_key(*text)).count()
    }

    /// Reads a demand, compiling each expression at most once. Afterwards its expressions are known, and no others; those
    /// known before stay when it cannot be read.
    ///
    /// # Errors
    /// A field is wrong.
    pub fn read(&mut self, demand: wire::Demand) -> Result<Demand, WireError> {
        check_demand_size(&demand)?;
        let mut used = BTreeMap::new();
        let mut compile = |text: &str| match used.get(text).or_else(|| self.0.get(text)) {
            Some(known) => {
                let known = Pattern::clone(known);
                used.insert(text.to_owned(), known.clone());
                Ok(known)
            }
            None => {
                let new = Pattern::new(text)?;
                used.insert(text.to_owned(), new.clone());
                Ok(new)
            }
        };
        let wire::Demand { items } = demand;
        let each = items.into_iter().enumerate();
        let items = each.map(|(at, item)| item_from(item, &mut compile).within(&format!("items[{at}]")));
        let demand = Demand { items: items.collect::<Checked<_>>()? };
        self.0 = used;
        Ok(demand)
    }
}

impl TryFrom<wire::Demand> for Demand {
    type Error = WireError;

    fn try_from(demand: wire::Demand) -> Result<Self, WireError> {
        Patterns::default().read(demand)
    }
}

impl TryFrom<wire::DemandItem> for DemandItem {
    type Error = WireError;

    fn try_from(item: wire::DemandItem) -> Result<Self, WireError> {
        item_from(item, &mut Pattern::new)
    }
}

fn item_from(
    item: wire::DemandItem,
    compile: &mut impl FnMut(&str) -> Result<Pattern, PatternError>,
) -> Checked<DemandItem> {
    let wire::DemandItem { role, shape, count, constraints, priority, ports } = item;
    let shape = check::optional("shape", shape)?;
    if shape.is_some() && count == 0 {
        return check::fail("count", Defect::Zero);
    }
    let rules = constraints.into_iter().enumerate();
    let rules = rules.map(|(at, rule)| constraint_from(rule, compile).within(&format!("constraints[{at}]")));
    Ok(DemandItem {
        role: check::role_or_default("role", &role)?,
        shape,
        count: (count > 0).then_some(count),
        constraints: rules.collect::<Checked<_>>()?,
        priority,
        ports: u32::try_from(check::at_most("ports", ports.into(), u16::MAX.into())?).unwrap_or(0),
    })
}

impl From<Demand> for wire::Demand {
    fn from(Demand { items }: Demand) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}

impl From<DemandItem> for wire::DemandItem {
    fn from(DemandItem { role, shape, count, constraints, priority, ports }: DemandItem) -> Self {
        // The wire has no word for "a shape without bound": the largest count stands for it.
        let unbounded = if shape.is_some() { u32::MAX } else { 0 };
        Self {
            role: role.into(),
            shape: shape.map(Into::into),
            count: count.unwrap_or(unbounded),
            constraints: constraints.into_iter().map(Into::into).collect(),
            priority,
            ports,
        }
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_wire::common::{Constraint, constraint::Operator};

    use super::*;

    fn demand(patterns: &[&str]) -> wire::Demand {
        let rule = |value: &&str| Constraint {
            subject: "rack".to_owned(),
            operator: Operator::Matches.into(),
            value: (*value).to_owned(),
        };
        let item = wire::DemandItem { constraints: patterns.iter().map(rule).collect(), ..Default::default() };
        wire::Demand { items: vec![item.clone(), item] }
    }

    #[test]
    fn an_expression_that_comes_again_is_known_and_one_that_went_is_not() {
        let mut patterns = Patterns::default();
        assert_eq!(patterns.missing(&demand(&["a", "b", "a"])), 2);
        let first = patterns.read(demand(&["a", "b", "a"])).unwrap();
        assert_eq!(Demand::try_from(demand(&["a", "b", "a"])).unwrap(), first, "the same by itself");
        assert_eq!(patterns.missing(&demand(&["b", "c"])), 1);
        patterns.read(demand(&["b", "("])).unwrap_err();
        assert_eq!(patterns.missing(&demand(&["a", "b"])), 0, "a wrong demand changes nothing");
        patterns.read(demand(&["b"])).unwrap();
        assert_eq!(patterns.missing(&demand(&["a", "b"])), 1);
    }
}
