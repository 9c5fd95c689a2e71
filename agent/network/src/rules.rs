//! Text of packet filter rules, as `iptables-restore` reads and `iptables-save` prints it.
//!
//! Never runs anything; text in, text out.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::config::Subnet;
use crate::contract::{Protocol, PublishedPort};
use crate::names::Names;
use crate::saved::{Saved, Table, in_chain};

/// Where a built-in chain leads to one of ours.
struct Jump {
    table: Table,
    parent: &'static str,
    /// Command that adds it: our verdicts about forwarding must come before foreign refusals.
    add: &'static str,
    matches: &'static str,
    chain: String,
}

/// Rules all containers of one agent share.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    names: Names,
    subnet: Subnet,
}

impl Rules {
    pub(crate) fn new(names: Names, subnet: Subnet) -> Self {
        Self { names, subnet }
    }

    /// One transaction that makes the shared rules, given what `iptables-save` printed. Rules of containers stay.
    pub(crate) fn install(&self, saved: &Saved) -> String {
        let dnat = self.names.dnat_chain();
        let mut nat = String::new();
        if !saved.has_chain(Table::Nat, &dnat) {
            let _ = writeln!(nat, ":{dnat} - [0:0]");
        }
        self.fill(&mut nat, &self.names.masquerade_chain(), &self.masquerade_rules());
        let mut filter = String::new();
        self.fill(&mut filter, &self.names.forward_chain(), &self.forward_rules());
        self.fill(&mut filter, &self.names.input_chain(), &self.input_rules());
        for jump in self.jumps() {
            if saved.jumps_to(jump.table, &jump.chain).any(|line| in_chain(line, jump.parent)) {
                continue;
            }
            let lines = if jump.table == Table::Nat { &mut nat } else { &mut filter };
            let _ = writeln!(lines, "{} {}{} -j {}", jump.add, jump.parent, jump.matches, jump.chain);
        }
        transaction(&nat, &filter)
    }

    /// One transaction that replaces the rules of all containers.
    pub(crate) fn replace_containers<'a>(&self, lines: impl Iterator<Item = &'a String>) -> String {
        let dnat = self.names.dnat_chain();
        let mut nat = format!(":{dnat} - [0:0]\n-F {dnat}\n");
        for line in lines {
            let _ = writeln!(nat, "-A {line}");
        }
        transaction(&nat, "")
    }

    /// One transaction that takes rules away and adds others, both as `container_rules` or `Saved::containers` give them.
    pub(crate) fn change<'a>(
        remove: impl Iterator<Item = &'a String>,
        add: impl Iterator<Item = &'a String>,
    ) -> Option<String> {
        let mut nat = String::new();
        for line in remove {
            let _ = writeln!(nat, "-D {line}");
        }
        for line in add {
            let _ = writeln!(nat, "-A {line}");
        }
        (!nat.is_empty()).then(|| transaction(&nat, ""))
    }

    /// One transaction that leaves nothing of this agent, or `None` when there is nothing.
    pub(crate) fn uninstall(&self, saved: &Saved) -> Option<String> {
        let names = &self.names;
        let nat = saved.removal(Table::Nat, &[names.dnat_chain(), names.masquerade_chain()]);
        let filter = saved.removal(Table::Filter, &[names.forward_chain(), names.input_chain()]);
        (!nat.is_empty() || !filter.is_empty()).then(|| transaction(&nat, &filter))
    }

    /// Rules that lead a container's published ports to it, without the leading command.
    pub(crate) fn container_rules(
        &self,
        container_id: &str,
        address: Ipv4Addr,
        ports: &[PublishedPort],
    ) -> Vec<String> {
        let chain = self.names.dnat_chain();
        let comment = self.names.comment(container_id);
        ports
            .iter()
            .map(|port| {
                let protocol = protocol_name(port.protocol);
                let (from, to) = (port.host_port, port.container_port);
                format!(
                    "{chain} -p {protocol} -m {protocol} --dport {from} -m comment --comment {comment} \
                     -j DNAT --to-destination {address}:{to}"
                )
            })
            .collect()
    }

    fn fill(&self, lines: &mut String, chain: &str, rules: &[String]) {
        let _ = writeln!(lines, ":{chain} - [0:0]\n-F {chain}");
        for rule in rules {
            let _ = writeln!(lines, "-A {chain} {rule}");
        }
    }

    fn masquerade_rules(&self) -> [String; 3] {
        let (bridge, subnet) = (self.names.bridge(), self.subnet);
        [
            // 127.0.0.1 means the container itself to a container: it must see the bridge as the sender.
            format!("-s 127.0.0.0/8 -o {bridge} -j MASQUERADE"),
            // Answers between containers would go past the host, which has to translate them back.
            format!("-s {subnet} -d {subnet} -m conntrack --ctstate DNAT -j MASQUERADE"),
            format!("-s {subnet} ! -d {subnet} ! -o {bridge} -j MASQUERADE"),
        ]
    }

    fn forward_rules(&self) -> [String; 2] {
        let bridge = self.names.bridge();
        [
            format!("-i {bridge} -j ACCEPT"),
            format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"),
        ]
    }

    fn input_rules(&self) -> [String; 1] {
        // The bridge accepts loopback addresses for published ports; no container may use that to reach local services.
        let bridge = self.names.bridge();
        [format!("-i {bridge} -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP")]
    }

    fn jumps(&self) -> [Jump; 5] {
        const LOCAL: &str = " -m addrtype --dst-type LOCAL";
        let names = &self.names;
        let jump = |table, parent, add, matches, chain| Jump { table, parent, add, matches, chain };
        [
            jump(Table::Nat, "PREROUTING", "-A", LOCAL, names.dnat_chain()),
            jump(Table::Nat, "OUTPUT", "-A", LOCAL, names.dnat_chain()),
            jump(Table::Nat, "POSTROUTING", "-A", "", names.masquerade_chain()),
            jump(Table::Filter, "FORWARD", "-I", "", names.forward_chain()),
            jump(Table::Filter, "INPUT", "-I", "", names.input_chain()),
        ]
    }
}

fn transaction(nat: &str, filter: &str) -> String {
    let mut text = String::new();
    for (table, lines) in [("nat", nat), ("filter", filter)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "*{table}\n{lines}COMMIT");
        }
    }
    text
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
