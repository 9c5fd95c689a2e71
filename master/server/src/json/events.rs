//! Streams of the operator API as server-sent events. A reader that is too slow is cut off and told why.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use proffer_proto_transport::ErrorKind;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::call::{self, Operator};
use super::problem::Problem;
use super::{MAX_STREAMS, json};
use crate::queue::{Sender, queue};

/// Events that may wait for a slow reader, beside those that wait in the watch itself.
const QUEUE: usize = 64;
/// How long a reader may leave no room before it is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// A sign of life comes at least this often.
const ALIVE: Duration = Duration::from_secs(15);

/// The answer: goes on until the reader leaves, is too slow, or the master stops. The last event then says why.
pub(super) async fn stream(
    operator: &Operator,
    method: &MethodDescriptor,
    request: DynamicMessage,
    places: &Arc<Semaphore>,
) -> Result<Response, Problem> {
    let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
        let message = format!("{MAX_STREAMS} event streams are open already");
        Problem::new(ErrorKind::Exhausted, message, "close one, or ask again later")
    })?;
    let input = method.input();
    let events = call::streaming(operator, method, request).await;
    let events = events.map_err(|status| Problem::of_status(status, &input))?;
    let (to, out) = queue(QUEUE);
    tokio::spawn(forward(events, to, input, place));
    // The queue's status is for gRPC; here the last event says why.
    let out = out.filter_map(async |event| event.ok().map(Ok::<Event, Infallible>));
    Ok(Sse::new(out).keep_alive(KeepAlive::new().interval(ALIVE).text("alive")).into_response())
}

/// Holds its place as long as it runs, not as long as a dead connection lasts.
async fn forward(
    mut events: impl Stream<Item = Result<DynamicMessage, Status>> + Unpin,
    to: Sender<Event>,
    input: MessageDescriptor,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let message = tokio::select! {
            message = events.next() => message,
            () = to.over().cancelled() => return,
        };
        let event = match message {
            Some(Ok(message)) => event(&message),
            None => return,
            Some(Err(status)) => Err(Problem::of_status(status, &input)),
        };
        match event {
            Ok(event) => match tokio::time::timeout(PATIENCE, to.push_when_room(event)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    let message = format!("this stream was not read for {} s", PATIENCE.as_secs());
                    let problem = Problem::new(ErrorKind::Exhausted, message, "ask again and keep up");
                    return to.cut(Some(error(&problem)), Status::resource_exhausted("too slow"));
                }
            },
            Err(problem) => return to.end(Some(error(&problem)), None),
        }
    }
}

/// The name is that of the one field that is set beside the index.
fn event(message: &DynamicMessage) -> Result<Event, Problem> {
    let (mut id, mut name) = (String::new(), "event".to_owned());
    for (field, value) in message.fields() {
        match value {
            Value::U64(index) if field.name() == "index" => id = index.to_string(),
            _ => name = field.name().to_owned(),
        }
    }
    Ok(Event::default().id(id).event(name).data(json(message)?))
}

fn error(problem: &Problem) -> Event {
    // Texts only: they always have a JSON form.
    Event::default().event("error").data(serde_json::to_string(problem).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use prost_reflect::ReflectMessage;

    use super::super::schema::Schema;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_cut_off_and_gives_its_place_back() {
        let watch = Schema::new().unwrap().service().methods().find(|method| method.name() == "Watch").unwrap();
        let message = DynamicMessage::new(watch.output());
        assert_eq!(message.descriptor().name(), "ClusterEvent");
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let (to, out) = queue(QUEUE);
        let endless = futures_util::stream::repeat_with(move || Ok(message.clone()));
        forward(endless, to, watch.input(), place).await;
        assert_eq!(places.available_permits(), 1);
        let left: Vec<_> = out.collect().await;
        let [Ok(last), Err(_)] = left.as_slice() else { panic!("what waited is dropped: {left:?}") };
        assert!(format!("{last:?}").contains("not read for 10 s"), "{last:?}");
    }
}
