//! `proffer dev`: a whole cluster on this machine, with a containerd of its own; Ctrl-C leaves nothing behind.
//!
//! Every part is a process of its own, started and looked after by [`supervisor`]. State stays in the data
//! directory, so that the next start finds it.

mod clean;
mod containers;
mod plan;
mod ready;
mod share;
mod supervisor;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nix::fcntl::{Flock, FlockArg};
use proffer_proto_model::{Resources, Role};

use self::plan::Plan;
use self::supervisor::{Part, Supervisor};
use crate::CliError;
use crate::args::{Masters, ResourcesArg};

/// The stack that a new cluster runs, unless told otherwise.
pub const HELLO_STACK: &str = include_str!("../../../examples/hello-stack.yaml");

/// How often the parts are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Options of `proffer dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// Number of agents, each with its own containerd namespace, host ports and bridge
    #[arg(long, default_value_t = 1)]
    pub agents: u32,
    /// Number of masters: one leads, the others take over from it. More than one need --etcd
    #[arg(long, default_value_t = 1, requires = "etcd")]
    pub masters: u32,
    /// Keep the registry in this etcd cluster: addresses of its members, joined by commas; a directory of the master
    /// when left out
    #[arg(long, value_name = "HOST:PORT")]
    pub etcd: Option<Masters>,
    /// Where all state is kept; a later start finds it
    #[arg(long, default_value = ".dev")]
    pub data_dir: PathBuf,
    /// Port of the master; the other parts use the ports after it
    #[arg(long, default_value_t = 5050)]
    pub port: u16,
    /// First host port that agents offer
    #[arg(long, default_value_t = 31_000)]
    pub host_ports: u16,
    /// Network of the agents' bridges, a /16
    #[arg(long, default_value = "10.88.0.0/16")]
    pub subnet: String,
    /// What each agent offers, e.g. cpus=4,memory=8GiB; an equal share of this machine when left out
    #[arg(long, value_name = "AMOUNTS")]
    pub agent_resources: Option<ResourcesArg>,
    /// A role services and jobs can be in, e.g. eng/web; may be given several times. The first is for those that name
    /// none; only `default` when left out
    #[arg(long = "role", value_name = "ROLE", value_parser = crate::args::role)]
    pub roles: Vec<Role>,
    /// One more word of the master's command line, e.g. --master-flag=--preemption; may be given several times
    #[arg(long = "master-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub master_flags: Vec<String>,
    /// One more word of every agent's command line, e.g. --agent-flag=--zone --agent-flag=a; may be given several times
    #[arg(long = "agent-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub agent_flags: Vec<String>,
    /// Start with nothing running, without the example stack
    #[arg(long)]
    pub no_stack: bool,
}

/// Runs the cluster until Ctrl-C. Must be called from the main thread.
pub async fn run(args: DevArgs) -> Result<(), CliError> {
    check_machine()?;
    crate::args::check_master_flags(&args.master_flags)?;
    crate::args::check_agent_flags(&args.agent_flags)?;
    std::fs::create_dir_all(&args.data_dir)
        .map_err(|e| told(&format!("cannot create the data directory {}", args.data_dir.display()), &e))?;
    let data_dir = args.data_dir.canonicalize().map_err(|e| told("", &e))?;
    let plan = Plan::new(&data_dir, (args.masters, args.agents), args.port, args.host_ports, &args.subnet)
        .map_err(|e| told("", &e))?;
    let machine = proffer_agent_server::host_resources(&data_dir).map_err(|e| told("cannot count this machine", &e))?;
    let share = share::share(&machine, args.agent_resources.as_ref().map(|given| &given.0), args.agents);
    let _lock = lock(&data_dir)?;
    let program = std::env::current_exe().map_err(|e| told("", &e))?;

    let mut interrupt = Interrupt::new()?;
    let mut containers = containers::start(&plan, &program).await?;
    let mut supervisor = Supervisor::new(program, &data_dir).map_err(|e| told("", &e))?;
    let outcome = tokio::select! {
        result = serve(&plan, &args, &share, &mut containers, &mut supervisor) => result,
        () = interrupt.wait() => Ok(()),
    };
    println!("\nstopping: ending all parts and containers; state stays in {}", data_dir.display());
    supervisor.stop();
    let cleaned = clean::all(&plan, &mut containers).await;
    outcome?;
    cleaned?;
    println!("stopped; nothing is left running");
    Ok(())
}

