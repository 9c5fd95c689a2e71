//! Persistent volumes on this agent: made and removed on the master's word, stored before anything is done and before the
//! master is told, taken up again after any crash.
//!
//! Data is removed only when the master said so, and never while a task may still write to it.

use std::collections::BTreeMap;

use proffer_proto_model::task::MountSource;
use proffer_proto_model::{
    HeldState, HeldVolume, Moment, Now, Role, TaskKey, TaskSpec, Volume, VolumeId, VolumeReport,
};

use crate::{Effect, Engine, Operation, ToMaster, VolumeResult};

/// A volume that could not be made so often in a row is given up, and the master told why.
const MAX_FAILURES: u32 = 5;

/// A volume, and what is being done about it.
#[derive(Debug)]
pub(crate) struct KeptVolume {
    pub held: HeldVolume,
    pub work: Work,
    /// How often in a row it could not be made.
    failures: u32,
}

/// What is being done about a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    Idle,
    /// An effect was let go.
    Busy,
    /// It failed and is tried again then.
    RetryAt(Moment),
}

impl Work {
    /// It is time for the next try.
    fn is_due(self, now: Now) -> bool {
        matches!(self, Self::RetryAt(at) if at <= now.mono)
    }
}

impl KeptVolume {
    pub fn new(held: HeldVolume) -> Self {
        Self { held, work: Work::Idle, failures: 0 }
    }

    fn has_name(&self, role: &Role, id: &VolumeId) -> bool {
        self.held.volume.id == *id && self.held.volume.role == *role
    }

    fn may_begin(&self, now: Now, is_awaited: impl FnOnce() -> bool) -> bool {
        match self.work {
            Work::Idle => true,
            Work::Busy => false,
            // A failure fails all who wait: whoever waits now came after it, and is owed a try and its outcome.
            Work::RetryAt(_) => self.work.is_due(now) || is_awaited(),
        }
    }
}

/// The volumes a task mounts. The master said of which role each is; a mount without one counts as the task's own role.
pub(crate) fn mounted<'a>(spec: &'a TaskSpec, own: &'a Role) -> impl Iterator<Item = (&'a Role, &'a VolumeId)> {
    spec.container.mounts.iter().filter_map(move |mount| match &mount.source {
        MountSource::Volume { id, role, .. } => Some((role.as_ref().unwrap_or(own), id)),
        MountSource::Host { .. } | MountSource::Tmpfs { .. } => None,
    })
}

impl Engine {
    /// All volumes, as an attaching agent tells them.
    pub(crate) fn held_volumes(&self) -> Vec<HeldVolume> {
        self.volumes.values().map(|kept| kept.held.clone()).collect()
    }

    /// The master wants a volume. The same order again changes nothing.
    pub(crate) fn create_volume(&mut self, volume: Volume) {
        match self.volumes.get(&volume.number).map(|kept| kept.held.state) {
            Some(HeldState::Ready) => self.report_state(volume.number, true),
            Some(HeldState::Making | HeldState::Removing) => {}
            None => self.put_volume(HeldVolume { volume, state: HeldState::Making }),
        }
    }

    /// The master wants a volume to be gone. The same order again changes nothing.
    pub(crate) fn destroy_volume(&mut self, number: u64) {
        let Some(kept) = self.volumes.get(&number) else { return self.report_state(number, false) };
        if kept.held.state != HeldState::Removing {
            let held = HeldVolume { state: HeldState::Removing, ..kept.held.clone() };
            self.put_volume(held);
        }
    }

