//! `/tasks`: all tasks that live or are remembered, the living first, by state, framework and agent.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use proffer_master_engine::registry::TaskRecord;
use proffer_proto_model::{AgentId, FrameworkId, TaskReason, TaskState, UnixMillis};

use super::{Pager, answer};
use crate::dashboard::amounts::Shape;
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::{Badge, Time};
use crate::dashboard::{Dashboard, Layout, Section};
use crate::read_models::ReadModels;

#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    layout: Layout,
    rows: Vec<TaskRow>,
    pager: Pager,
    states: Vec<Choice>,
    frameworks: Vec<Choice>,
    agents: Vec<Choice>,
    is_filtered: bool,
}

/// An entry of a filter.
struct Choice {
    value: String,
    name: String,
    is_chosen: bool,
}

/// One task.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub key: String,
    pub id: String,
    pub image: String,
    pub state: Badge,
    pub why: String,
    pub framework: String,
    pub framework_id: String,
    pub agent: String,
    pub hostname: String,
    pub ports: String,
    pub shape: Shape,
    pub since: Time,
}

/// Which tasks are wanted.
#[derive(Debug, Default)]
struct Filter {
    state: Option<States>,
    framework: Option<FrameworkId>,
    agent: Option<AgentId>,
}

/// One state, or a group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum States {
    /// Not ended.
    Active,
    /// Ended.
    Ended,
    One(TaskState),
}

/// `/tasks`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Tasks, BadQuery> {
    let mut params = Params::new(query)?;
    let filter = Filter {
        state: params.take("state", States::read)?,
        framework: params.take("framework", |text| id(FrameworkId::new(text), "F1-1"))?,
        agent: params.take("agent", |text| id(AgentId::new(text), "A1-1"))?,
    };
    let number = params.take_page()?;
    params.end()?;
    let layout = dashboard.layout(Section::Tasks, "Tasks");
    let readers = &dashboard.readers;
    let mut tasks = readers.tasks();
    tasks.retain(|task| filter.wants(task));
    tasks.sort_by_key(|task| (task.status.state.is_terminal(), std::cmp::Reverse(task.status.at)));
    let pager = Pager::cut(&mut tasks, number, filter.query());
    let rows = tasks.iter().map(|task| TaskRow::new(readers, task, layout.now)).collect();
    let framework = |id: String, name| Choice { is_chosen: filter.framework_is(&id), value: id, name };
    let agent = |id: String, name| Choice { is_chosen: filter.agent_is(&id), value: id, name };
    let frameworks = readers.frameworks();
    let agents = readers.agents();
    Ok(Tasks {
        states: filter.states(),
        frameworks: frameworks.iter().map(|f| framework(f.id.to_string(), f.info.name.clone())).collect(),
        agents: agents.iter().map(|a| agent(a.id.to_string(), a.info.hostname.clone())).collect(),
        is_filtered: filter.state.is_some() || filter.framework.is_some() || filter.agent.is_some(),
        layout,
        rows,
        pager,
    })
}

fn id<T>(id: Result<T, proffer_proto_model::IdError>, example: &str) -> Result<T, String> {
    id.map_err(|error| format!("an id such as {example} is wanted, and this {error}"))
}

impl Filter {
    fn wants(&self, task: &TaskRecord) -> bool {
        let state = task.status.state;
        self.framework.as_ref().is_none_or(|id| *id == task.key.framework)
            && self.agent.as_ref().is_none_or(|id| *id == task.agent)
            && self.state.is_none_or(|states| states.hold(state))
    }

    fn framework_is(&self, id: &str) -> bool {
        self.framework.as_ref().is_some_and(|chosen| chosen.as_str() == id)
    }

    fn agent_is(&self, id: &str) -> bool {
        self.agent.as_ref().is_some_and(|chosen| chosen.as_str() == id)
    }

    /// The filter as parameters; all values are of plain characters.
    fn query(&self) -> String {
        let state = self.state.map(|s| format!("state={}&", s.value()));
        let framework = self.framework.as_ref().map(|id| format!("framework={id}&"));
        let agent = self.agent.as_ref().map(|id| format!("agent={id}&"));
        [state, framework, agent].into_iter().flatten().collect()
    }

    fn states(&self) -> Vec<Choice> {
        let one = TaskState::ALL.into_iter().filter(|s| *s != TaskState::Unknown).map(States::One);
        let choice = |states: States| Choice {
            value: states.value(),
            name: states.value().replace('_', " "),
            is_chosen: self.state == Some(states),
        };
        [States::Active, States::Ended].into_iter().chain(one).map(choice).collect()
    }
}

impl States {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.to_lowercase();
        match text.as_str() {
            "active" => return Ok(Self::Active),
            "ended" => return Ok(Self::Ended),
            _ => {}
        }
        let named = TaskState::ALL.into_iter().find(|state| state.to_string().to_lowercase() == text);
        named.map(Self::One).ok_or_else(|| {
            let names: Vec<String> = TaskState::ALL.iter().map(|state| state.to_string().to_lowercase()).collect();
            format!("use active, ended, or one state: {}", names.join(", "))
        })
    }

    fn value(self) -> String {
        match self {
            Self::Active => "active".to_owned(),
            Self::Ended => "ended".to_owned(),
            Self::One(state) => state.to_string().to_lowercase(),
        }
    }

    fn hold(self, state: TaskState) -> bool {
        match self {
            Self::Active => !state.is_terminal(),
            Self::Ended => state.is_terminal(),
            Self::One(one) => one == state,
        }
    }
}

impl TaskRow {
    pub(super) fn new(readers: &ReadModels, task: &TaskRecord, now: UnixMillis) -> Self {
        let status = &task.status;
        let reason = match status.reason {
            TaskReason::None => String::new(),
            TaskReason::OutOfMemory => "out of memory".to_owned(),
            reason => reason.to_string().to_lowercase().replace('_', " "),
        };
        let why = match (reason.is_empty(), status.message.is_empty()) {
            (true, _) => status.message.clone(),
            (false, true) => reason,
            (false, false) => format!("{reason}: {}", status.message),
        };
        Self {
            key: task.key.to_string(),
            id: task.key.task.to_string(),
            image: task.spec.container.image.clone(),
            state: Badge::from(status.state),
            why,
            framework: readers.framework_name(&task.key.framework),
            framework_id: task.key.framework.to_string(),
            agent: task.agent.to_string(),
            hostname: Some(readers.hostname(&task.agent))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| task.agent.to_string()),
            ports: ports(task),
            shape: Shape::of(&task.resources),
            since: Time::ago(status.at, now),
        }
    }
}

/// Where its published ports answer, while it lives.
fn ports(task: &TaskRecord) -> String {
    let Some(container) = task.status.container.as_ref().filter(|_| !task.status.state.is_terminal()) else {
        return String::new();
    };
    let each = container.ports.iter().map(|port| format!("{}:{}", container.host_address, port.host_port));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_in_any_case_and_refused_with_the_list() {
        assert_eq!(States::read("RUNNING"), Ok(States::One(TaskState::Running)));
        assert_eq!(States::read("gone_by_operator"), Ok(States::One(TaskState::GoneByOperator)));
        assert!(States::read("lost").unwrap_err().contains("unreachable"));
        for states in [States::Active, States::Ended, States::One(TaskState::Failed)] {
            assert_eq!(States::read(&states.value()), Ok(states));
        }
    }
}
