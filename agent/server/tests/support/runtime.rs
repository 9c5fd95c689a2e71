//! A container runtime and a network in memory, steered by the test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;

use proffer_agent_network::{AttachRequest, Attachment, Network, NetworkError};
use proffer_agent_runtime::*;
use tokio::sync::watch;

#[derive(Debug, Clone)]
struct Held {
    request: ContainerRequest,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Created,
    Running,
    Ended(ExitCause),
}

/// Containers in memory. SIGKILL ends them; SIGTERM only when `obeys_term`.
#[derive(Debug)]
pub struct MemoryRuntime {
    held: Mutex<BTreeMap<String, Held>>,
    changes: watch::Sender<u64>,
    pub images: Mutex<Vec<Image>>,
    pub starts: Mutex<Vec<String>>,
    pub obeys_term: Mutex<bool>,
}

impl Default for MemoryRuntime {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            changes: watch::Sender::new(0),
            images: Mutex::default(),
            starts: Mutex::default(),
            obeys_term: Mutex::new(true),
        }
    }
}

fn error(kind: RuntimeErrorKind, what: &str, cause: &str) -> RuntimeError {
    RuntimeError { kind, what: what.to_owned(), cause: cause.to_owned() }
}

impl MemoryRuntime {
    pub fn ids(&self) -> Vec<String> {
        self.held.lock().unwrap().keys().cloned().collect()
    }

    pub fn request(&self, id: &str) -> ContainerRequest {
        self.held.lock().unwrap()[id].request.clone()
    }

    pub fn end(&self, id: &str, cause: ExitCause) {
        self.held.lock().unwrap().get_mut(id).unwrap().state = State::Ended(cause);
        self.changes.send_modify(|n| *n += 1);
    }

    pub fn add_orphan(&self, id: &str, label: &str) {
        let labels = BTreeMap::from([(label.to_owned(), "x".to_owned())]);
        let request = ContainerRequest { id: id.to_owned(), labels, ..ContainerRequest::default() };
        self.held.lock().unwrap().insert(id.to_owned(), Held { request, state: State::Running });
    }
}

#[tonic::async_trait]
impl ContainerRuntime for MemoryRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo { name: "memory".to_owned(), version: "1".to_owned(), cgroup: CgroupVersion::V2 })
    }

    async fn import_image(&self, tar: PathBuf, progress: ProgressSink) -> Result<Vec<Image>, RuntimeError> {
        let bytes = std::fs::read(&tar).unwrap();
        if bytes.starts_with(b"bad") {
            return Err(error(RuntimeErrorKind::Invalid, "import", "not an archive; make one with docker save"));
        }
        progress(ImageProgress { step: "unpacking", item: "layer".to_owned(), done_bytes: 1, total_bytes: 2 });
        let size_bytes = bytes.len() as u64;
        let image = Image { reference: "imported:1".to_owned(), digest: "sha256:0".to_owned(), size_bytes };
        self.images.lock().unwrap().push(image.clone());
        Ok(vec![image])
    }

    async fn ensure_image(&self, reference: &str, _: PullPolicy, _: ProgressSink) -> Result<Image, RuntimeError> {
        if reference.contains("missing") {
            return Err(error(RuntimeErrorKind::ImageUnavailable, "pull missing", "404; check the name"));
        }
        if reference.contains("slow") {
            std::future::pending::<()>().await;
        }
        Ok(Image { reference: reference.to_owned(), digest: "sha256:1".to_owned(), size_bytes: 1 })
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(self.images.lock().unwrap().clone())
    }

    async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError> {
        if request.command == ["no-such-command"] {
            return Err(error(RuntimeErrorKind::Invalid, "create", "no-such-command: not found in the image"));
        }
        std::fs::create_dir_all(&request.log_dir).unwrap();
        let held = Held { request: request.clone(), state: State::Created };
        if self.held.lock().unwrap().insert(request.id.clone(), held).is_some() {
            return Err(error(RuntimeErrorKind::AlreadyExists, "create", "exists"));
        }
        Ok(Created { pid: 42 })
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.held.lock().unwrap().get_mut(id).unwrap().state = State::Running;
        self.starts.lock().unwrap().push(id.to_owned());
        Ok(())
    }

    async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        let mut changes = self.changes.subscribe();
        loop {
            match self.held.lock().unwrap().get(id).map(|held| held.state) {
                None => return Err(error(RuntimeErrorKind::NotFound, "wait", "unknown")),
                Some(State::Ended(cause)) => {
                    return Ok(Exit { cause, ended_unix_ms: 0, peak_memory_bytes: Some(1) });
                }
                Some(_) => {}
            }
            changes.changed().await.unwrap();
        }
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        if signal == 9 || *self.obeys_term.lock().unwrap() {
            self.end(id, ExitCause::Signal(signal as u8));
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.held.lock().unwrap().remove(id);
        self.changes.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError> {
        let held = self.held.lock().unwrap();
        let info = |(id, held): (&String, &Held)| ContainerInfo {
            id: id.clone(),
            labels: held.request.labels.clone(),
            status: match held.state {
                State::Created => ContainerStatus::Created { pid: 42 },
                State::Running => ContainerStatus::Running { pid: 42 },
                State::Ended(_) => ContainerStatus::Ended,
            },
        };
        Ok(held.iter().map(info).collect())
    }

    async fn stats(&self, _: &str) -> Result<Stats, RuntimeError> {
        Ok(Stats::default())
    }
}

/// Networks in memory.
#[derive(Debug, Default)]
pub struct MemoryNetwork {
    pub attached: Mutex<BTreeSet<String>>,
    pub removed_all: Mutex<bool>,
}

#[tonic::async_trait]
impl Network for MemoryNetwork {
    async fn start(&self) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        self.attached.lock().unwrap().insert(request.container_id.clone());
        Ok(Attachment { netns: PathBuf::from("/run/netns/x"), address: Ipv4Addr::new(10, 9, 8, 7) })
    }

    async fn detach(&self, container_id: &str) -> Result<(), NetworkError> {
        self.attached.lock().unwrap().remove(container_id);
        Ok(())
    }

    async fn recover(&self, keep: &[AttachRequest]) -> Result<(), NetworkError> {
        let keep: BTreeSet<_> = keep.iter().map(|request| request.container_id.clone()).collect();
        self.attached.lock().unwrap().retain(|id| keep.contains(id));
        Ok(())
    }

    async fn remove_all(&self) -> Result<(), NetworkError> {
        self.attached.lock().unwrap().clear();
        *self.removed_all.lock().unwrap() = true;
        Ok(())
    }
}
