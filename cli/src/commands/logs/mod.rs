//! `proffer logs`: the output of a service, a job or a task, from the agents that hold it.

mod find;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use proffer_proto_wire::agent::{LogChunk, LogStream, LogsRequest};
use proffer_proto_wire::common::TaskState;
use proffer_proto_wire::operator::{Agent, Task};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::find::{Found, find, task_id};
use self::lines::Lines;
use crate::args::{LogsArgs, Stream};
use crate::client::{Cluster, agent_host};
use crate::{CliError, Outcome};

/// Chunks of all tasks that wait to be printed.
const CHUNKS_AHEAD: usize = 64;

/// How often a followed service or job is looked at for new tasks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn run(cluster: &Cluster, args: LogsArgs) -> Result<Outcome, CliError> {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    // What was read before an error is printed all the same; nobody reads on when nothing can be printed any more.
    let reading = async { Ok::<_, CliError>(read_all(cluster, &args, sender).await) };
    let (read, ()) = tokio::try_join!(reading, print(receiver))?;
    read.map(|()| Outcome::Good)
}

/// Reads every task of the name; when they are followed, also those that start later.
async fn read_all(cluster: &Cluster, args: &LogsArgs, to: mpsc::Sender<Piece>) -> Result<(), CliError> {
    let mut found = find(cluster, &args.name).await?;
    if found.tasks.is_empty() && !found.is_growing {
        let message = format!("there is no output of {:?}: no service, job or task of that name", args.name);
        return Err(CliError::new(message, "see `proffer ps`, `proffer job ls` and `proffer tasks --all`"));
    }
    let is_labelled = found.tasks.len() > 1 || (args.follow && found.is_growing);
    let mut seen = BTreeSet::new();
    let mut reading = JoinSet::new();
    let mut outcome = Ok(());
    let mut tail = args.tail;
    loop {
        let new = found.tasks.into_iter().filter(|(_, task)| !seen.contains(&task_id(task)));
        // A task that has not reached its agent yet has nothing to read; a later look finds it there.
        let new: Vec<_> = new.filter(|(_, task)| !(args.follow && is_staging(task))).collect();
        let agents = if new.is_empty() { BTreeMap::new() } else { agents(cluster).await? };
        for (name, task) in new {
            seen.insert(task_id(&task));
            let label = is_labelled.then_some(name);
            let agent = agents.get(&task.agent_id).cloned();
            reading.spawn(read(agent, request(&task, args, tail), label, to.clone()));
        }
        // Of those that start later everything is new.
        tail = None;
        if !(args.follow && found.is_growing) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        while let Some(ended) = reading.try_join_next() {
            // The others go on; what was missed is told at once.
            if let Ok(Err(error)) = ended {
                eprintln!("{error}");
            }
        }
        found = match find(cluster, &args.name).await {
            // Removed or ended: what still runs of it is read to its end.
            Ok(found) if found.is_growing || found.is_certain => found,
            // A server that is away for a moment is no end.
            _ => Found { tasks: Vec::new(), is_growing: true, is_certain: false },
        };
    }
    while let Some(ended) = reading.join_next().await {
        if let Ok(Err(error)) = ended {
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

async fn agents(cluster: &Cluster) -> Result<BTreeMap<String, Agent>, CliError> {
    Ok(cluster.agents().await?.into_iter().map(|agent| (agent.agent_id.clone(), agent)).collect())
}

fn is_staging(task: &Task) -> bool {
    task.status.as_ref().is_none_or(|status| status.state() == TaskState::Staging)
}

fn request(task: &Task, args: &LogsArgs, tail_lines: Option<u64>) -> LogsRequest {
    LogsRequest {
        framework_id: task.framework_id.clone(),
        task_id: task_id(task),
        follow: args.follow,
        tail_lines,
        stream: wanted(args.stream).into(),
    }
}

fn wanted(stream: Option<Stream>) -> LogStream {
    match stream {
        None => LogStream::Unspecified,
        Some(Stream::Stdout) => LogStream::Stdout,
        Some(Stream::Stderr) => LogStream::Stderr,
    }
}

/// Something to print: bytes for standard output or standard error.
struct Piece {
    is_error: bool,
    bytes: Vec<u8>,
}

/// Reads one task's output into the queue; lines get the label in front.
async fn read(
    agent: Option<Agent>,
    request: LogsRequest,
    label: Option<String>,
    to: mpsc::Sender<Piece>,
) -> Result<(), CliError> {
    let what = format!("read the output of {}", request.task_id);
    let Some(agent) = agent else {
        return Err(CliError::new(format!("cannot {what}: its agent is not known any more"), "see `proffer agents`"));
    };
    let answer = agent_host(&agent)?.logs(request).await;
    let mut stream = answer.map_err(|error| CliError::remote(&what, error))?.into_inner();
    let mut lines = label.map(|label| [Lines::new(&label), Lines::new(&label)]);
    while let Some(chunk) = stream.message().await.map_err(|error| CliError::remote(&what, error))? {
        let is_error = chunk.stream() == LogStream::Stderr;
        let LogChunk { data, .. } = chunk;
        let bytes = match &mut lines {
            Some(lines) => lines[usize::from(is_error)].push(&data),
            None => data,
        };
        if !bytes.is_empty() && to.send(Piece { is_error, bytes }).await.is_err() {
            return Ok(());
        }
    }
    for (is_error, rest) in lines.into_iter().flatten().map(Lines::end).enumerate() {
        if !rest.is_empty() {
            let piece = Piece { is_error: is_error == 1, bytes: rest };
            to.send(piece).await.map_err(|_| CliError::Output(std::io::ErrorKind::BrokenPipe.into()))?;
        }
    }
    Ok(())
}

async fn print(mut pieces: mpsc::Receiver<Piece>) -> Result<(), CliError> {
    while let Some(Piece { is_error, bytes }) = pieces.recv().await {
        if is_error {
            std::io::stderr().lock().write_all(&bytes)?;
        } else {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()?;
        }
    }
    Ok(())
}
