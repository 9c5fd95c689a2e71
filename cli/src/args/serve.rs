//! The flags of the servers.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use proffer_master_server::Placement;
use proffer_proto_model::Role;
use proffer_proto_transport::Address;

use super::{AttributeArg, ReserveArg, ReserveFile, ResourcesArg, StoreArgs};

/// What runs the containers of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RuntimeKind {
    /// containerd, through its socket
    #[default]
    Containerd,
    /// Nothing real: containers are imagined, for trying things out
    Fake,
}

/// `proffer master`
#[derive(Debug, Clone, Args)]
pub struct MasterArgs {
    /// Where the registry is kept
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where gRPC, HTTP and the dashboard answer
    #[arg(long, default_value = "127.0.0.1:5050", value_name = "HOST:PORT")]
    pub listen: Address,
    /// Where clients, agents and the other masters reach this one; the address of --listen when left out. Only with --etcd
    #[arg(long, value_name = "HOST:PORT", requires = "etcd")]
    pub advertise: Option<Address>,
    /// Another master takes over when the one that leads is not heard of for this long: whole seconds. Only with --etcd
    #[arg(long, value_name = "TIME", default_value = "5s", requires = "etcd", value_parser = super::amounts::duration)]
    pub lease: std::time::Duration,
    /// An offer that is not answered in this time is withdrawn, e.g. 30s
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = super::amounts::duration)]
    pub offer_timeout: std::time::Duration,
    /// An agent that is not heard of for this long is unreachable, e.g. 30s; more than the heartbeat, which is 5s
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = super::amounts::duration)]
    pub agent_timeout: std::time::Duration,
    /// So many agents, or a tenth of all if that is more, are declared unreachable in a minute: when more fall silent at
    /// once, it is mostly the network, and their tasks are not started a second time all at once
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub agent_removals_per_minute: u32,
    /// Most offers one framework may hold unanswered
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub max_offers_per_framework: usize,
    /// Most frameworks the master knows, those included that are away; one that is known already always comes back
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub max_frameworks: usize,
    /// Calls one framework may make each second in the long run; faster ones wait
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub calls_per_second: u32,
    /// Calls one framework may make at once
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub call_burst: u32,
    /// How long before a maintenance window frameworks are asked to leave its agents, e.g. 1h
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = super::amounts::duration)]
    pub maintenance_notice: std::time::Duration,
    /// Let roles that are short of what their quota guarantees take room back from revocable tasks and those of a
    /// lower priority, of roles that hold more than they are promised
    #[arg(long)]
    pub preemption: bool,
    /// How long their frameworks have to leave before the tasks are killed, e.g. 30s
    #[arg(long, default_value = "30s", value_name = "TIME", requires = "preemption", value_parser = super::amounts::duration)]
    pub preemption_notice: std::time::Duration,
    /// A kind of resources that counts for nobody's share, e.g. disk; may be given several times
    #[arg(long, value_name = "KIND")]
    pub exclude_from_shares: Vec<String>,
    /// No offer holds less than this, e.g. cpus=100m,memory=32MiB
    #[arg(long, value_name = "AMOUNTS")]
    pub min_offer: Option<ResourcesArg>,
    /// Which of the agents that fit is offered first: first (the one that has waited longest), pack, least-loaded, or
    /// spread:ATTRIBUTE such as spread:@zone
    #[arg(long, default_value = "first", value_name = "POLICY")]
    pub placement: Placement,
    /// Offer agents with GPUs to all frameworks, and not only to those that want GPUs
    #[arg(long)]
    pub offer_gpus_to_all: bool,
}

/// `proffer agent`
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Where tasks, updates and logs are kept
    #[arg(long, default_value = "/var/lib/proffer/agent", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the agent's own API answers
    #[arg(long, default_value = "127.0.0.1:5051", value_name = "HOST:PORT")]
    pub listen: Address,
    /// Address at which published ports answer; that of --listen when left out
    #[arg(long, value_name = "HOST")]
    pub address: Option<String>,
    /// What runs the containers
    #[arg(long, value_enum, default_value_t)]
    pub runtime: RuntimeKind,
    /// Socket of containerd
    #[arg(long, default_value = "/run/containerd/containerd.sock", value_name = "SOCKET")]
    pub containerd: PathBuf,
    /// Namespace of containerd that holds this agent's containers and images
    #[arg(long, default_value = "proffer", value_name = "NAME")]
    pub namespace: String,
    /// What to offer, e.g. cpus=4,memory=8GiB,ports=31000-32000; what this machine has when left out
    #[arg(long, value_name = "AMOUNTS")]
    pub resources: Option<ResourcesArg>,
    /// A part of it that only a role and those below it are offered, e.g. eng:cpus=2,memory=4GiB; may be given several
    /// times. No call undoes it. Labels follow after blanks: "eng:cpus=2 tier=gold"
    #[arg(long, value_name = "ROLE:AMOUNTS")]
    pub reserve: Vec<ReserveArg>,
    /// A file of such parts, one on each line, with labels after blanks: eng:cpus=2 tier=gold; may be given several times
    #[arg(long, value_name = "FILE")]
    pub reserve_file: Vec<ReserveFile>,
    /// A fact about this agent, name=value; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub attribute: Vec<AttributeArg>,
    /// Name of this host for people; the system's when left out
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Region of this host
    #[arg(long, default_value = "")]
    pub region: String,
    /// Zone of this host
    #[arg(long, default_value = "")]
    pub zone: String,
    /// Directory for the files containers need while they run; /run/proffer/NAMESPACE when left out
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Registry to speak plain HTTP to, besides those on this machine; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    pub insecure_registry: Vec<String>,
    /// Users and passwords of registries: a file as `docker login` writes it (config.json)
    #[arg(long, value_name = "FILE")]
    pub registry_auth: Option<PathBuf>,
    /// Certificates of registries' authorities: HOST:PORT/ca.crt in this directory
    #[arg(long, value_name = "DIR")]
    pub registry_certs: Option<PathBuf>,
    /// Short name of this agent's bridge, unique on this machine: 1 to 8 of a-z 0-9
    #[arg(long, default_value = "agent", value_name = "NAME")]
    pub bridge: String,
    /// Subnet of the bridge that containers with an address of their own are on: a private /24
    #[arg(long, default_value = "10.88.0.0/24", value_name = "CIDR")]
    pub bridge_subnet: String,
}

/// `proffer service`
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// Where services are kept
    #[arg(long, default_value = "/var/lib/proffer/service", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the framework's API answers
    #[arg(long, default_value = "127.0.0.1:5052", value_name = "HOST:PORT")]
    pub listen: Address,
    /// A role its services can be in, e.g. eng/web; may be given several times. The first is for those that name none; only
    /// `default` when left out
    #[arg(long = "role", value_name = "ROLE", value_parser = super::role)]
    pub roles: Vec<Role>,
}

/// `proffer batch`
#[derive(Debug, Clone, Args)]
pub struct BatchArgs {
    /// Where jobs are kept
    #[arg(long, default_value = "/var/lib/proffer/batch", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the framework's API answers
    #[arg(long, default_value = "127.0.0.1:5053", value_name = "HOST:PORT")]
    pub listen: Address,
    /// A role its jobs can be in, e.g. eng/web; may be given several times. The first is for those that name none; only
    /// `default` when left out
    #[arg(long = "role", value_name = "ROLE", value_parser = super::role)]
    pub roles: Vec<Role>,
}
