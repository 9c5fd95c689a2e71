//! Reaches a running scheduler from other tasks. Never touches the scheduler itself: the owner task does.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::Context;

/// Called by the owner task when the frame is stored.
pub(super) type Done = Box<dyn FnOnce() + Send>;

/// Runs as one frame on the owner task.
pub(super) type Job<S> = Box<dyn FnOnce(&mut S, &mut Context<'_>) -> Done + Send>;

/// What the owner task is asked for.
pub(super) enum Request<S> {
    /// Run this.
    With(Job<S>),
    /// End the run.
    Stop,
}

/// The run has ended; nothing can be asked any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the framework has stopped; start it again")]
pub struct Stopped;

/// A way to reach a running scheduler from other tasks. Cheap to clone.
pub struct Handle<S> {
    sender: mpsc::Sender<Request<S>>,
}

impl<S: 'static> Handle<S> {
    pub(super) fn new(sender: mpsc::Sender<Request<S>>) -> Self {
        Self { sender }
    }

    /// Runs a closure with the scheduler, between two events, as one frame. Returns after everything it stored is durable.
    /// Waits while the inbox is full, and until the run has begun. The closure must be quick and must not block.
    pub async fn with<R, F>(&self, work: F) -> Result<R, Stopped>
    where
        F: FnOnce(&mut S, &mut Context<'_>) -> R + Send + 'static,
        R: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job<S> = Box::new(move |scheduler, cx| {
            let result = work(scheduler, cx);
            Box::new(move || {
                // Nobody waits any more: the caller gave up.
                let _ = reply.send(result);
            })
        });
        self.sender.send(Request::With(job)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Ends the run. Tasks keep running, and a later run finds them. Nothing happens when it has ended already.
    pub async fn stop(&self) {
        // It has ended already: that is what was asked for.
        let _ = self.sender.send(Request::Stop).await;
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
