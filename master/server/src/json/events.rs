//! `/v1/events`: a snapshot, then every change, as lines of JSON. A reader that is too slow is cut off and told why.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use proffer_master_engine::view::Change;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use super::JsonApi;
use super::problem::ProblemBody;
use super::routes::LINES;
use super::views::{AgentBody, EventBody, EventLine, FrameworkBody, OfferBody, TaskBody};
use crate::queue::{Sender, queue};

/// Lines that may wait for a slow reader.
const QUEUE: usize = 1_024;
/// How long a reader may leave no room before it is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// A line comes at least this often.
const ALIVE: Duration = Duration::from_secs(15);

/// The answer: its body goes on until the reader leaves, is too slow, or the master stops.
pub(super) fn stream(api: JsonApi, place: OwnedSemaphorePermit) -> Response {
    let (to, lines) = queue(QUEUE);
    tokio::spawn(async move {
        let mut feed = Feed { to, index: 0 };
        let end = tokio::select! {
            end = feed.run(&api) => end,
            () = api.owner.shutdown.draining() => End::Said("this master is stopping", "ask again, or another master"),
        };
        feed.end(end);
        drop(place);
    });
    // The queue's status is for gRPC; here the last line says why.
    let lines = lines.filter_map(async |line| line.ok().map(Ok::<String, Infallible>));
    ([(header::CONTENT_TYPE, LINES), (header::CACHE_CONTROL, "no-store")], Body::from_stream(lines)).into_response()
}

/// How a stream ends.
enum End {
    /// Nobody listens any more.
    Gone,
    /// With these words: what is wrong and the fix.
    Said(&'static str, &'static str),
    /// The reader left no room: what waits is dropped.
    Stuck,
}

/// The writing side.
struct Feed {
    to: Sender<String>,
    index: u64,
}

impl Feed {
    /// Subscribes before it takes the snapshot, so that nothing falls between the two.
    async fn run(&mut self, api: &JsonApi) -> End {
        let readers = &api.readers;
        let mut changes = readers.changes();
        let agents = readers.agents().into_iter().map(|agent| EventBody::Agent(AgentBody::new(&agent)));
        let frameworks = readers.frameworks().into_iter().map(|f| EventBody::Framework(FrameworkBody::new(&f)));
        let offers = readers.offers().into_iter().map(|offer| EventBody::Offer(OfferBody::new(&offer, readers)));
        let tasks = readers.tasks().into_iter().map(|task| EventBody::Task(TaskBody::new(&task, readers)));
        let snapshot = agents.chain(frameworks).chain(offers).chain(tasks);
        for event in snapshot.chain(std::iter::once(EventBody::SnapshotEnd)) {
            if let Err(end) = self.say(event).await {
                return end;
            }
        }
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = self.to.over().cancelled() => return End::Gone,
                () = tokio::time::sleep(ALIVE) => {
                    match self.say(EventBody::Alive).await {
                        Ok(()) => continue,
                        Err(end) => return end,
                    }
                }
            };
            let event = match change {
                Ok(change) => event(api, &change),
                Err(RecvError::Closed) => return End::Gone,
                Err(RecvError::Lagged(_)) => {
                    return End::Said("this stream is read too slowly and missed changes", "ask again and keep up");
                }
            };
            if let Some(event) = event
                && let Err(end) = self.say(event).await
            {
                return end;
            }
        }
    }

    /// Waits for room, but not for ever.
    async fn say(&mut self, event: EventBody) -> Result<(), End> {
        let Some(line) = self.line(event) else { return Ok(()) };
        match tokio::time::timeout(PATIENCE, self.to.push_when_room(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Stuck),
        }
    }

    fn line(&mut self, event: EventBody) -> Option<String> {
        self.index += 1;
        // Strings, numbers and maps with text keys always have a JSON form.
        let mut line = serde_json::to_string(&EventLine { index: self.index, event }).ok()?;
        line.push('\n');
        Some(line)
    }

    fn end(mut self, end: End) {
        let said = |error: &str, fix: &str| ProblemBody { error: error.to_owned(), field: None, fix: fix.to_owned() };
        match end {
            End::Gone => self.to.end(None, None),
            End::Said(error, fix) => {
                let last = self.line(EventBody::Error(said(error, fix)));
                self.to.end(last, None);
            }
            End::Stuck => {
                let last =
                    self.line(EventBody::Error(said("this stream was not read for 10 s", "ask again and keep up")));
                self.to.cut(last, tonic::Status::resource_exhausted("the stream was not read"));
            }
        }
    }
}

fn event(api: &JsonApi, change: &Change) -> Option<EventBody> {
    Some(match change {
        Change::Agent(agent) => EventBody::Agent(AgentBody::new(agent)),
        Change::AgentRemoved(id) => EventBody::AgentRemoved(id.to_string()),
        Change::Framework(framework) => EventBody::Framework(FrameworkBody::new(framework)),
        Change::FrameworkRemoved(id) => EventBody::FrameworkRemoved(id.to_string()),
        Change::Offer(offer) => EventBody::Offer(OfferBody::new(offer, &api.readers)),
        Change::Task(task) => EventBody::Task(TaskBody::new(task, &api.readers)),
        // Its last state was told when it ended.
        Change::TaskForgotten(_) => return None,
    })
}
