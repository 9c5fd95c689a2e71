//! A scripted double of a container runtime. Nothing runs: a [`Script`] per image says what would have happened.
//!
//! Clones share one state, so a clone is what a restarted agent finds. Time is tokio's, which tests may pause.
//! It must answer every verb as the real driver does: both pass `conformance`.

mod container;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::async_trait;

use crate::containerd::archive_names;
use crate::id::check_id;
use crate::reference::normalize_reference;
use crate::{
    CgroupVersion, ContainerInfo, ContainerRequest, ContainerRuntime, ContainerStatus, Created, Exit, ExitCause, Image,
    ImageProgress, ProgressSink, PullPolicy, RuntimeError, RuntimeErrorKind, RuntimeInfo, Stats,
};
use container::Container;
pub use script::{OnTerminate, Run, SCRIPT_LABEL, Script};

/// The scripted runtime. Every image can be pulled and runs until it is signalled, unless scripted otherwise.
#[derive(Clone, Default)]
pub struct FakeRuntime {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Rings at every change of any container.
    changed: Notify,
}

#[derive(Default)]
struct State {
    scripts: BTreeMap<String, Script>,
    unavailable_images: BTreeSet<String>,
    images: BTreeSet<String>,
    containers: BTreeMap<String, Container>,
    created: Vec<ContainerRequest>,
    last_pid: u32,
    down: bool,
}

impl FakeRuntime {
    /// A runtime without containers and scripts.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on containers of this image do what `script` says. A label [`SCRIPT_LABEL`] of the container wins.
    pub fn script(&self, image: &str, script: Script) -> &Self {
        self.state().scripts.insert(full_name(image), script);
        self
    }

    /// The registry no longer has this image, nor has the agent.
    pub fn without_image(&self, image: &str) -> &Self {
        let mut state = self.state();
        state.images.remove(&full_name(image));
        state.unavailable_images.insert(full_name(image));
        drop(state);
        self
    }

    /// While down every verb is refused as unavailable and `wait` does not return; containers go on.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
        self.shared.changed.notify_waiters();
    }

    /// Ends a running container from outside; false when it does not run.
    pub fn end(&self, id: &str, cause: ExitCause) -> bool {
        let mut state = self.state();
        let Some(container) = state.containers.get_mut(id) else { return false };
        let ended = container.end(cause);
        drop(state);
        self.shared.changed.notify_waiters();
        ended
    }

    /// As [`Self::end`], with nobody knowing how it ended.
    pub fn lose(&self, id: &str) -> bool {
        self.end(id, ExitCause::Unknown)
    }

    /// Every request that made a container, in order.
    pub fn created(&self) -> Vec<ContainerRequest> {
        self.state().created.clone()
    }

    /// The signals a container got, in order; empty when it is unknown.
    pub fn signals(&self, id: &str) -> Vec<i32> {
        self.state().containers.get(id).map(|container| container.signals.clone()).unwrap_or_default()
    }

    /// The state, with everything that is due by now done.
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of one test task must not hide what another one wants to report.
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for container in state.containers.values_mut() {
            container.settle(now);
        }
        state
    }

    fn up(&self, what: impl Fn() -> String) -> Result<MutexGuard<'_, State>, RuntimeError> {
        let state = self.state();
        match state.down {
            false => Ok(state),
            true => Err(RuntimeError::new(RuntimeErrorKind::Unavailable, what(), "the runtime does not answer")),
        }
    }
}

fn full_name(image: &str) -> String {
    normalize_reference(image).unwrap_or_else(|_| image.to_owned())
}

fn unknown(what: String) -> RuntimeError {
    RuntimeError::not_found(what, "no such container")
}

