//! Keys and bytes of the state in the SDK's store. Never decides anything.

use proffer_sdk::{Context, Now, StoredState, TaskId};
use serde::de::DeserializeOwned;

use super::{Service, State};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Service(String),
    Slot(String, u32),
    Number(String),
}

/// What is stored makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("state under {key:?} is damaged: {problem}; restore the data directory, or remove it to begin anew")]
pub struct DamagedRecord {
    /// Where.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl Key {
    fn text(&self) -> String {
        match self {
            Self::Service(name) => format!("service/{name}"),
            Self::Slot(name, number) => format!("slot/{name}/{number}"),
            Self::Number(name) => format!("number/{name}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        match kind {
            "service" => Some(Self::Service(rest.to_owned())),
            "number" => Some(Self::Number(rest.to_owned())),
            "slot" => {
                let (name, number) = rest.rsplit_once('/')?;
                Some(Self::Slot(name.to_owned(), number.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// The name of the `number`-th task of a service, in this slot.
pub fn task_name(service: &str, slot: u32, number: u64) -> String {
    format!("{service}.{slot}.{number}")
}

/// Service, slot and number of a task.
pub(super) fn parse_task(task: &TaskId) -> Option<(&str, u32, u64)> {
    let mut parts = task.as_str().splitn(3, '.');
    let (name, slot, number) = (parts.next()?, parts.next()?, parts.next()?);
    Some((name, slot.parse().ok()?, number.parse().ok()?))
}

impl State {
    /// The state as it was stored, at the beginning of a run.
    ///
    /// # Errors
    /// [`DamagedRecord`] when a record cannot be read.
    pub fn load(stored: &StoredState, now: Now) -> Result<Self, DamagedRecord> {
        let mut state = Self::default();
        // Services come before slots in the order of the keys.
        for (key, bytes) in stored {
            match Key::parse(key) {
                Some(Key::Number(name)) => {
                    state.numbers.insert(name, read(key, bytes)?);
                }
                Some(Key::Service(name)) => {
                    state.services.insert(name, Service::new(read(key, bytes)?));
                }
                Some(Key::Slot(name, number)) => {
                    let mut slot: super::Slot = read(key, bytes)?;
                    // Clocks of runs do not compare: the wall clock says how much of the wait is left, within its bound.
                    let left = slot.back_off_until_unix_ms.saturating_sub(now.unix.0).min(crate::plan::MAX_BACK_OFF_MS);
                    slot.back_off_until = (left > 0).then(|| now.mono + left);
                    if let Some(task) = slot.task.as_mut().filter(|task| task.is_running()) {
                        task.running_since = Some(now.mono);
                    }
                    let problem = "it belongs to no service";
                    let damaged = || DamagedRecord { key: key.clone(), problem: problem.to_owned() };
                    state.services.get_mut(&name).ok_or_else(damaged)?.slots.insert(number, slot);
                }
                None => {
                    return Err(DamagedRecord { key: key.clone(), problem: "no such kind of record".to_owned() });
                }
            }
        }
        Ok(state)
    }

    /// Hands every changed record to the store. True when there was one.
    ///
    /// # Errors
    /// [`DamagedRecord`] when a record cannot be written as JSON.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Result<bool, DamagedRecord> {
        let changed = std::mem::take(&mut self.changed);
        let is_changed = !changed.is_empty();
        for key in changed {
            let text = key.text();
            let bytes = match &key {
                Key::Service(name) => self.services.get(name).map(|service| serde_json::to_vec(&service.record)),
                Key::Slot(name, number) => {
                    self.services.get(name).and_then(|service| service.slots.get(number)).map(serde_json::to_vec)
                }
                Key::Number(name) => self.numbers.get(name).map(serde_json::to_vec),
            };
            match bytes.transpose() {
                Ok(Some(bytes)) => cx.store(text, bytes),
                Ok(None) => cx.forget(text),
                Err(error) => return Err(DamagedRecord { key: text, problem: error.to_string() }),
            }
        }
        Ok(is_changed)
    }
}

fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, DamagedRecord> {
    serde_json::from_slice(bytes).map_err(|error| DamagedRecord { key: key.to_owned(), problem: error.to_string() })
}
