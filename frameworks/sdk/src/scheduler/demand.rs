//! What a framework wants, as an author writes it.

use proffer_proto_model as model;
use proffer_proto_model::{Constraint, ConstraintOperator, Resources, Role, TaskSpec};

/// What a framework wants now: shapes, how many of each, and where. An empty demand brings no offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    role: Option<Role>,
    shape: Option<Resources>,
    count: Option<u32>,
    constraints: Vec<Constraint>,
    priority: i32,
    ports: u32,
}

impl Demand {
    /// Nothing: no offers.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whatever is free, without bound: plain Mesos behaviour.
    pub fn anything() -> Self {
        Self::item(None, None, 0)
    }

    /// `count` times what this task needs, its ports included. A count of 0 is [`Demand::none`].
    pub fn of(task: &TaskSpec, count: u32) -> Self {
        let open_ports = task.container.ports.iter().filter(|p| p.host_port == 0).count();
        Self::counted(task.resources.clone(), count, u32::try_from(open_ports).unwrap_or(u32::MAX))
    }

    /// `count` times these resources. A count of 0 is [`Demand::none`].
    pub fn of_resources(shape: Resources, count: u32) -> Self {
        Self::counted(shape, count, 0)
    }

    fn counted(shape: Resources, count: u32, ports: u32) -> Self {
        if count == 0 { Self::none() } else { Self::item(Some(shape), Some(count), ports) }
    }

    fn item(shape: Option<Resources>, count: Option<u32>, ports: u32) -> Self {
        Self { items: vec![Item { role: None, shape, count, constraints: Vec::new(), priority: 0, ports }] }
    }

    /// Both demands.
    #[must_use]
    pub fn and(mut self, other: Demand) -> Self {
        self.items.extend(other.items);
        self
    }

    /// For this role instead of the framework's first one.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.items.iter_mut().for_each(|item| item.role = Some(role.clone()));
        self
    }

    /// Only on agents that meet this rule, beside the rules given before.
    #[must_use]
    pub fn constraint(mut self, constraint: Constraint) -> Self {
        self.items.iter_mut().for_each(|item| item.constraints.push(constraint.clone()));
        self
    }

    /// Only on agents whose attribute (or `@hostname`, `@region`, `@zone`) has this value.
    #[must_use]
    pub fn only_where(self, subject: impl Into<String>, value: impl Into<String>) -> Self {
        let operator = ConstraintOperator::Equals;
        self.constraint(Constraint { subject: subject.into(), operator, value: value.into() })
    }

    /// Higher is served first within the framework; 0 is normal.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.items.iter_mut().for_each(|item| item.priority = priority);
        self
    }

    /// Nothing is wanted.
    pub fn is_none(&self) -> bool {
        self.items.is_empty()
    }

    /// The same in the words of the protocol; `first` is the role of items that name none.
    pub(crate) fn to_model(&self, first: &Role) -> model::Demand {
        let item = |item: &Item| model::DemandItem {
            role: item.role.clone().unwrap_or_else(|| first.clone()),
            shape: item.shape.clone(),
            count: item.count,
            constraints: item.constraints.clone(),
            priority: item.priority,
            ports: item.ports,
        };
        model::Demand { items: self.items.iter().map(item).collect() }
    }
}

impl FromIterator<Demand> for Demand {
    fn from_iter<I: IntoIterator<Item = Demand>>(demands: I) -> Self {
        demands.into_iter().fold(Demand::none(), Demand::and)
    }
}
