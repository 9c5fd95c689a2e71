//! What is read from and written to etcd, and in which order, so that a crash between any two requests loses nothing and
//! shows nothing half.

use std::collections::BTreeMap;

use etcd_client::{DeleteOptions, TxnOp};
use proffer_master_engine::registry::Operation;
use proffer_proto_model::{ClusterId, Epoch};
use uuid::Uuid;

use super::batch::{self, Change};
use super::calls::{Calls, Written};
use super::meta::{Keys, Meta, SCHEMA_VERSION, Version};
use super::{EtcdOptions, Fence};
use crate::store::disk::new_cluster_id;
use crate::store::records::{self, Changes};
use crate::store::{Loaded, StoreError};

/// Commits between two compactions: each leaves an old value of every key it writes.
const COMPACT_EVERY: u64 = 1_000;

/// A crash that a test asks for.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// After so many requests of a commit.
    AfterWrites(usize),
}

/// The connection, and what was written last.
pub(super) struct Core {
    calls: Calls,
    keys: Keys,
    place: String,
    /// Ours since the last load; nothing may be written before.
    meta: Option<Meta>,
    #[cfg(test)]
    pub crash: Option<Crash>,
}

impl Core {
    pub async fn connect(options: &EtcdOptions, fence: Option<Fence>) -> Result<Self, StoreError> {
        let keys = Keys { prefix: options.prefix.clone() };
        Ok(Self {
            calls: Calls::connect(options, fence).await?,
            keys,
            place: options.to_string(),
            meta: None,
            #[cfg(test)]
            crash: None,
        })
    }

    /// Takes over, finishes what the last one committed, and reads everything.
    pub async fn load(&mut self) -> Result<Loaded, StoreError> {
        let meta = self.take_over().await?;
        let (cluster, epoch) = (meta.cluster.clone(), meta.epoch);
        self.meta = Some(meta.clone());
        // Nobody but us writes from here on; if somebody takes over, our next write says so.
        let (records, pending) = self.read(&meta).await?;
        if let Some(pending) = pending {
            self.apply(pending).await?;
        } else {
            // Parts that were staged and never committed, records of a restore that was not finished.
            let others = self.calls.list(&self.keys.staged(), 0).await?.is_some_and(|found| !found.is_empty());
            if others {
                self.write(0, vec![self.forget(&self.keys.staged())]).await?;
            }
        }
        self.forget_other_generations().await?;
        let registry = records::registry(&records).map_err(|cause| self.corrupt(cause))?;
        Ok(Loaded { cluster, epoch, registry })
    }

    /// What is there, without taking over; `None` when nothing was ever stored.
    pub async fn look(&mut self) -> Result<Option<Loaded>, StoreError> {
        let Some((meta, _)) = self.find_meta().await? else { return Ok(None) };
        let (records, _) = self.read(&meta).await?;
        let registry = records::registry(&records).map_err(|cause| self.corrupt(cause))?;
        Ok(Some(Loaded { cluster: meta.cluster, epoch: meta.epoch, registry }))
    }

    /// Puts other contents in the place of all there is. What was there stays until the last request, and a master that
    /// writes meanwhile makes it fail.
    pub async fn replace(&mut self, contents: &Loaded) -> Result<(), StoreError> {
        let Loaded { cluster, epoch, registry } = contents;
        let changes = records::all(registry).map_err(|e| self.corrupt(e.to_string()))?;
        self.check_size(&changes)?;
        let found = self.find_meta().await?;
        let taken = match found {
            // Whoever had it is out, so that nothing is written between here and the end.
            Some((old, bytes)) => self.swap(Some(&bytes), old.taken()).await?,
            None => {
                let first = Meta::first(new_cluster_id());
                self.swap(None, Meta { epoch: Epoch(0), ..first }).await?
            }
        };
        let generation = taken.generation + 1;
        self.meta = Some(taken);
        self.forget_other_generations().await?;
        for group in batch::groups(changes) {
            let puts = self.puts(generation, group);
            self.write(0, puts).await?;
        }
        let before = self.held()?.clone();
        let next = Meta { cluster: cluster.clone(), epoch: *epoch, generation, staged: 0, ..before.moved() };
        let staged = self.forget(&self.keys.staged());
        self.write_meta(&before, next, vec![staged]).await?;
        self.forget_other_generations().await
    }

