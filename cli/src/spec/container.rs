//! The fields that services and jobs share: what to run, with how much, where.

use proffer_proto_model::resources::{parse_bytes, parse_cpus, parse_duration_ms};
use proffer_proto_model::task::{
    ContainerSpec, KillPolicy, MAX_GRACE_MS, Mount, MountSource, NetworkMode, PortMapping, Protocol, PullPolicy,
    ResourceLimits,
};
use proffer_proto_model::{Bytes, Constraint, MilliCpus, Resources, Role, VolumeId};

use super::constraint::parse_constraint;
use super::read::{Field, Fields, Reader};

/// The fields of [`Common`], for lists of known fields.
pub(super) const COMMON: [&str; 19] = [
    "image",
    "command",
    "args",
    "env",
    "user",
    "working_dir",
    "read_only_root",
    "network",
    "ports",
    "mounts",
    "pull",
    "resources",
    "limits",
    "constraints",
    "labels",
    "role",
    "priority",
    "revocable",
    "stop_grace",
];

const LIST_EXAMPLE: &str = "[\"/bin/httpd\", \"-f\"]";
/// CPUs of an instance that asks for nothing: a tenth.
const DEFAULT_CPUS: MilliCpus = MilliCpus(100);
/// Memory of an instance that asks for nothing: 128 MiB.
const DEFAULT_MEMORY: Bytes = Bytes::mib(128);

/// What services and jobs share.
pub(super) struct Common {
    pub(super) container: ContainerSpec,
    pub(super) resources: Resources,
    pub(super) limits: ResourceLimits,
    pub(super) kill_policy: KillPolicy,
    pub(super) constraints: Vec<Constraint>,
    pub(super) labels: std::collections::BTreeMap<String, String>,
    pub(super) role: Option<Role>,
    pub(super) priority: i32,
    pub(super) is_revocable: bool,
}

impl Reader {
    /// Reads the shared fields; what is wrong is noted and replaced by a default.
    pub(super) fn common(&mut self, fields: &Fields<'_>) -> Common {
        let resources = self.resources(fields.get("resources"));
        let limits = self.limits(fields.get("limits"), &resources);
        let grace_ms = self.parsed(fields.get("stop_grace"), |text| match parse_duration_ms(text) {
            Ok(ms) if ms <= MAX_GRACE_MS => Ok(ms),
            Ok(_) => Err(format!("is {text}; at most 1d is allowed")),
            Err(error) => Err(error.to_string()),
        });
        let rules = self.items(fields.get("constraints"), "[\"zone == b\"]");
        let labels = self.entries(fields.get("labels"));
        Common {
            container: self.container(fields),
            resources,
            limits,
            kill_policy: grace_ms.map_or_else(KillPolicy::default, |grace_ms| KillPolicy { grace_ms }),
            constraints: rules.into_iter().filter_map(|rule| self.parsed(Some(rule), parse_constraint)).collect(),
            labels: labels
                .into_iter()
                .filter_map(|(key, field)| Some((key.name.clone(), self.text(&field)?.to_owned())))
                .collect(),
            role: self.parsed(fields.get("role"), |text| Role::new(text)),
            priority: self.parsed(fields.get("priority"), parse_priority).unwrap_or(0),
            is_revocable: self.flag(fields.get("revocable")).unwrap_or(false),
        }
    }

