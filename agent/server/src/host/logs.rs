//! The output of a task: what is there, from the beginning or the last lines, and what comes until it has ended.
//!
//! Reads the files that the container's logger writes: `stdout.log`, `stderr.log`, and the one before each
//! (`….log.1`) after the logger began a new one. Never locks or changes them.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proffer_proto_model::TaskKey;
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::agent as wire;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Answers, Host};

/// Largest piece of output in one message.
const CHUNK_BYTES: usize = 64 << 10;
/// Messages that may wait for a slow reader; the files are read no faster than they go.
const QUEUE: usize = 16;
/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What a client wants to see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub follow: bool,
    pub tail_lines: Option<u64>,
    pub stream: wire::LogStream,
}

type Chunks = mpsc::Sender<Result<wire::LogChunk, Status>>;

/// Streams the output of a task.
pub(super) fn stream(host: Host, key: TaskKey, wanted: Wanted) -> Answers<wire::LogChunk> {
    let (chunks, answers) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let shutdown = host.shutdown.clone();
        tokio::select! {
            sent = send_all(&host, &key, wanted, &chunks) => {
                if let Err(error) = sent {
                    let message = format!("cannot read the logs of {key}: {error}");
                    let _ = chunks.send(Err(to_status(ErrorKind::Internal, message))).await;
                }
            }
            () = shutdown.draining() => {
                let stops = to_status(ErrorKind::Unavailable, "the agent stops; follow again when it is back");
                let _ = chunks.try_send(Err(stops));
            }
            () = chunks.closed() => {}
        }
    });
    Box::pin(ReceiverStream::new(answers))
}

