//! Live pages: a stream of "this kind of thing changed" for each open page, which then asks for itself again.
//!
//! Nothing here grows with the number of changes: they are folded into five counters, told at a bounded pace to a
//! bounded number of readers through bounded queues. A reader that is too slow is cut off and comes back by itself.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use proffer_master_engine::view::Change;
use proffer_proto_transport::Shutdown;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::Dashboard;
use super::pages::problem;
use super::query::{BadQuery, Params, RawParams};
use crate::read_models::ReadModels;

/// Pages that may be live at a time.
pub(super) const MAX_READERS: usize = 128;
/// Events that may wait for a slow reader.
const QUEUE: usize = 16;
/// Least time between two events.
const PACE: Duration = Duration::from_millis(250);
/// A sign of life, so that both sides notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time and the page asks again: a dead reader never holds a place for long.
const LIFE: Duration = Duration::from_secs(600);
/// How long a page waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// How much changed until some moment. Two that are equal show the same things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// The master's generation: counts start anew with each.
    epoch: u64,
    agents: u64,
    frameworks: u64,
    offers: u64,
    tasks: u64,
    roles: u64,
}

impl Seen {
    fn count(&mut self, change: &Change) {
        let counter = match change {
            Change::Agent(_) | Change::AgentRemoved(_) | Change::Window(_) | Change::WindowRemoved(_) => {
                &mut self.agents
            }
            Change::Framework(_) | Change::FrameworkRemoved(_) => &mut self.frameworks,
            Change::Offer(_) | Change::Inverse(_) => &mut self.offers,
            Change::Task(_) | Change::TaskForgotten(_) => &mut self.tasks,
            Change::Role(_) | Change::RoleRemoved(_) => &mut self.roles,
        };
        *counter += 1;
    }

    fn count_all(&mut self) {
        let Self { epoch: _, agents, frameworks, offers, tasks, roles } = self;
        for counter in [agents, frameworks, offers, tasks, roles] {
            *counter += 1;
        }
    }

    /// The kinds of things that differ from `earlier`; all of them when that is of another master.
    fn changed_since(&self, earlier: &Seen) -> String {
        let all = self.epoch != earlier.epoch;
        let kinds = [
            ("agents", self.agents != earlier.agents),
            ("frameworks", self.frameworks != earlier.frameworks),
            ("offers", self.offers != earlier.offers),
            ("tasks", self.tasks != earlier.tasks),
            ("roles", self.roles != earlier.roles),
        ];
        let changed: Vec<&str> = kinds.into_iter().filter(|(_, is)| all || *is).map(|(name, _)| name).collect();
        changed.join(" ")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, agents, frameworks, offers, tasks, roles } = self;
        write!(f, "{epoch}.{agents}.{frameworks}.{offers}.{tasks}.{roles}")
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give the six numbers that a page or an event names, e.g. 1.0.0.0.0.0".to_owned();
        let numbers: Result<Vec<u64>, _> = text.split('.').map(str::parse).collect();
        let [epoch, agents, frameworks, offers, tasks, roles] =
            <[u64; 6]>::try_from(numbers.map_err(|_| wrong())?).map_err(|_| wrong())?;
        Ok(Self { epoch, agents, frameworks, offers, tasks, roles })
    }
}

/// The pulse of all live pages.
#[derive(Debug)]
pub(super) struct Live {
    latest: watch::Receiver<Seen>,
    places: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Live {
    /// Follows the read models until `shutdown` begins.
    pub(super) fn start(readers: &ReadModels, shutdown: Shutdown) -> Self {
        let (_, epoch, _) = readers.identity();
        let (to, latest) = watch::channel(Seen { epoch: epoch.0, ..Seen::default() });
        let changes = readers.changes();
        let end = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = follow(changes, to) => {}
                () = end.draining() => {}
            }
        });
        Self { latest, places: Arc::new(Semaphore::new(MAX_READERS)), shutdown }
    }

    /// How much changed until now.
    pub(super) fn seen(&self) -> Seen {
        *self.latest.borrow()
    }

    /// A stream for one page; `None` when all places are taken.
    fn open(&self, seen: Option<Seen>) -> Option<mpsc::Receiver<Result<Event, Infallible>>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (to, events) = mpsc::channel(QUEUE);
        let reader = Reader { latest: self.latest.clone(), to, _place: place };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = reader.run(seen) => {}
                () = shutdown.draining() => {}
            }
        });
        Some(events)
    }
}

/// `/events`: server-sent events, one `changed` with the kinds of things after each change.
pub(super) async fn serve(State(dashboard): State<Dashboard>, headers: HeaderMap, query: RawParams) -> Response {
    // A page of another place must not take the places of ours.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return (StatusCode::FORBIDDEN, "live updates are for the pages of this master only\n").into_response();
    }
    let seen = match seen(&headers, query) {
        Ok(seen) => seen,
        Err(error) => return problem::bad_query(&dashboard, &error),
    };
    match dashboard.live.open(seen) {
        Some(events) => Sse::new(ReceiverStream::new(events)).into_response(),
        None => {
            let message = format!("{MAX_READERS} pages are live already; close some, or reload this page by hand\n");
            (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
        }
    }
}

