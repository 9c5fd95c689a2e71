//! Carries out the engine's effects at the runtime and the network, each in a task of its own, and brings the
//! outcomes back to the owner.
//!
//! Never decides what comes next and never tries again by itself: an outcome goes to the engine as it is.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proffer_agent_engine::{Effect, Input, Signal, StepResult, VolumeResult};
use proffer_agent_network::Network;
use proffer_agent_runtime::ContainerRuntime;
use proffer_proto_model::{TaskKey, TaskSpec};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::owner::ToOwner;
use crate::request::{Directories, container_request};
use crate::{steps, volumes};

/// Containers created and started at a time; more only make each other slower.
const LAUNCHES_AT_ONCE: usize = 6;
/// Images prepared at a time.
const IMAGES_AT_ONCE: usize = 4;
/// How long short work may take when the agent stops.
const LONGEST_STOP: Duration = Duration::from_secs(10);
/// Containers and networks removed at a time.
const REMOVALS_AT_ONCE: usize = 6;

/// Carries out effects.
pub(crate) struct Executor {
    runtime: Arc<dyn ContainerRuntime>,
    network: Arc<dyn Network>,
    directories: Directories,
    host_address: String,
    outcomes: mpsc::Sender<ToOwner>,
    images: HashMap<TaskKey, AbortHandle>,
    image_slots: Arc<Semaphore>,
    launch_slots: Arc<Semaphore>,
    removal_slots: Arc<Semaphore>,
    /// Short work: half done it may leave things behind in the runtime.
    short: TaskTracker,
    /// Drops waits and pulls.
    stop: CancellationToken,
    /// Drops everything.
    cut: CancellationToken,
}

