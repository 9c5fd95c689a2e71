//! One stream to one master, from its opening to its end. Knows nothing of what is said over it.

use proffer_proto_transport::{Address, MAX_MESSAGE_BYTES, connect, leader_of};
use proffer_proto_wire::scheduler as wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::session::{Call, MasterEvent};

/// Calls that may wait for the network.
const CALLS: usize = 1_024;

/// Events that may wait for the owner task; the master is slowed down beyond.
const NEWS: usize = 256;

/// What the link tells its owner.
#[derive(Debug)]
pub(super) enum News {
    /// The master says something.
    Event(MasterEvent),
    /// The stream has ended or could not be opened, for this reason; the master may have said which one leads.
    Closed(String, Option<Address>),
}

/// A stream that is open or on its way. Dropping it cuts it.
pub(super) struct Link {
    pub(super) address: Address,
    calls: mpsc::Sender<wire::Call>,
    news: mpsc::Receiver<News>,
    task: AbortOnDropHandle<()>,
}

impl Link {
    /// Begins to open a stream. Calls may be sent at once: they wait until it is open.
    pub(super) fn open(address: Address) -> Self {
        let (calls, outgoing) = mpsc::channel(CALLS);
        let (sender, news) = mpsc::channel(NEWS);
        let to = address.clone();
        let task = tokio::spawn(async move {
            let (reason, leader) = listen(&to, outgoing, &sender).await;
            // The owner has gone: nobody needs the reason.
            let _ = sender.send(News::Closed(reason, leader)).await;
        });
        Self { address, calls, news, task: AbortOnDropHandle::new(task) }
    }

    /// Queues a call; waits while the queue is full. `false`: the stream has ended.
    pub(super) async fn send(&self, call: Call) -> bool {
        self.calls.send(call.into_wire()).await.is_ok()
    }

    /// What comes next. After [`News::Closed`] nothing comes any more.
    pub(super) async fn next(&mut self) -> News {
        self.news.recv().await.unwrap_or_else(|| News::Closed("the link has ended".to_owned(), None))
    }

    /// What came already.
    pub(super) fn try_next(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Says that nothing more will be called, and waits until the master has heard everything and closed.
    pub(super) async fn finish(self) {
        let Self { address: _, calls, mut news, task } = self;
        drop(calls);
        while news.recv().await.is_some() {}
        // It ends by itself now; how does not matter.
        let _ = task.await;
    }
}

/// Why it ended, and who leads if the master said so.
async fn listen(
    address: &Address,
    outgoing: mpsc::Receiver<wire::Call>,
    news: &mpsc::Sender<News>,
) -> (String, Option<Address>) {
    let channel = match connect(address) {
        Ok(channel) => channel,
        Err(error) => return (error.to_string(), None),
    };
    let mut client = wire::scheduler_client::SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut events = match client.session(ReceiverStream::new(outgoing)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return (describe(&status), leader_of(&status)),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => match MasterEvent::try_from(event) {
                Ok(event) => {
                    if news.send(News::Event(event)).await.is_err() {
                        return ("the framework has stopped".to_owned(), None);
                    }
                }
                // What needs an answer is sent again by the master or asked for by reconciliation.
                Err(error) => warn!(%address, %error, "left out an event of the master that makes no sense"),
            },
            Ok(None) => return ("the master closed the stream".to_owned(), None),
            Err(status) => return (describe(&status), leader_of(&status)),
        }
    }
}

/// A status with what lies beneath it, as "connection refused".
fn describe(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
