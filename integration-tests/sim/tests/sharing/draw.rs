//! Draws who shares a cluster: roles within roles with weights, wanted shapes, and agents of all sizes. From the seed alone.

use proffer_integration_sim::cast::{Behaviour, Part};
use proffer_integration_sim::nodes::AgentNode;
use proffer_integration_sim::rng::Rng;
use proffer_integration_sim::{Scenario, World};
use proffer_master_engine::{OperatorCall, RolesCall};
use proffer_proto_model::{Bytes, MilliCpus, Resources, Role, Weight};

/// More tasks than the cluster holds.
pub const WITHOUT_END: u32 = 10_000;

/// When agents come: all frameworks are there by then. Whoever is early would keep what it gets.
pub const AGENTS_FROM_MS: u64 = 2_000;

/// Agents of a run.
const AGENTS: usize = 8;

/// What is drawn for a seed.
#[derive(Clone)]
pub struct Draw {
    pub seed: u64,
    /// The frameworks that are honest.
    pub honest: Vec<Part>,
    /// Roles with weights in thousandths.
    weights: Vec<(String, u32)>,
    sizes: Vec<Resources>,
}

impl Draw {
    /// Three roles: each has frameworks, or roles below it that have some, or both.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::child(seed, "sharing");
        let (mut honest, mut weights) = (Vec::new(), Vec::new());
        for top in ["data", "eng", "web"] {
            weights.push((top.to_owned(), weight(&mut rng)));
            let is_parent = rng.chance(500);
            for below in (0..2).filter(|_| is_parent).map(|n| format!("{top}/{n}")) {
                weights.push((below.clone(), weight(&mut rng)));
                honest.push(part(&mut rng, below));
            }
            let own = if is_parent { rng.range(0, 1) } else { rng.range(1, 2) };
            honest.extend((0..own).map(|_| part(&mut rng, top.to_owned())));
        }
        let sizes = (0..AGENTS).map(|_| size(&mut rng)).collect();
        Self { seed, honest, weights, sizes }
    }

    /// The same with agents that have all kinds in one proportion: whoever is given something while not all agents are
    /// there has the same part of it, beside the others, when they are.
    pub fn in_proportion(self) -> Self {
        let mut rng = Rng::child(self.seed, "sizes");
        let disk = AgentNode::standard().disk;
        let times = |n: u64| Resources {
            disk: Bytes(n * disk.0),
            ..Resources {
                ports: AgentNode::standard().ports,
                ..Resources::new(MilliCpus(2_000 * n), Bytes::mib(2_048 * n))
            }
        };
        Self { sizes: self.sizes.iter().map(|_| times(rng.range(1, 4))).collect(), ..self }
    }

    /// The same with tasks that end by themselves.
    pub fn with_tasks_that_end(self) -> Self {
        let mut rng = Rng::child(self.seed, "task times");
        let honest = self.honest.into_iter().map(|part| part.task_ms(1_000 * rng.range(3, 6))).collect();
        Self { honest, ..self }
    }

    /// The world of the honest ones and these others, with faults until a time.
    pub fn world(&self, others: Vec<Part>, faults_until_ms: u64) -> World {
        World::new(Scenario {
            cast: self.honest.iter().cloned().chain(others).collect(),
            faults_until_ms,
            agents: AGENTS,
            agents_from_ms: AGENTS_FROM_MS,
            sizes: self.sizes.clone(),
            is_operated: false,
            // Who died last is back by then, and what it refused as it started is offered to it again.
            shares_judged_from_ms: Some(if faults_until_ms == 0 { 0 } else { faults_until_ms + 15_000 }),
            longest_down_ms: 5_000,
            audit_every: 50,
            ..Scenario::standard(self.seed)
        })
    }

    /// What is left of the cluster for the honest ones beside somebody of such a weight who takes all it is due.
    pub fn part_beside(&self, milli: u32) -> f64 {
        let top = self.weights.iter().filter(|(role, _)| !role.contains('/'));
        let all: u32 = top.map(|(_, weight)| weight).sum();
        f64::from(all) / f64::from(all + milli)
    }

    /// What an operator asks for at the start.
    pub fn weights(&self) -> OperatorCall {
        let weight =
            |(role, milli): &(String, u32)| (Role::new(role.as_str()).unwrap(), Weight::from_milli(*milli).unwrap());
        let call = RolesCall::SetWeights { weights: self.weights.iter().map(weight).collect() };
        OperatorCall::Roles { request: 1, call, is_dry_run: false }
    }
}

/// Those that cost the others something, each in a role of its own.
pub fn bad() -> Vec<Part> {
    vec![
        Part::bad("hoarder", Behaviour::Hoarding),
        Part::bad("decliner", Behaviour::Declining),
        Part::bad("sleeper", Behaviour::Hung),
    ]
}

/// Takes whatever it is offered, for small tasks.
pub fn greedy() -> Part {
    let part = Part::honest("greedy", WITHOUT_END).shape(MilliCpus(125), Bytes::mib(64)).task_ms(5_000);
    Part { behaviour: Behaviour::Greedy, ..part }
}

fn weight(rng: &mut Rng) -> u32 {
    *rng.pick(&[500, 1_000, 1_000, 2_000, 3_000]).unwrap()
}

fn part(rng: &mut Rng, role: String) -> Part {
    let cpus = MilliCpus(*rng.pick(&[250, 500, 500, 750, 1_000]).unwrap());
    let memory = Bytes::mib(*rng.pick(&[128, 256, 512, 768, 1_024]).unwrap());
    Part::honest(role, WITHOUT_END).shape(cpus, memory)
}

fn size(rng: &mut Rng) -> Resources {
    let (cpus, memory) = *rng.pick(&[(2, 4), (4, 2), (4, 4), (6, 12), (8, 8)]).unwrap();
    let ports = AgentNode::standard();
    Resources { cpus: MilliCpus(1_000 * cpus), memory: Bytes::mib(1_024 * memory), ..ports }
}
