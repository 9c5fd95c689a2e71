//! What is kept of one agent: reservations, volumes and planned windows. Parts of `/agents` and `/agents/{id}`.

use std::collections::BTreeMap;

use proffer_master_engine::registry::{WindowAction, WindowRecord};
use proffer_proto_model::{AgentId, Reserved, Resources, UnixMillis, VolumeInfo, VolumeState};

use crate::dashboard::amounts::Shape;
use crate::dashboard::widgets::{Badge, Time};
use crate::dashboard::words;
use crate::read_models::ReadModels;

/// Tasks of one volume that are named.
const MOST_USERS: usize = 20;

/// A part of the agent that is kept for a role.
#[derive(Debug)]
pub(super) struct ReservedRow {
    pub role: String,
    /// The roles it was refined from, outermost first; empty for none.
    pub refines: String,
    pub shape: Shape,
    pub disk: String,
    pub origin: String,
    pub labels: Vec<(String, String)>,
}

/// A persistent volume.
#[derive(Debug)]
pub(super) struct VolumeRow {
    pub id: String,
    pub role: String,
    pub state: Badge,
    /// What to do when the state is a bad one.
    pub advice: String,
    pub size: String,
    /// The tasks that mount it.
    pub users: Vec<String>,
    pub more_users: usize,
}

/// A maintenance window of the agent.
#[derive(Debug)]
pub(super) struct WindowRow {
    pub id: String,
    pub state: Badge,
    pub action: &'static str,
    pub begins: Time,
    pub lasts: String,
    pub ends: Time,
    /// Its other agents.
    pub others: usize,
}

/// The next window of an agent, in few words beside its state.
#[derive(Debug)]
pub(super) struct Hint {
    pub what: &'static str,
    pub when: Time,
}

impl ReservedRow {
    pub(super) fn new(reserved: &Reserved) -> Self {
        let Reserved { role, refines, resources, labels, is_static, owner } = reserved;
        let beside_disk = Resources { disk: Default::default(), ..resources.clone() };
        Self {
            role: role.to_string(),
            refines: refines.iter().map(ToString::to_string).collect::<Vec<_>>().join(" › "),
            shape: Shape::of(&beside_disk),
            disk: if resources.disk.0 == 0 { "–".to_owned() } else { words::bytes(resources.disk.0.into()) },
            origin: match owner {
                Some(framework) => framework.to_string(),
                None if *is_static => "the agent's flags".to_owned(),
                None => "a call".to_owned(),
            },
            labels: labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

impl VolumeRow {
    pub(super) fn new(volume: &VolumeInfo) -> Self {
        let VolumeInfo { id, role, size, state, used_by, message, owner: _ } = volume;
        Self {
            id: id.to_string(),
            role: role.to_string(),
            state: Badge::from(*state),
            advice: match state {
                VolumeState::Lost if !message.is_empty() => format!("{message}; destroy it to make it anew"),
                VolumeState::Lost => "its data is gone; destroy it to make it anew".to_owned(),
                VolumeState::Creating | VolumeState::Destroying if !message.is_empty() => {
                    format!("{message}; tried again")
                }
                VolumeState::Creating | VolumeState::Ready | VolumeState::Destroying => String::new(),
            },
            size: words::bytes(size.0.into()),
            users: used_by.iter().take(MOST_USERS).map(ToString::to_string).collect(),
            more_users: used_by.len().saturating_sub(MOST_USERS),
        }
    }
}

impl WindowRow {
    fn new(window: &WindowRecord, now: UnixMillis) -> Self {
        let (tone, text) = if window.is_open() { ("busy", "open") } else { ("calm", "planned") };
        Self {
            id: window.id.to_string(),
            state: Badge::word(tone, text),
            action: match window.action {
                WindowAction::Drain { .. } => "drained",
                WindowAction::Deactivate => "no new work",
            },
            begins: if window.is_open() { Time::ago(window.start, now) } else { Time::until(window.start, now) },
            lasts: words::span(window.duration_ms),
            ends: Time::until(window.end(), now),
            others: window.agents.len().saturating_sub(1),
        }
    }
}

/// All windows of one agent that are open or planned, the next to begin first.
pub(super) fn windows(readers: &ReadModels, agent: &AgentId, now: UnixMillis) -> Vec<WindowRow> {
    let mut windows = readers.windows();
    windows.retain(|window| window.agents.contains(agent));
    windows.sort_by_key(|window| window.start);
    windows.iter().map(|window| WindowRow::new(window, now)).collect()
}

/// The window of each agent that is open or comes next.
pub(super) fn hints(readers: &ReadModels, now: UnixMillis) -> BTreeMap<AgentId, Hint> {
    let mut windows = readers.windows();
    windows.sort_by_key(|window| std::cmp::Reverse(window.start));
    let each = windows.iter().flat_map(|window| window.agents.iter().map(move |agent| (agent.clone(), window)));
    // Where an agent has several, the earliest comes last and stays.
    each.map(|(agent, window)| (agent, Hint::new(window, now))).collect()
}

impl Hint {
    fn new(window: &WindowRecord, now: UnixMillis) -> Self {
        match (window.is_open(), window.action) {
            (true, _) => Self { what: "window ends", when: Time::until(window.end(), now) },
            (false, WindowAction::Drain { .. }) => Self { what: "drained", when: Time::until(window.start, now) },
            (false, WindowAction::Deactivate) => Self { what: "no new work", when: Time::until(window.start, now) },
        }
    }
}