    fn container(&mut self, fields: &Fields<'_>) -> ContainerSpec {
        let image = match fields.get("image") {
            Some(field) => self.parsed(Some(field), parse_image).unwrap_or_default(),
            None => {
                self.lacks(fields, "image", "write e.g. \"image: hello:latest\"");
                String::new()
            }
        };
        let ports = self.ports(fields.get("ports"));
        let network =
            self.choice(fields.get("network"), &[("bridge", NetworkMode::Bridge), ("host", NetworkMode::Host)]);
        // An instance with ports gets an address of its own, so that several fit on one agent.
        let network = network.unwrap_or(if ports.is_empty() { NetworkMode::Host } else { NetworkMode::Bridge });
        let pulls = [("always", PullPolicy::Always), ("missing", PullPolicy::Missing), ("never", PullPolicy::Never)];
        ContainerSpec {
            image,
            pull: self.choice(fields.get("pull"), &pulls).unwrap_or_default(),
            command: self.words(fields.get("command")),
            args: self.words(fields.get("args")),
            env: self.env(fields.get("env")),
            user: self.parsed(fields.get("user"), |text| Ok::<_, String>(text.to_owned())).unwrap_or_default(),
            working_dir: self.parsed(fields.get("working_dir"), parse_path).unwrap_or_default(),
            read_only_root: self.flag(fields.get("read_only_root")).unwrap_or(false),
            network,
            ports,
            mounts: self.mounts(fields.get("mounts")),
        }
    }

    fn words(&mut self, field: Option<Field<'_>>) -> Vec<String> {
        let items = self.items(field, LIST_EXAMPLE);
        items.into_iter().filter_map(|item| Some(self.text(&item)?.to_owned())).collect()
    }

    fn env(&mut self, field: Option<Field<'_>>) -> Vec<(String, String)> {
        let mut env = Vec::new();
        for (key, field) in self.entries(field) {
            if key.name.is_empty() || key.name.contains(['=', '\0']) {
                self.wrong(&field, "has a name that is empty or holds \"=\"; write \"NAME: value\"");
                continue;
            }
            // A variable that holds nothing is an empty one.
            if matches!(field.node.value, super::tree::Value::Nothing) {
                env.push((key.name.clone(), String::new()));
            } else if let Some(text) = self.text(&field) {
                env.push((key.name.clone(), text.to_owned()));
            }
        }
        env
    }

    fn ports(&mut self, field: Option<Field<'_>>) -> Vec<PortMapping> {
        let mut ports: Vec<PortMapping> = Vec::new();
        for item in self.items(field, "[{name: http, container: 8080}]") {
            let Some(fields) = self.fields(&item, &["name", "container", "protocol"]) else { continue };
            let name = match fields.get("name") {
                Some(field) => {
                    let name = self.parsed(Some(field.clone()), parse_port_name).unwrap_or_default();
                    if !name.is_empty() && ports.iter().any(|port| port.name == name) {
                        self.wrong(&field, format!("repeats the port name {name:?}; names of ports are unique"));
                    }
                    name
                }
                None => {
                    self.lacks(&fields, "name", "give the port a name, e.g. \"name: http\"");
                    String::new()
                }
            };
            let container_port = match fields.get("container") {
                Some(field) => self.port(field),
                None => {
                    self.lacks(&fields, "container", "say which port the container listens on");
                    0
                }
            };
            let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
            let protocol = self.choice(fields.get("protocol"), &protocols).unwrap_or_default();
            ports.push(PortMapping { name, container_port, host_port: 0, protocol });
        }
        ports
    }

