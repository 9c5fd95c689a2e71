//! One file for each page: what it shows, as plain records for its template. No page changes anything.

pub(super) mod agents;
mod asked;
pub(super) mod frameworks;
mod kept;
pub(super) mod offers;
pub(super) mod overview;
pub(super) mod problem;
pub(super) mod roles;
pub(super) mod tasks;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::Dashboard;
use super::query::BadQuery;

/// Rows of one page of a long list.
const PAGE_ROWS: usize = 200;

/// A page, or what is wrong with the question.
fn answer<T: Template>(dashboard: &Dashboard, page: Result<T, BadQuery>) -> Response {
    match page {
        Ok(page) => html(StatusCode::OK, &page),
        Err(error) => problem::bad_query(dashboard, &error),
    }
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made; see the master's log\n").into_response()
        }
    }
}

/// Where in a long list a page is.
#[derive(Debug)]
pub(super) struct Pager {
    /// Rows in all.
    pub total: usize,
    /// From 1.
    pub page: usize,
    /// At least 1.
    pub pages: usize,
    /// The other parameters of the page's address, each ended by `&`.
    pub query: String,
}

impl Pager {
    /// Cuts `rows` down to one page. A page beyond the end, which a shrinking list brings, is the last one.
    fn cut<T>(rows: &mut Vec<T>, page: usize, query: String) -> Self {
        let total = rows.len();
        let pages = total.div_ceil(PAGE_ROWS).max(1);
        let page = page.min(pages);
        rows.drain(..(page - 1) * PAGE_ROWS);
        rows.truncate(PAGE_ROWS);
        Self { total, page, pages, query }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_a_page_beyond_it_is_the_last() {
        let cut = |page| {
            let mut rows: Vec<usize> = (0..450).collect();
            let pager = Pager::cut(&mut rows, page, String::new());
            (pager.page, pager.pages, rows.first().copied(), rows.len())
        };
        assert_eq!(cut(1), (1, 3, Some(0), 200));
        assert_eq!(cut(3), (3, 3, Some(400), 50));
        assert_eq!(cut(99), (3, 3, Some(400), 50));
        let pager = Pager::cut(&mut Vec::<u8>::new(), 7, String::new());
        assert_eq!((pager.page, pager.pages, pager.total), (1, 1, 0));
    }
}
