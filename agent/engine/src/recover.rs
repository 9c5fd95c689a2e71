//! The start of the engine: what was stored meets the containers that are there.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::Now;

use crate::link::Link;
use crate::task::Task;
use crate::volumes::KeptVolume;
use crate::{Checkpoint, Config, Effect, Engine, Frame, Identity, Operation, SeenContainer, SeenStatus, container_id};

impl Engine {
    /// Makes the engine from what was stored and what the runtime lists, and the frame that takes it from there.
    ///
    /// Tasks are taken up where they are; containers of this agent that no task owns are removed.
    pub fn recover(config: Config, stored: Checkpoint, seen: Vec<SeenContainer>, now: Now) -> (Engine, Frame) {
        let Checkpoint { identity, mut launches, progress, ended, volumes } = stored;
        let identity = Identity { incarnation: identity.incarnation + 1, ..identity };
        let mut engine = Engine {
            config,
            identity,
            link: Link::Down,
            tasks: BTreeMap::new(),
            volumes: volumes.into_iter().map(|(number, held)| (number, KeptVolume::new(held))).collect(),
            ended_serials: ended.iter().map(|(serial, ended)| (ended.key.clone(), *serial)).collect(),
            next_serial: ended.last_key_value().map_or(1, |(serial, _)| serial + 1),
            ended,
            changed: BTreeSet::new(),
            stale_messages: 0,
            out: Frame::default(),
        };
        engine.out.store(Operation::Identity(engine.identity.clone()));
        engine.changed.extend(engine.ended_serials.keys().cloned());
        let by_id: BTreeMap<String, SeenStatus> = seen.iter().map(|c| (c.id.clone(), c.status)).collect();
        let mut owned = BTreeSet::new();
        for (key, progress) in progress {
            let container = container_id(&key);
            let found = by_id.get(&container).copied();
            let launch = launches.remove(&key);
            engine.add_task(now, |cx| Task::recover(launch, progress, found, cx));
            owned.insert(container);
        }
        for orphan in seen.into_iter().filter(|c| c.is_ours && !owned.contains(&c.id)) {
            engine.out.send(Effect::RemoveOrphan { container: orphan.id });
        }
        // What was to be made or removed and may not be yet is begun again.
        engine.settle_volumes(now);
        let frame = std::mem::take(&mut engine.out);
        (engine, frame)
    }
}