    fn port(&mut self, field: Field<'_>) -> u16 {
        let number = self.parsed(Some(field), |text| match text.parse::<i128>() {
            Ok(number) => u16::try_from(number)
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("is port {number}; ports are 1 to 65535")),
            Err(_) => Err(format!("is {text:?}, not a port; ports are 1 to 65535")),
        });
        number.unwrap_or(0)
    }

    fn mounts(&mut self, field: Option<Field<'_>>) -> Vec<Mount> {
        let mut mounts = Vec::new();
        for item in self.items(field, "[{target: /data, host: /srv/data}]") {
            let Some(fields) = self.fields(&item, &["target", "host", "volume", "read_only", "tmpfs"]) else {
                continue;
            };
            if fields.get("target").is_none() {
                self.lacks(&fields, "target", "say where it is in the container, e.g. \"target: /data\"");
            }
            let target = self.parsed(fields.get("target"), parse_path).unwrap_or_default();
            let source = match (fields.get("host"), fields.get("volume"), fields.get("tmpfs")) {
                (Some(host), None, None) => {
                    let read_only = self.flag(fields.get("read_only")).unwrap_or(false);
                    MountSource::Host { path: self.parsed(Some(host), parse_path).unwrap_or_default(), read_only }
                }
                (None, Some(volume), None) => {
                    let read_only = self.flag(fields.get("read_only")).unwrap_or(false);
                    let Some(id) = self.parsed(Some(volume), parse_volume) else { continue };
                    MountSource::Volume { id, role: None, read_only }
                }
                (None, None, Some(tmpfs)) => {
                    let size = self.parsed(Some(tmpfs), parse_bytes).unwrap_or_default();
                    MountSource::Tmpfs { size_bytes: size.0 }
                }
                _ => {
                    self.wrong(&item, "needs one of \"volume: name\", \"host: /path\" and \"tmpfs: 64MiB\"");
                    continue;
                }
            };
            mounts.push(Mount { target, source });
        }
        mounts
    }

    fn resources(&mut self, field: Option<Field<'_>>) -> Resources {
        let mut resources = Resources::new(DEFAULT_CPUS, DEFAULT_MEMORY);
        let Some(field) = field else { return resources };
        let Some(fields) = self.fields(&field, &["cpus", "memory", "disk", "gpus"]) else { return resources };
        if let Some(cpus) = self.parsed(fields.get("cpus"), parse_cpus) {
            resources.cpus = cpus;
        }
        if let Some(memory) = self.parsed(fields.get("memory"), parse_bytes) {
            resources.memory = memory;
        }
        resources.disk = self.parsed(fields.get("disk"), parse_bytes).unwrap_or_default();
        let gpus = self.number(fields.get("gpus"), 0, u32::MAX.into()).unwrap_or(0);
        resources.gpus = u32::try_from(gpus).unwrap_or(u32::MAX);
        resources
    }

    fn limits(&mut self, field: Option<Field<'_>>, resources: &Resources) -> ResourceLimits {
        let Some(field) = field else { return ResourceLimits::default() };
        let Some(fields) = self.fields(&field, &["cpus", "memory", "pids"]) else { return ResourceLimits::default() };
        let cpus = self.parsed(fields.get("cpus"), |text| {
            let cpus = parse_cpus(text).map_err(|error| error.to_string())?;
            above(cpus, resources.cpus)
        });
        let memory = self.parsed(fields.get("memory"), |text| {
            let memory = parse_bytes(text).map_err(|error| error.to_string())?;
            above(memory, resources.memory)
        });
        ResourceLimits { cpus, memory, pids: self.number(fields.get("pids"), 1, 4_194_304) }
    }
}

fn above<T: PartialOrd + std::fmt::Display>(limit: T, asked: T) -> Result<T, String> {
    if limit < asked {
        return Err(format!("is {limit}, below the {asked} of resources; raise it or leave it out"));
    }
    Ok(limit)
}

/// An image reference: something without blanks. Its registry says the rest.
pub(crate) fn parse_image(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty; write e.g. \"hello:latest\"".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("is {text:?}; an image has no blanks, e.g. \"hello:latest\""));
    }
    Ok(text.to_owned())
}

fn parse_volume(text: &str) -> Result<VolumeId, String> {
    VolumeId::new(text).map_err(|error| format!("is {text:?}; the name of a volume {error}"))
}

/// A whole number, also a negative one.
pub(crate) fn parse_priority(text: &str) -> Result<i32, String> {
    let is_number = text.parse::<i128>().is_ok();
    text.parse().map_err(|_| match is_number {
        true => format!("is {text}; it must be {} to {}", i32::MIN, i32::MAX),
        false => format!("is {text:?}; write a whole number such as 10: higher matters more, 0 is normal"),
    })
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(format!("is {text:?}; write an absolute path, e.g. \"/data\""))
}

/// Names of ports become parts of environment names.
fn parse_port_name(text: &str) -> Result<String, String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 63 && text.chars().all(is_right) {
        return Ok(text.to_owned());
    }
    Err(format!("is {text:?}; write 1 to 63 of a-z A-Z 0-9 _ -"))
}
