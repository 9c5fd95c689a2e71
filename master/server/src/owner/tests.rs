//! The owner's own promise: timers fire in time, whatever else there is to do.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use proffer_master_engine::{Config, Stored};
use proffer_proto_wire::scheduler::event::Event;

use super::*;
use crate::outbox::OUTBOX;
use crate::queue::queue;
use crate::store::{Loaded, MemoryStore, suite};

/// A store that brings work with every commit: the owner's inbox is never empty.
struct NeverIdle {
    store: MemoryStore,
    inbox: Option<mpsc::Sender<ToOwner>>,
    stop: Arc<AtomicBool>,
}

impl Store for NeverIdle {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.store.load()
    }

    fn commit(&mut self, operations: &[proffer_master_engine::registry::Operation]) -> Result<Stored, StoreError> {
        if self.stop.load(Ordering::Relaxed) {
            self.inbox = None;
        }
        if let Some(inbox) = &self.inbox {
            let work = Input::AgentPong { session: SessionId(99) };
            inbox.try_send(ToOwner::Input(Box::new(work))).expect("room in the inbox");
        }
        self.store.commit(operations)
    }
}

#[tokio::test]
async fn timers_fire_while_the_inbox_is_never_empty() {
    let mut store = MemoryStore::default();
    let Loaded { cluster, epoch, registry } = store.load().unwrap();
    let clock = Clock::start();
    let config = Config { heartbeat_interval_ms: 10, ..Config::default() };
    let engine = Engine::recover(config, cluster.clone(), epoch, registry, clock.now()).unwrap();
    let readers = Arc::new(ReadModels::new(cluster, epoch, clock.now().unix));
    let (inbox, from_all) = mpsc::channel(INBOX);
    let stop = Arc::new(AtomicBool::new(false));

    let (to, mut events) = queue(OUTBOX);
    let session = SessionId(1);
    inbox.send(ToOwner::Open(session, Outbox::framework(to))).await.unwrap();
    let framework = proffer_proto_model::FrameworkInfo { id: None, ..suite::framework(1).info };
    let subscribe = Input::Subscribe { session, framework, demand: Default::default() };
    inbox.send(ToOwner::Input(Box::new(subscribe))).await.unwrap();

    let store = Box::new(NeverIdle { store, inbox: Some(inbox), stop: Arc::clone(&stop) });
    let streams = Streams::default();
    let metrics = Arc::new(Metrics::new(Arc::clone(&readers)));
    let owner = Owner { engine, epoch, store, lease: None, clock, inbox: from_all, readers, streams, metrics };
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(owner.run())
    });
    let heartbeat = async {
        while let Some(event) = events.next().await {
            if matches!(event.unwrap().event, Some(Event::Heartbeat(_))) {
                return true;
            }
        }
        false
    };
    let has_beaten = tokio::time::timeout(Duration::from_secs(20), heartbeat).await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!(has_beaten, Ok(true), "no heartbeat came");
    thread.join().unwrap().unwrap();
}
