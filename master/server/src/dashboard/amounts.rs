//! Resources as rows and columns: sums per kind over agents, and shapes cut into aligned columns.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_engine::view::{AgentState, AgentView};
use proffer_proto_model::{Limit, Quota, Resources};

use super::widgets::Bar;
use super::words;

/// What can be counted, in the order it is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Cpus,
    Memory,
    Disk,
    Gpus,
    Ports,
    Scalar(String),
    Set(String),
}

impl Kind {
    fn label(&self) -> String {
        match self {
            Self::Cpus => "CPU".to_owned(),
            Self::Memory => "Memory".to_owned(),
            Self::Disk => "Disk".to_owned(),
            Self::Gpus => "GPU".to_owned(),
            Self::Ports => "Ports".to_owned(),
            Self::Scalar(name) | Self::Set(name) => name.clone(),
        }
    }

    fn show(&self, amount: u128) -> String {
        match self {
            Self::Cpus | Self::Scalar(_) => words::milli(amount),
            Self::Memory | Self::Disk => words::bytes(amount),
            Self::Gpus | Self::Ports | Self::Set(_) => amount.to_string(),
        }
    }
}

/// Sums per kind. Ports and sets are counted for each agent: the same port of two agents is two ports.
#[derive(Debug, Default)]
struct Amounts(BTreeMap<Kind, u128>);

impl Amounts {
    fn add(&mut self, more: &Resources) {
        let Resources { cpus, memory, disk, gpus, ports, scalars, sets } = more;
        self.count(Kind::Cpus, cpus.0.into());
        self.count(Kind::Memory, memory.0.into());
        self.count(Kind::Disk, disk.0.into());
        self.count(Kind::Gpus, (*gpus).into());
        self.count(Kind::Ports, ports.count().into());
        for (name, milli) in scalars {
            self.count(Kind::Scalar(name.clone()), (*milli).into());
        }
        for (name, items) in sets {
            self.count(Kind::Set(name.clone()), items.len() as u128);
        }
    }

    fn count(&mut self, kind: Kind, more: u128) {
        if more > 0 {
            *self.0.entry(kind).or_default() += more;
        }
    }

    fn get(&self, kind: &Kind) -> u128 {
        self.0.get(kind).copied().unwrap_or(0)
    }
}

/// One kind of resource: how much of it is used, offered and free.
#[derive(Debug)]
pub(super) struct Usage {
    /// Its name.
    pub label: String,
    /// What tasks hold.
    pub used: String,
    /// What is out in offers.
    pub offered: String,
    /// What neither holds.
    pub free: String,
    /// All there is.
    pub total: String,
    /// The same as a picture.
    pub bar: Bar,
}

/// One kind of a quota: what is held of it, promised and allowed.
#[derive(Debug)]
pub(super) struct QuotaUse {
    /// Its name.
    pub label: String,
    /// `1.5 of at most 4, 2 promised`
    pub text: String,
    /// What is held of what is allowed, or of what is promised when nothing limits it.
    pub bar: Bar,
}

/// A row for each kind that the quota names.
pub(super) fn quota(quota: &Quota, allocated: &Resources, away: &Resources, offered: &Resources) -> Vec<QuotaUse> {
    let (mut promised, mut used, mut out) = (Amounts::default(), Amounts::default(), Amounts::default());
    let mut unreachable = Amounts::default();
    unreachable.add(away);
    promised.add(&quota.guarantee);
    used.add(allocated);
    out.add(offered);
    let most = limits(&quota.limit);
    let kinds: BTreeSet<&Kind> = promised.0.keys().chain(most.keys()).collect();
    let row = |kind: &Kind| {
        let (used, out, promised, most) = (used.get(kind), out.get(kind), promised.get(kind), most.get(kind));
        let mut text = kind.show(used);
        if let Some(most) = most {
            text += &format!(" of at most {}", kind.show(*most));
        }
        let unreachable = unreachable.get(kind);
        if unreachable > 0 && most.is_some() {
            text += &format!(", and {} on unreachable agents", kind.show(unreachable));
        }
        if promised > 0 {
            text += &format!(", {} promised", kind.show(promised));
        }
        let whole = most.copied().unwrap_or(promised);
        QuotaUse {
            label: kind.label(),
            text,
            bar: Bar::new(&kind.label(), whole, used + most.map_or(0, |_| unreachable), out),
        }
    };
    kinds.into_iter().map(row).collect()
}

