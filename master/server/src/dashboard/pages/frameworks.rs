//! `/frameworks`: who wants what, and what each one has.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use proffer_master_engine::view::FrameworkView;
use proffer_proto_model::DemandItem;

use super::offers::rule_text;
use super::{Pager, answer};
use crate::dashboard::amounts::{self, Shape};
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::{Badge, Bar};
use crate::dashboard::{Dashboard, Layout, Section};

/// Wishes shown of one framework.
const MOST_WISHES: usize = 5;

#[derive(Template)]
#[template(path = "frameworks.html")]
struct Frameworks {
    layout: Layout,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    id: String,
    name: String,
    principal: String,
    address: String,
    state: Badge,
    roles: String,
    wishes: Vec<String>,
    more_wishes: usize,
    tasks: u32,
    used: Shape,
    offered: String,
    share: String,
    bar: Bar,
}

/// `/frameworks`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Frameworks, BadQuery> {
    let mut params = Params::new(query)?;
    let number = params.take_page()?;
    params.end()?;
    let layout = dashboard.layout(Section::Frameworks, "Frameworks");
    let mut frameworks = dashboard.readers.frameworks();
    let pager = Pager::cut(&mut frameworks, number, String::new());
    let rows = frameworks.iter().map(|view| Row::new(view)).collect();
    Ok(Frameworks { layout, rows, pager })
}

impl Row {
    fn new(view: &FrameworkView) -> Self {
        let FrameworkView {
            id, info, is_connected, allocated, offered, tasks_active, demand, share_millionths, ..
        } = view;
        Self {
            id: id.to_string(),
            name: info.name.clone(),
            principal: info.principal.clone(),
            address: info.api_address.clone(),
            state: Badge::connected(*is_connected),
            roles: info.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            wishes: demand.items.iter().take(MOST_WISHES).map(wish).collect(),
            more_wishes: demand.items.len().saturating_sub(MOST_WISHES),
            tasks: *tasks_active,
            used: Shape::of(allocated),
            offered: amounts::brief(offered),
            share: percent(*share_millionths),
            bar: Bar::new(&format!("{} share of the cluster", info.name), 1_000_000, (*share_millionths).into(), 0),
        }
    }
}

/// What is wanted, in words: `3 × 0.5 cpus, 64MiB memory, 1 port where @zone = b`.
fn wish(item: &DemandItem) -> String {
    let DemandItem { role: _, shape, count, constraints, priority: _, ports } = item;
    let mut text = match count {
        Some(count) => format!("{count} × "),
        None => String::new(),
    };
    text += &shape.as_ref().map_or_else(|| "anything".to_owned(), ToString::to_string);
    match ports {
        0 => {}
        1 => text += ", 1 port",
        many => text += &format!(", {many} ports"),
    }
    if !constraints.is_empty() {
        text += " where ";
        text += &constraints.iter().map(rule_text).collect::<Vec<_>>().join(" and ");
    }
    text
}

/// A part of the whole, in words.
pub(super) fn percent(millionths: u64) -> String {
    format!("{}.{} %", millionths / 10_000, millionths % 10_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, Constraint, ConstraintOperator, MilliCpus, Resources, Role};

    use super::*;

    #[test]
    fn a_wish_reads_like_a_sentence() {
        let rule = Constraint { subject: "gpu".into(), operator: ConstraintOperator::Exists, value: String::new() };
        let item = DemandItem {
            role: Role::default_role(),
            shape: Some(Resources::new(MilliCpus(500), Bytes::mib(64))),
            count: Some(3),
            constraints: vec![rule],
            priority: 0,
            ports: 1,
        };
        assert_eq!(wish(&item), "3 × 0.5 cpus, 64MiB memory, 1 port where gpu exists");
        let anything = DemandItem { shape: None, count: None, constraints: Vec::new(), ports: 0, ..item };
        assert_eq!(wish(&anything), "anything");
        assert_eq!(percent(123_456), "12.3 %");
    }
}
