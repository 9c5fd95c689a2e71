//! The bounded queue of one response stream, with its end: a last word and a status that always have a place.
//!
//! Nobody who writes ever waits for a reader without watching it; what a reader that was cut off left is dropped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Writes into the queue. When the last one is gone the stream ends well, if nobody ended it otherwise.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// What the reader gets: the messages in order, then the last word, then the status.
#[derive(Debug)]
pub(crate) struct Messages<T>(Arc<Shared<T>>);

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// The reader is too slow.
    Full,
    /// The stream has ended or its reader is gone.
    Ended,
}

#[derive(Debug)]
struct Shared<T> {
    most: usize,
    state: Mutex<State<T>>,
    /// Told when a place becomes free.
    room: Notify,
    /// Cancelled when nothing more can be written.
    over: CancellationToken,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// Set once: nothing is taken any more; the status goes out after what waits.
    end: Option<Option<Status>>,
    reader: Option<Waker>,
    writers: usize,
}

/// A queue in which at most `most` messages wait, beside the last word.
pub(crate) fn queue<T>(most: usize) -> (Sender<T>, Messages<T>) {
    let state = State { waiting: VecDeque::new(), end: None, reader: None, writers: 1 };
    let shared = Shared { most, state: Mutex::new(state), room: Notify::new(), over: CancellationToken::new() };
    let shared = Arc::new(shared);
    (Sender(Arc::clone(&shared)), Messages(shared))
}

impl<T> Sender<T> {
    /// Queues a message if there is room; never waits.
    pub(crate) fn push(&self, message: T) -> Result<(), PushError> {
        self.0.push(message).map_err(|(_, error)| error)
    }

    /// Queues a message as soon as there is room.
    pub(crate) async fn push_when_room(&self, mut message: T) -> Result<(), PushError> {
        loop {
            // Registered before the look, so that room made in between is not missed.
            let mut room = std::pin::pin!(self.0.room.notified());
            room.as_mut().enable();
            match self.0.push(message) {
                Ok(()) => return Ok(()),
                Err((_, PushError::Ended)) => return Err(PushError::Ended),
                Err((back, PushError::Full)) => message = back,
            }
            tokio::select! {
                () = room => {}
                () = self.0.over.cancelled() => return Err(PushError::Ended),
            }
        }
    }

    /// Ends the stream after what waits: the last word, then the status; `None` ends it well. The first end counts.
    pub(crate) fn end(&self, last: Option<T>, status: Option<Status>) {
        self.0.end(last, status, false);
    }

    /// Ends the stream of a reader that is too slow: what waits is dropped, only the last word and the status stay.
    pub(crate) fn cut(&self, last: Option<T>, status: Status) {
        self.0.end(last, Some(status), true);
    }

    /// Cancelled when the stream has ended or its reader is gone.
    pub(crate) fn over(&self) -> &CancellationToken {
        &self.0.over
    }
}

/// How many messages wait in a queue, whatever they are.
pub(crate) trait Depth: std::fmt::Debug + Send + Sync {
    /// `None` when the stream has ended: it takes nothing more.
    fn waiting(&self) -> Option<usize>;
}

impl<T: std::fmt::Debug + Send> Depth for Shared<T> {
    fn waiting(&self) -> Option<usize> {
        let state = self.lock();
        state.end.is_none().then_some(state.waiting.len())
    }
}

impl<T: std::fmt::Debug + Send + 'static> Sender<T> {
    /// To look at how much waits; it keeps neither the queue nor its stream alive.
    pub(crate) fn depth(&self) -> Weak<dyn Depth> {
        let shared: Arc<dyn Depth> = Arc::<Shared<T>>::clone(&self.0);
        Arc::downgrade(&shared)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: T) -> Result<(), (T, PushError)> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err((message, PushError::Ended));
        }
        if state.waiting.len() >= self.most {
            return Err((message, PushError::Full));
        }
        state.waiting.push_back(message);
        wake(state);
        Ok(())
    }

    fn end(&self, last: Option<T>, status: Option<Status>, drops_waiting: bool) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        if drops_waiting {
            state.waiting = VecDeque::new();
        }
        state.waiting.extend(last);
        state.end = Some(status);
        wake(state);
        self.over.cancel();
    }
}

/// Wakes the reader after the lock is let go.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().writers += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.writers -= 1;
        let is_last = state.writers == 0;
        drop(state);
        if is_last {
            self.0.end(None, None, false);
        }
    }
}

impl<T> Stream for Messages<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock();
        if let Some(message) = state.waiting.pop_front() {
            drop(state);
            self.0.room.notify_one();
            return Poll::Ready(Some(Ok(message)));
        }
        match &mut state.end {
            Some(status) => Poll::Ready(status.take().map(Err)),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Messages<T> {
    fn drop(&mut self) {
        self.0.end(None, None, true);
        // Also what waited behind an end that came before.
        self.0.lock().waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn codes(items: Vec<Result<u8, Status>>) -> Vec<Result<u8, tonic::Code>> {
        items.into_iter().map(|item| item.map_err(|status| status.code())).collect()
    }

    #[tokio::test]
    async fn what_waits_comes_before_the_last_word_and_the_status() {
        let (sender, messages) = queue(2);
        assert_eq!(sender.push(1), Ok(()));
        assert_eq!(sender.push(2), Ok(()));
        assert_eq!(sender.push(3), Err(PushError::Full));
        sender.end(Some(4), Some(Status::invalid_argument("x")));
        sender.end(Some(5), None);
        assert_eq!(sender.push(6), Err(PushError::Ended));
        let expected = [Ok(1), Ok(2), Ok(4), Err(tonic::Code::InvalidArgument)];
        assert_eq!(codes(messages.collect().await), expected);
    }

    #[tokio::test]
    async fn a_reader_that_is_cut_off_gets_only_the_reason() {
        let (sender, messages) = queue(2);
        sender.push(1).unwrap();
        sender.cut(Some(9), Status::resource_exhausted("x"));
        assert_eq!(codes(messages.collect().await), [Ok(9), Err(tonic::Code::ResourceExhausted)]);
    }

    #[tokio::test]
    async fn a_writer_that_waits_hears_at_once_when_the_reader_is_gone_or_reads() {
        let (sender, mut messages) = queue(1);
        sender.push(1).unwrap();
        let mut waits = std::pin::pin!(sender.push_when_room(2));
        assert_eq!(waits.as_mut().now_or_never(), None);
        assert!(messages.next().await.is_some());
        assert_eq!(waits.await, Ok(()));
        let mut waits = std::pin::pin!(sender.push_when_room(3));
        assert_eq!(waits.as_mut().now_or_never(), None);
        drop(messages);
        assert_eq!(waits.await, Err(PushError::Ended));
        assert!(sender.over().is_cancelled());
    }

    #[tokio::test]
    async fn the_stream_ends_well_with_its_last_writer() {
        let (sender, messages) = queue(1);
        let other = sender.clone();
        drop(sender);
        other.push(1).unwrap();
        drop(other);
        assert_eq!(codes(messages.collect().await), [Ok(1)]);
    }
}
