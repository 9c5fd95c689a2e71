//! Blobs in containerd's content store: streamed in, read back, labelled.
//! Blobs never pass through memory whole; only manifests and configurations are read back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use containerd_client::services::v1 as api;
use futures_util::stream;
use prost_types::FieldMask;
use tokio::io::{AsyncRead, AsyncReadExt};
use tonic::Code;

use super::client::{Client, Lease, is_connection_lost};
use super::manifest::Descriptor;
use crate::{RuntimeError, RuntimeErrorKind};

/// One message to the content store.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Manifests and configurations above this are refused.
const MAX_JSON_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of one blob on their way in.
pub(super) type BlobReader = std::pin::Pin<Box<dyn AsyncRead + Send>>;

/// Labels of one object.
pub(super) type Labels = HashMap<String, String>;

impl Client {
    /// True when the store has this blob complete; from then on it stays as long as the lease.
    pub(super) async fn has_blob(&self, lease: &Lease, digest: &str) -> Result<bool, RuntimeError> {
        self.lease_resource(lease, "content", digest).await?;
        let info = api::InfoRequest { digest: digest.to_owned() };
        match self.content().info(self.request(info)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(self.error(format!("look for blob {digest}"), status)),
        }
    }

    /// Streams a blob in; the store checks size and digest. Present already is success.
    pub(super) async fn put_blob(
        &self,
        lease: &Lease,
        blob: &Descriptor,
        labels: Labels,
        reader: BlobReader,
        on_bytes: impl Fn(u64) + Send + 'static,
    ) -> Result<(), RuntimeError> {
        let what = format!("store blob {}", blob.digest);
        let failure = Arc::new(Mutex::new(None));
        let upload = Upload {
            reader,
            reference: format!("proffer-{}-{}", uuid::Uuid::new_v4(), blob.digest),
            blob: blob.clone(),
            labels,
            offset: 0,
            phase: Phase::Data,
            failure: failure.clone(),
            on_bytes: Box::new(on_bytes),
        };
        let messages = stream::unfold(upload, |upload| upload.next());
        let outcome = self.drive_write(lease, messages).await;
        if let Some(error) = failure.lock().ok().and_then(|mut failure| failure.take()) {
            return Err(RuntimeError::new(RuntimeErrorKind::Unavailable, what, error));
        }
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(RuntimeError::internal(what, "containerd ended the upload before it was complete")),
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) if status.code() == Code::FailedPrecondition && !is_connection_lost(&status) => {
                Err(RuntimeError::new(
                    RuntimeErrorKind::ImageUnavailable,
                    what,
                    format!("the bytes are not those the digest names: {}", status.message()),
                ))
            }
            Err(status) => Err(self.error(what, status)),
        }
    }

    /// Sends all messages; true when the store confirmed the commit.
    async fn drive_write(
        &self,
        lease: &Lease,
        messages: impl futures_util::Stream<Item = api::WriteContentRequest> + Send + 'static,
    ) -> Result<bool, tonic::Status> {
        let mut answers = self.content().write(self.leased(lease, messages)).await?.into_inner();
        let mut committed = false;
        while let Some(answer) = answers.message().await? {
            committed |= answer.action == api::WriteAction::Commit as i32;
        }
        Ok(committed)
    }

    /// Sets these labels of a blob, leaving others alone.
    pub(super) async fn label_blob(&self, digest: &str, labels: Labels) -> Result<(), RuntimeError> {
        let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
        let info = api::Info { digest: digest.to_owned(), labels, ..api::Info::default() };
        let update = api::UpdateRequest { info: Some(info), update_mask: Some(FieldMask { paths }) };
        self.content()
            .update(self.request(update))
            .await
            .map_err(|status| self.error(format!("label blob {digest}"), status))?;
        Ok(())
    }

    /// Reads a manifest or configuration.
    pub(super) async fn read_blob(&self, digest: &str) -> Result<Vec<u8>, RuntimeError> {
        let what = || format!("read blob {digest}");
        let read = api::ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let answers = self.content().read(self.request(read)).await;
        let mut answers = answers.map_err(|status| self.error(what(), status))?.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = answers.message().await.map_err(|status| self.error(what(), status))? {
            bytes.extend_from_slice(&part.data);
            if bytes.len() as u64 > MAX_JSON_BYTES {
                return Err(RuntimeError::invalid(what(), "too large for a manifest or configuration"));
            }
        }
        Ok(bytes)
    }
}

enum Phase {
    Data,
    Commit,
    Done,
}

struct Upload {
    reader: BlobReader,
    reference: String,
    blob: Descriptor,
    labels: Labels,
    offset: u64,
    phase: Phase,
    /// Why the source broke off, for the side that reads containerd's answers.
    failure: Arc<Mutex<Option<String>>>,
    on_bytes: Box<dyn Fn(u64) + Send>,
}

impl Upload {
    async fn next(mut self) -> Option<(api::WriteContentRequest, Self)> {
        loop {
            match self.phase {
                Phase::Data => match self.read_chunk().await {
                    Ok(data) if data.is_empty() => self.phase = Phase::Commit,
                    Ok(data) => {
                        let length = data.len() as u64;
                        let message = self.message(api::WriteAction::Write, data);
                        self.offset += length;
                        (self.on_bytes)(self.offset);
                        return Some((message, self));
                    }
                    Err(error) => {
                        if let Ok(mut failure) = self.failure.lock() {
                            *failure = Some(error.to_string());
                        }
                        return None;
                    }
                },
                Phase::Commit => {
                    self.phase = Phase::Done;
                    let mut message = self.message(api::WriteAction::Commit, Vec::new());
                    message.labels = std::mem::take(&mut self.labels);
                    return Some((message, self));
                }
                Phase::Done => return None,
            }
        }
    }

    fn message(&self, action: api::WriteAction, data: Vec<u8>) -> api::WriteContentRequest {
        api::WriteContentRequest {
            action: action as i32,
            r#ref: self.reference.clone(),
            total: i64::try_from(self.blob.size).unwrap_or(i64::MAX),
            expected: self.blob.digest.clone(),
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            data,
            labels: HashMap::new(),
        }
    }

    async fn read_chunk(&mut self) -> std::io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut limited = (&mut self.reader).take(CHUNK_BYTES as u64);
        limited.read_to_end(&mut chunk).await?;
        Ok(chunk)
    }
}
