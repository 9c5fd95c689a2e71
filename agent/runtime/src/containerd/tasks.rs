//! The running side of a container: create, start, signal and remove its task.
//! Every verb may meet a task that is in any state, or gone.

use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1 as api;
use containerd_client::types::Mount;
use containerd_client::types::v1::{Process, Status as TaskStatus};
use prost_types::FieldMask;
use tokio::sync::SemaphorePermit;
use tonic::{Code, Status};

use super::Inner;
use super::client::{is_connection_lost, is_shim_lost};
use super::containers::OWN_LABELS;
use crate::logger::LOGGER_ARGUMENT;
use crate::{ContainerRequest, Created, RuntimeError, RuntimeErrorKind};

/// How long a killed process may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);

const SIGKILL: u32 = 9;

impl Inner {
    /// A place among the launches containerd works on at once.
    pub(super) async fn slot(&self) -> Result<SemaphorePermit<'_>, RuntimeError> {
        self.launches.acquire().await.map_err(|error| RuntimeError::internal("queue for a launch", error))
    }

    pub(super) async fn create_task(
        &self,
        request: &ContainerRequest,
        rootfs: Vec<Mount>,
    ) -> Result<Created, RuntimeError> {
        let log = log_uri(&self.config.logger, &request.log_dir);
        let create = api::CreateTaskRequest {
            container_id: request.id.clone(),
            rootfs,
            stdout: log.clone(),
            stderr: log,
            ..api::CreateTaskRequest::default()
        };
        match self.client.tasks().create(self.client.request(create)).await {
            Ok(answer) => Ok(Created { pid: answer.into_inner().pid }),
            Err(status) => Err(self.launch_error(format!("create {}", request.id), status)),
        }
    }

    /// See [`crate::ContainerRuntime::start`].
    pub(super) async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        let _slot = self.slot().await?;
        let request = api::StartRequest { container_id: id.to_owned(), exec_id: String::new() };
        let Err(status) = self.client.tasks().start(self.client.request(request)).await else {
            return Ok(());
        };
        let was_started = !is_connection_lost(&status)
            && self
                .task(id)
                .await?
                .is_some_and(|task| !matches!(task.status(), TaskStatus::Created | TaskStatus::Unknown));
        match was_started {
            true => Ok(()),
            false => Err(self.launch_error(format!("start {id}"), status)),
        }
    }

    /// See [`crate::ContainerRuntime::signal`].
    pub(super) async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        let what = || format!("send signal {signal} to {id}");
        let number = u32::try_from(signal).ok().filter(|number| (1..=64).contains(number));
        let number = number.ok_or_else(|| RuntimeError::invalid(what(), "signals are 1 to 64"))?;
        if number == SIGKILL {
            self.remember_kill(id).await?;
        }
        let kill = api::KillRequest { container_id: id.to_owned(), exec_id: String::new(), signal: number, all: false };
        match self.client.tasks().kill(self.client.request(kill)).await {
            Ok(_) => Ok(()),
            Err(status) if has_ended(&status) => Err(RuntimeError::not_found(what(), "the container has ended")),
            Err(status) => Err(self.client.error(what(), status)),
        }
    }

    /// Notes how many processes the out-of-memory killer had ended before our own SIGKILL: both give 137.
    async fn remember_kill(&self, id: &str) -> Result<(), RuntimeError> {
        let seen = self.cgroups.memory_record(&self.cgroup_of(id)).oom_kills.unwrap_or_default();
        let key = kill_label();
        let container = api::Container {
            id: id.to_owned(),
            labels: [(key.clone(), seen.to_string())].into(),
            ..api::Container::default()
        };
        let mask = FieldMask { paths: vec![format!("labels.{key}")] };
        let update = api::UpdateContainerRequest { container: Some(container), update_mask: Some(mask) };
        self.client
            .containers()
            .update(self.client.request(update))
            .await
            .map_err(|status| self.client.error(format!("kill {id}"), status))?;
        Ok(())
    }

    /// The first process as containerd sees it; `None` when it has none.
    pub(super) async fn task(&self, id: &str) -> Result<Option<Process>, RuntimeError> {
        let request = api::GetRequest { container_id: id.to_owned(), exec_id: String::new() };
        match self.client.tasks().get(self.client.request(request)).await {
            Ok(answer) => Ok(answer.into_inner().process),
            Err(status) if status.code() == Code::NotFound || is_shim_lost(&status) => Ok(None),
            Err(status) => Err(self.client.error(format!("look at {id}"), status)),
        }
    }

    /// Kills and removes the task; a missing one is fine.
    pub(super) async fn delete_task(&self, id: &str) -> Result<(), RuntimeError> {
        // No task to be seen is no proof: a delete that was cut off leaves a shim without a container, which only
        // another delete ends.
        if self.task(id).await?.is_some_and(|task| task.status() != TaskStatus::Stopped) {
            self.kill_and_wait(id).await?;
        }
        let request = api::DeleteTaskRequest { container_id: id.to_owned() };
        match self.client.tasks().delete(self.client.request(request)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound || is_shim_lost(&status) => Ok(()),
            Err(status) => Err(self.client.error(format!("delete the task of {id}"), status)),
        }
    }

    async fn kill_and_wait(&self, id: &str) -> Result<(), RuntimeError> {
        let kill = api::KillRequest { container_id: id.to_owned(), exec_id: String::new(), signal: SIGKILL, all: true };
        if let Err(status) = self.client.tasks().kill(self.client.request(kill)).await
            && !has_ended(&status)
            && !is_shim_lost(&status)
        {
            return Err(self.client.error(format!("kill {id}"), status));
        }
        let wait = api::WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
        let mut tasks = self.client.tasks();
        let waited = tokio::time::timeout(KILL_TIMEOUT, tasks.wait(self.client.request(wait))).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == Code::NotFound || is_shim_lost(&status) => Ok(()),
            Ok(Err(status)) => Err(self.client.error(format!("wait for the end of {id}"), status)),
            Err(_) => Err(RuntimeError::new(
                RuntimeErrorKind::Unavailable,
                format!("kill {id}"),
                format!("its processes are still there after {} s", KILL_TIMEOUT.as_secs()),
            )),
        }
    }

    /// Failures of runc that are the request's fault come back as `Invalid`.
    fn launch_error(&self, what: String, status: Status) -> RuntimeError {
        match is_connection_lost(&status) {
            false => match invalid_command(status.message()) {
                Some(cause) => RuntimeError::invalid(what, cause),
                None => self.client.error(what, status),
            },
            true => self.client.error(what, status),
        }
    }
}