fn limits(limit: &Limit) -> BTreeMap<Kind, u128> {
    let Limit { cpus, memory, disk, gpus, scalars } = limit;
    let fixed = [
        (Kind::Cpus, cpus.map(|most| u128::from(most.0))),
        (Kind::Memory, memory.map(|most| u128::from(most.0))),
        (Kind::Disk, disk.map(|most| u128::from(most.0))),
        (Kind::Gpus, gpus.map(u128::from)),
    ];
    let further = scalars.iter().map(|(name, most)| (Kind::Scalar(name.clone()), u128::from(*most)));
    fixed.into_iter().filter_map(|(kind, most)| Some((kind, most?))).chain(further).collect()
}

/// A row for each kind that the attached ones of these agents have.
pub(super) fn usage<'a>(agents: impl Iterator<Item = &'a AgentView>) -> Vec<Usage> {
    let (mut total, mut used, mut offered) = (Amounts::default(), Amounts::default(), Amounts::default());
    for agent in agents.filter(|agent| agent.state == AgentState::Attached) {
        total.add(&agent.info.resources);
        used.add(&agent.allocated);
        offered.add(&agent.offered);
    }
    total.0.iter().map(|(kind, all)| row(kind, *all, used.get(kind), offered.get(kind))).collect()
}

fn row(kind: &Kind, total: u128, used: u128, offered: u128) -> Usage {
    Usage {
        label: kind.label(),
        used: kind.show(used),
        offered: kind.show(offered),
        free: kind.show(total.saturating_sub(used).saturating_sub(offered)),
        total: kind.show(total),
        bar: Bar::new(&kind.label(), total, used, offered),
    }
}

/// An amount in columns.
#[derive(Debug)]
pub(super) struct Shape {
    /// CPU.
    pub cpus: String,
    /// Memory.
    pub memory: String,
    /// All further kinds in one text; empty when there are none.
    pub other: String,
}

impl Shape {
    /// Cuts an amount into columns; what is not there is a dash.
    pub(super) fn of(resources: &Resources) -> Self {
        let dash = |amount: u64, text: String| if amount == 0 { "–".to_owned() } else { text };
        let (cpus, memory) = (resources.cpus.0, resources.memory.0);
        let rest = Resources { cpus: Default::default(), memory: Default::default(), ..resources.clone() };
        Self {
            cpus: dash(cpus, words::milli(cpus.into())),
            memory: dash(memory, words::bytes(memory.into())),
            other: further(&rest),
        }
    }
}

/// CPU and memory in one short text; a dash when there is neither.
pub(super) fn brief(resources: &Resources) -> String {
    match Shape::of(resources) {
        _ if resources.cpus.0 == 0 && resources.memory.0 == 0 => "–".to_owned(),
        shape => format!("{} CPU, {}", shape.cpus, shape.memory),
    }
}

/// The kinds beside CPU and memory, short: many port ranges become their number.
fn further(rest: &Resources) -> String {
    const MOST_RANGES: usize = 3;
    if rest.is_empty() {
        return String::new();
    }
    if rest.ports.ranges().len() <= MOST_RANGES {
        return rest.to_string();
    }
    let ports = format!("{} ports", rest.ports.count());
    let others = Resources { ports: Default::default(), ..rest.clone() };
    if others.is_empty() { ports } else { format!("{others}, {ports}") }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, MilliCpus};

    use super::*;

    #[test]
    fn a_shape_has_columns_and_dashes() {
        let shape = Shape::of(&Resources::new(MilliCpus(1_500), Bytes::mib(64)));
        assert_eq!((shape.cpus.as_str(), shape.memory.as_str(), shape.other.as_str()), ("1.5", "64 MiB", ""));
        let shape = Shape::of(&Resources { gpus: 2, ..Resources::default() });
        assert_eq!((shape.cpus.as_str(), shape.memory.as_str(), shape.other.as_str()), ("–", "–", "2 gpus"));
    }

    #[test]
    fn what_is_free_is_neither_used_nor_offered_and_never_negative() {
        let row = super::row(&Kind::Cpus, 8_000, 2_000, 1_500);
        assert_eq!((row.free.as_str(), row.total.as_str()), ("4.5", "8"));
        assert_eq!(super::row(&Kind::Memory, 1, 2, 3).free, "0 B");
    }
}
