//! What a framework does with offers.

use std::collections::BTreeSet;

use proffer_proto_wire::scheduler as wire;
use wire::operation::Operation as WireOperation;
use wire::operation_status::Outcome as WireOutcome;

use super::caps::{MAX_ACCEPT_TASKS, MAX_OPERATIONS, check_accept_size};
use super::check::{self, Checked, Within};
use super::{Defect, MAX_NAME_BYTES, WireError};
use crate::{Accept, Bytes, DeclineKind, DeclineReason, Operation, OperationOutcome, TaskLaunch};

/// An Accept with all its operations. A task id that is launched twice in it is refused.
pub fn accept_from_wire(accept: wire::Accept) -> Result<Accept, WireError> {
    check_accept_size(&accept)?;
    let wire::Accept { offer_ids, operations, filter, leftover_reason } = accept;
    let operations: Vec<Operation> = check::list("operations", operations, MAX_OPERATIONS)?;
    each_task_once(&operations)?;
    let leftover = check::optional("leftover_reason", leftover_reason)?;
    Ok(Accept {
        offers: check::ids("offer_ids", &offer_ids)?,
        operations,
        filter: check::optional("filter", filter)?.unwrap_or_default(),
        leftover: leftover.unwrap_or_else(|| DeclineReason::new(DeclineKind::Leftover)),
    })
}

fn each_task_once(operations: &[Operation]) -> Checked<()> {
    let mut seen = BTreeSet::new();
    for (at, operation) in operations.iter().enumerate() {
        let (kind, tasks) = match operation {
            Operation::Launch { tasks } => ("launch", tasks),
            Operation::LaunchGroup { tasks, .. } => ("launch_group", tasks),
            Operation::Reserve { .. }
            | Operation::Unreserve { .. }
            | Operation::CreateVolume { .. }
            | Operation::DestroyVolume { .. } => continue,
        };
        for (number, launch) in tasks.iter().enumerate() {
            if !seen.insert(&launch.task.id) {
                let field = format!("operations[{at}].{kind}.tasks[{number}].task.task_id");
                return check::fail(&field, Defect::Duplicate { what: launch.task.id.to_string() });
            }
        }
    }
    Ok(())
}

impl TryFrom<wire::Operation> for Operation {
    type Error = WireError;

    fn try_from(wire::Operation { operation_id, operation }: wire::Operation) -> Result<Self, WireError> {
        let operation_id = check::name("operation_id", operation_id)?;
        match operation {
            None => check::fail("", Defect::EmptyMessage),
            Some(WireOperation::Launch(launch)) => {
                if !operation_id.is_empty() {
                    let why = "the outcome of a Launch comes as one status for each task";
                    return check::fail("operation_id", Defect::MustBeEmpty { why });
                }
                let wire::Launch { tasks } = launch;
                Ok(Self::Launch { tasks: launches(tasks).within("launch")? })
            }
            Some(WireOperation::LaunchGroup(wire::LaunchGroup { tasks })) => {
                Ok(Self::LaunchGroup { operation_id, tasks: launches(tasks).within("launch_group")? })
            }
            Some(WireOperation::Reserve(reserve)) => reserve_from(operation_id, reserve).within("reserve"),
            Some(WireOperation::Unreserve(unreserve)) => unreserve_from(operation_id, unreserve).within("unreserve"),
            Some(WireOperation::CreateVolume(create)) => create_from(operation_id, create).within("create_volume"),
            Some(WireOperation::DestroyVolume(destroy)) => destroy_from(operation_id, destroy).within("destroy_volume"),
        }
    }
}

fn launches(tasks: Vec<wire::TaskLaunch>) -> Checked<Vec<TaskLaunch>> {
    if tasks.is_empty() {
        return check::fail("tasks", Defect::Missing);
    }
    check::list("tasks", tasks, MAX_ACCEPT_TASKS)
}

fn reserve_from(operation_id: String, reserve: wire::Reserve) -> Checked<Operation> {
    let wire::Reserve { agent_id, role, resources, labels, from_role } = reserve;
    let from_role = if from_role.is_empty() { None } else { Some(check::role("from_role", &from_role)?) };
    Ok(Operation::Reserve {
        operation_id,
        agent: check::id("agent_id", &agent_id)?,
        role: check::role("role", &role)?,
        from_role,
        resources: check::convert("resources", resources)?,
        labels: check::labels("labels", labels)?,
    })
}

fn unreserve_from(operation_id: String, unreserve: wire::Unreserve) -> Checked<Operation> {
    let wire::Unreserve { agent_id, role, resources } = unreserve;
    Ok(Operation::Unreserve {
        operation_id,
        agent: check::id("agent_id", &agent_id)?,
        role: check::role("role", &role)?,
        resources: check::convert("resources", resources)?,
    })
}

