//! An offer as a value that is used up: what is launched is subtracted, what is left is given back by itself.

mod gang;
mod inverse;
mod load;
mod operations;
mod outbox;
mod ports;
#[cfg(test)]
mod tests;

use std::fmt;

use proffer_proto_model as model;
use proffer_proto_model::task::PortMapping;
use proffer_proto_model::{
    AgentId, Attribute, Constraint, DeclineKind, DeclineReason, Filter, OfferId, Operation, Resources, Role, TaskId,
    TaskLaunch, TaskSpec, VolumeId,
};

pub use gang::{Gang, NotAdded};
pub use inverse::InverseOffer;
use load::Load;
pub use operations::NotOffered;
pub(crate) use outbox::{Answer, Outbox};

/// Resources of one agent, for this framework, until it answers or the offer expires (30 s).
///
/// Launch on it as often as it lasts, then drop it: the launches are sent together and the rest is given back. An
/// offer without a launch is declined. An offer may also be kept over several events while it is valid.
#[must_use = "an offer that is dropped is declined"]
pub struct Offer {
    facts: model::Offer,
    left: Resources,
    taken_ports: model::PortSet,
    /// Volumes that tasks launched on it mount, and whether they write.
    mounted: Vec<(VolumeId, bool)>,
    operations: Vec<Operation>,
    /// What the tasks in them take of a call.
    load: Load,
    reason: Option<DeclineReason>,
    filter: Filter,
    /// A gang answers for it.
    is_answered: bool,
    outbox: Outbox,
}

/// The offer's resources do not cover the task, or the offer is full. It is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {} does not fit on agent {agent}: {}", task.id, self.why())]
pub struct DoesNotFit {
    /// What is missing; all the task needs when the offer is full.
    pub shortage: Box<Resources>,
    /// As many tasks are launched on the offer as a master takes in one answer: 1,000, or fewer when they have many
    /// entries (500,000 fields and values in all) or are large (4 MiB). What is left of it is offered again.
    pub is_full: bool,
    /// Where.
    pub agent: AgentId,
    /// The task, given back; the first one of a group.
    pub task: Box<TaskSpec>,
}

impl DoesNotFit {
    fn why(&self) -> String {
        match self.is_full {
            true => "as much as fits into one call is launched on the offer already; use the next one".to_owned(),
            false => format!("{} missing", self.shortage),
        }
    }
}

/// A task that will be launched when the offer is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// The task.
    pub task: TaskId,
    /// Where.
    pub agent: AgentId,
    /// Its ports, with the host ports that were chosen.
    pub ports: Vec<PortMapping>,
}

impl Offer {
    pub(crate) fn new(facts: model::Offer, outbox: Outbox) -> Self {
        let left = facts.resources.clone();
        let (taken_ports, operations) = (model::PortSet::EMPTY, Vec::new());
        Self {
            facts,
            left,
            taken_ports,
            mounted: Vec::new(),
            operations,
            load: Load::default(),
            reason: None,
            filter: Filter::default(),
            is_answered: false,
            outbox,
        }
    }

    /// Its name, never used again.
    pub fn id(&self) -> &OfferId {
        &self.facts.id
    }

    /// The agent.
    pub fn agent(&self) -> &AgentId {
        &self.facts.agent
    }

    /// The agent's host name.
    pub fn hostname(&self) -> &str {
        &self.facts.hostname
    }

    /// The address at which the agent's published ports answer.
    pub fn address(&self) -> &str {
        &self.facts.agent_address
    }

    /// The agent's region; may be empty.
    pub fn region(&self) -> &str {
        &self.facts.region
    }

    /// The agent's zone; may be empty.
    pub fn zone(&self) -> &str {
        &self.facts.zone
    }

    /// The role it is made for.
    pub fn role(&self) -> &Role {
        &self.facts.role
    }