async fn send_all(host: &Host, key: &TaskKey, wanted: Wanted, chunks: &Chunks) -> io::Result<()> {
    let directory = host.directories.logs(&proffer_agent_engine::container_id(key));
    let files = [(wire::LogStream::Stdout, "stdout.log"), (wire::LogStream::Stderr, "stderr.log")];
    let mut tails = Vec::new();
    for (stream, name) in files {
        if wanted.stream == wire::LogStream::Unspecified || wanted.stream == stream {
            tails.push((stream, Tail::open(&directory, name, wanted.tail_lines).await?));
        }
    }
    loop {
        // Looked at before the files are read: what is written before the end is then read for sure.
        let is_complete = host.view.get(key).is_none_or(|summary| summary.is_output_complete);
        for (stream, tail) in &mut tails {
            while let Some(data) = tail.next().await? {
                if chunks.send(Ok(wire::LogChunk { stream: (*stream).into(), data })).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !wanted.follow || is_complete {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reads one growing file, over the moments when the writer begins a new one.
struct Tail {
    path: PathBuf,
    current: Option<Source>,
}

struct Source {
    file: File,
    inode: u64,
    /// A newer file of the same name exists: this one does not grow any more.
    is_previous: bool,
}

impl Tail {
    /// At the beginning, or before the last `lines` lines.
    async fn open(directory: &Path, name: &str, lines: Option<u64>) -> io::Result<Self> {
        let path = directory.join(name);
        let previous = open(&directory.join(format!("{name}.1"))).await?;
        let current = open(&path).await?;
        let Some(mut current) = current else { return Ok(Self { path, current: previous.map(Source::previous) }) };
        let Some(wanted) = lines else {
            return Ok(Self { path, current: Some(previous.map_or(current, Source::previous)) });
        };
        let missing = seek_before_lines(&mut current.file, wanted).await?;
        let Some(mut previous) = previous.filter(|_| missing > 0) else {
            return Ok(Self { path, current: Some(current) });
        };
        seek_before_lines(&mut previous.file, missing).await?;
        Ok(Self { path, current: Some(previous.previous()) })
    }

    /// The next piece; `None` when there is no more for now.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(source) = &mut self.current else {
                self.current = open(&self.path).await?;
                if self.current.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let data = read_chunk(&mut source.file).await?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
            if source.is_previous {
                self.current = None;
                continue;
            }
            match tokio::fs::metadata(&self.path).await {
                // The writer began a new file; what it still wrote to this one is read first.
                Ok(found) if found.ino() != source.inode => source.is_previous = true,
                _ => return Ok(None),
            }
        }
    }
}

impl Source {
    fn previous(self) -> Self {
        Self { is_previous: true, ..self }
    }
}

/// `None` when there is no such file.
async fn open(path: &Path) -> io::Result<Option<Source>> {
    match File::open(path).await {
        Ok(file) => {
            let inode = file.metadata().await?.ino();
            Ok(Some(Source { file, inode, is_previous: false }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Up to [`CHUNK_BYTES`], cut after a line when there is more; empty at the end.
async fn read_chunk(file: &mut File) -> io::Result<Vec<u8>> {
    let mut data = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    while filled < CHUNK_BYTES {
        match file.read(&mut data[filled..]).await? {
            0 => break,
            count => filled += count,
        }
    }
    data.truncate(filled);
    if filled == CHUNK_BYTES
        && let Some(last) = data.iter().rposition(|byte| *byte == b'\n')
    {
        let rest = data.split_off(last + 1);
        file.seek(SeekFrom::Current(-(rest.len() as i64))).await?;
    }
    Ok(data)
}

/// Goes to the beginning of the last `wanted` lines; returns how many lines the file is short of that.
async fn seek_before_lines(file: &mut File, wanted: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0)).await?;
    let (mut at, mut found) = (length, 0u64);
    if wanted == 0 {
        return Ok(0);
    }
    let mut block = vec![0; CHUNK_BYTES];
    while at > 0 {
        let size = at.min(CHUNK_BYTES as u64);
        at -= size;
        file.seek(SeekFrom::Start(at)).await?;
        let piece = &mut block[..size as usize];
        file.read_exact(piece).await?;
        for (index, byte) in piece.iter().enumerate().rev() {
            let position = at + index as u64;
            // The end of the last line begins no further line.
            if *byte == b'\n' && position + 1 < length {
                found += 1;
                if found == wanted {
                    file.seek(SeekFrom::Start(position + 1)).await?;
                    return Ok(0);
                }
            }
        }
    }
    file.seek(SeekFrom::Start(0)).await?;
    let lines = if length == 0 { 0 } else { found + 1 };
    Ok(wanted - lines)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn read(directory: &Path, lines: Option<u64>) -> String {
        let mut tail = Tail::open(directory, "stdout.log", lines).await.unwrap();
        let mut text = Vec::new();
        while let Some(data) = tail.next().await.unwrap() {
            text.extend(data);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn the_last_lines_reach_back_into_the_file_before() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path(), None).await, "");
        fs::write(directory.path().join("stdout.log.1"), "1\n2\n3\n").unwrap();
        fs::write(directory.path().join("stdout.log"), "4\n5\nhalf").unwrap();
        for (lines, want) in [
            (None, "1\n2\n3\n4\n5\nhalf"),
            (Some(0), ""),
            (Some(1), "half"),
            (Some(2), "5\nhalf"),
            (Some(3), "4\n5\nhalf"),
            (Some(4), "3\n4\n5\nhalf"),
            (Some(99), "1\n2\n3\n4\n5\nhalf"),
        ] {
            assert_eq!(read(directory.path(), lines).await, want, "last {lines:?} lines");
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_or_doubled_when_the_writer_begins_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stdout.log");
        fs::write(&path, "1\n").unwrap();
        let mut tail = Tail::open(directory.path(), "stdout.log", None).await.unwrap();
        assert_eq!(tail.next().await.unwrap().unwrap(), b"1\n");
        assert_eq!(tail.next().await.unwrap(), None);
        fs::write(&path, "1\n2\n").unwrap();
        fs::rename(&path, directory.path().join("stdout.log.1")).unwrap();
        fs::write(&path, "3\n").unwrap();
        assert_eq!(tail.next().await.unwrap().unwrap(), b"2\n");
        assert_eq!(tail.next().await.unwrap().unwrap(), b"3\n");
        assert_eq!(tail.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn large_output_comes_in_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let text: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
        fs::write(directory.path().join("stdout.log"), &text).unwrap();
        let mut tail = Tail::open(directory.path(), "stdout.log", None).await.unwrap();
        let mut all = Vec::new();
        while let Some(data) = tail.next().await.unwrap() {
            assert!(data.len() <= CHUNK_BYTES && data.ends_with(b"\n"));
            all.extend(data);
        }
        assert_eq!(all, text.as_bytes());
        assert_eq!(read(directory.path(), Some(20_000)).await.lines().next(), Some("line 20000"));
    }
}