/// Starts everything, says what is there, and looks after it for ever.
async fn serve(
    plan: &Plan,
    args: &DevArgs,
    share: &Resources,
    containers: &mut containers::Containers,
    supervisor: &mut Supervisor,
) -> Result<(), CliError> {
    for part in parts(plan, args, share, containers) {
        let name = part.name.clone();
        supervisor.start(part).map_err(|e| told(&format!("cannot start {name}"), &e))?;
    }
    ready::wait(plan, supervisor).await?;
    if !args.no_stack {
        ready::apply_stack(plan).await?;
    }
    ready::tell(plan, share).await?;
    loop {
        for line in supervisor.look_after() {
            eprintln!("proffer dev: {line}");
        }
        match containers.look_after().await {
            Ok(false) => {}
            Ok(true) => eprintln!("proffer dev: containerd ended; it was started again"),
            Err(error) => eprintln!("proffer dev: {error}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The command line of every part.
fn parts(plan: &Plan, args: &DevArgs, share: &Resources, containers: &containers::Containers) -> Vec<Part> {
    let DevArgs { roles, etcd, master_flags, agent_flags, .. } = args;
    let text = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let dir = |name: &str| plan.data_dir.join(name).to_string_lossy().into_owned();
    let mut all = Vec::new();
    for (number, listen) in (1..).zip(&plan.masters) {
        let name = if number == 1 { "master".to_owned() } else { format!("master-{number}") };
        let mut args = text(&["master", "--listen", listen, "--data-dir", &dir(&name)]);
        args.extend(etcd.iter().flat_map(|etcd| text(&["--etcd", &etcd.to_string()])));
        args.extend_from_slice(master_flags);
        all.push(Part { name, args });
    }
    let masters = plan.masters.join(",");
    for agent in &plan.agents {
        let mut args = text(&["agent", "--master", &masters, "--listen", &agent.listen]);
        args.extend(text(&["--data-dir", &dir(&agent.name), "--hostname", &agent.name]));
        args.extend(text(&["--containerd", &containers.socket().to_string_lossy(), "--namespace", &agent.namespace]));
        args.extend(text(&["--bridge", &agent.bridge, "--bridge-subnet", &agent.subnet]));
        args.extend(text(&["--resources", &share::flag(share, &agent.host_ports)]));
        if let Some(config) = containers.config(agent) {
            args.extend(text(&["--state-dir", &config.state_dir.to_string_lossy()]));
        }
        args.extend_from_slice(agent_flags);
        all.push(Part { name: agent.name.clone(), args });
    }
    for (name, listen) in [("service", &plan.service), ("batch", &plan.batch)] {
        let mut args = text(&[name, "--master", &masters, "--listen", listen, "--data-dir", &dir(name)]);
        args.extend(roles.iter().flat_map(|role| text(&["--role", role.as_str()])));
        all.push(Part { name: name.to_owned(), args });
    }
    all
}

/// Root and the programs a cluster needs; everything missing is named at once.
fn check_machine() -> Result<(), CliError> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err(CliError::new(
            "proffer dev must run as root: it makes containers and networks",
            "run it with sudo, or as root",
        ));
    }
    let needed = [
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("iptables", "iptables"),
        ("busybox", "busybox-static"),
        ("setpriv", "util-linux"),
    ];
    let missing: Vec<&str> =
        needed.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("programs are missing: {}", missing.join(", "));
    Err(CliError::new(message, format!("apt-get install {}", missing.join(" "))))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| Path::new(dir).join(program).is_file())
}

/// Only one cluster for each data directory.
fn lock(data_dir: &Path) -> Result<Flock<File>, CliError> {
    let path = data_dir.join("dev.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| told("", &e))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        CliError::new(
            format!("another proffer dev uses {}: {error}", data_dir.display()),
            "end the other one with Ctrl-C, or give this one its own --data-dir, --port, --host-ports and --subnet",
        )
    })
}

/// What was tried, and why it failed.
pub(crate) fn told(what: &str, error: &dyn std::error::Error) -> CliError {
    let message = if what.is_empty() { error.to_string() } else { format!("{what}: {error}") };
    CliError::Told { message, help: None }
}

/// Ctrl-C or SIGTERM.
struct Interrupt {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    fn new() -> Result<Self, CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(|e| told("", &e))?,
            terminate: signal(SignalKind::terminate()).map_err(|e| told("", &e))?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
