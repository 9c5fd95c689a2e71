//! Images: imported from an archive that a client sends, or pulled; progress while it goes on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use proffer_agent_runtime as runtime;
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::agent as wire;
use runtime::{ProgressSink, PullPolicy};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Answers, Host, runtime_status};

/// Reports that may wait for a slow reader; further ones are left out.
const QUEUE: usize = 64;
/// Largest piece of an archive.
const MAX_CHUNK_BYTES: usize = 1 << 20;
/// A report of received bytes after this many.
const REPORT_EVERY_BYTES: u64 = 4 << 20;

type Reports = mpsc::Sender<Result<wire::ImageProgress, Status>>;

/// Receives an archive and imports its images.
pub(super) fn import(host: Host, chunks: Streaming<wire::ImageChunk>) -> Answers<wire::ImageProgress> {
    answer(host, |host, reports| async move {
        // Removed when dropped, however this ends.
        let archive = receive(&host, chunks, &reports).await?;
        let path = archive.path().to_owned();
        host.runtime.import_image(path, sink(&reports)).await.map_err(|error| runtime_status(&error))
    })
}

/// Pulls an image, also when it is there already.
pub(super) fn pull(host: Host, reference: String) -> Answers<wire::ImageProgress> {
    answer(host, |host, reports| async move {
        let pulled = host.runtime.ensure_image(&reference, PullPolicy::Always, sink(&reports)).await;
        Ok(vec![pulled.map_err(|error| runtime_status(&error))?])
    })
}

/// An image for the wire.
pub(super) fn to_wire(image: runtime::Image) -> wire::Image {
    let runtime::Image { reference, digest, size_bytes } = image;
    wire::Image { reference, digest, size_bytes }
}

/// Does the work beside the answer, and ends the answer with the images or the error.
fn answer<W, F>(host: Host, work: W) -> Answers<wire::ImageProgress>
where
    W: FnOnce(Host, Reports) -> F + Send + 'static,
    F: Future<Output = Result<Vec<runtime::Image>, Status>> + Send + 'static,
{
    let (reports, answers) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let shutdown = host.shutdown.clone();
        let result = tokio::select! {
            result = work(host, reports.clone()) => result,
            () = shutdown.draining() => Err(to_status(ErrorKind::Unavailable, "the agent stops; try again")),
            // Nobody waits for it any more.
            () = reports.closed() => return,
        };
        let last = result.map(|images| wire::ImageProgress {
            step: "done".to_owned(),
            images: images.into_iter().map(to_wire).collect(),
            ..wire::ImageProgress::default()
        });
        let _ = reports.send(last).await;
    });
    Box::pin(ReceiverStream::new(answers))
}

fn sink(reports: &Reports) -> ProgressSink {
    let reports = reports.clone();
    Arc::new(move |progress: runtime::ImageProgress| {
        // The sink must not wait; a report that finds no room is followed by a newer one.
        let _ = reports.try_send(Ok(wire::ImageProgress {
            step: progress.step.to_owned(),
            item: progress.item,
            done_bytes: progress.done_bytes,
            total_bytes: progress.total_bytes,
            images: Vec::new(),
        }));
    })
}

async fn receive(
    host: &Host,
    mut chunks: Streaming<wire::ImageChunk>,
    reports: &Reports,
) -> Result<NamedTempFile, Status> {
    let archive = temporary(host.directories.temporary()).await.map_err(|error| no_room(&error))?;
    let mut file = File::from_std(archive.reopen().map_err(|error| no_room(&error))?);
    let (mut received, mut reported) = (0u64, 0u64);
    while let Some(wire::ImageChunk { data }) = chunks.message().await? {
        if data.len() > MAX_CHUNK_BYTES {
            let message = format!("data: a piece of {} bytes; send at most {MAX_CHUNK_BYTES}", data.len());
            return Err(to_status(ErrorKind::Invalid, message));
        }
        file.write_all(&data).await.map_err(|error| no_room(&error))?;
        received += data.len() as u64;
        if received - reported >= REPORT_EVERY_BYTES {
            reported = received;
            sink(reports)(runtime::ImageProgress {
                step: "receiving",
                item: "archive".to_owned(),
                done_bytes: received,
                total_bytes: 0,
            });
        }
    }
    if received == 0 {
        return Err(to_status(ErrorKind::Invalid, "the archive is empty; send an OCI or Docker archive (tar)"));
    }
    file.flush().await.map_err(|error| no_room(&error))?;
    Ok(archive)
}

async fn temporary(directory: PathBuf) -> io::Result<NamedTempFile> {
    tokio::fs::create_dir_all(&directory).await?;
    tempfile::Builder::new().prefix("import-").suffix(".tar").tempfile_in(directory)
}

fn no_room(error: &io::Error) -> Status {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        _ => ErrorKind::Internal,
    };
    to_status(kind, format!("the agent cannot keep the archive: {error}"))
}
