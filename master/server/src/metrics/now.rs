//! What is true at the moment somebody looks: counted from the read models at each look, kept nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use proffer_master_engine::registry::AgentMode;
use proffer_master_engine::view::AgentState;
use proffer_proto_model::{Limit, Resources};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Labels;
use super::bounded::Names;
use super::queues::Queues;
use crate::read_models::ReadModels;

/// Counts at each look.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) readers: Arc<ReadModels>,
    pub(super) names: Arc<Names>,
    pub(super) queues: Arc<Queues>,
}

pub(super) type Rows = BTreeMap<Labels, f64>;

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cluster = self.readers.cluster();
        let to = &mut encoder;
        write(to, "proffer_master_epoch", "Generation of this master", one(cluster.epoch.0 as f64))?;
        write(to, "proffer_master_leads", "1 when this master leads, 0 when it follows", one(1.0))?;
        let started = cluster.started.0 as f64 / 1_000.0;
        write(to, "proffer_master_start_time_seconds", "When it started, since 1970", one(started))?;
        write(to, "proffer_master_offers_outstanding", "Offers not answered yet", one(f64::from(cluster.offers)))?;
        write(to, "proffer_master_agents", "Known agents by state", self.agents())?;
        let frameworks = [
            ("connected", f64::from(cluster.frameworks_connected)),
            ("disconnected", f64::from(cluster.frameworks_disconnected)),
        ];
        write(to, "proffer_master_frameworks", "Known frameworks by state", by("state", frameworks))?;
        write(to, "proffer_master_tasks", "Tasks by state; ended ones while remembered", self.tasks())?;
        let uses = [("total", &cluster.total), ("allocated", &cluster.allocated), ("offered", &cluster.offered)];
        let cpus = uses.map(|(word, amount)| (word, amount.cpus.0 as f64 / 1_000.0));
        write(to, "proffer_master_cpus", "CPUs of attached agents by use", by("use", cpus))?;
        let memory = uses.map(|(word, amount)| (word, amount.memory.0 as f64));
        write(to, "proffer_master_memory_bytes", "Memory of attached agents by use", by("use", memory))?;
        let gpus = uses.map(|(word, amount)| (word, f64::from(amount.gpus)));
        write(to, "proffer_master_gpus", "GPUs of attached agents by use", by("use", gpus))?;
        self.shares(to, &cluster.total)?;
        self.quotas(to)?;
        self.operated(to)?;
        self.queues(to)?;
        self.kept(to)
    }
}

impl Now {
    fn agents(&self) -> Rows {
        let mut rows = by("state", ["attached", "detached", "unreachable"].map(|state| (state, 0.0)));
        for agent in self.readers.agents() {
            let state = match agent.state {
                AgentState::Attached => "attached",
                AgentState::Detached => "detached",
                AgentState::Unreachable => "unreachable",
            };
            *rows.entry(vec![("state", state.to_owned())]).or_default() += 1.0;
        }
        rows
    }

    /// What operators want of agents.
    fn operated(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let words = ["active", "deactivated", "draining", "drained", "gone"];
        let mut modes = by("mode", words.map(|word| (word, 0.0)));
        for agent in self.readers.agents() {
            let mode = match agent.mode {
                AgentMode::Active => "active",
                AgentMode::Deactivated => "deactivated",
                AgentMode::Draining(_) => "draining",
                AgentMode::Drained => "drained",
                AgentMode::Gone => "gone",
            };
            *modes.entry(vec![("mode", mode.to_owned())]).or_default() += 1.0;
        }
        write(to, "proffer_master_agent_modes", "Known agents by what operators want of them", modes)?;
        let windows = self.readers.windows();
        let open = windows.iter().filter(|window| window.is_open()).count();
        let states = [("open", open as f64), ("planned", (windows.len() - open) as f64)];
        write(to, "proffer_master_maintenance_windows", "Maintenance windows by state", by("state", states))
    }

    fn tasks(&self) -> Rows {
        let mut rows = by("state", ["running", "staging"].map(|state| (state, 0.0)));
        for task in self.readers.tasks() {
            let state = task.status.state.to_string().to_ascii_lowercase();
            *rows.entry(vec![("state", state)]).or_default() += 1.0;
        }
        rows
    }