    /// Makes the operations durable, all or none, whatever happens between two requests.
    pub async fn commit(&mut self, operations: &[Operation]) -> Result<(), StoreError> {
        let changes = records::changes(operations).map_err(|e| self.corrupt(e.to_string()))?;
        self.check_size(&changes)?;
        let before = self.held()?.sequence;
        if batch::is_small(&changes) {
            let generation = self.held()?.generation;
            let puts = self.puts(generation, changes.into_iter().collect());
            self.write(0, puts).await?;
        } else {
            self.commit_in_parts(changes).await?;
        }
        let after = self.held()?.sequence;
        if before / COMPACT_EVERY != after / COMPACT_EVERY {
            let (_, revision) = self.calls.get(&self.keys.meta()).await?;
            self.calls.compact(revision).await;
        }
        Ok(())
    }

    /// First all of it is staged where nobody looks, then one request commits it, then it is applied. A crash before the
    /// commit leaves parts that the next load forgets, one after it parts that the next load applies.
    async fn commit_in_parts(&mut self, changes: Changes) -> Result<(), StoreError> {
        let parts = batch::stage(&changes);
        let count = parts.len();
        for (at, part) in parts.into_iter().enumerate() {
            let staged = if at + 1 == count { count as u64 } else { 0 };
            self.write(staged, vec![TxnOp::put(self.keys.part(at), part, None)]).await?;
        }
        self.apply(changes).await
    }

    /// Carries out what is staged and committed. Doing it again is the same as once.
    async fn apply(&mut self, changes: Changes) -> Result<(), StoreError> {
        let (generation, staged) = (self.held()?.generation, self.held()?.staged);
        let groups = batch::groups(changes);
        let count = groups.len();
        for (at, group) in groups.into_iter().enumerate() {
            let mut operations = self.puts(generation, group);
            let is_last = at + 1 == count;
            if is_last {
                operations.push(self.forget(&self.keys.staged()));
            }
            self.write(if is_last { 0 } else { staged }, operations).await?;
        }
        Ok(())
    }

    /// Begins a new epoch, unless what is there cannot be understood.
    async fn take_over(&self) -> Result<Meta, StoreError> {
        loop {
            let (known, next) = match self.find_meta().await? {
                Some((meta, bytes)) => (Some(bytes), meta.taken()),
                None => {
                    let (_, revision) = self.calls.get(&self.keys.meta()).await?;
                    let records = self.calls.list(&self.keys.all_records(), revision).await?;
                    if records.is_some_and(|found| !found.is_empty()) {
                        return Err(self.corrupt(format!("there are records, and {} is missing", self.keys.meta())));
                    }
                    (None, Meta::first(new_cluster_id()))
                }
            };
            match self.calls.write(&self.keys.meta(), known.as_deref(), &next.bytes(), Vec::new()).await? {
                Written::Done => return Ok(next),
                // Somebody was faster: after them.
                Written::Refused(_) => {}
            }
        }
    }

    /// As [`Self::take_over`], but only from what was seen.
    async fn swap(&self, known: Option<&[u8]>, next: Meta) -> Result<Meta, StoreError> {
        match self.calls.write(&self.keys.meta(), known, &next.bytes(), Vec::new()).await? {
            Written::Done => Ok(next),
            Written::Refused(found) => Err(self.superseded(found)),
        }
    }

    async fn find_meta(&self) -> Result<Option<(Meta, Vec<u8>)>, StoreError> {
        let (Some(bytes), _) = self.calls.get(&self.keys.meta()).await? else { return Ok(None) };
        let wrong = |error: serde_json::Error| self.corrupt(format!("{}: {error}", self.keys.meta()));
        let Version { schema: found } = serde_json::from_slice(&bytes).map_err(wrong)?;
        if found > SCHEMA_VERSION {
            let path = self.place.clone().into();
            return Err(StoreError::Newer { path, found, known: SCHEMA_VERSION });
        }
        Ok(Some((serde_json::from_slice(&bytes).map_err(wrong)?, bytes)))
    }

    /// All records at one revision, with what is committed and not applied yet; that apart too.
    async fn read(&self, meta: &Meta) -> Result<(BTreeMap<String, Vec<u8>>, Option<Changes>), StoreError> {
        loop {
            let (now, revision) = self.calls.get(&self.keys.meta()).await?;
            // Who only looks sees what a living master has written since.
            let now: Option<Meta> = now.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let Some(now) = now.filter(|now| now.generation == meta.generation) else {
                return Err(StoreError::Superseded { place: self.place.clone(), epoch: Epoch(meta.epoch.0 + 1) });
            };
            let prefix = self.keys.records(now.generation);
            let found = self.calls.list(&prefix, revision).await?;
            let staged = self.calls.list(&self.keys.staged(), revision).await?;
            // Forgotten while we read: once more, as things are by then.
            let (Some(found), Some(staged)) = (found, staged) else { continue };
            let mut records: BTreeMap<String, Vec<u8>> =
                found.into_iter().map(|(key, value)| (key[prefix.len()..].to_owned(), value)).collect();
            let pending = self.pending(now.staged, staged)?;
            for (key, value) in pending.iter().flatten() {
                match value {
                    Some(value) => drop(records.insert(key.clone(), value.clone())),
                    None => drop(records.remove(key)),
                }
            }
            return Ok((records, pending));
        }
    }

