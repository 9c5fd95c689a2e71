//! The volumes of one agent as its record keeps them: found, added, counted, and kept on a reservation of their role.

use std::collections::BTreeMap;

use proffer_proto_model::{Bytes, Pool, PoolId, Resources, Role, Volume, VolumeId, VolumeState};

use crate::registry::{AgentRecord, Awaited, VolumeRecord};

impl AgentRecord {
    /// The volumes that hold disk, by number.
    pub(crate) fn kept_volumes(&self) -> impl DoubleEndedIterator<Item = &VolumeRecord> {
        self.volumes.iter().filter(|record| record.state.is_kept())
    }

    /// A volume that was not destroyed.
    pub(crate) fn volume(&self, role: &Role, id: &VolumeId) -> Option<&VolumeRecord> {
        self.kept_volumes().find(|record| record.volume.id == *id && record.volume.role == *role)
    }

    /// The volume of that name that a task of the role means: its own role's, else that of the nearest role above.
    pub(crate) fn volume_for(&self, role: &Role, id: &VolumeId) -> Option<&VolumeRecord> {
        let of_name = self.kept_volumes().filter(|record| record.volume.id == *id && record.volume.role.holds(role));
        of_name.max_by_key(|record| record.volume.role.depth())
    }

    /// Records a new volume on a pool.
    pub(crate) fn add_volume(
        &mut self,
        pool: PoolId,
        role: &Role,
        id: &VolumeId,
        size: Bytes,
        by: Option<Awaited>,
    ) -> Volume {
        self.last_volume += 1;
        let volume = Volume { number: self.last_volume, id: id.clone(), role: role.clone(), size };
        let state = VolumeState::Creating;
        self.volumes.push(VolumeRecord { volume: volume.clone(), pool, state, message: String::new(), awaited: by });
        volume
    }

    /// What the volumes of one pool hold.
    pub(crate) fn held_by_volumes_of(&self, pool: PoolId) -> Resources {
        sum(self.kept_volumes().filter(|record| record.pool == pool))
    }

    /// What tasks may be given of the whole agent: all but what volumes hold.
    pub(crate) fn room(&self) -> Resources {
        self.info.resources.saturating_minus(&sum(self.kept_volumes()))
    }

    /// What tasks may be given of a pool. An agent that has less disk than its volumes need keeps its pools whole, so
    /// that more is reserved than there is and nothing of it is offered.
    pub(crate) fn room_of(&self, pool: &Pool) -> Resources {
        if !self.info.resources.contains(&sum(self.kept_volumes())) {
            return pool.resources.clone();
        }
        pool.resources.saturating_minus(&self.held_by_volumes_of(pool.id))
    }

    /// Volumes whose pool the agent's flags no longer name, or made too small, get a reservation of their own: they are
    /// never without one, and never gone because somebody changed a flag.
    pub(crate) fn keep_volumes_covered(&mut self) {
        let homes: BTreeMap<PoolId, Role> =
            self.kept_volumes().map(|record| (record.pool, record.volume.role.clone())).collect();
        for (home, role) in homes {
            let needed = self.held_by_volumes_of(home);
            if self.pool(home).is_some_and(|pool| pool.resources.contains(&needed)) {
                continue;
            }
            let new_home = self.grow_pool(&role, None, &BTreeMap::new(), "", &needed);
            for record in self.volumes.iter_mut().filter(|record| record.pool == home && record.state.is_kept()) {
                record.pool = new_home;
            }
        }
    }
}

/// So much disk.
pub(crate) fn disk(size: Bytes) -> Resources {
    Resources { disk: size, ..Resources::default() }
}

fn sum<'a>(records: impl Iterator<Item = &'a VolumeRecord>) -> Resources {
    disk(Bytes(records.fold(0, |sum: u64, record| sum.saturating_add(record.volume.size.0))))
}