    /// The agent's attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.facts.attributes
    }

    /// The next time at which its agent is not there for tasks, when one is planned: tasks left then are ended.
    pub fn unavailability(&self) -> Option<model::Unavailability> {
        self.facts.unavailability
    }

    /// The same resources are, or may be, offered to others too: the first that uses them has them, and the others'
    /// offers are withdrawn.
    pub fn is_optimistic(&self) -> bool {
        self.facts.is_optimistic
    }

    /// What is left of it.
    pub fn left(&self) -> &Resources {
        &self.left
    }

    /// Does its agent meet the rule?
    pub fn meets(&self, constraint: &Constraint) -> bool {
        constraint.is_met_by(&model::AgentInfo {
            id: Some(self.facts.agent.clone()),
            hostname: self.facts.hostname.clone(),
            api_address: String::new(),
            address: self.facts.agent_address.clone(),
            resources: Resources::default(),
            attributes: self.facts.attributes.clone(),
            region: self.facts.region.clone(),
            zone: self.facts.zone.clone(),
            version: String::new(),
            boot_id: String::new(),
            reservations: Vec::new(),
        })
    }

    /// What is missing for this task; `None` when it fits.
    pub fn shortage(&self, task: &TaskSpec) -> Option<Resources> {
        match ports::assign(task.clone(), &self.left, &self.taken_ports) {
            Ok(_) => None,
            Err(refused) => Some(refused.shortage),
        }
    }

    /// Launches a task when the offer is dropped. Its resources are subtracted; host ports that it leaves open (0) are
    /// chosen from the offer. The task id must never have been used before.
    pub fn launch(&mut self, task: TaskSpec) -> Result<Launched, DoesNotFit> {
        let load = self.check_room(std::slice::from_ref(&task), Load::default())?;
        let (task, left, taken) = self.fit(task, &self.left, &self.taken_ports)?;
        (self.left, self.taken_ports, self.load) = (left, taken, load);
        self.note_mounts(&task.container);
        let launched = self.launched(&task);
        let launch = TaskLaunch { agent: Some(self.facts.agent.clone()), task, reserved_use: Default::default() };
        match self.operations.last_mut() {
            Some(Operation::Launch { tasks }) => tasks.push(launch),
            _ => self.operations.push(Operation::Launch { tasks: vec![launch] }),
        }
        Ok(launched)
    }

    /// Launches several tasks when the offer is dropped, all or none of them.
    pub fn launch_group(&mut self, tasks: Vec<TaskSpec>) -> Result<Vec<Launched>, DoesNotFit> {
        let load = self.check_room(&tasks, Load::default())?;
        let (mut left, mut taken) = (self.left.clone(), self.taken_ports.clone());
        let mut launches = Vec::with_capacity(tasks.len());
        for task in tasks {
            let fitted = self.fit(task, &left, &taken)?;
            (left, taken) = (fitted.1, fitted.2);
            launches.push(TaskLaunch {
                agent: Some(self.facts.agent.clone()),
                task: fitted.0,
                reserved_use: Default::default(),
            });
        }
        (self.left, self.taken_ports, self.load) = (left, taken, load);
        launches.iter().for_each(|launch| self.note_mounts(&launch.task.container));
        let launched = launches.iter().map(|l| self.launched(&l.task)).collect();
        if !launches.is_empty() {
            self.operations.push(Operation::LaunchGroup { operation_id: String::new(), tasks: launches });
        }
        Ok(launched)
    }

    /// Takes the `count` lowest host ports out of what is left, for tasks launched on this offer that name them as their
    /// host ports. `None`, and nothing taken, when there are fewer.
    pub fn take_ports(&mut self, count: u32) -> Option<Vec<u16>> {
        let ports = self.left.ports.lowest(count)?;
        self.left.ports = self.left.ports.minus(&ports);
        self.taken_ports = self.taken_ports.union(&ports);
        Some(ports.iter().collect())
    }

    /// Gives back what is left, and says why: operators read it when they ask why a task does not start. Launches
    /// made before are kept.
    pub fn decline(mut self, reason: DeclineReason) {
        self.reason = Some(reason);
    }

    /// As [`Offer::decline`], and for this many milliseconds the same or less of the agent is not offered again. Without this it
    /// is 5 s; 0 is no pause.
    pub fn decline_for(mut self, reason: DeclineReason, refuse_ms: u64) {
        self.reason = Some(reason);
        self.filter = Filter { refuse_ms: refuse_ms.min(model::MAX_REFUSE_MS) };
    }

    /// Gives it back because this task does not fit, with the shortage as the reason.
    pub fn decline_short(self, shortage: Resources) {
        self.decline(DeclineReason::new(DeclineKind::ResourcesShort { shortage }));
    }

    /// What the offer takes of a call with these tasks too: not too much, beside the others of the same answer.
    fn check_room(&self, tasks: &[TaskSpec], others: Load) -> Result<Load, DoesNotFit> {
        let load = self.load + Load::of(tasks);
        match tasks.first() {
            Some(first) if !(load + others).fits_a_call() => Err(DoesNotFit {
                shortage: Box::new(first.resources.clone()),
                is_full: true,
                agent: self.facts.agent.clone(),
                task: Box::new(first.clone()),
            }),
            _ => Ok(load),
        }
    }

    fn fit(
        &self,
        task: TaskSpec,
        left: &Resources,
        taken: &model::PortSet,
    ) -> Result<(TaskSpec, Resources, model::PortSet), DoesNotFit> {
        ports::assign(task, left, taken).map_err(|refused| DoesNotFit {
            shortage: Box::new(refused.shortage),
            is_full: false,
            agent: self.facts.agent.clone(),
            task: refused.task,
        })
    }

    fn launched(&self, task: &TaskSpec) -> Launched {
        Launched { task: task.id.clone(), agent: self.facts.agent.clone(), ports: task.container.ports.clone() }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.outbox.push(Answer {
            offers: vec![self.facts.id.clone()],
            operations: std::mem::take(&mut self.operations),
            reason: self.reason.take(),
            filter: self.filter,
        });
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { facts, left, operations, .. } = self;
        write!(f, "Offer({} of {}: {left} left, {} operations)", facts.id, facts.agent, operations.len())
    }
}