    /// What was done about a volume has an outcome.
    pub(crate) fn finish_volume(&mut self, now: Now, number: u64, result: VolumeResult) {
        let Some(kept) = self.volumes.get_mut(&number) else { return };
        kept.work = Work::Idle;
        match (kept.held.state, result) {
            (HeldState::Making, VolumeResult::Made) => {
                let held = HeldVolume { state: HeldState::Ready, ..kept.held.clone() };
                self.put_volume(held);
                self.report_state(number, true);
            }
            (HeldState::Removing, VolumeResult::Removed) => {
                self.volumes.remove(&number);
                self.out.store(Operation::DropVolume { number });
                self.report_state(number, false);
            }
            (HeldState::Making, VolumeResult::Failed(message)) if kept.failures + 1 >= MAX_FAILURES => {
                let Volume { id, role, .. } = kept.held.volume.clone();
                self.fail_waiting(now, &role, &id, &message);
                // Nobody has written to it: giving it up loses nothing, and the master can say so.
                self.volumes.remove(&number);
                self.out.store(Operation::DropVolume { number });
                self.report_volume(VolumeReport { number, is_ready: false, message, is_tried_again: false });
            }
            (HeldState::Making, VolumeResult::Failed(message)) => {
                kept.failures += 1;
                kept.work = Work::RetryAt(now.mono + self.config.timing.retry_max_ms);
                let Volume { id, role, .. } = kept.held.volume.clone();
                self.fail_waiting(now, &role, &id, &message);
                self.report_volume(VolumeReport { number, is_ready: false, message, is_tried_again: true });
            }
            (HeldState::Removing, VolumeResult::Failed(message)) => {
                kept.work = Work::RetryAt(now.mono + self.config.timing.retry_max_ms);
                self.report_volume(VolumeReport { number, is_ready: false, message, is_tried_again: true });
            }
            // An outcome of what is not wanted any more.
            _ => {}
        }
    }

    /// Begins what can be begun: volumes are made, those that nobody uses are removed, tasks that waited go on.
    pub(crate) fn settle_volumes(&mut self, now: Now) {
        if self.volumes.is_empty() {
            return;
        }
        for kept in self.volumes.values_mut().filter(|kept| kept.work.is_due(now)) {
            // What is in the way when it is time again ends with an input of its own: no timer waits for it.
            kept.work = Work::Idle;
        }
        let startable: Vec<u64> = self.volumes.keys().copied().filter(|number| self.may_begin(now, *number)).collect();
        for number in startable {
            let Some(kept) = self.volumes.get_mut(&number) else { continue };
            kept.work = Work::Busy;
            let volume = kept.held.volume.clone();
            self.out.send(match kept.held.state {
                HeldState::Removing => Effect::RemoveVolume { volume },
                HeldState::Making | HeldState::Ready => Effect::MakeVolume { volume },
            });
        }
        while let Some(key) = self.next_with_volumes() {
            self.with_task(now, &key, |task, cx| task.volumes_are_ready(cx));
        }
    }

    /// When a failed step of a volume is tried again.
    pub(crate) fn volume_deadline(&self) -> Option<Moment> {
        let due = self.volumes.values().filter_map(|kept| match kept.work {
            Work::RetryAt(at) => Some(at),
            Work::Idle | Work::Busy => None,
        });
        due.min()
    }

    /// Which of a task's volumes the agent does not have, in words; `None` when it has all.
    pub(crate) fn missing_volume(&self, spec: &TaskSpec, own: &Role) -> Option<String> {
        let (role, id) = mounted(spec, own).find(|(role, id)| self.living_volume(role, id).is_none())?;
        Some(format!("volume {id} of role {role} is not on this agent; launch the task where its volume is"))
    }

    /// The agent's own check that a volume has one writer or any number of readers, whatever the master believes.
    pub(crate) fn volume_in_use(&self, spec: &TaskSpec, own: &Role) -> Option<String> {
        let living = self.tasks.values().filter(|task| !task.is_terminal());
        living.filter_map(|task| task.launch.as_ref()).find_map(|launch| {
            let mut shared =
                mounted(spec, own).filter(|volume| mounted(&launch.spec, &launch.role).any(|v| v == *volume));
            let (role, id) = shared.find(|(role, id)| {
                spec.writes_to(role, id) != Some(false) || launch.spec.writes_to(role, id) != Some(false)
            })?;
            Some(format!("volume {id} of role {role} is in use by task {}, which has not ended here", launch.key))
        })
    }