fn image_of(reference: &str) -> Image {
    use sha2::{Digest, Sha256};
    let digest = format!("sha256:{:x}", Sha256::digest(reference.as_bytes()));
    Image { reference: reference.to_owned(), digest, size_bytes: 1024 }
}

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        drop(self.up(|| "ask the fake runtime".into())?);
        Ok(RuntimeInfo { name: "fake".into(), version: "1".into(), cgroup: CgroupVersion::V2 })
    }

    async fn import_image(&self, tar: PathBuf, progress: ProgressSink) -> Result<Vec<Image>, RuntimeError> {
        let mut names = archive_names(&tar).await?;
        names.sort();
        let mut state = self.up(|| format!("import {}", tar.display()))?;
        for name in &names {
            progress(ImageProgress { step: "importing", item: name.clone(), done_bytes: 1024, total_bytes: 1024 });
            state.images.insert(name.clone());
        }
        Ok(names.iter().map(|name| image_of(name)).collect())
    }

    async fn ensure_image(
        &self,
        reference: &str,
        policy: PullPolicy,
        progress: ProgressSink,
    ) -> Result<Image, RuntimeError> {
        let reference = normalize_reference(reference)?;
        let mut state = self.up(|| format!("pull {reference}"))?;
        match (state.images.contains(&reference), policy) {
            (true, PullPolicy::Missing | PullPolicy::Never) => return Ok(image_of(&reference)),
            (false, PullPolicy::Never) => {
                return Err(RuntimeError::not_found(
                    format!("image {reference}"),
                    "it is not on this agent and its pull policy is `never`: import it with `proffer image import` or set pull: missing",
                ));
            }
            (false, PullPolicy::Missing) | (_, PullPolicy::Always) => {}
        }
        if state.unavailable_images.contains(&reference) {
            let cause = "the registry has no such image: check name and tag, or push it first";
            return Err(RuntimeError::new(RuntimeErrorKind::ImageUnavailable, format!("pull {reference}"), cause));
        }
        progress(ImageProgress { step: "pulling", item: reference.clone(), done_bytes: 1024, total_bytes: 1024 });
        state.images.insert(reference.clone());
        Ok(image_of(&reference))
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let state = self.up(|| "list images".into())?;
        Ok(state.images.iter().map(|reference| image_of(reference)).collect())
    }

    async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError> {
        let what = || format!("create {}", request.id);
        check_id(&request.id)?;
        let reference = normalize_reference(&request.image)?;
        let script = {
            let state = self.up(what)?;
            if !state.images.contains(&reference) {
                let cause = "it is not on this agent: pull it or import it with `proffer image import` first";
                return Err(RuntimeError::not_found(format!("image {reference}"), cause));
            }
            match request.labels.get(SCRIPT_LABEL) {
                Some(text) => text.parse().map_err(|error| RuntimeError::invalid(what(), error))?,
                None => state.scripts.get(&reference).cloned().unwrap_or_default(),
            }
        };
        tokio::time::sleep(script.create_delay).await;
        let mut state = self.up(what)?;
        if state.containers.contains_key(&request.id) {
            return Err(RuntimeError::new(RuntimeErrorKind::AlreadyExists, what(), "a container of this id exists"));
        }
        if let Some((kind, cause)) = &script.create_error {
            return Err(RuntimeError::new(*kind, what(), cause));
        }
        state.last_pid += 1;
        let pid = 100_000 + state.last_pid;
        let container =
            Container::create(request, script, pid).map_err(|error| RuntimeError::internal(what(), error))?;
        state.containers.insert(request.id.clone(), container);
        state.created.push(request.clone());
        Ok(Created { pid })
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        let what = || format!("start {id}");
        let mut state = self.up(what)?;
        let container = state.containers.get_mut(id).ok_or_else(|| unknown(what()))?;
        if let (Some((kind, cause)), true) = (&container.script.start_error, container.is_created()) {
            return Err(RuntimeError::new(*kind, what(), cause));
        }
        container.start(Instant::now());
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let due = {
                let state = self.state();
                let container = state.containers.get(id).ok_or_else(|| unknown(format!("wait for {id}")))?;
                match (&container.exit, state.down) {
                    (Some(exit), false) => return Ok(exit.clone()),
                    (_, true) => None,
                    (None, false) => container.due(),
                }
            };
            match due {
                Some(due) => tokio::select! { () = changed => {}, () = tokio::time::sleep_until(due) => {} },
                None => changed.await,
            }
        }
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        let what = || format!("send signal {signal} to {id}");
        let number = u8::try_from(signal).ok().filter(|number| (1..=64).contains(number));
        let number = number.ok_or_else(|| RuntimeError::invalid(what(), "signals are 1 to 64"))?;
        let mut state = self.up(what)?;
        let container = state.containers.get_mut(id).ok_or_else(|| unknown(what()))?;
        if container.exit.is_some() {
            return Err(RuntimeError::not_found(what(), "the container has ended"));
        }
        container.signal(number, Instant::now());
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.up(|| format!("delete {id}"))?.containers.remove(id);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError> {
        let state = self.up(|| "list containers".into())?;
        let info = |(id, container): (&String, &Container)| ContainerInfo {
            id: id.clone(),
            labels: container.labels.clone(),
            status: container.status(),
        };
        Ok(state.containers.iter().map(info).collect())
    }

    async fn stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        let what = || format!("measure {id}");
        let state = self.up(what)?;
        let container = state.containers.get(id).ok_or_else(|| unknown(what()))?;
        match container.status() {
            ContainerStatus::Ended => Err(RuntimeError::not_found(what(), "the container does not run")),
            _ => Ok(container.stats(Instant::now())),
        }
    }
}
