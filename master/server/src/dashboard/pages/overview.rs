//! `/`: the cluster on one page.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use proffer_master_engine::view::AgentState;
use proffer_proto_model::TaskState;

use super::answer;
use super::offers::{self, AnsweredRow};
use super::tasks::TaskRow;
use crate::dashboard::amounts::{self, Usage};
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::Badge;
use crate::dashboard::{Dashboard, Layout, Section, words};

/// Answers to offers that are shown.
const ANSWERS: usize = 6;
/// Tasks with a bad end that are shown.
const FAILURES: usize = 5;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    layout: Layout,
    tiles: Vec<Tile>,
    usage: Vec<Usage>,
    states: Vec<StateRow>,
    answers: Vec<AnsweredRow>,
    failures: Vec<TaskRow>,
}

/// One number with its name.
struct Tile {
    path: &'static str,
    name: &'static str,
    number: usize,
    note: String,
}

struct StateRow {
    value: String,
    badge: Badge,
    count: usize,
}

/// `/`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Overview, BadQuery> {
    Params::new(query)?.end()?;
    let layout = dashboard.layout(Section::Overview, "Overview");
    let readers = &dashboard.readers;
    let (agents, frameworks, mut tasks) = (readers.agents(), readers.frameworks(), readers.tasks());
    let mut by_state: BTreeMap<TaskState, usize> = BTreeMap::new();
    for task in &tasks {
        *by_state.entry(task.status.state).or_default() += 1;
    }
    let active = tasks.iter().filter(|task| !task.status.state.is_terminal()).count();
    let ended = tasks.len() - active;
    let attached = agents.iter().filter(|agent| agent.state == AgentState::Attached).count();
    let connected = frameworks.iter().filter(|framework| framework.is_connected).count();
    let open = readers.offers();
    let offered_to = open.iter().map(|view| &view.framework).collect::<std::collections::BTreeSet<_>>().len();
    let tiles = vec![
        Tile {
            path: "/agents",
            name: "Agents",
            number: attached,
            note: rest(attached, agents.len(), "attached", "away"),
        },
        Tile {
            path: "/frameworks",
            name: "Frameworks",
            number: connected,
            note: rest(connected, frameworks.len(), "connected", "disconnected"),
        },
        Tile { path: "/tasks?state=active", name: "Tasks", number: active, note: format!("{ended} ended") },
        Tile {
            path: "/offers",
            name: "Open offers",
            number: open.len(),
            note: if open.is_empty() {
                "all answered".to_owned()
            } else {
                format!("to {}", words::count(offered_to, "framework"))
            },
        },
    ];
    tasks.retain(|task| matches!(task.status.state, TaskState::Failed | TaskState::Error | TaskState::Dropped));
    tasks.sort_by_key(|task| std::cmp::Reverse(task.status.at));
    let failures = tasks.iter().take(FAILURES).map(|task| TaskRow::new(readers, task, layout.now)).collect();
    let state = |(state, count): (&TaskState, &usize)| StateRow {
        value: state.to_string().to_lowercase(),
        badge: Badge::from(*state),
        count: *count,
    };
    Ok(Overview {
        tiles,
        usage: amounts::usage(agents.iter().map(|agent| &**agent)),
        states: by_state.iter().map(state).collect(),
        answers: offers::answered(readers, ANSWERS, layout.now),
        failures,
        layout,
    })
}

fn rest(here: usize, all: usize, good: &str, bad: &str) -> String {
    match all - here {
        _ if all == 0 => "none yet".to_owned(),
        0 => format!("all {good}"),
        missing => format!("{missing} {bad}"),
    }
}
