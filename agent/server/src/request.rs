//! From a task to the container that runs it: environment, bounds, mounts, labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proffer_agent_engine::{LABEL_FRAMEWORK, LABEL_TASK};
use proffer_agent_runtime::{ContainerRequest, Limits, Mount};
use proffer_proto_model::task::{DEFAULT_PIDS, MountSource, NetworkMode};
use proffer_proto_model::{Role, TaskKey, TaskSpec, VolumeId, task};

/// Label that holds the name of a container's task.
const LABEL_NAME: &str = "proffer.name";
/// Name and value of a label together; containerd takes no more.
const MAX_LABEL_BYTES: usize = 4_096;

/// Where containers keep what outlives them.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    data_dir: PathBuf,
}

impl Directories {
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.data_dir.join("agent.redb")
    }

    /// Archives on their way into the runtime.
    pub fn temporary(&self) -> PathBuf {
        self.data_dir.join("tmp")
    }

    /// Persistent volumes, a directory for each role that has some.
    pub fn volumes(&self) -> PathBuf {
        self.data_dir.join("volumes")
    }

    /// The data of one volume. No role holds a `+`, and no id is `.` or `..` or holds a `/`.
    pub fn volume(&self, role: &Role, id: &VolumeId) -> PathBuf {
        self.volumes().join(role.as_str().replace('/', "+")).join(id.as_str())
    }

    /// What is kept for containers, a directory for each.
    pub fn tasks(&self) -> PathBuf {
        self.data_dir.join("tasks")
    }

    /// All that is kept for one container.
    pub fn of_container(&self, container: &str) -> PathBuf {
        self.tasks().join(container)
    }

    /// The output of one container.
    pub fn logs(&self, container: &str) -> PathBuf {
        self.of_container(container).join("logs")
    }
}

/// What to ask the runtime for. `host` is the address at which published ports answer.
pub(crate) fn container_request(
    key: &TaskKey,
    container: &str,
    spec: &TaskSpec,
    netns: Option<String>,
    host: &str,
    directories: &Directories,
) -> ContainerRequest {
    let wanted = &spec.container;
    ContainerRequest {
        id: container.to_owned(),
        image: wanted.image.clone(),
        command: wanted.command.clone(),
        args: wanted.args.clone(),
        env: environment(key, spec, host),
        user: given(&wanted.user),
        working_dir: given(&wanted.working_dir),
        hostname: netns.is_some().then(|| inner_hostname(key.task.as_str())),
        read_only_root: wanted.read_only_root,
        mounts: wanted.mounts.iter().map(|wanted| mount(wanted, directories)).collect(),
        limits: limits(spec),
        netns: netns.map(PathBuf::from),
        log_dir: directories.logs(container),
        labels: labels(key, spec),
    }
}

/// The task's own labels, as far as a runtime takes them, and those by which the agent knows its containers.
fn labels(key: &TaskKey, spec: &TaskSpec) -> BTreeMap<String, String> {
    let fits = |(name, value): &(&String, &String)| !name.is_empty() && name.len() + value.len() <= MAX_LABEL_BYTES;
    let mut labels: BTreeMap<String, String> =
        spec.labels.iter().filter(fits).map(|(name, value)| (name.clone(), value.clone())).collect();
    labels.insert(LABEL_FRAMEWORK.to_owned(), key.framework.to_string());
    labels.insert(LABEL_TASK.to_owned(), key.task.to_string());
    labels.insert(LABEL_NAME.to_owned(), spec.name.clone());
    labels
}

/// Ports and host first, so that a task may replace them; who it is last, so that it may not.
fn environment(key: &TaskKey, spec: &TaskSpec, host: &str) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = vec![("HOST".to_owned(), host.to_owned())];
    for (index, port) in spec.container.ports.iter().enumerate() {
        // The port at which the process is to listen.
        let own = match spec.container.network {
            NetworkMode::Host => port.host_port,
            NetworkMode::Bridge if port.container_port == 0 => port.host_port,
            NetworkMode::Bridge => port.container_port,
        };
        if index == 0 {
            env.push(("PORT".to_owned(), own.to_string()));
        }
        if !port.name.is_empty() {
            env.push((format!("PORT_{}", variable_name(&port.name)), own.to_string()));
        }
    }
    env.extend(spec.container.env.iter().cloned());
    env.push(("PROFFER_TASK_ID".to_owned(), key.task.to_string()));
    env.push(("PROFFER_FRAMEWORK_ID".to_owned(), key.framework.to_string()));
    last_of_each(env)
}

