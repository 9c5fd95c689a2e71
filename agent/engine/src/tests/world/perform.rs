//! What the model's runtime and network do when an effect is carried out, or fails.

use std::collections::btree_map::Entry;

use super::{Container, World};
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
            (Effect::CreateContainer { key, container, .. }, None) => {
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
}