/// Label that holds the out-of-memory kills seen before our own SIGKILL.
pub(super) fn kill_label() -> String {
    format!("{OWN_LABELS}oom-kills-before-kill")
}

fn has_ended(status: &Status) -> bool {
    status.code() == Code::NotFound || status.message().contains("process already finished")
}

/// What runc's words about a command that cannot be run mean.
fn invalid_command(message: &str) -> Option<String> {
    let (_, tail) = message.split_once("exec: ")?;
    let command = tail.split('"').nth(1).unwrap_or(tail);
    let reasons = [
        ("executable file not found", "is not in the image's PATH"),
        ("no such file or directory", "does not exist in the image"),
        ("permission denied", "is not executable by this user"),
        ("is a directory", "is a directory"),
        ("exec format error", "is no program for this machine"),
    ];
    let (_, meaning) = reasons.iter().find(|(words, _)| tail.contains(words))?;
    Some(format!("command {command:?} {meaning}: correct `command` or the image"))
}

/// The shim starts the program in the path with the query's key and value as arguments.
fn log_uri(logger: &Path, log_dir: &Path) -> String {
    format!("binary://{}?{LOGGER_ARGUMENT}={}", escape(logger), escape(log_dir))
}

fn escape(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => text.push(char::from(*byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_paths_survive_the_uri() {
        let uri = log_uri(Path::new("/opt/my tools/proffer"), Path::new("/var/log/a&b=ü"));
        assert_eq!(uri, "binary:///opt/my%20tools/proffer?__container-log=/var/log/a%26b%3D%C3%BC");
    }

    #[test]
    fn runcs_words_about_commands_are_understood() {
        let message = "failed to create shim task: OCI runtime create failed: unable to start container process: \
                       exec: \"nosuch\": executable file not found in $PATH: unknown";
        assert_eq!(
            invalid_command(message).unwrap(),
            "command \"nosuch\" is not in the image's PATH: correct `command` or the image"
        );
        assert_eq!(invalid_command("cgroup: no space left on device"), None);
    }
}
