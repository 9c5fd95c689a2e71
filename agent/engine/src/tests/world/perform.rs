//! What the model's runtime and network do when an effect is carried out, or fails.

use std::collections::btree_map::Entry;

use proffer_proto_model::{Role, Volume};

use super::{Container, World};
use crate::volumes::mounted;
use crate::*;

impl World {
    /// Does one pending effect. Its outcome is told to the engine unless `loses_result`.
    pub fn perform(&mut self, index: usize, fails: Option<FailureKind>, loses_result: bool) -> bool {
        let effect = self.pending[index].clone();
        let failure = |kind| Failure { kind, message: "made to fail".to_owned() };
        let (key, result) = match (effect, fails) {
            (Effect::PrepareImage { key, .. }, None) => (key, StepResult::ImageReady),
            (Effect::PrepareImage { key, .. }, Some(kind)) => (key, StepResult::ImageFailed(failure(kind))),
            (Effect::AttachNetwork { key, container, .. }, None) => {
                self.networks.insert(container.clone());
                (key, StepResult::NetworkReady { netns: format!("/ns/{container}"), address: "10.0.0.2".to_owned() })
            }
            (Effect::AttachNetwork { key, .. }, Some(kind)) => (key, StepResult::NetworkFailed(failure(kind))),
            (Effect::CreateContainer { key, container, spec, .. }, None) => {
                for (role, id) in mounted(&spec, &Role::default_role()) {
                    let directory = self.directories.get_mut(&format!("{role}/{id}"));
                    *directory.expect("a volume is there before its task") += 1;
                }
                if let Entry::Vacant(free) = self.boxes.entry(container) {
                    free.insert(Container::Created);
                    (key, StepResult::Created { pid: 7 })
                } else {
                    (key, StepResult::CreateFailed(failure(FailureKind::AlreadyExists)))
                }
            }
            (Effect::CreateContainer { key, container, .. }, Some(kind)) => {
                // A failed creation leaves its record behind.
                self.boxes.insert(container, Container::Ended(ExitCause::Unknown));
                (key, StepResult::CreateFailed(failure(kind)))
            }
            (Effect::StartContainer { key, container }, None) => match self.boxes.get_mut(&container) {
                Some(state @ Container::Created) => {
                    *state = Container::Running;
                    *self.starts.entry(container).or_default() += 1;
                    (key, StepResult::Started)
                }
                Some(_) => (key, StepResult::Started),
                None => (key, StepResult::StartFailed(failure(FailureKind::NotFound))),
            },
            (Effect::StartContainer { key, .. }, Some(kind)) => (key, StepResult::StartFailed(failure(kind))),
            (Effect::WaitContainer { key, container }, None) => match self.boxes.get(&container) {
                Some(Container::Ended(cause)) => {
                    (key, StepResult::Exited(Exit { cause: *cause, peak_memory_bytes: Some(5 << 20) }))
                }
                Some(_) => return false,
                None => (key, StepResult::WaitFailed(failure(FailureKind::NotFound))),
            },
            (Effect::WaitContainer { key, .. }, Some(_)) => {
                (key, StepResult::WaitFailed(failure(FailureKind::Temporary)))
            }
            (Effect::DeleteContainer { key, container }, None) => {
                self.boxes.remove(&container);
                (key, StepResult::Deleted)
            }
            (Effect::DeleteContainer { key, .. }, Some(kind)) => (key, StepResult::DeleteFailed(failure(kind))),
            (Effect::DetachNetwork { key, container }, None) => {
                self.networks.remove(&container);
                (key, StepResult::Detached)
            }
            (Effect::DetachNetwork { key, .. }, Some(kind)) => (key, StepResult::DetachFailed(failure(kind))),
            (Effect::SignalContainer { container, signal, .. }, fails) => {
                self.pending.remove(index);
                self.signals.push((container.clone(), signal));
                if let (Signal::Kill, None, Some(state @ Container::Running)) =
                    (signal, fails, self.boxes.get_mut(&container))
                {
                    *state = Container::Ended(ExitCause::Signal(9));
                }
                return true;
            }
            (Effect::MakeVolume { volume } | Effect::RemoveVolume { volume }, Some(_)) => {
                self.pending.remove(index);
                self.finish_volume(volume.number, VolumeResult::Failed("made to fail".to_owned()), loses_result);
                return true;
            }
            (Effect::MakeVolume { volume }, None) => {
                self.pending.remove(index);
                self.directories.insert(name(&volume), 0);
                self.finish_volume(volume.number, VolumeResult::Made, loses_result);
                return true;
            }
            (Effect::RemoveVolume { volume }, None) => {
                self.pending.remove(index);
                let running = self.boxes.iter().filter(|(_, state)| **state == Container::Running);
                let users: Vec<_> = running.filter(|(id, _)| self.uses(id, &volume)).collect();
                assert!(users.is_empty(), "{volume:?} is removed under {users:?}");
                self.directories.remove(&name(&volume));
                self.finish_volume(volume.number, VolumeResult::Removed, loses_result);
                return true;
            }
            (Effect::RemoveLogs { .. }, _) => {
                self.pending.remove(index);
                return true;
            }
            (other, _) => panic!("{other:?} is not a pending effect"),
        };
        self.pending.remove(index);
        if !loses_result {
            self.input(Input::Step { key, result });
        }
        true
    }

    fn finish_volume(&mut self, number: u64, result: VolumeResult, loses_result: bool) {
        if !loses_result {
            self.input(Input::Volume { number, result });
        }
    }

    /// Does the container of this name mount the volume?
    fn uses(&self, container: &str, volume: &Volume) -> bool {
        let of = self.store.launches.values().find(|launch| container_id(&launch.key) == container);
        of.is_some_and(|launch| launch.spec.writes_to(&volume.role, &volume.id).is_some())
    }
}

fn name(volume: &Volume) -> String {
    format!("{}/{}", volume.role, volume.id)
}
