//! `/roles`: the tree of those who share the cluster, with weights, shares and quotas.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use proffer_master_engine::view::RoleView;
use proffer_proto_model::Resources;

use super::frameworks::percent;
use super::{Pager, answer};
use crate::dashboard::amounts::{self, QuotaUse, Shape};
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::Bar;
use crate::dashboard::{Dashboard, Layout, Section};
use crate::read_models::ReadModels;

/// Frameworks shown of one role.
const MOST_FRAMEWORKS: usize = 5;
/// Deeper roles are not moved further to the right.
const MAX_DEPTH: usize = 4;

#[derive(Template)]
#[template(path = "roles.html")]
struct Roles {
    layout: Layout,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    path: String,
    /// The last part of the path.
    name: String,
    depth: usize,
    weight: String,
    /// Empty when it is as for the cluster.
    policy: String,
    share: String,
    bar: Bar,
    tasks: u32,
    used: Shape,
    offered: String,
    quota: Vec<QuotaUse>,
    /// Id and name.
    frameworks: Vec<(String, String)>,
    more_frameworks: usize,
}

/// `/roles`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Roles, BadQuery> {
    let mut params = Params::new(query)?;
    let number = params.take_page()?;
    params.end()?;
    let layout = dashboard.layout(Section::Roles, "Roles");
    let readers = &dashboard.readers;
    let total = readers.total();
    let mut roles = readers.roles();
    let pager = Pager::cut(&mut roles, number, String::new());
    let rows = roles.iter().map(|view| Row::new(readers, view, &total)).collect();
    Ok(Roles { layout, rows, pager })
}

impl Row {
    fn new(readers: &ReadModels, view: &RoleView, total: &Resources) -> Self {
        let RoleView {
            role,
            weight,
            quota,
            policy,
            allocated,
            offered,
            reserved,
            unreachable,
            tasks_active,
            frameworks,
        } = view;
        let share = view.share_millionths(total);
        let path = role.to_string();
        let depth = path.matches('/').count().min(MAX_DEPTH);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let shown = frameworks.iter().take(MOST_FRAMEWORKS);
        Self {
            bar: Bar::new(&format!("{path} share of the cluster"), 1_000_000, share.into(), 0),
            path,
            name,
            depth,
            weight: weight.to_string(),
            policy: policy.to_string(),
            share: percent(share),
            tasks: *tasks_active,
            used: Shape::of(allocated),
            offered: amounts::brief(offered),
            quota: amounts::quota(quota, &allocated.saturating_sum(reserved), unreachable, offered),
            frameworks: shown.map(|id| (id.to_string(), readers.framework_name(id))).collect(),
            more_frameworks: frameworks.len().saturating_sub(MOST_FRAMEWORKS),
        }
    }
}
