//! `/agents` and `/agents/{id}`: what each agent has, and what is on it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use proffer_master_engine::view::{AgentState, AgentView};
use proffer_proto_model::resources::format_milli;
use proffer_proto_model::{AgentId, AttributeValue};

use super::kept::{self, Hint, ReservedRow, VolumeRow, WindowRow};
use super::offers::OpenRow;
use super::tasks::TaskRow;
use super::{PAGE_ROWS, Pager, answer, html, problem};
use crate::dashboard::amounts::{self, Shape, Usage};
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::{Badge, Bar};
use crate::dashboard::{Dashboard, Layout, Section};

#[derive(Template)]
#[template(path = "agents.html")]
struct Agents {
    layout: Layout,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    id: String,
    hostname: String,
    state: Badge,
    hint: Option<Hint>,
    tasks: u32,
    used: Shape,
    offered: String,
    total: Shape,
    cpu_bar: Bar,
    memory_bar: Bar,
    place: String,
    attributes: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "agent.html")]
struct Agent {
    layout: Layout,
    id: String,
    hostname: String,
    state: Badge,
    is_away: bool,
    facts: Vec<(String, String)>,
    usage: Vec<Usage>,
    windows: Vec<WindowRow>,
    reserved: Vec<ReservedRow>,
    volumes: Vec<VolumeRow>,
    offers: Vec<OpenRow>,
    tasks: Vec<TaskRow>,
    tasks_left_out: usize,
}

/// `/agents`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

/// `/agents/{id}`
pub(crate) async fn show_one(State(dashboard): State<Dashboard>, Path(id): Path<String>, query: RawParams) -> Response {
    if let Err(error) = Params::new(query).and_then(Params::end) {
        return problem::bad_query(&dashboard, &error);
    }
    match AgentId::new(&id).ok().and_then(|id| one(&dashboard, &id)) {
        Some(page) => html(StatusCode::OK, &page),
        None => {
            let id: String = id.chars().take(64).collect();
            let message = format!("There is no agent {id:?}. The agents page lists those the master knows.");
            problem::missing(&dashboard, message)
        }
    }
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Agents, BadQuery> {
    let mut params = Params::new(query)?;
    let number = params.take_page()?;
    params.end()?;
    let layout = dashboard.layout(Section::Agents, "Agents");
    let mut agents = dashboard.readers.agents();
    let pager = Pager::cut(&mut agents, number, String::new());
    let mut hints = kept::hints(&dashboard.readers, layout.now);
    let rows = agents.iter().map(|view| Row::new(view, hints.remove(&view.id))).collect();
    Ok(Agents { layout, rows, pager })
}

fn one(dashboard: &Dashboard, id: &AgentId) -> Option<Agent> {
    let readers = &dashboard.readers;
    let view = readers.agent(id)?;
    let layout = dashboard.layout(Section::Agents, view.info.hostname.clone());
    let offers = readers.offers();
    let offers = offers.iter().filter(|o| o.offer.agent == *id).take(PAGE_ROWS);
    let offers = offers.map(|offer| OpenRow::new(readers, offer, layout.now)).collect();
    let mut tasks = readers.tasks();
    tasks.retain(|task| task.agent == *id);
    tasks.sort_by_key(|task| (task.status.state.is_terminal(), std::cmp::Reverse(task.status.at)));
    let tasks_left_out = tasks.len().saturating_sub(PAGE_ROWS);
    let tasks = tasks.iter().take(PAGE_ROWS).map(|task| TaskRow::new(readers, task, layout.now)).collect();
    Some(Agent {
        windows: kept::windows(readers, id, layout.now),
        reserved: view.reserved.iter().map(ReservedRow::new).collect(),
        volumes: view.volumes.iter().map(VolumeRow::new).collect(),
        layout,
        id: id.to_string(),
        hostname: view.info.hostname.clone(),
        state: Badge::of_agent(&view),
        is_away: view.state != AgentState::Attached,
        facts: facts(&view),
        usage: amounts::usage(std::iter::once(&*view)),
        offers,
        tasks,
        tasks_left_out,
    })
}

impl Row {
    fn new(view: &AgentView, hint: Option<Hint>) -> Self {
        let AgentView { id, info, state: _, mode: _, allocated, offered, tasks_active, reserved: _, volumes: _ } = view;
        let (total, used) = (&info.resources, allocated);
        Self {
            id: id.to_string(),
            hostname: info.hostname.clone(),
            state: Badge::of_agent(view),
            hint,
            tasks: *tasks_active,
            used: Shape::of(used),
            offered: amounts::brief(offered),
            total: Shape::of(total),
            cpu_bar: Bar::new("CPU", total.cpus.0.into(), used.cpus.0.into(), offered.cpus.0.into()),
            memory_bar: Bar::new("Memory", total.memory.0.into(), used.memory.0.into(), offered.memory.0.into()),
            place: place(view),
            attributes: attributes(view),
        }
    }
}

fn place(view: &AgentView) -> String {
    let parts = [&view.info.region, &view.info.zone];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" / ")
}

fn attributes(view: &AgentView) -> Vec<(String, String)> {
    let each = view.info.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::ScalarMilli(milli) => format_milli(*milli),
        };
        (attribute.name.clone(), value)
    });
    each.collect()
}

/// What is known of an agent beside its resources; only what it said.
fn facts(view: &AgentView) -> Vec<(String, String)> {
    let info = &view.info;
    let named = [
        ("Agent id", view.id.to_string()),
        ("Its API", info.api_address.clone()),
        ("Ports answer at", info.address.clone()),
        ("Region / zone", place(view)),
        ("Version", info.version.clone()),
    ];
    let named = named.into_iter().map(|(name, value)| (name.to_owned(), value));
    named.chain(attributes(view)).filter(|(_, value)| !value.is_empty()).collect()
}