fn create_from(operation_id: String, create: wire::CreateVolume) -> Checked<Operation> {
    let wire::CreateVolume { agent_id, volume_id, role, size_bytes } = create;
    if size_bytes == 0 {
        return check::fail("size_bytes", Defect::Zero);
    }
    Ok(Operation::CreateVolume {
        operation_id,
        agent: check::id("agent_id", &agent_id)?,
        volume_id: check::id("volume_id", &volume_id)?,
        role: check::role("role", &role)?,
        size: Bytes(size_bytes),
    })
}

fn destroy_from(operation_id: String, destroy: wire::DestroyVolume) -> Checked<Operation> {
    let wire::DestroyVolume { agent_id, volume_id, role } = destroy;
    Ok(Operation::DestroyVolume {
        operation_id,
        agent: check::id("agent_id", &agent_id)?,
        volume_id: check::id("volume_id", &volume_id)?,
        role: check::role("role", &role)?,
    })
}

impl TryFrom<wire::TaskLaunch> for TaskLaunch {
    type Error = WireError;

    fn try_from(launch: wire::TaskLaunch) -> Result<Self, WireError> {
        let wire::TaskLaunch { agent_id, task, reserved_use } = launch;
        Ok(Self {
            agent: check::optional_id("agent_id", &agent_id)?,
            task: check::convert("task", task)?,
            reserved_use: super::reservation::reserved_use("reserved_use", reserved_use)?,
        })
    }
}

impl From<Accept> for wire::Accept {
    fn from(Accept { offers, operations, filter, leftover }: Accept) -> Self {
        Self {
            offer_ids: offers.into_iter().map(String::from).collect(),
            operations: operations.into_iter().map(Into::into).collect(),
            filter: Some(filter.into()),
            leftover_reason: Some(leftover.into()),
        }
    }
}

impl From<Operation> for wire::Operation {
    fn from(operation: Operation) -> Self {
        let wired = |tasks: Vec<TaskLaunch>| tasks.into_iter().map(Into::into).collect();
        let (operation_id, operation) = match operation {
            Operation::Launch { tasks } => (String::new(), WireOperation::Launch(wire::Launch { tasks: wired(tasks) })),
            Operation::LaunchGroup { operation_id, tasks } => {
                (operation_id, WireOperation::LaunchGroup(wire::LaunchGroup { tasks: wired(tasks) }))
            }
            Operation::Reserve { operation_id, agent, role, from_role, resources, labels } => {
                let (agent_id, role, resources) = (agent.into(), role.into(), Some(resources.into()));
                let from_role = from_role.map(String::from).unwrap_or_default();
                let labels = labels.into_iter().collect();
                let reserve = wire::Reserve { agent_id, role, resources, labels, from_role };
                (operation_id, WireOperation::Reserve(reserve))
            }
            Operation::Unreserve { operation_id, agent, role, resources } => {
                let (agent_id, role, resources) = (agent.into(), role.into(), Some(resources.into()));
                (operation_id, WireOperation::Unreserve(wire::Unreserve { agent_id, role, resources }))
            }
            Operation::CreateVolume { operation_id, agent, volume_id, role, size } => {
                let (agent_id, volume_id, role) = (agent.into(), volume_id.into(), role.into());
                let create = wire::CreateVolume { agent_id, volume_id, role, size_bytes: size.0 };
                (operation_id, WireOperation::CreateVolume(create))
            }
            Operation::DestroyVolume { operation_id, agent, volume_id, role } => {
                let (agent_id, volume_id, role) = (agent.into(), volume_id.into(), role.into());
                (operation_id, WireOperation::DestroyVolume(wire::DestroyVolume { agent_id, volume_id, role }))
            }
        };
        Self { operation_id, operation: Some(operation) }
    }
}

impl From<TaskLaunch> for wire::TaskLaunch {
    fn from(TaskLaunch { agent, task, reserved_use }: TaskLaunch) -> Self {
        let agent_id = agent.map(String::from).unwrap_or_default();
        let reserved_use = wire::task_launch::ReservedUse::from(reserved_use).into();
        Self { agent_id, task: Some(task.into()), reserved_use }
    }
}

check::same_enum!(operation_outcome: OperationOutcome <-> WireOutcome, unspecified None,
    [Done, Refused, Dropped, Pending, Failed], "DONE, REFUSED, DROPPED, PENDING, FAILED");

/// The wire has the name limit of an operation id on both sides.
pub(super) fn operation_id(field: &str, id: String) -> Checked<String> {
    check::token(field, id, MAX_NAME_BYTES)
}
