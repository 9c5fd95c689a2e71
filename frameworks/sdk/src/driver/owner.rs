//! The one task that owns session, store and link. Decides nothing: it stores, then sends, what the session's frames say.

use std::time::Duration;

use proffer_proto_transport::{Address, Again, Backoff, Masters};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::clock::Clock;
use super::handle::{Done, Request};
use super::link::{Link, News};
use super::{DriverError, INBOX};
use crate::Scheduler;
use crate::session::{End, ErrorKind, Session, SessionFrame, SessionInput, Stored};
use crate::store::{Store, StoreError};

/// First and longest bound of the wait before a master is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A master that takes no calls for so long is left.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Last calls may take so long to leave.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

/// The owner task of a run.
pub(super) struct Owner<S> {
    session: Session<S>,
    /// Out of its place only while a commit runs on a blocking thread.
    store: Option<Box<dyn Store>>,
    masters: Masters,
    inbox: mpsc::Receiver<Request<S>>,
    is_inbox_open: bool,
    link: Option<Link>,
    open_at: Instant,
    backoff: Backoff,
    clock: Clock,
}

/// What woke the owner.
enum Woken<S> {
    News(News),
    Request(Option<Request<S>>),
    Deadline,
    Open,
}

/// Inputs that share one commit.
#[derive(Default)]
struct Batch {
    frame: SessionFrame,
    done: Vec<Done>,
    is_closed: bool,
}

