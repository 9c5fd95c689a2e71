//! `proffer logs`: the output of a service, a job or a task, from the agents that hold it.

use std::collections::BTreeMap;
use std::io::Write;

use proffer_proto_wire::agent::{LogChunk, LogStream, LogsRequest};
use proffer_proto_wire::batch::GetRequest;
use proffer_proto_wire::operator::{Agent, Task};
use proffer_proto_wire::service::ListRequest;
use tokio::sync::mpsc;

use crate::args::{LogsArgs, Stream};
use crate::client::{Cluster, agent_host};
use crate::output::clean;
use crate::{CliError, Outcome};

/// Chunks of all tasks that wait to be printed.
const CHUNKS_AHEAD: usize = 64;

pub(crate) async fn run(cluster: &Cluster, args: LogsArgs) -> Result<Outcome, CliError> {
    let tasks = tasks_of(cluster, &args.name).await?;
    let agents: BTreeMap<String, Agent> =
        cluster.agents().await?.into_iter().map(|agent| (agent.agent_id.clone(), agent)).collect();
    let many = tasks.len() > 1;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let mut reading = tokio::task::JoinSet::new();
    for (name, task) in tasks {
        let request = LogsRequest {
            framework_id: task.framework_id,
            task_id: task.spec.unwrap_or_default().task_id,
            follow: args.follow,
            tail_lines: args.tail,
            stream: wanted(args.stream).into(),
        };
        let agent = agents.get(&task.agent_id).cloned();
        let label = if many { Some(name) } else { None };
        reading.spawn(read(agent, request, label, sender.clone()));
    }
    drop(sender);
    print(receiver).await?;
    let mut first_error = None;
    while let Some(read) = reading.join_next().await {
        if let Ok(Err(error)) = read {
            first_error = first_error.or(Some(error));
        }
    }
    first_error.map_or(Ok(Outcome::Good), Err)
}

fn wanted(stream: Option<Stream>) -> LogStream {
    match stream {
        None => LogStream::Unspecified,
        Some(Stream::Stdout) => LogStream::Stdout,
        Some(Stream::Stderr) => LogStream::Stderr,
    }
}

/// The tasks of that name with the name of each: a task id, a service, a job, or a name of tasks.
async fn tasks_of(cluster: &Cluster, name: &str) -> Result<Vec<(String, Task)>, CliError> {
    let tasks = cluster.tasks(String::new(), true).await?;
    let id = |task: &Task| task.spec.as_ref().map(|spec| spec.task_id.clone()).unwrap_or_default();
    if let Some(task) = tasks.iter().find(|task| id(task) == name) {
        return Ok(vec![(name.to_owned(), task.clone())]);
    }
    // The frameworks know best which tasks are theirs; without them the names of the tasks must do.
    let mut named = service_tasks(cluster, name).await.unwrap_or_default();
    if named.is_empty() {
        named = job_tasks(cluster, name).await.unwrap_or_default();
    }
    if named.is_empty() {
        let is_named = |task: &&Task| task.spec.as_ref().is_some_and(|spec| spec.name == name);
        named = tasks.iter().filter(is_named).map(|task| (id(task), id(task))).collect();
    }
    let found: Vec<(String, Task)> = named
        .into_iter()
        .filter_map(|(label, task_id)| Some((label, tasks.iter().find(|task| id(task) == task_id)?.clone())))
        .collect();
    if found.is_empty() {
        let fix = "see `proffer ps`, `proffer job ls` and `proffer tasks --all`";
        return Err(CliError::new(
            format!("there is no output of {name:?}: no service, job or task of that name"),
            fix,
        ));
    }
    Ok(found)
}

async fn service_tasks(cluster: &Cluster, name: &str) -> Option<Vec<(String, String)>> {
    let services = cluster.services().await.ok()?.list(ListRequest {}).await.ok()?.into_inner().services;
    let service = services.into_iter().find(|service| service.spec.as_ref().is_some_and(|spec| spec.name == name))?;
    let with_task = service.instances.into_iter().filter(|instance| !instance.task_id.is_empty());
    Some(with_task.map(|instance| (format!("{name}.{}", instance.slot), instance.task_id)).collect())
}

async fn job_tasks(cluster: &Cluster, name: &str) -> Option<Vec<(String, String)>> {
    let job = cluster.batch().await.ok()?.get(GetRequest { job_id: name.to_owned() }).await.ok()?.into_inner();
    let with_task = job.attempts.into_iter().filter(|attempt| !attempt.task_id.is_empty());
    Some(with_task.map(|attempt| (format!("{name}.{}/{}", attempt.index, attempt.number), attempt.task_id)).collect())
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

/// Puts a label in front of each whole line. A line without end is held back, up to a bound.
struct Lines {
    prefix: Vec<u8>,
    held: Vec<u8>,
}

impl Lines {
    /// Longest line that is held back.
    const MAX_HELD_BYTES: usize = 64 << 10;

    fn new(label: &str) -> Self {
        Self { prefix: format!("{} | ", clean(label)).into_bytes(), held: Vec::new() }
    }

    fn push(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + self.prefix.len());
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(line);
            let is_whole = line.ends_with(b"\n");
            if is_whole || self.held.len() > Self::MAX_HELD_BYTES {
                out.extend_from_slice(&self.prefix);
                out.append(&mut self.held);
                if !is_whole {
                    out.push(b'\n');
                }
            }
        }
        out
    }

    fn end(mut self) -> Vec<u8> {
        if self.held.is_empty() { Vec::new() } else { self.push(b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_their_label_however_they_arrive() {
        let mut lines = Lines::new("web.0");
        assert_eq!(lines.push(b"a\nb"), b"web.0 | a\n");
        assert_eq!(lines.push(b"c\n\n"), b"web.0 | bc\nweb.0 | \n");
        assert_eq!(lines.push(b"end"), b"");
        assert_eq!(lines.end(), b"web.0 | end\n");
        assert_eq!(Lines::new("x").end(), b"");
    }
}
