//! Gauges of what is kept for roles: volumes and reservations. Counted at each look, as all of [`super::now`].

use std::collections::BTreeMap;
use std::fmt;

use proffer_master_engine::view::AgentState;
use proffer_proto_model::{Resources, VolumeState};
use prometheus_client::encoding::DescriptorEncoder;

use super::now::{Now, Rows, by, write};

impl Now {
    /// Volumes of all known agents by state, and what is reserved for each role on attached agents.
    pub(super) fn kept(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let states = ["creating", "ready", "destroying", "lost"].map(|state| (state, 0.0));
        let (mut volumes, mut bytes) = (by("state", states), by("state", states));
        let mut reserved: BTreeMap<String, Resources> = BTreeMap::new();
        for agent in self.readers.agents() {
            for volume in &agent.volumes {
                let label = vec![("state", state_word(volume.state).to_owned())];
                *bytes.entry(label.clone()).or_default() += volume.size.0 as f64;
                *volumes.entry(label).or_default() += 1.0;
            }
            for part in agent.reserved.iter().filter(|_| agent.state == AgentState::Attached) {
                let sum = reserved
                    .entry(self.roles.known_or_new(part.role.as_str(), self.readers.role(&part.role).is_some()))
                    .or_default();
                *sum = sum.saturating_sum(&Resources { ports: Default::default(), ..part.resources.clone() });
            }
        }
        write(to, "proffer_master_volumes", "Volumes by state", volumes)?;
        write(to, "proffer_master_volume_bytes", "Sizes of volumes by state", bytes)?;
        let per_role = |amount: fn(&Resources) -> f64| -> Rows {
            reserved.iter().map(|(role, sum)| (vec![("role", role.clone())], amount(sum))).collect()
        };
        let cpus = per_role(|sum| sum.cpus.0 as f64 / 1_000.0);
        write(to, "proffer_master_role_reserved_cpus", "CPUs reserved for the role", cpus)?;
        let memory = per_role(|sum| sum.memory.0 as f64);
        write(to, "proffer_master_role_reserved_memory_bytes", "Memory reserved for the role", memory)?;
        let disk = per_role(|sum| sum.disk.0 as f64);
        write(to, "proffer_master_role_reserved_disk_bytes", "Disk reserved for the role, volumes included", disk)?;
        let gpus = per_role(|sum| f64::from(sum.gpus));
        write(to, "proffer_master_role_reserved_gpus", "GPUs reserved for the role", gpus)
    }
}

fn state_word(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Creating => "creating",
        VolumeState::Ready => "ready",
        VolumeState::Destroying => "destroying",
        VolumeState::Lost => "lost",
    }
}