    /// Says again which volumes are there: what changed while no master listened.
    pub(crate) fn report_volumes(&mut self) {
        let ready = self.volumes.values().filter(|kept| kept.held.state == HeldState::Ready);
        let numbers: Vec<u64> = ready.map(|kept| kept.held.volume.number).collect();
        numbers.into_iter().for_each(|number| self.report_state(number, true));
    }

    fn put_volume(&mut self, held: HeldVolume) {
        self.out.store(Operation::PutVolume(Box::new(held.clone())));
        match self.volumes.get_mut(&held.volume.number) {
            // What is under way is waited for; what only waits for its next try is not.
            Some(kept) => {
                if let Work::RetryAt(_) = kept.work {
                    kept.work = Work::Idle;
                }
                kept.held = held;
            }
            None => drop(self.volumes.insert(held.volume.number, KeptVolume::new(held))),
        }
    }

    fn report_state(&mut self, number: u64, is_ready: bool) {
        self.report_volume(VolumeReport { number, is_ready, message: String::new(), is_tried_again: false });
    }

    fn report_volume(&mut self, report: VolumeReport) {
        let Some(session) = self.link.attached() else { return };
        let message = ToMaster::Volumes(vec![report]);
        self.out.send(Effect::ToMaster { session, message });
    }

    fn may_begin(&self, now: Now, number: u64) -> bool {
        let Some(kept) = self.volumes.get(&number) else { return false };
        let Volume { role, id, .. } = &kept.held.volume;
        if !kept.may_begin(now, || !self.waiting_for(role, id).is_empty()) {
            return false;
        }
        match kept.held.state {
            HeldState::Ready => false,
            // One that is made anew waits until nothing is left of the old one of its name.
            HeldState::Making => {
                let is_older = |(other, kept): (&u64, &KeptVolume)| *other < number && kept.has_name(role, id);
                !self.volumes.iter().any(is_older)
            }
            HeldState::Removing => !self.is_mounted(role, id),
        }
    }

    fn is_mounted(&self, role: &Role, id: &VolumeId) -> bool {
        let holders = self.tasks.values().filter(|task| task.may_hold_volumes());
        let mut launches = holders.filter_map(|task| task.launch.as_ref());
        launches.any(|launch| mounted(&launch.spec, &launch.role).any(|(of, used)| of == role && used == id))
    }

    fn living_volume(&self, role: &Role, id: &VolumeId) -> Option<&KeptVolume> {
        self.volumes.values().find(|kept| kept.held.state != HeldState::Removing && kept.has_name(role, id))
    }

    fn next_with_volumes(&self) -> Option<TaskKey> {
        let ready: BTreeMap<(&Role, &VolumeId), ()> = self
            .volumes
            .values()
            .filter(|kept| kept.held.state == HeldState::Ready)
            .map(|kept| ((&kept.held.volume.role, &kept.held.volume.id), ()))
            .collect();
        let mut waiting = self.tasks.values().filter(|task| task.waits_for_volumes());
        let has_all = |task: &&crate::task::Task| {
            task.launch.as_ref().is_none_or(|launch| {
                mounted(&launch.spec, &launch.role).all(|(role, id)| ready.contains_key(&(role, id)))
            })
        };
        waiting.find(has_all).map(|task| task.key().clone())
    }

    /// The tasks that wait for a volume.
    fn waiting_for(&self, role: &Role, id: &VolumeId) -> Vec<TaskKey> {
        let waits = |task: &&crate::task::Task| {
            let uses =
                |launch: &crate::Launch| mounted(&launch.spec, &launch.role).any(|(of, used)| of == role && used == id);
            task.waits_for_volumes() && task.launch.as_ref().is_some_and(uses)
        };
        self.tasks.values().filter(waits).map(|task| task.key().clone()).collect()
    }

    fn fail_waiting(&mut self, now: Now, role: &Role, id: &VolumeId, message: &str) {
        for key in self.waiting_for(role, id) {
            let message = format!("volume {id} could not be made: {message}");
            self.with_task(now, &key, |task, cx| task.volume_failed(message, cx));
        }
    }
}
