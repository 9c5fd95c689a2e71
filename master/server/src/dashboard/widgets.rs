//! Small parts of pages: times, bars, badges. Each is a template of its own, so each escapes what it holds.

use askama::Template;
use askama::filters::HtmlSafe;
use proffer_master_engine::registry::AgentMode;
use proffer_master_engine::view::{AgentState, AgentView, OfferOutcome};
use proffer_proto_model::{TaskState, UnixMillis, VolumeState};

use super::words;

/// A moment, said relative to now; the script counts on.
#[derive(Debug, Template)]
#[template(
    source = r#"<time datetime="{{ iso }}" title="{{ iso }}" data-{{ way }}="{{ ms }}">{{ text }}</time>"#,
    ext = "html"
)]
pub(super) struct Time {
    iso: String,
    ms: u64,
    way: &'static str,
    text: String,
}

impl HtmlSafe for Time {}

impl Time {
    /// A moment that was.
    pub(super) fn ago(at: UnixMillis, now: UnixMillis) -> Self {
        Self { iso: words::iso(at), ms: at.0, way: "ago", text: words::ago(at, now) }
    }

    /// A moment that will be.
    pub(super) fn until(at: UnixMillis, now: UnixMillis) -> Self {
        Self { iso: words::iso(at), ms: at.0, way: "until", text: words::until(at, now) }
    }
}

/// How much of something is used and offered. Pictures only: the numbers stand beside it.
#[derive(Debug, Template)]
#[template(
    source = r#"<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{{ label }}: {{ used_percent }}% used, {{ offered_percent }}% offered"><rect class="bar-used" x="0" width="{{ used }}" height="10"/><rect class="bar-offered" x="{{ used }}" width="{{ offered }}" height="10"/></svg>"#,
    ext = "html"
)]
pub(super) struct Bar {
    label: String,
    /// Thousandths of the whole.
    used: u128,
    offered: u128,
    used_percent: u128,
    offered_percent: u128,
}

impl HtmlSafe for Bar {}

impl Bar {
    /// A bar of the shares of `total`; never longer than the whole.
    pub(super) fn new(label: &str, total: u128, used: u128, offered: u128) -> Self {
        let share = |part: u128, scale: u128| part.saturating_mul(scale).checked_div(total).unwrap_or(0).min(scale);
        let width = share(used, 1000);
        Self {
            label: label.to_owned(),
            used: width,
            offered: share(offered, 1000).min(1000 - width),
            used_percent: share(used, 100),
            offered_percent: share(offered, 100),
        }
    }
}

/// A state as a word in its colour.
#[derive(Debug, Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ text }}</span>"#, ext = "html")]
pub(super) struct Badge {
    tone: &'static str,
    text: String,
}

impl HtmlSafe for Badge {}

impl From<TaskState> for Badge {
    fn from(state: TaskState) -> Self {
        let tone = match state {
            TaskState::Running => "good",
            TaskState::Finished => "done",
            TaskState::Staging | TaskState::Starting | TaskState::Killing => "busy",
            TaskState::Unreachable | TaskState::Unknown => "warn",
            TaskState::Killed => "calm",
            TaskState::Failed | TaskState::Error | TaskState::Dropped | TaskState::Gone | TaskState::GoneByOperator => {
                "bad"
            }
        };
        Self { tone, text: state.to_string().to_lowercase().replace('_', " ") }
    }
}

impl From<AgentState> for Badge {
    fn from(state: AgentState) -> Self {
        let (tone, text) = match state {
            AgentState::Attached => ("good", "attached"),
            AgentState::Detached => ("warn", "detached"),
            AgentState::Unreachable => ("bad", "unreachable"),
        };
        Self { tone, text: text.to_owned() }
    }
}

impl From<VolumeState> for Badge {
    fn from(state: VolumeState) -> Self {
        match state {
            VolumeState::Creating => Self::word("busy", "creating"),
            VolumeState::Ready => Self::word("good", "ready"),
            VolumeState::Destroying => Self::word("calm", "destroying"),
            VolumeState::Lost => Self::word("bad", "lost"),
        }
    }
}

impl From<&OfferOutcome> for Badge {
    fn from(outcome: &OfferOutcome) -> Self {
        let (tone, text) = match outcome {
            OfferOutcome::Outstanding => ("busy", "open"),
            OfferOutcome::Accepted { .. } => ("good", "accepted"),
            OfferOutcome::Declined(_) => ("calm", "declined"),
            OfferOutcome::Rescinded(_) => ("warn", "withdrawn"),
        };
        Self { tone, text: text.to_owned() }
    }
}

impl Badge {
    /// A word in the colours of a tone.
    pub(super) fn word(tone: &'static str, text: &str) -> Self {
        Self { tone, text: text.to_owned() }
    }

    /// Whether an agent is there, and what operators want of it when that is not work.
    pub(super) fn of_agent(view: &AgentView) -> Self {
        let state = Self::from(view.state);
        let mode = view.mode.to_string().to_lowercase();
        match view.mode {
            AgentMode::Active => state,
            AgentMode::Gone => Self { tone: "bad", text: mode },
            _ if view.state == AgentState::Attached => {
                Self { tone: if view.mode.is_emptied() { "busy" } else { "calm" }, text: mode }
            }
            _ => Self { text: format!("{mode}, {}", state.text), ..state },
        }
    }

    /// Whether a framework has a live session.
    pub(super) fn connected(is_connected: bool) -> Self {
        let (tone, text) = if is_connected { ("good", "connected") } else { ("warn", "disconnected") };
        Self { tone, text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stays_within_its_whole() {
        let bar = Bar::new("CPU", 10, 8, 8);
        assert_eq!((bar.used, bar.offered), (800, 200));
        let empty = Bar::new("GPU", 0, 5, 5);
        assert_eq!((empty.used, empty.offered), (0, 0));
    }

    #[test]
    fn labels_are_escaped() {
        let bar = Bar::new("<b>", 1, 1, 0).render().unwrap();
        assert!(bar.contains("&#60;b&#62;") && !bar.contains("<b>"), "{bar}");
    }
}
