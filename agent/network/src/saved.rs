//! What `iptables-save` prints, as far as an agent has a part in it.
//!
//! Never runs anything; text in, answers out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::names::Names;

/// What `iptables-save` printed.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    lines: Vec<(Table, String)>,
}

impl Saved {
    /// Reads the print; tables an agent has nothing in are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut table = None;
        let mut lines = Vec::new();
        for line in text.lines() {
            match line {
                "*nat" => table = Some(Table::Nat),
                "*filter" => table = Some(Table::Filter),
                _ if line.starts_with('*') => table = None,
                _ => lines.extend(table.map(|table| (table, line.to_owned()))),
            }
        }
        Self { lines }
    }

    /// Rules of containers by container id, without the leading command.
    pub(crate) fn containers(&self, names: &Names) -> BTreeMap<String, Vec<String>> {
        let (chain, prefix) = (names.dnat_chain(), names.comment_prefix());
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in self.table(Table::Nat).filter(|line| in_chain(line, &chain)) {
            let mut words = line.split_whitespace().skip_while(|word| *word != "--comment").skip(1);
            let comment = words.next().map(|word| word.trim_matches('"'));
            let id = comment.and_then(|comment| comment.strip_prefix(prefix.as_str()));
            if let (Some(id), Some(rule)) = (id, line.strip_prefix("-A ")) {
                found.entry(id.to_owned()).or_default().push(rule.to_owned());
            }
        }
        found
    }

    /// Lines of one table.
    fn table(&self, wanted: Table) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().filter(move |(table, _)| *table == wanted);
        lines.map(|(_, line)| line.as_str())
    }

    /// Whether the chain is there.
    pub(crate) fn has_chain(&self, table: Table, chain: &str) -> bool {
        self.table(table).any(|line| line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) == Some(chain))
    }

    /// Rules that lead to the chain.
    pub(crate) fn jumps_to(&self, table: Table, chain: &str) -> impl Iterator<Item = &str> {
        let target = format!(" -j {chain}");
        self.table(table).filter(move |line| line.starts_with("-A ") && line.ends_with(target.as_str()))
    }

    /// Lines that remove the chains and all that leads to them, as far as they are there.
    pub(crate) fn removal(&self, table: Table, chains: &[String]) -> String {
        let mut lines = String::new();
        let present: Vec<_> = chains.iter().filter(|chain| self.has_chain(table, chain)).collect();
        for chain in &present {
            for jump in self.jumps_to(table, chain) {
                let _ = writeln!(lines, "{}", jump.replacen("-A ", "-D ", 1));
            }
        }
        for chain in present {
            let _ = writeln!(lines, "-F {chain}\n-X {chain}");
        }
        lines
    }
}

/// Tables an agent has chains in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Nat,
    Filter,
}

/// Whether a printed line is a rule of the chain.
pub(crate) fn in_chain(line: &str, chain: &str) -> bool {
    let rest = line.strip_prefix("-A ").and_then(|rest| rest.strip_prefix(chain));
    rest.is_some_and(|rest| rest.starts_with(' '))
}
