//! What each agent of a dev cluster offers: an equal part of this machine, so that they never promise it twice.
//! Pure: the machine is counted elsewhere.

use proffer_proto_model::{Bytes, MilliCpus, Resources};

/// Parts of memory and disk are whole MiB; odd bytes would only make lists hard to read.
const MIB: u64 = 1 << 20;

/// One agent's part of `machine` among `agents`; what was `given` holds for each agent as it is.
pub fn share(machine: &Resources, given: Option<&Resources>, agents: u32) -> Resources {
    let given = given.cloned().unwrap_or_default();
    let agents = u64::from(agents.max(1));
    let part = |given: Bytes, all: Bytes| if given.0 > 0 { given } else { Bytes(all.0 / agents / MIB * MIB) };
    Resources {
        cpus: if given.cpus.0 > 0 { given.cpus } else { MilliCpus(machine.cpus.0 / agents) },
        memory: part(given.memory, machine.memory),
        disk: part(given.disk, machine.disk),
        gpus: given.gpus,
        ..Resources::default()
    }
}

/// As `--resources` of an agent takes it, with the agent's ports.
pub fn flag(share: &Resources, ports: &str) -> String {
    let Resources { cpus, memory, disk, gpus, .. } = share;
    let mut text = format!("cpus={cpus},memory={},disk={},ports={ports}", memory.0, disk.0);
    if *gpus > 0 {
        text.push_str(&format!(",gpus={gpus}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Resources {
        Resources { cpus: MilliCpus(8_000), memory: Bytes(16 << 30), disk: Bytes(100 << 30), ..Resources::default() }
    }

    #[test]
    fn all_agents_together_never_offer_more_than_the_machine() {
        for agents in 1..=32_u32 {
            let one = share(&machine(), None, agents);
            assert!(one.cpus.0 * u64::from(agents) <= 8_000 && one.cpus.0 > 0);
            assert!(one.memory.0 * u64::from(agents) <= 16 << 30 && one.memory.0 > 0);
            assert!(one.disk.0 * u64::from(agents) <= 100 << 30 && one.disk.0 > 0);
        }
        assert_eq!(share(&machine(), None, 1), machine());
    }

    #[test]
    fn what_is_given_is_not_divided() {
        let given = Resources { cpus: MilliCpus(6_000), gpus: 1, ..Resources::default() };
        let one = share(&machine(), Some(&given), 4);
        assert_eq!((one.cpus.0, one.memory.0, one.gpus), (6_000, 4 << 30, 1));
        let flag = flag(&one, "31000-31999");
        assert_eq!(flag, "cpus=6,memory=4294967296,disk=26843545600,ports=31000-31999,gpus=1");
        assert!(flag.parse::<crate::args::ResourcesArg>().is_ok());
    }
}
