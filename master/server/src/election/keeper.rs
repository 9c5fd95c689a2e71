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
        let left = lease.left(clock.boot());
        if left.is_zero() {
            return;
        }
        let renewed = tokio::select! {
            renewed = renew(&mut client, id, &mut open, lease, clock, pause) => renewed,
            // To the moment, also while an answer is waited for: from then on somebody else may lead.
            () = sleep(left) => return,
        };
        let rest = match renewed {
            Ok(true) => pause,
            Ok(false) => return,
            Err(error) => {
                open = None;
                tracing::warn!(%error, "etcd has not renewed the lease, will be tried again");
                // Through another member, if one is dead.
                pause / 10
            }
        };
        sleep(rest.min(lease.left(clock.boot()))).await;
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
    let asked = clock.boot();
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
