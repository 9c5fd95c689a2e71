//! Streams whose bytes were changed at random: every one ends with a status, and the master goes on.

use proffer_proto_wire::agent::agent_message::Message;
use proffer_proto_wire::agent::{self, AgentMessage};
use proffer_proto_wire::scheduler::{self, Call, call};
use tempfile::tempdir;

use crate::raw::{RawStream, framed};
use crate::support::Cluster;
use crate::words::{accept, attach, info, subscribe, task};

/// Streams of each kind.
const STREAMS: u64 = 150;

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

fn calls(number: u64) -> Vec<u8> {
    let offer = scheduler::Offer { offer_id: "o-1".to_owned(), ..Default::default() };
    let item = scheduler::DemandItem { role: "default".to_owned(), ..Default::default() };
    let calls = [
        subscribe(info("", &format!("random-{number}"))),
        call::Call::Demand(scheduler::Demand { items: vec![item] }),
        accept(&offer, vec![task("t1"), task("t2")]),
        call::Call::Kill(scheduler::Kill { task_id: "t1".to_owned(), ..Default::default() }),
        call::Call::Reconcile(scheduler::Reconcile::default()),
    ];
    calls.into_iter().flat_map(|call| framed(&Call { call: Some(call) })).collect()
}

fn messages(number: u64) -> Vec<u8> {
    let status = agent::StatusUpdate { framework_id: "f".to_owned(), ..Default::default() };
    let messages = [
        Message::Attach(attach(&format!("random-{number}"))),
        Message::Pong(agent::Pong { nonce: 1 }),
        Message::Updates(agent::StatusUpdates { updates: vec![status] }),
    ];
    messages.into_iter().flat_map(|message| framed(&AgentMessage { message: Some(message) })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_stop_the_master() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut numbers = Numbers(7);
    for number in 0..STREAMS {
        for (method, mut bytes) in [
            ("/proffer.scheduler.v1.Scheduler/Session", calls(number)),
            ("/proffer.agent.v1.AgentRegistry/Attach", messages(number)),
        ] {
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.below(256) as u8;
            }
            let mut stream = RawStream::open(&cluster, method).await;
            stream.send(bytes);
            stream.finish();
            match method.contains("Session") {
                true => drop(stream.end::<scheduler::Event>().await),
                false => drop(stream.end::<agent::MasterMessage>().await),
            }
        }
    }
    cluster.assert_serves().await;
}
