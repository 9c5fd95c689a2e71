//! The process that writes one container's output to files. containerd's shim starts it with the
//! container's stdout on descriptor 3, its stderr on 4, and waits until 5 is closed.
//! It must stay tiny (one runs per container), never interpret what it copies, and never outlive its input.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// First argument of a logger invocation; the second is the directory to write to.
///
/// The shim turns `binary:///path?key=value` into the arguments `key value`, in no fixed order when there
/// are several: so there is only this one.
pub const LOGGER_ARGUMENT: &str = "__container-log";

/// A log file that reached this many bytes is renamed to `….log.1` (which replaces the one before).
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;

/// How long after SIGTERM the rest of the output may still take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// True when a program called with these arguments (its own name first) is to be a logger.
/// To be asked before any other parsing of arguments.
pub fn is_logger_invocation(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|first| first == LOGGER_ARGUMENT)
}

/// Copies descriptors 3 and 4 to `stdout.log` and `stderr.log` until both are at their end.
/// `args` are the program's arguments, its own name first. No async runtime may run.
pub fn logger_main(args: &[OsString]) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("container log writer: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Event {
    StreamEnded,
    Terminate,
}

fn run(args: &[OsString]) -> io::Result<()> {
    let directory = args.get(2).map(PathBuf::from).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("called without a directory after {LOGGER_ARGUMENT}"))
    })?;
    // The shim sends SIGTERM right after it closed the pipes: the last lines must still be written.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let (ended, events) = mpsc::channel();
    for (descriptor, name) in [(3, "stdout.log"), (4, "stderr.log")] {
        let source = take_descriptor(descriptor)?;
        let target = LogFile::open(&directory, name, ROTATE_BYTES)?;
        let ended = ended.clone();
        thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            copy(source, target);
            let _ = ended.send(Event::StreamEnded);
        })?;
    }
    thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        if signals.wait().is_ok() {
            let _ = ended.send(Event::Terminate);
        }
    })?;
    nix::unistd::close(5)?; // ready
    wait_for_end(&events);
    Ok(())
}

fn wait_for_end(events: &mpsc::Receiver<Event>) {
    let mut open = 2;
    while open > 0 {
        match events.recv() {
            Ok(Event::StreamEnded) => open -= 1,
            Ok(Event::Terminate) => break,
            Err(_) => return,
        }
    }
    while open > 0 && matches!(events.recv_timeout(DRAIN_TIMEOUT), Ok(Event::StreamEnded)) {
        open -= 1;
    }
}

/// The pipe behind an inherited descriptor, as a file of our own; the inherited one is closed.
fn take_descriptor(descriptor: i32) -> io::Result<File> {
    let file = File::open(format!("/proc/self/fd/{descriptor}"))?;
    nix::unistd::close(descriptor)?;
    Ok(file)
}

fn copy(mut source: File, mut target: LogFile) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            // A full disk must not stop the container: what cannot be written is lost, reading goes on.
            Ok(count) => drop(target.append(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// One log file and the one before it.
struct LogFile {
    path: PathBuf,
    previous: PathBuf,
    file: File,
    written_bytes: u64,
    limit_bytes: u64,
    at_line_start: bool,
}

impl LogFile {
    fn open(directory: &Path, name: &str, limit_bytes: u64) -> io::Result<Self> {
        let path = directory.join(name);
        let file = append_to(&path)?;
        let written_bytes = file.metadata()?.len();
        let previous = directory.join(format!("{name}.1"));
        Ok(Self { path, previous, file, written_bytes, limit_bytes, at_line_start: true })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written_bytes < self.limit_bytes {
            return self.write(bytes);
        }
        // Rotate between lines, so that no line is cut in two files, unless this line is as long as a file.
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        let rest_of_line = match (self.at_line_start, line_end) {
            (true, _) => 0,
            (false, Some(at)) => at + 1,
            (false, None) if self.written_bytes < 2 * self.limit_bytes => bytes.len(),
            (false, None) => 0,
        };
        let (head, tail) = bytes.split_at(rest_of_line);
        self.write(head)?;
        match tail.is_empty() {
            true => Ok(()),
            false => {
                self.rotate()?;
                self.write(tail)
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.previous)?;
        self.file = append_to(&self.path)?;
        self.written_bytes = 0;
        self.at_line_start = true;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last() {
            self.file.write_all(bytes)?;
            self.written_bytes += bytes.len() as u64;
            self.at_line_start = *last == b'\n';
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invocation_is_told_by_its_first_argument() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(is_logger_invocation(&args(&["proffer", "__container-log", "/var/log/a"])));
        assert!(!is_logger_invocation(&args(&["proffer", "ps", "__container-log"])));
        assert!(!is_logger_invocation(&args(&["proffer"])));
    }

    #[test]
    fn rotation_keeps_two_files_and_cuts_between_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), "stdout.log", 16).unwrap();
        log.append(b"first line\n").unwrap();
        log.append(b"second line\nthird").unwrap();
        log.append(b" line\n").unwrap();
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(!dir.path().join("stdout.log.1").exists(), "no empty file is made");
        log.append(b"fourth line\n").unwrap();
        assert_eq!(read("stdout.log.1"), "first line\nsecond line\nthird line\n");
        assert_eq!(read("stdout.log"), "fourth line\n");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), "stdout.log", 16).unwrap();
        for _ in 0..5 {
            log.append(b"0123456789").unwrap();
        }
        assert_eq!(fs::read(dir.path().join("stdout.log.1")).unwrap().len(), 40);
        assert_eq!(fs::read(dir.path().join("stdout.log")).unwrap(), b"0123456789");
    }

    #[test]
    fn an_existing_file_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        LogFile::open(dir.path(), "stderr.log", 100).unwrap().append(b"a\n").unwrap();
        LogFile::open(dir.path(), "stderr.log", 100).unwrap().append(b"b\n").unwrap();
        assert_eq!(fs::read(dir.path().join("stderr.log")).unwrap(), b"a\nb\n");
    }
}