    fn shares(&self, to: &mut DescriptorEncoder<'_>, total: &Resources) -> fmt::Result {
        let (mut shares, mut tasks, mut offers, mut most) = (Rows::new(), Rows::new(), Rows::new(), Rows::new());
        for framework in self.readers.frameworks() {
            let name = vec![("framework", self.names.label(&framework.info.name))];
            *shares.entry(name.clone()).or_default() += framework.share_millionths as f64 / 1e6;
            *offers.entry(name.clone()).or_default() += framework.offers as f64;
            *most.entry(name.clone()).or_default() += framework.max_offers as f64;
            *tasks.entry(name).or_default() += f64::from(framework.tasks_active);
        }
        write(to, "proffer_master_framework_offers", "Offers it has not answered", offers)?;
        write(to, "proffer_master_framework_offers_max", "Most offers it may have now", most)?;
        write(to, "proffer_master_framework_share_ratio", "Dominant share of the cluster", shares)?;
        write(to, "proffer_master_framework_tasks", "Tasks that have not ended", tasks)?;
        let mut held: BTreeMap<String, Resources> = BTreeMap::new();
        for task in self.readers.tasks().iter().filter(|task| task.status.state.holds_resources()) {
            let role = self.names.label(task.role.as_str());
            let sum = held.entry(role).or_default();
            *sum = sum.saturating_sum(&Resources { ports: Default::default(), ..task.resources.clone() });
        }
        let shares = held.into_iter().map(|(role, held)| (vec![("role", role)], dominant(&held, total)));
        let help = "Largest part of any kind of the cluster's resources that the role's tasks hold";
        write(to, "proffer_master_role_share_ratio", help, shares.collect())
    }
}

impl Now {
    /// Of each bound of each quota how much is used up, by tasks and by what is reserved.
    fn quotas(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut rows = Rows::new();
        for view in self.readers.roles() {
            let used = view.allocated.saturating_sum(&view.reserved);
            // What may run on agents that cannot be reached counts for the limit, and for nothing else.
            let limited = used.saturating_sum(&view.unreachable);
            let Limit { cpus, memory, disk, gpus, .. } = &view.quota.limit;
            let promised = &view.quota.guarantee;
            let some = |amount: u64| (amount > 0).then_some(amount);
            let kinds = [
                ("cpus", [limited.cpus.0, used.cpus.0], cpus.map(|most| most.0), some(promised.cpus.0)),
                ("memory", [limited.memory.0, used.memory.0], memory.map(|most| most.0), some(promised.memory.0)),
                ("disk", [limited.disk.0, used.disk.0], disk.map(|most| most.0), some(promised.disk.0)),
                ("gpus", [limited.gpus, used.gpus].map(u64::from), gpus.map(u64::from), some(promised.gpus.into())),
            ];
            let role = self.names.label(view.role.as_str());
            for (kind, [limited, used], limit, guarantee) in kinds {
                for (bound, used, whole) in [("limit", limited, limit), ("guarantee", used, guarantee)] {
                    let Some(whole) = whole else { continue };
                    let labels = [("role", role.clone()), ("kind", kind.to_owned()), ("bound", bound.to_owned())];
                    // A limit of nothing is used up.
                    let part = if whole == 0 { 1.0 } else { used as f64 / whole as f64 };
                    rows.insert(labels.to_vec(), part);
                }
            }
        }
        write(to, "proffer_master_role_quota_used_ratio", "Part of a quota's bound that is used up", rows)
    }
}

/// The largest part of CPUs, memory, disk and GPUs.
fn dominant(held: &Resources, total: &Resources) -> f64 {
    let kinds = [
        (held.cpus.0, total.cpus.0),
        (held.memory.0, total.memory.0),
        (held.disk.0, total.disk.0),
        (u64::from(held.gpus), u64::from(total.gpus)),
    ];
    let parts = kinds.into_iter().filter(|(_, total)| *total > 0).map(|(held, total)| held as f64 / total as f64);
    parts.fold(0.0, f64::max)
}

fn one(value: f64) -> Rows {
    Rows::from([(Vec::new(), value)])
}

pub(super) fn by<const N: usize>(label: &'static str, values: [(&str, f64); N]) -> Rows {
    values.into_iter().map(|(word, value)| (vec![(label, word.to_owned())], value)).collect()
}

pub(super) fn write(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: Rows) -> fmt::Result {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}