    fn pending(&self, count: u64, staged: Vec<(String, Vec<u8>)>) -> Result<Option<Changes>, StoreError> {
        if count == 0 {
            return Ok(None);
        }
        let parts = usize::try_from(count).unwrap_or(usize::MAX);
        let wrong =
            || self.corrupt(format!("{count} staged parts were committed, and they are not as they were staged"));
        let whole = staged.get(..parts).ok_or_else(wrong)?;
        let whole: Vec<u8> = whole.iter().flat_map(|(_, part)| part).copied().collect();
        batch::unstage(&whole).map(Some).ok_or_else(wrong)
    }

    /// What a restore left: of one that was not finished, or what it took the place of.
    async fn forget_other_generations(&mut self) -> Result<(), StoreError> {
        let own = self.held()?.generation;
        let mut others = Vec::new();
        for generation in [own.checked_sub(1), own.checked_add(1)].into_iter().flatten() {
            let prefix = self.keys.records(generation);
            let (_, revision) = self.calls.get(&self.keys.meta()).await?;
            if self.calls.list(&prefix, revision).await?.is_none_or(|found| !found.is_empty()) {
                others.push(self.forget(&prefix));
            }
        }
        if others.is_empty() { Ok(()) } else { self.write(0, others).await }
    }

    /// One request: does all of it when we still hold the store.
    async fn write(&mut self, staged: u64, operations: Vec<TxnOp>) -> Result<(), StoreError> {
        let before = self.held()?.clone();
        let next = Meta { staged, ..before.moved() };
        self.write_meta(&before, next, operations).await
    }

    async fn write_meta(&mut self, before: &Meta, next: Meta, operations: Vec<TxnOp>) -> Result<(), StoreError> {
        #[cfg(test)]
        self.crash_if_asked()?;
        match self.calls.write(&self.keys.meta(), Some(&before.bytes()), &next.bytes(), operations).await? {
            Written::Done => {
                self.meta = Some(next);
                Ok(())
            }
            Written::Refused(found) => {
                self.meta = None;
                Err(self.superseded(found))
            }
        }
    }

    #[cfg(test)]
    fn crash_if_asked(&mut self) -> Result<(), StoreError> {
        match &mut self.crash {
            Some(Crash::AfterWrites(0)) => {
                Err(StoreError::Unknown { place: self.place.clone(), cause: "crash".into() })
            }
            Some(Crash::AfterWrites(left)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn puts(&self, generation: u64, changes: Vec<Change>) -> Vec<TxnOp> {
        let prefix = self.keys.records(generation);
        let each = changes.into_iter().map(|(key, value)| match value {
            Some(value) => TxnOp::put(format!("{prefix}{key}"), value, None),
            None => TxnOp::delete(format!("{prefix}{key}"), None),
        });
        each.collect()
    }

    fn forget(&self, prefix: &str) -> TxnOp {
        TxnOp::delete(prefix, Some(DeleteOptions::new().with_prefix()))
    }

    fn check_size(&self, changes: &Changes) -> Result<(), StoreError> {
        let Some((key, bytes)) = batch::too_large(changes) else { return Ok(()) };
        Err(StoreError::TooLarge { place: self.place.clone(), key: key.to_owned(), bytes, most: batch::MOST_BYTES })
    }

    fn held(&self) -> Result<&Meta, StoreError> {
        let lost = || StoreError::Superseded { place: self.place.clone(), epoch: Epoch(0) };
        self.meta.as_ref().ok_or_else(lost)
    }

    fn superseded(&self, found: Option<Vec<u8>>) -> StoreError {
        let found: Option<Meta> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        StoreError::Superseded { place: self.place.clone(), epoch: found.map_or(Epoch(0), |meta| meta.epoch) }
    }

    fn corrupt(&self, cause: String) -> StoreError {
        StoreError::Corrupt { path: self.place.clone().into(), cause }
    }
}

impl Meta {
    /// Of a new cluster, held by us.
    fn first(cluster: ClusterId) -> Self {
        let (schema, epoch, holder) = (SCHEMA_VERSION, Epoch(1), Uuid::new_v4().to_string());
        Self { schema, cluster, epoch, holder, sequence: 0, generation: 1, staged: 0 }
    }
}
