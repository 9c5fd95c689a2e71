//! Keeps a lease alive for as long as etcd answers in time.

use std::time::Duration;

use etcd_client::{Error, LeaseClient, LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::sleep;

use super::Lease;
use super::candidate::{length_ms, within};
use crate::clock::Clock;

/// Renews it four times in its length; returns once it is lost: etcd does not know it any more, or has not answered for too
/// long. A connection that breaks is made again meanwhile.
pub(super) async fn keep(mut client: LeaseClient, id: i64, lease: &Lease, clock: Clock, length: Duration) {
    let pause = length / 4;
    let mut open: Option<(LeaseKeeper, LeaseKeepAliveStream)> = None;
    loop {
        let next = clock.now().mono.0.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        match renew(&mut client, id, &mut open, lease, clock, pause).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                open = None;
                tracing::warn!(%error, "etcd has not renewed the lease, will be tried again");
            }
        }
        let wake = next.min(lease.until().0);
        let now = clock.now().mono.0;
        // Also after an answer that took as long as the pause: never in a tight loop.
        sleep(Duration::from_millis(wake.saturating_sub(now).max(20))).await;
        if !lease.is_held(clock.now().mono) {
            return;
        }
    }
}

/// Asks once; `false` when etcd does not know the lease.
async fn renew(
    client: &mut LeaseClient,
    id: i64,
    open: &mut Option<(LeaseKeeper, LeaseKeepAliveStream)>,
    lease: &Lease,
    clock: Clock,
    limit: Duration,
) -> Result<bool, Error> {
    let asked = clock.now().mono;
    if open.is_none() {
        // The client takes an answer of its own from the stream and keeps its length to itself: the next one is ours.
        match within(limit, client.keep_alive(id)).await {
            Ok(stream) => *open = Some(stream),
            Err(Error::LeaseKeepAliveError(cause)) if cause == "lease not found" => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    let Some((keeper, answers)) = open else { return Ok(true) };
    let ask = async {
        keeper.keep_alive().await?;
        answers.message().await
    };
    let Some(answer) = within(limit, ask).await? else {
        return Err(Error::LeaseKeepAliveError("the stream has ended".to_owned()));
    };
    if answer.ttl() <= 0 {
        return Ok(false);
    }
    // A stream on which an answer was missed is dropped, so this one answers this question.
    lease.renewed(asked, length_ms(answer.ttl()));
    Ok(true)
}
