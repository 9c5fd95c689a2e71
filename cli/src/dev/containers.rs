//! The cluster's own containerd, and the image of the example: nothing needs to be pulled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proffer_agent_runtime::ContainerRuntime;
use proffer_agent_runtime::containerd::private::PrivateContainerd;
use proffer_agent_runtime::containerd::{ContainerdConfig, ContainerdRuntime};
use proffer_agent_runtime::image_builder::ImageBuilder;

use super::plan::{AgentPlan, Plan};
use super::told;
use crate::CliError;

/// Name of the image that every new cluster has.
const HELLO_IMAGE: &str = "docker.io/library/hello:latest";

/// A running private containerd.
pub struct Containers {
    daemon: Option<PrivateContainerd>,
    socket: PathBuf,
    program: PathBuf,
}

/// Starts containerd on the cluster's directory, and makes sure that every agent has the example's image.
pub async fn start(plan: &Plan, program: &Path) -> Result<Containers, CliError> {
    println!("starting containerd");
    let daemon = PrivateContainerd::start(plan.data_dir.join("containerd"))
        .await
        .map_err(|e| told("cannot start containerd", &e))?;
    let containers = Containers { socket: daemon.socket(), daemon: Some(daemon), program: program.to_owned() };
    let tar = plan.data_dir.join("hello.tar");
    for agent in &plan.agents {
        containers.import_hello(agent, &tar).await?;
    }
    Ok(containers)
}

impl Containers {
    /// Where containerd answers.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How an agent reaches it; `None` once it was stopped.
    pub fn config(&self, agent: &AgentPlan) -> Option<ContainerdConfig> {
        self.daemon.as_ref().map(|daemon| daemon.config(&agent.namespace, &self.program))
    }

    /// Starts containerd again when it has died; tells whether it had. Call it often.
    pub async fn look_after(&mut self) -> Result<bool, CliError> {
        let Some(daemon) = &mut self.daemon else { return Ok(false) };
        if !daemon.is_down() {
            return Ok(false);
        }
        daemon.restart().await.map_err(|e| told("cannot start containerd again", &e))?;
        Ok(true)
    }

    /// Ends all containers and containerd.
    pub async fn stop(&mut self) -> Result<(), CliError> {
        match self.daemon.take() {
            Some(daemon) => daemon.stop().await.map_err(|e| told("cannot clean up after containerd", &e)),
            None => Ok(()),
        }
    }

    async fn import_hello(&self, agent: &AgentPlan, tar: &Path) -> Result<(), CliError> {
        let Some(config) = self.config(agent) else { return Ok(()) };
        let runtime = ContainerdRuntime::new(config).map_err(|e| told("", &e))?;
        let images = runtime.images().await.map_err(|e| told("cannot list images", &e))?;
        if images.iter().any(|image| image.reference == HELLO_IMAGE) {
            return Ok(());
        }
        if !tar.exists() {
            println!("building the image hello from busybox");
            write_hello(tar).map_err(|e| told(&format!("cannot write {}", tar.display()), &e))?;
        }
        runtime
            .import_image(tar.to_owned(), Arc::new(|_| {}))
            .await
            .map_err(|e| told(&format!("cannot import the image hello for {}", agent.name), &e))?;
        Ok(())
    }
}

/// busybox with a directory for a web server.
fn write_hello(tar: &Path) -> std::io::Result<()> {
    ImageBuilder::busybox(HELLO_IMAGE)?
        .directory("www", 0o777)
        .file("www/index.html", 0o644, "hello from Proffer\n")
        .cmd(["/bin/httpd", "-f", "-p", "8080", "-h", "/www"])
        .write(tar)
}
