//! Launch: each task is checked, its resources taken from the offers, its intent stored before it leaves.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::GrantId;
use proffer_proto_model::resources::Shortage;
use proffer_proto_model::{
    AgentId, FrameworkId, Now, OperationOutcome, RescindReason, ReservedUse, Resources, Role, TaskId, TaskKey,
    TaskLaunch, TaskReason, TaskSource, TaskState, TaskStatus,
};

use crate::registry::{GangPart, GangStage, TaskRecord};
use crate::reservations::{Kept, Share, order};
use crate::state::{State, countable};
use crate::validate::check_task;
use crate::volumes::Mounted;
use crate::{FrameworkErrorKind, ToAgent};

/// What an accept has to work with.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    /// What is left of the offers, by agent.
    pub left: BTreeMap<AgentId, Share>,
    /// Agents whose reservations or volumes the accept has changed.
    pub converted: BTreeSet<AgentId>,
    /// Ids told to have ended: launched later in the same accept, a task would begin after its end.
    pub refused: BTreeSet<TaskId>,
    /// Taken for a group that is not yet started: nobody else counts it.
    pub begun: Resources,
    /// The parts of it that are reserved, by role.
    pub begun_reserved: Kept,
    /// Volumes that tasks of such a group mount.
    pub mounts: Vec<Mounted>,
    /// Races for what was offered that are not won yet: the first operation that is carried out on an agent wins those
    /// there.
    pub races: BTreeMap<AgentId, BTreeSet<GrantId>>,
}

type Refusal = (TaskReason, String);

impl State {
    /// Starts one task, or tells why not.
    pub(super) fn launch(&mut self, now: Now, framework: &FrameworkId, role: &Role, held: &mut Held, task: TaskLaunch) {
        let taken = self.take_from_pool(framework, role, held, &task);
        (held.begun, held.begun_reserved, held.mounts) = Default::default();
        match taken {
            Ok(place) => {
                self.win_races(now, held, &place.0);
                self.start_task(now, framework, role, place, task, None);
            }
            Err((reason, message)) => {
                held.refused.insert(task.task.id.clone());
                self.refuse_task(now, framework, &task, state_of_refused(reason), reason, message);
            }
        }
    }

    /// Starts all tasks, on one agent or several, or none of them.
    pub(super) fn launch_group(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        role: &Role,
        held: &mut Held,
        operation_id: String,
        tasks: Vec<TaskLaunch>,
    ) {
        let mut rest = held.clone();
        let mut places = Vec::with_capacity(tasks.len());
        let mut ids: BTreeSet<&TaskId> = BTreeSet::new();
        let mut defect: Option<(usize, Refusal)> = None;
        for (at, task) in tasks.iter().enumerate() {
            let twice = (TaskReason::TaskInvalid, format!("task.id: {} is twice in the group", task.task.id));
            let taken = if ids.insert(&task.task.id) {
                self.take_from_pool(framework, role, &mut rest, task)
            } else {
                Err(twice)
            };
            match taken {
                Ok(place) => places.push(place),
                Err(refusal) => {
                    defect = Some((at, refusal));
                    break;
                }
            }
        }
        let Some((bad, (reason, message))) = defect else {
            *held = Held { begun: Resources::default(), begun_reserved: Kept::new(), mounts: Vec::new(), ..rest };
            // One task alone is whole or nothing anyhow.
            let gang = (tasks.len() > 1).then(|| GangPart { gang: self.next_gang(), stage: GangStage::Starting });
            places.iter().for_each(|(agent, _)| self.win_races(now, held, agent));
            for (task, place) in tasks.into_iter().zip(places) {
                self.start_task(now, framework, role, place, task, gang);
            }
            return self.operation_status(framework, operation_id, OperationOutcome::Done, String::new());
        };
        let whole = format!("the group was not launched: task {}: {message}", tasks[bad].task.id);
        for (at, task) in tasks.iter().enumerate() {
            let state = if at == bad { state_of_refused(reason) } else { TaskState::Dropped };
            held.refused.insert(task.task.id.clone());
            self.refuse_task(now, framework, task, state, reason, whole.clone());
        }
        self.operation_status(framework, operation_id, OperationOutcome::Refused, whole);
    }

    /// Something is carried out on an agent: before anything is taken, the others that race for it lose.
    pub(super) fn win_races(&mut self, now: Now, held: &mut Held, agent: &AgentId) {
        if let Some(won) = held.races.remove(agent) {
            self.end_races(now, agent, &won, RescindReason::LostRace);
        }
    }