/// A later variable replaces an earlier one of its name.
fn last_of_each(env: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = Vec::with_capacity(env.len());
    for (name, value) in env {
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some(earlier) => earlier.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept
}

fn variable_name(port: &str) -> String {
    port.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A host name of at most 63 letters, digits and dashes.
fn inner_hostname(task: &str) -> String {
    let dashed: String = task.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let trimmed = dashed.trim_matches('-');
    if trimmed.is_empty() { "task".to_owned() } else { trimmed.to_owned() }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn mount(mount: &task::Mount, directories: &Directories) -> Mount {
    let target = PathBuf::from(&mount.target);
    match &mount.source {
        MountSource::Host { path, read_only } => {
            Mount::Bind { source: PathBuf::from(path), target, read_only: *read_only }
        }
        MountSource::Volume { id, role, read_only } => {
            // The master names the role of every volume; the default role has none of that name otherwise.
            let role = role.clone().unwrap_or_else(Role::default_role);
            Mount::Bind { source: directories.volume(&role, id), target, read_only: *read_only }
        }
        MountSource::Tmpfs { size_bytes } => Mount::Tmpfs { target, size_bytes: *size_bytes },
    }
}

/// Bounds are what was asked for, unless higher ones were given.
fn limits(spec: &TaskSpec) -> Limits {
    let (cpus, memory) = (spec.resources.cpus.0, spec.resources.memory.0);
    Limits {
        cpu_request_millis: cpus,
        cpu_limit_millis: Some(spec.limits.cpus.map_or(cpus, |limit| limit.0)).filter(|limit| *limit > 0),
        memory_limit_bytes: Some(spec.limits.memory.map_or(memory, |limit| limit.0)).filter(|limit| *limit > 0),
        pids_limit: Some(spec.limits.pids.unwrap_or(DEFAULT_PIDS)),
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::task::{ContainerSpec, KillPolicy, PortMapping, Protocol, ResourceLimits};
    use proffer_proto_model::{Bytes, FrameworkId, MilliCpus, Resources, TaskId};

    use super::*;

    fn request(network: NetworkMode, env: Vec<(String, String)>) -> ContainerRequest {
        let port = |name: &str, container_port, host_port| PortMapping {
            name: name.to_owned(),
            container_port,
            host_port,
            protocol: Protocol::Tcp,
        };
        let spec = TaskSpec {
            id: TaskId::new("web_1").unwrap(),
            name: "web".to_owned(),
            container: ContainerSpec {
                image: "x".to_owned(),
                network,
                env,
                ports: vec![port("http", 80, 31_000), port("my-admin", 0, 31_001)],
                ..ContainerSpec::default()
            },
            resources: Resources::new(MilliCpus(500), Bytes::mib(64)),
            limits: ResourceLimits { memory: Some(Bytes::mib(128)), ..ResourceLimits::default() },
            kill_policy: KillPolicy::default(),
            max_run_time_ms: None,
            labels: BTreeMap::from([
                ("team".to_owned(), "a".to_owned()),
                (LABEL_TASK.to_owned(), "forged".to_owned()),
                ("long".to_owned(), "x".repeat(5_000)),
            ]),
            discovery_name: String::new(),
            data: Vec::new(),
            priority: 0,
            is_revocable: false,
        };
        let key = TaskKey { framework: FrameworkId::numbered(1, 2), task: spec.id.clone() };
        let netns = (network == NetworkMode::Bridge).then(|| "/ns/x".to_owned());
        container_request(&key, "pf-x", &spec, netns, "10.1.1.1", &Directories::new(Path::new("/data")))
    }

    fn value<'a>(request: &'a ContainerRequest, name: &str) -> &'a str {
        &request.env.iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn a_process_is_told_the_port_at_which_it_has_to_listen() {
        let bridged = request(NetworkMode::Bridge, Vec::new());
        assert_eq!((value(&bridged, "PORT"), value(&bridged, "PORT_HTTP")), ("80", "80"));
        assert_eq!(value(&bridged, "PORT_MY_ADMIN"), "31001");
        assert_eq!(bridged.hostname.as_deref(), Some("web-1"));
        let host = request(NetworkMode::Host, Vec::new());
        assert_eq!((value(&host, "PORT"), value(&host, "HOST")), ("31000", "10.1.1.1"));
        assert_eq!(host.hostname, None, "the host's own name stays");
    }

    #[test]
    fn a_task_may_set_its_port_but_not_who_it_is() {
        let own = [("PORT", "8080"), ("PROFFER_TASK_ID", "other"), ("A", "1"), ("A", "2")];
        let request = request(NetworkMode::Host, own.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        assert_eq!((value(&request, "PORT"), value(&request, "PROFFER_TASK_ID")), ("8080", "web_1"));
        assert_eq!(request.env.iter().filter(|(name, _)| name == "A").count(), 1);
        assert_eq!(value(&request, "A"), "2");
    }

    #[test]
    fn bounds_are_what_was_asked_for_unless_higher_ones_were_given() {
        let limits = request(NetworkMode::Host, Vec::new()).limits;
        assert_eq!(limits.cpu_limit_millis, Some(500));
        assert_eq!(limits.memory_limit_bytes, Some(128 << 20));
        assert_eq!(limits.pids_limit, Some(DEFAULT_PIDS));
    }

    #[test]
    fn labels_are_kept_but_cannot_make_a_container_another_ones() {
        let labels = request(NetworkMode::Host, Vec::new()).labels;
        assert_eq!(labels.get("team").map(String::as_str), Some("a"));
        assert_eq!(labels.get(LABEL_TASK).map(String::as_str), Some("web_1"));
        assert!(!labels.contains_key("long"), "containerd would refuse the container");
    }
}