/// What the page shows already. A browser that comes back says itself where it was.
fn seen(headers: &HeaderMap, query: RawParams) -> Result<Option<Seen>, BadQuery> {
    let mut params = Params::new(query)?;
    let from_page = params.take("seen", Seen::from_str)?;
    params.end()?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    Ok(last.or(from_page))
}

/// Folds changes into counters, at most one step in each [`PACE`].
async fn follow(mut changes: broadcast::Receiver<Arc<Change>>, latest: watch::Sender<Seen>) {
    let mut seen = *latest.borrow();
    loop {
        match changes.recv().await {
            Ok(change) => seen.count(&change),
            Err(RecvError::Lagged(_)) => seen.count_all(),
            Err(RecvError::Closed) => return,
        }
        loop {
            match changes.try_recv() {
                Ok(change) => seen.count(&change),
                Err(TryRecvError::Lagged(_)) => seen.count_all(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        latest.send_replace(seen);
        sleep(PACE).await;
    }
}

/// One live page.
struct Reader {
    latest: watch::Receiver<Seen>,
    to: mpsc::Sender<Result<Event, Infallible>>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// Tells changes until the page is gone, too slow, or was served long enough.
    async fn run(mut self, seen: Option<Seen>) {
        let mut told = seen.unwrap_or_default();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + LIFE;
        self.latest.mark_changed();
        loop {
            let event = tokio::select! {
                changed = self.latest.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = *self.latest.borrow_and_update();
                    let kinds = now.changed_since(&told);
                    told = now;
                    if kinds.is_empty() {
                        continue;
                    }
                    Event::default().event("changed").id(now.to_string()).data(kinds)
                }
                _ = heartbeat.tick() => Event::default().retry(RETRY).comment("alive"),
                () = self.to.closed() => return,
                () = sleep_until(end) => return,
            };
            if self.to.try_send(Ok(event)).is_err() {
                tracing::debug!("cut off a live page that reads too slowly");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::FrameworkId;

    use super::*;

    fn seen(text: &str) -> Seen {
        text.parse().unwrap()
    }

    #[test]
    fn what_changed_is_told_by_kind_and_all_of_it_after_another_master() {
        let mut now = seen("2.1.1.1.1.1");
        assert_eq!(now.changed_since(&now), "");
        now.count(&Change::FrameworkRemoved(FrameworkId::numbered(1, 1)));
        assert_eq!(now.changed_since(&seen("2.1.1.1.1.1")), "frameworks");
        assert_eq!(now.changed_since(&seen("1.1.2.1.1.1")), "agents frameworks offers tasks roles");
        assert_eq!(seen(&now.to_string()), now);
        for bad in ["", "1", "1.2.3.4", "1.2.3.4.5", "1.2.3.4.5.x", "1.2.3.4.5.6.7", "1.2.3.4.5.-6"] {
            assert!(bad.parse::<Seen>().is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_page_that_does_not_read_is_cut_off_and_costs_a_bounded_queue() {
        let places = Arc::new(Semaphore::new(1));
        let (changes, latest) = watch::channel(Seen::default());
        let (to, mut events) = mpsc::channel(QUEUE);
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let reader = tokio::spawn(Reader { latest, to, _place: place }.run(None));
        // Far more changes than the queue holds; nobody reads.
        for step in 1..10_000 {
            if reader.is_finished() {
                break;
            }
            changes.send_replace(Seen { offers: step, ..Seen::default() });
            tokio::task::yield_now().await;
        }
        reader.await.unwrap();
        assert_eq!(places.available_permits(), 1, "its place is free again");
        let mut waiting = 0;
        while events.recv().await.is_some() {
            waiting += 1;
        }
        assert!(waiting <= QUEUE, "{waiting} events waited");
    }

    #[tokio::test]
    async fn many_changes_become_few_events() {
        let (changes, from_owner) = broadcast::channel(8);
        let (to, mut latest) = watch::channel(Seen::default());
        let follower = tokio::spawn(follow(from_owner, to));
        for number in 0..100 {
            changes.send(Arc::new(Change::FrameworkRemoved(FrameworkId::numbered(1, number)))).unwrap();
        }
        latest.changed().await.unwrap();
        let told = *latest.borrow_and_update();
        // The backlog held eight of the hundred: then everything counts as changed.
        assert_eq!(told.changed_since(&Seen::default()), "agents frameworks offers tasks roles");
        drop(changes);
        follower.await.unwrap();
    }
}