impl<S: Scheduler> Owner<S> {
    pub(super) fn new(
        session: Session<S>,
        store: Box<dyn Store>,
        masters: Vec<Address>,
        inbox: mpsc::Receiver<Request<S>>,
    ) -> Self {
        Self {
            session,
            store: Some(store),
            masters: Masters::new(masters),
            inbox,
            is_inbox_open: true,
            link: None,
            open_at: Instant::now(),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            clock: Clock::start(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), DriverError> {
        let mut batch = Batch { frame: self.handle(SessionInput::Start), ..Batch::default() };
        loop {
            if let Some(end) = self.perform(batch).await? {
                return self.finish(end).await;
            }
            batch = match self.wait().await {
                Woken::Open => self.open(),
                Woken::Deadline => Batch { frame: self.handle(SessionInput::Tick), ..Batch::default() },
                Woken::News(news) => self.collect(Some(news), None),
                Woken::Request(Some(Request::Stop)) => return self.finish(End::Stopped).await,
                Woken::Request(Some(request)) => self.collect(None, Some(request)),
                Woken::Request(None) => {
                    self.is_inbox_open = false;
                    Batch::default()
                }
            };
        }
    }

    async fn wait(&mut self) -> Woken<S> {
        let clock = self.clock;
        let deadline = self.session.next_deadline();
        let deadline = async {
            match deadline {
                Some(moment) => sleep_until(clock.instant(moment)).await,
                None => std::future::pending().await,
            }
        };
        let open_at = self.open_at;
        let link = async {
            match &mut self.link {
                Some(link) => Woken::News(link.next().await),
                None => {
                    sleep_until(open_at).await;
                    Woken::Open
                }
            }
        };
        tokio::select! {
            woken = link => woken,
            request = self.inbox.recv(), if self.is_inbox_open => Woken::Request(request),
            () = deadline => Woken::Deadline,
        }
    }

    /// Handles what woke the owner and what waits beside it, up to a bound, so that all of it shares one commit.
    fn collect(&mut self, news: Option<News>, request: Option<Request<S>>) -> Batch {
        let mut batch = Batch::default();
        let (mut news, mut request) = (news, request);
        for _ in 0..INBOX {
            match (news.take(), request.take()) {
                (Some(news), _) => self.on_news(news, &mut batch),
                (None, Some(request)) => self.on_request(request, &mut batch),
                (None, None) => return batch,
            }
            if batch.is_closed || !batch.frame.is_going_on() {
                return batch;
            }
            news = self.link.as_mut().and_then(Link::try_next);
            if news.is_none() {
                request = self.inbox.try_recv().ok();
            }
        }
        // Both were taken out of their queues: neither may be lost.
        if let Some(news) = news {
            self.on_news(news, &mut batch);
        } else if let Some(request) = request {
            self.on_request(request, &mut batch);
        }
        batch
    }

    fn on_news(&mut self, news: News, batch: &mut Batch) {
        let input = match news {
            News::Event(event) => SessionInput::Master(event),
            News::Closed(reason, leader) => {
                self.close(&reason, leader);
                batch.is_closed = true;
                SessionInput::Closed
            }
        };
        let was_connected = self.session.facts().is_connected;
        batch.frame.append(self.handle(input));
        if !was_connected && self.session.facts().is_connected {
            self.backoff.reset();
            let master = self.link.as_ref().map(|link| link.address.to_string()).unwrap_or_default();
            let framework = self.session.facts().framework.as_ref().map(ToString::to_string).unwrap_or_default();
            info!(%master, %framework, "subscribed");
        }
    }

    fn on_request(&mut self, request: Request<S>, batch: &mut Batch) {
        match request {
            Request::With(job) => {
                let (done, frame) = self.session.with(self.clock.now(), job);
                batch.done.push(done);
                batch.frame.append(frame);
            }
            Request::Stop => batch.frame.append(SessionFrame::ending(End::Stopped)),
        }
    }

    fn handle(&mut self, input: SessionInput) -> SessionFrame {
        self.session.handle(self.clock.now(), input)
    }

    fn open(&mut self) -> Batch {
        let Some(address) = self.masters.now().cloned() else { return Batch::default() };
        debug!(master = %address, "connecting");
        self.link = Some(Link::open(address));
        Batch { frame: self.handle(SessionInput::Opened), ..Batch::default() }
    }

    /// Leaves the link and says when the next master is tried.
    fn close(&mut self, reason: &str, leader: Option<Address>) {
        let delay = match self.masters.failed(leader) {
            Again::AtOnce => Duration::ZERO,
            Again::AfterAWait => self.backoff.next_delay(),
        };
        if let Some(link) = self.link.take() {
            let retry_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            warn!(master = %link.address, reason, retry_ms, "no link to the master");
        }
        self.open_at = Instant::now() + delay;
    }

    /// Stores, then sends, then answers. Gives the end when this was the last batch.
    async fn perform(&mut self, batch: Batch) -> Result<Option<End>, DriverError> {
        let Batch { frame, done, is_closed: _ } = batch;
        let proof = self.commit(&frame).await?;
        let after = frame.into_after(proof);
        let mut lost = after.reconnect;
        if let Some(link) = &self.link {
            for call in after.send {
                match timeout(SEND_TIMEOUT, link.send(call)).await {
                    Ok(true) => {}
                    // Its reason comes with the news that it has closed.
                    Ok(false) => break,
                    Err(_) => {
                        lost = Some("the master takes no calls".to_owned());
                        break;
                    }
                }
            }
        }
        done.into_iter().for_each(|done| done());
        if after.end.is_some() {
            return Ok(after.end);
        }
        if let Some(reason) = lost {
            self.close(&reason, None);
            let frame = self.handle(SessionInput::Closed);
            return Box::pin(self.perform(Batch { frame, ..Batch::default() })).await;
        }
        Ok(None)
    }

    async fn commit(&mut self, frame: &SessionFrame) -> Result<Stored, DriverError> {
        if frame.changes().is_empty() {
            return Ok(Stored::after_commit());
        }
        let lost = || StoreError::Write { message: "an earlier write broke off".to_owned() };
        let mut store = self.store.take().ok_or_else(lost)?;
        let changes = frame.changes().to_vec();
        let committed = tokio::task::spawn_blocking(move || {
            let outcome = store.commit(&changes);
            (store, outcome)
        });
        let (store, outcome) = committed.await.map_err(|_| lost())?;
        self.store = Some(store);
        outcome?;
        Ok(Stored::after_commit())
    }

    async fn finish(mut self, end: End) -> Result<(), DriverError> {
        if let Some(link) = self.link.take() {
            // A master that does not close in time has lost nothing: what it did not hear comes again.
            let _ = timeout(FINISH_TIMEOUT, link.finish()).await;
        }
        match end {
            End::Stopped | End::TornDown => Ok(()),
            End::Scheduler(error) => Err(DriverError::Scheduler(error)),
            End::Refused { kind, message } => Err(match kind {
                ErrorKind::Superseded => DriverError::Superseded { message },
                ErrorKind::Removed => DriverError::Removed { message },
                ErrorKind::Forbidden => DriverError::Forbidden { message },
                ErrorKind::UnknownFramework => DriverError::UnknownFramework { message },
                _ => DriverError::Refused { message },
            }),
        }
    }
}