impl Executor {
    pub fn new(
        runtime: Arc<dyn ContainerRuntime>,
        network: Arc<dyn Network>,
        directories: Directories,
        host_address: String,
        outcomes: mpsc::Sender<ToOwner>,
    ) -> Self {
        Self {
            runtime,
            network,
            directories,
            host_address,
            outcomes,
            images: HashMap::new(),
            image_slots: Arc::new(Semaphore::new(IMAGES_AT_ONCE)),
            launch_slots: Arc::new(Semaphore::new(LAUNCHES_AT_ONCE)),
            removal_slots: Arc::new(Semaphore::new(REMOVALS_AT_ONCE)),
            short: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Drops waits and pulls, and lets short work end; what takes too long is taken up at the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.short.close();
        if tokio::time::timeout(LONGEST_STOP, self.short.wait()).await.is_err() {
            tracing::warn!(left = self.short.len(), "stopping while the runtime still works");
        }
        self.cut.cancel();
    }

    /// Begins an effect that concerns a container; those for the master are the owner's.
    pub fn execute(&mut self, effect: Effect) {
        let (runtime, network) = (Arc::clone(&self.runtime), Arc::clone(&self.network));
        match effect {
            Effect::PrepareImage { key, spec } => self.prepare_image(key, spec),
            Effect::CancelImage { key } => {
                if let Some(image) = self.images.remove(&key) {
                    image.abort();
                }
            }
            Effect::AttachNetwork { key, container, ports } => {
                self.step(key, &self.launch_slots, steps::attach(network, container, ports));
            }
            Effect::CreateContainer { key, container, spec, netns } => {
                let request = container_request(&key, &container, &spec, netns, &self.host_address, &self.directories);
                self.step(key, &self.launch_slots, steps::create(runtime, request, self.directories.volumes()));
            }
            Effect::StartContainer { key, container } => {
                self.step(key, &self.launch_slots, steps::start(runtime, container));
            }
            Effect::WaitContainer { key, container } => {
                self.long_step(key, steps::wait(runtime, container));
            }
            Effect::SignalContainer { key, container, signal } => self.signal(key, container, signal),
            Effect::DeleteContainer { key, container } => {
                self.step(key, &self.removal_slots, steps::delete(runtime, container));
            }
            Effect::DetachNetwork { key, container } => {
                self.step(key, &self.removal_slots, steps::detach(network, container));
            }
            Effect::RemoveOrphan { container } => {
                tracing::warn!(%container, "removing a container that no task owns");
                let slots = Arc::clone(&self.removal_slots);
                self.spawn(async move {
                    let _slot = slots.acquire().await;
                    // A failure was logged; the next start tries again.
                    let _ = steps::delete(runtime, container).await;
                });
            }
            Effect::MakeVolume { volume } => {
                self.volume(volume.number, volumes::make(self.directories.clone(), volume));
            }
            Effect::RemoveVolume { volume } => {
                tracing::info!(volume = %volume.id, role = %volume.role, "removing a destroyed volume with its data");
                self.volume(volume.number, volumes::remove(self.directories.clone(), volume));
            }
            Effect::RemoveLogs { container } => {
                self.spawn(remove_directory(self.directories.of_container(&container)));
            }
            Effect::ToMaster { .. } | Effect::CloseMaster { .. } | Effect::Refused { .. } => {
                tracing::error!(?effect, "an effect for the master reached the executor");
            }
        }
    }

    fn prepare_image(&mut self, key: TaskKey, spec: Arc<TaskSpec>) {
        let (runtime, slots) = (Arc::clone(&self.runtime), Arc::clone(&self.image_slots));
        let image = self.long_step(key.clone(), async move {
            let _slot = slots.acquire().await;
            steps::ensure_image(runtime, spec).await
        });
        self.images.retain(|_, image| !image.is_finished());
        self.images.insert(key, image);
    }

    fn signal(&self, key: TaskKey, container: String, signal: Signal) {
        let runtime = Arc::clone(&self.runtime);
        let number = match signal {
            Signal::Term => nix::libc::SIGTERM,
            Signal::Kill => nix::libc::SIGKILL,
        };
        self.spawn(async move {
            if let Err(error) = runtime.signal(&container, number).await {
                tracing::debug!(task = %key, %container, signal = number, %error, "signal not delivered");
            }
        });
    }

    /// Works on a volume and brings the outcome to the owner. What is cut off is begun again at the next start.
    fn volume(&self, number: u64, work: impl Future<Output = VolumeResult> + Send + 'static) {
        let outcomes = self.outcomes.clone();
        self.spawn(async move {
            let result = work.await;
            // Only an ended owner takes no outcome any more; then nobody wants it.
            let _ = outcomes.send(ToOwner::Input(Input::Volume { number, result })).await;
        });
    }

    /// Runs a short step and brings its outcome to the owner.
    fn step(&self, key: TaskKey, slots: &Arc<Semaphore>, step: impl Future<Output = StepResult> + Send + 'static) {
        let slots = Arc::clone(slots);
        self.spawn(bring(self.outcomes.clone(), key, async move {
            let _slot = slots.acquire().await;
            step.await
        }));
    }

    /// Runs a step that may take for ever and brings its outcome to the owner.
    fn long_step(&self, key: TaskKey, step: impl Future<Output = StepResult> + Send + 'static) -> AbortHandle {
        let (stop, work) = (self.stop.clone(), bring(self.outcomes.clone(), key, step));
        tokio::spawn(async move { stop.run_until_cancelled_owned(work).await }).abort_handle()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.short.spawn(async move { cut.run_until_cancelled_owned(work).await });
    }
}

async fn bring(outcomes: mpsc::Sender<ToOwner>, key: TaskKey, step: impl Future<Output = StepResult>) {
    let result = step.await;
    tracing::debug!(task = %key, ?result, "step done");
    // Only an ended owner takes no outcome any more; then nobody wants it.
    let _ = outcomes.send(ToOwner::Input(Input::Step { key, result })).await;
}

impl Drop for Executor {
    /// An owner that was dropped takes everything under way with it.
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}

/// Removes a directory with all it holds; a missing one is fine, a failure is only worth a warning.
pub(crate) async fn remove_directory(directory: PathBuf) {
    match tokio::fs::remove_dir_all(&directory).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "old logs not removed");
        }
        _ => {}
    }
}
