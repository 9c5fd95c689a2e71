//! Where each part of a dev cluster lives: ports, subnets, names, directories. Pure.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Everything that follows from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Directory of all state, absolute.
    pub data_dir: PathBuf,
    /// Short text of the directory that keeps names on this machine apart from those of another cluster.
    pub tag: String,
    /// `127.0.0.1:port` of each master; at least one.
    pub masters: Vec<String>,
    /// Of the service framework.
    pub service: String,
    /// Of the batch framework.
    pub batch: String,
    /// One for each agent.
    pub agents: Vec<AgentPlan>,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPlan {
    /// `agent-1`, `agent-2`, …
    pub name: String,
    /// `127.0.0.1:port` of its API.
    pub listen: String,
    /// Namespace in containerd, unique on this machine.
    pub namespace: String,
    /// Tag of its bridge, at most eight characters.
    pub bridge: String,
    /// `a.b.c.0/24` of its bridge.
    pub subnet: String,
    /// `begin-end` of the host ports it offers.
    pub host_ports: String,
}

/// A command line that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not between 1 and 32.
    #[error("--agents {0} is out of range; give 1 to 32")]
    Agents(u32),
    /// Not between 1 and 5.
    #[error("--masters {0} is out of range; give 1 to 5")]
    Masters(u32),
    /// The ports of all parts do not fit below 65536.
    #[error("--port {0} is too high; the parts need {1} ports from there on")]
    Port(u16, u32),
    /// The host ports of all agents do not fit below 65536.
    #[error("--host-ports {0} is too high; {1} agents need {2} ports from there on")]
    HostPorts(u16, u32, u32),
    /// Not a /16.
    #[error("--subnet {0:?} is not a /16 such as 10.88.0.0/16")]
    Subnet(String),
}

/// Ports between the first port of one agent and that of the next.
const PORT_STEP: u32 = 10;
/// Ports of the other masters are from here on, behind the first one's.
const MASTERS_STEP: u32 = 4;
/// Host ports of one agent.
const HOST_PORTS: u32 = 1_000;

impl Plan {
    /// Plans a cluster of `agents` agents and `masters` masters from the first port, first host port and /16 given.
    pub fn new(
        data_dir: &Path,
        (masters, agents): (u32, u32),
        port: u16,
        host_ports: u16,
        subnet: &str,
    ) -> Result<Self, PlanError> {
        if !(1..=5).contains(&masters) {
            return Err(PlanError::Masters(masters));
        }
        if !(1..=32).contains(&agents) {
            return Err(PlanError::Agents(agents));
        }
        let needed = MASTERS_STEP + PORT_STEP * agents;
        if u32::from(port) + needed > 65_535 {
            return Err(PlanError::Port(port, needed));
        }
        // Small test clusters get fewer host ports, so that several fit on one machine.
        let width = if u32::from(host_ports) + HOST_PORTS * agents <= 65_535 { HOST_PORTS } else { 100 };
        if u32::from(host_ports) + width * agents > 65_535 {
            return Err(PlanError::HostPorts(host_ports, agents, width * agents));
        }
        let [a, b] = slash_16(subnet).ok_or_else(|| PlanError::Subnet(subnet.to_owned()))?;
        let tag = tag(data_dir);
        let agent = |index: u32| {
            let first = u32::from(host_ports) + width * index;
            AgentPlan {
                name: format!("agent-{}", index + 1),
                listen: format!("127.0.0.1:{}", u32::from(port) + 1 + PORT_STEP * index),
                namespace: format!("proffer-{tag}-{}", index + 1),
                bridge: format!("{tag}{}", index + 1),
                subnet: format!("{a}.{b}.{}.0/24", index),
                host_ports: format!("{first}-{}", first + width - 1),
            }
        };
        let master = |index: u32| match index {
            0 => format!("127.0.0.1:{port}"),
            _ => format!("127.0.0.1:{}", u32::from(port) + MASTERS_STEP + index - 1),
        };
        Ok(Self {
            data_dir: data_dir.to_owned(),
            tag: tag.clone(),
            masters: (0..masters).map(master).collect(),
            service: format!("127.0.0.1:{}", port + 2),
            batch: format!("127.0.0.1:{}", port + 3),
            agents: (0..agents).map(agent).collect(),
        })
    }
}

/// The first two bytes of a /16.
fn slash_16(text: &str) -> Option<[u8; 2]> {
    let address: Ipv4Addr = text.strip_suffix("/16")?.parse().ok()?;
    let [a, b, c, d] = address.octets();
    (c == 0 && d == 0).then_some([a, b])
}

/// Five characters that differ between directories (FNV-1a).
fn tag(data_dir: &Path) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in data_dir.to_string_lossy().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{:05x}", hash & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_share_nothing() {
        let plan = Plan::new(Path::new("/tmp/x"), (3, 3), 5050, 31000, "10.88.0.0/16").unwrap();
        assert_eq!(plan.agents.len(), 3);
        assert_eq!(plan.masters, ["127.0.0.1:5050", "127.0.0.1:5054", "127.0.0.1:5055"]);
        let mut all: Vec<_> = plan.masters.iter().chain([&plan.service, &plan.batch]).collect();
        all.extend(plan.agents.iter().map(|agent| &agent.listen));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(plan.agents[0].listen, "127.0.0.1:5051");
        assert_eq!(plan.agents[2].subnet, "10.88.2.0/24");
        assert_eq!(plan.agents[1].host_ports, "32000-32999");
        for (i, a) in plan.agents.iter().enumerate() {
            for b in &plan.agents[i + 1..] {
                assert!(a.namespace != b.namespace && a.bridge != b.bridge && a.listen != b.listen);
            }
            assert!(a.bridge.len() <= 8);
        }
        let other = Plan::new(Path::new("/tmp/y"), (1, 1), 5050, 31000, "10.88.0.0/16").unwrap();
        assert_ne!(plan.agents[0].namespace, other.agents[0].namespace);
    }

    #[test]
    fn bad_command_lines_are_refused_with_the_fix() {
        let plan = |agents, port, host, subnet| {
            Plan::new(Path::new("/x"), (1, agents), port, host, subnet).unwrap_err().to_string()
        };
        assert!(plan(0, 5050, 31000, "10.88.0.0/16").contains("1 to 32"));
        assert!(plan(33, 5050, 31000, "10.88.0.0/16").contains("1 to 32"));
        assert!(plan(1, 65530, 31000, "10.88.0.0/16").contains("too high"));
        assert!(plan(9, 5050, 65000, "10.88.0.0/16").contains("too high"));
        let masters = |count| Plan::new(Path::new("/x"), (count, 1), 5050, 31000, "10.88.0.0/16");
        assert!([0, 6].map(masters).into_iter().all(|plan| plan.unwrap_err().to_string().contains("1 to 5")));
        for subnet in ["10.88.0.0/24", "10.88.1.0/16", "x/16", "10.88.0.0", ""] {
            assert!(plan(1, 5050, 31000, subnet).contains("/16"), "{subnet}");
        }
    }
}
