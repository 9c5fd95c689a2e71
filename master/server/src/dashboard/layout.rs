//! The frame around every page: title, navigation, and what the script needs to keep the page live.

use proffer_proto_model::{ClusterId, Epoch, UnixMillis};

use super::assets;
use super::live::Seen;
use super::widgets::Time;

/// Where in the navigation a page belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The first page.
    Overview,
    /// Offers.
    Offers,
    /// Agents.
    Agents,
    /// Frameworks.
    Frameworks,
    /// Roles.
    Roles,
    /// Tasks.
    Tasks,
    /// Pages that say what went wrong.
    Nowhere,
}

impl Section {
    /// In the order of the navigation.
    const ALL: [(Section, &'static str, &'static str); 6] = [
        (Self::Overview, "/", "Overview"),
        (Self::Offers, "/offers", "Offers"),
        (Self::Agents, "/agents", "Agents"),
        (Self::Frameworks, "/frameworks", "Frameworks"),
        (Self::Roles, "/roles", "Roles"),
        (Self::Tasks, "/tasks", "Tasks"),
    ];

    /// The changes that can alter a page of this section, as [`super::live`] names them.
    fn topics(self) -> &'static str {
        match self {
            Self::Overview => "agents frameworks offers tasks",
            Self::Offers => "agents frameworks offers",
            Self::Agents => "agents offers tasks",
            Self::Frameworks => "frameworks",
            Self::Roles => "agents frameworks roles",
            Self::Tasks => "agents frameworks tasks",
            Self::Nowhere => "",
        }
    }
}

/// A link of the navigation.
#[derive(Debug)]
pub(super) struct Link {
    pub path: &'static str,
    pub name: &'static str,
    pub is_current: bool,
}

/// The frame of one page.
#[derive(Debug)]
pub(super) struct Layout {
    pub title: String,
    pub links: Vec<Link>,
    pub topics: &'static str,
    pub seen: Seen,
    pub now: UnixMillis,
    pub cluster: ClusterId,
    pub epoch: u64,
    pub started: Time,
    pub version: &'static str,
    pub assets: &'static str,
}

impl Layout {
    /// The frame of a page that is made now.
    pub(super) fn new(
        section: Section,
        title: String,
        seen: Seen,
        now: UnixMillis,
        (cluster, epoch, started): (ClusterId, Epoch, UnixMillis),
    ) -> Self {
        let link = |(of, path, name)| Link { path, name, is_current: of == section };
        Self {
            title,
            links: Section::ALL.into_iter().map(link).collect(),
            topics: section.topics(),
            seen,
            now,
            cluster,
            epoch: epoch.0,
            started: Time::ago(started, now),
            version: env!("CARGO_PKG_VERSION"),
            assets: &assets::VERSION,
        }
    }
}
