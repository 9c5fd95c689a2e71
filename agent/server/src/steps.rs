//! The single steps of a task's life at the runtime and the network, each from an order to an outcome.

use std::path::PathBuf;
use std::sync::Arc;

use proffer_agent_engine::{Failure, FailureKind, StepResult};
use proffer_agent_network::Network;
use proffer_agent_runtime::{ContainerRequest, ContainerRuntime, Mount};
use proffer_proto_model::TaskSpec;
use proffer_proto_model::task::PortMapping;

use crate::words;

type Runtime = Arc<dyn ContainerRuntime>;

pub(crate) async fn ensure_image(runtime: Runtime, spec: Arc<TaskSpec>) -> StepResult {
    let (reference, policy) = (&spec.container.image, words::pull_policy(spec.container.pull));
    match runtime.ensure_image(reference, policy, Arc::new(|_| {})).await {
        Ok(_) => StepResult::ImageReady,
        Err(error) => StepResult::ImageFailed(words::runtime_failure(&error)),
    }
}

pub(crate) async fn attach(network: Arc<dyn Network>, container: String, ports: Vec<PortMapping>) -> StepResult {
    match network.attach(&words::attach_request(container, &ports)).await {
        Ok(wired) => StepResult::NetworkReady {
            netns: wired.netns.to_string_lossy().into_owned(),
            address: wired.address.to_string(),
        },
        Err(error) => StepResult::NetworkFailed(words::network_failure(&error)),
    }
}

/// Creates a container. The directories of its volumes must be there: an empty one in their place would hide that their
/// data is lost.
pub(crate) async fn create(runtime: Runtime, request: ContainerRequest, volumes: PathBuf) -> StepResult {
    for mount in &request.mounts {
        let Mount::Bind { source, .. } = mount else { continue };
        if source.starts_with(&volumes) && !tokio::fs::metadata(source).await.is_ok_and(|found| found.is_dir()) {
            let message = format!(
                "the directory of a volume, {}, is not there: its data is lost; put it back, or destroy the volume",
                source.display()
            );
            return StepResult::CreateFailed(Failure { kind: FailureKind::Permanent, message });
        }
    }
    match runtime.create(&request).await {
        Ok(created) => StepResult::Created { pid: created.pid },
        Err(error) => StepResult::CreateFailed(words::runtime_failure(&error)),
    }
}

pub(crate) async fn start(runtime: Runtime, container: String) -> StepResult {
    match runtime.start(&container).await {
        Ok(()) => StepResult::Started,
        Err(error) => StepResult::StartFailed(words::runtime_failure(&error)),
    }
}

pub(crate) async fn wait(runtime: Runtime, container: String) -> StepResult {
    match runtime.wait(&container).await {
        Ok(exit) => StepResult::Exited(words::exit(exit)),
        Err(error) => {
            tracing::warn!(%container, %error, "cannot wait for a container now");
            StepResult::WaitFailed(words::runtime_failure(&error))
        }
    }
}

pub(crate) async fn delete(runtime: Runtime, container: String) -> StepResult {
    match runtime.delete(&container).await {
        Ok(()) => StepResult::Deleted,
        Err(error) => {
            tracing::warn!(%container, %error, "container not removed, will be tried again");
            StepResult::DeleteFailed(words::runtime_failure(&error))
        }
    }
}

pub(crate) async fn detach(network: Arc<dyn Network>, container: String) -> StepResult {
    match network.detach(&container).await {
        Ok(()) => StepResult::Detached,
        Err(error) => {
            tracing::warn!(%container, %error, "network not removed, will be tried again");
            StepResult::DetachFailed(words::network_failure(&error))
        }
    }
}
