//! What may go wrong, drawn from the seed. Each run has a mix of its own: not every fault is on in every run.

use std::collections::BTreeSet;

use proffer_proto_model::Moment;

use crate::rng::Rng;
use crate::world::{Event, Node, Scenario, World};

/// The process dies around a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing of the frame is durable.
    Before,
    /// All of the frame is durable, nothing was sent.
    After,
}

/// The fault mix of a run. All chances in thousandths.
#[derive(Debug)]
pub struct Faults {
    rng: Rng,
    until: Moment,
    crash_master: u64,
    crash_agent: u64,
    crash_framework: u64,
    cut: u64,
    partition: u64,
    commit: u64,
    step: u64,
    cut_off: BTreeSet<Node>,
    /// Of its own, so that it changes no other draw.
    pub(crate) operator: Rng,
    pub(crate) operate: u64,
    /// Of its own too.
    pub(crate) removal: Rng,
    pub(crate) remove: u64,
    /// Of its own too.
    pub(crate) quotas: Rng,
    pub(crate) quota: u64,
    longest_down_ms: u64,
    /// Chance that who is cut off is reachable again.
    heal: u64,
}

impl Faults {
    /// The mix of a scenario's seed.
    pub fn new(scenario: &Scenario) -> Self {
        let Scenario { seed, faults_until_ms, is_operated, longest_down_ms, .. } = *scenario;
        let mut rng = Rng::child(seed, "faults");
        let mut on = |most: u64| if rng.chance(700) { rng.range(0, most) } else { 0 };
        let (crash_master, crash_agent, crash_framework) = (on(60), on(150), on(80));
        let (cut, partition, commit, step) = (on(200), on(80), on(8), on(100));
        let mut operator = Rng::child(seed, "operator");
        let operate = if operator.chance(700) { operator.range(0, 150) } else { 0 };
        let mut removal = Rng::child(seed, "removal");
        let remove = if removal.chance(700) { removal.range(4, 25) } else { 0 };
        let mut quotas = Rng::child(seed, "quotas");
        let quota = if quotas.chance(700) { quotas.range(1, 40) } else { 0 };
        // In some runs partitions last longer than agents are waited for.
        let heal = if quotas.chance(400) { 3 } else { 20 };
        let (operate, remove, quota) = if is_operated { (operate, remove, quota) } else { (0, 0, 0) };
        Self {
            longest_down_ms,
            heal,
            quotas,
            quota,
            removal,
            remove,
            operator,
            operate,
            rng,
            until: Moment(faults_until_ms),
            crash_master,
            crash_agent,
            crash_framework,
            cut,
            partition,
            commit,
            step,
            cut_off: BTreeSet::new(),
        }
    }

    /// Does the process die around this commit?
    pub fn on_commit(&mut self, now: Moment) -> Option<CommitFault> {
        if now >= self.until || !self.rng.chance(self.commit) {
            return None;
        }
        Some(if self.rng.chance(500) { CommitFault::Before } else { CommitFault::After })
    }

    /// Does this step at the runtime fail?
    pub fn does_step_fail(&mut self, now: Moment) -> bool {
        now < self.until && self.rng.chance(self.step)
    }

    /// How long a dead process stays dead.
    pub fn downtime_ms(&mut self) -> u64 {
        // Mostly a quick restart, sometimes longer than every time-out.
        let ms = if self.rng.chance(900) { self.rng.range(10, 3_000) } else { self.rng.range(3_000, 45_000) };
        ms.min(self.longest_down_ms)
    }

    /// Cannot reach the master now.
    pub fn is_cut_off(&self, node: Node) -> bool {
        self.cut_off.contains(&node)
    }
}

impl World {
    /// Draws the faults of one moment, and the next moment.
    pub(crate) fn fault(&mut self) {
        if self.queue.now() >= self.faults.until {
            self.faults.cut_off.clear();
            return self.end_operations();
        }
        if self.faults.rng.chance(self.faults.crash_master) {
            self.master_crash();
        }
        if self.faults.rng.chance(self.faults.crash_agent) {
            let n = self.faults.rng.range(0, self.agents.len() as u64 - 1) as usize;
            self.agent_crash(n);
        }
        if self.faults.rng.chance(self.faults.crash_framework) {
            let n = self.faults.rng.range(0, self.frameworks.len() as u64 - 1) as usize;
            self.framework_crash(n);
        }
        if self.faults.rng.chance(self.faults.cut) {
            let alive = self.net.alive();
            if let Some(conn) = self.faults.rng.pick(&alive).copied() {
                // Up to the keepalive's patience until an end learns of it.
                self.cut(conn, 10_000);
            }
        }
        self.partitions();
        self.operate();
        self.set_quotas();
        self.remove_some();
        self.queue.after(250, Event::Fault);
    }

    /// An agent or framework is cut off for a while, or reachable again.
    fn partitions(&mut self) {
        if self.faults.rng.chance(self.faults.partition) {
            let n = self.faults.rng.range(0, self.agents.len() as u64 - 1) as usize;
            self.faults.cut_off.insert(Node::Agent(n));
            if let Some(conn) = self.agents[n].conn {
                self.cut(conn, 10_000);
            }
        }
        let healed: Vec<Node> = self.faults.cut_off.iter().copied().collect();
        for node in healed {
            if self.faults.rng.chance(self.faults.heal) {
                self.faults.cut_off.remove(&node);
            }
        }
    }
}