    /// A task that was never taken: told once, never stored, nothing to confirm.
    ///
    /// An id that is in use is told apart: a status under it would be taken for the end of the task that has it. The
    /// call is answered with an error, and the id with the true state of its task, as a reconciliation would be.
    pub(super) fn refuse_task(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        task: &TaskLaunch,
        state: TaskState,
        reason: TaskReason,
        message: String,
    ) {
        let key = TaskKey { framework: framework.clone(), task: task.task.id.clone() };
        if self.tasks.contains_key(&key) {
            if let Some(session) = self.frameworks.get(framework).and_then(|f| f.session) {
                let message = format!("task {} was not launched: {message}", key.task);
                self.framework_error(session, FrameworkErrorKind::Invalid, message, false);
            }
            return self.reconcile_one(now, &key, None);
        }
        let status = TaskStatus::new(task.task.id.clone(), task.agent.clone(), state, TaskSource::Master, now.unix);
        self.tell_status(framework, status.because(reason, message));
    }

    /// Checks a task and takes its resources.
    fn take_from_pool(
        &self,
        framework: &FrameworkId,
        role: &Role,
        held: &mut Held,
        launch: &TaskLaunch,
    ) -> Result<(AgentId, Share), Refusal> {
        let invalid = |message: String| (TaskReason::TaskInvalid, message);
        check_task(&launch.task).map_err(invalid)?;
        let key = TaskKey { framework: framework.clone(), task: launch.task.id.clone() };
        if self.tasks.contains_key(&key) {
            let id = &launch.task.id;
            return Err(invalid(format!("task.id: {id} is in use by another task; choose a new id for each task")));
        }
        if held.refused.contains(&key.task) {
            let id = &key.task;
            return Err(invalid(format!("task.id: {id} was refused in this accept; choose a new id for each task")));
        }
        let agent = match &launch.agent {
            Some(agent) => agent.clone(),
            None => match held.left.keys().next().filter(|_| held.left.len() == 1) {
                Some(only) => only.clone(),
                None => return Err(invalid("agent: must be named, the offers are of several agents".to_owned())),
            },
        };
        if !held.left.contains_key(&agent) {
            return Err(invalid(format!("agent: none of the accepted offers is of {agent}")));
        }
        let mounts = self.check_volumes(&agent, role, held, &launch.task)?;
        let Some(have) = held.left.get_mut(&agent) else {
            return Err(invalid(format!("agent: none of the accepted offers is of {agent}")));
        };
        let pools = self.agents.get(&agent).map(|agent| order(&agent.record.pools)).unwrap_or_default();
        match have.take(&launch.task.resources, launch.reserved_use, &pools) {
            Ok(share) => {
                let begun = held.begun.saturating_sum(&countable(&launch.task.resources));
                let mut reserved = held.begun_reserved.clone();
                for part in
                    self.agents.get(&agent).iter().flat_map(|known| known.record.reserved_parts(&share.reserved()))
                {
                    reserved.entry(part.role).or_default().add(countable(&part.resources));
                }
                if let Err(message) = self.check_room(role, &begun, &reserved) {
                    have.add(&share);
                    return Err((TaskReason::QuotaExceeded, message));
                }
                (held.begun, held.begun_reserved) = (begun, reserved);
                held.mounts.extend(mounts);
                Ok((agent, share))
            }
            Err(Shortage(missing)) => {
                // The offers may be short because the limit is.
                let begun = held.begun.saturating_sum(&countable(&launch.task.resources));
                self.check_room(role, &begun, &held.begun_reserved)
                    .map_err(|message| (TaskReason::QuotaExceeded, message))?;
                let which = match launch.reserved_use {
                    ReservedUse::ReservedFirst => "",
                    ReservedUse::ReservedOnly => " that is reserved",
                    ReservedUse::UnreservedOnly => " that is not reserved",
                };
                let left = have.total();
                let message = format!("task.resources: the offers on {agent} lack {missing}{which}; {left} is left");
                Err((TaskReason::ResourcesExceeded, message))
            }
        }
    }

    fn start_task(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        role: &Role,
        (agent, share): (AgentId, Share),
        launch: TaskLaunch,
        gang: Option<GangPart>,
    ) {
        let mut spec = launch.task;
        self.name_volumes(&agent, role, &mut spec);
        let status =
            TaskStatus::new(spec.id.clone(), Some(agent.clone()), TaskState::Staging, TaskSource::Master, now.unix);
        self.allocator.note_launch(framework, role, &spec.resources, now.mono);
        self.add_task(TaskRecord {
            key: TaskKey { framework: framework.clone(), task: spec.id.clone() },
            agent: agent.clone(),
            role: role.clone(),
            resources: spec.resources.clone(),
            reserved: share.reserved(),
            spec: spec.clone(),
            status,
            is_kill_requested: false,
            is_preempted: false,
            gang,
        });
        let message = ToAgent::Launch { framework: framework.clone(), task: Box::new(spec), role: role.clone() };
        self.tell_agent(&agent, message);
    }
}

/// A wrong description can never run; one without room can later.
fn state_of_refused(reason: TaskReason) -> TaskState {
    match reason {
        TaskReason::QuotaExceeded | TaskReason::VolumeUnavailable => TaskState::Dropped,
        _ => TaskState::Error,
    }
}
