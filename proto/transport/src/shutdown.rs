//! How servers end: first they drain, then what is left is cut.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long open calls may take to end when nobody said.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(5);

/// Two steps that every part of a process shares: *draining* (no new work, open calls end) and *cut*
/// (everything still open is dropped). Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Shutdown {
    draining: CancellationToken,
    cut: CancellationToken,
    drain: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(DEFAULT_DRAIN)
    }
}

impl Shutdown {
    /// Open calls get `drain` to end once draining begins.
    pub fn new(drain: Duration) -> Self {
        Self { draining: CancellationToken::new(), cut: CancellationToken::new(), drain }
    }

    /// Begins to drain on SIGTERM or SIGINT; a second signal cuts at once.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub fn on_signals(self) -> io::Result<Self> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            for second in [false, true] {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if second {
                    shutdown.cut();
                } else {
                    tracing::info!(drain_ms = shutdown.drain.as_millis() as u64, "signal received, draining");
                    shutdown.begin();
                }
            }
        });
        Ok(self)
    }

    /// Begins to drain.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Drops everything at once, as if the process had been killed. Begins to drain as well.
    pub fn cut(&self) {
        self.draining.cancel();
        self.cut.cancel();
    }

    /// Draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until draining begins.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until everything is to be dropped: the cut, or the end of the time to drain.
    pub async fn ended(&self) {
        self.draining.cancelled().await;
        tokio::select! {
            () = self.cut.cancelled() => {}
            () = tokio::time::sleep(self.drain) => self.cut.cancel(),
        }
    }

    /// The token that is cancelled when everything is to be dropped.
    pub(crate) fn cut_token(&self) -> CancellationToken {
        self.cut.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn draining_ends_by_its_deadline_and_at_once_when_cut() {
        let shutdown = Shutdown::new(Duration::from_millis(20));
        assert!(!shutdown.is_draining());
        shutdown.begin();
        shutdown.draining().await;
        shutdown.ended().await;
        assert!(shutdown.cut_token().is_cancelled());

        let shutdown = Shutdown::new(Duration::from_secs(3600));
        let begun = Instant::now();
        shutdown.cut();
        shutdown.ended().await;
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
