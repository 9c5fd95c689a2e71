//! What comes in on a session's stream: a message, or the way it ended, in words for the peer.

use proffer_proto_transport::{ErrorKind, Shutdown, to_status};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

/// What was heard.
pub(super) enum Heard<T> {
    /// A message.
    Message(T),
    /// The peer has ended its side, or is gone.
    Ended,
    /// The peer sent what cannot be read. The status goes to it; its text says what is wrong and what to do.
    Unreadable(Status),
    /// The answering side of the stream has ended.
    Closed,
    /// This master stops.
    Stopping,
}

/// Waits for the next message as long as anybody can be answered.
pub(super) async fn hear<T>(inbound: &mut Streaming<T>, over: &CancellationToken, shutdown: &Shutdown) -> Heard<T> {
    let message = tokio::select! {
        // Ends come first: a peer that never stops talking is ended too.
        biased;
        () = over.cancelled() => return Heard::Closed,
        () = shutdown.draining() => return Heard::Stopping,
        message = inbound.message() => message,
    };
    match message {
        Ok(Some(message)) => Heard::Message(message),
        Ok(None) => Heard::Ended,
        Err(status) => unreadable(&status).map_or(Heard::Ended, Heard::Unreadable),
    }
}

/// `None` when it is the connection that broke: nobody is there to be told.
fn unreadable(status: &Status) -> Option<Status> {
    if std::error::Error::source(status).is_some() {
        return None;
    }
    let told = status.message();
    Some(match status.code() {
        // Ours holds the field and the fix.
        Code::ResourceExhausted if told.contains("fields and values") => {
            to_status(ErrorKind::Exhausted, format!("a message is too large: {told}"))
        }
        // The library's text holds the size and the cap.
        Code::OutOfRange | Code::ResourceExhausted => {
            to_status(ErrorKind::Exhausted, format!("a message is too large: {told}; send it in smaller parts"))
        }
        _ if told.contains("Unexpected EOF") => {
            let message = "the stream ended in the middle of a message; send every message whole";
            to_status(ErrorKind::Invalid, message)
        }
        // The library's text names the field.
        _ => to_status(ErrorKind::Invalid, format!("a message cannot be read: {told}; send messages of this API")),
    })
}
