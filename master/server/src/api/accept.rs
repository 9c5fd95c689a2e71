//! An Accept as it came: every part that can be read is carried out, every part that cannot is answered by name.
//!
//! Nothing in it may be lost without a word: a task gets a status, an operation its outcome, an offer goes back.

use std::collections::BTreeSet;

use proffer_proto_model::convert::{
    Defect, ErrorKind, SchedulerEvent, WireError, accept_from_wire, check_accept_size, tasks_of,
};
use proffer_proto_model::{
    Accept, AgentId, OfferId, Operation, OperationOutcome, TaskId, TaskLaunch, TaskReason, TaskSource, TaskState,
    TaskStatus, UnixMillis,
};
use proffer_proto_wire::scheduler as wire;
use wire::operation::Operation as WireOperation;

/// What becomes of an Accept.
pub(super) struct Judged {
    /// What the framework is told of the parts that cannot be read.
    pub told: Vec<SchedulerEvent>,
    /// What is left to do.
    pub rest: Rest,
}

/// What is left of an Accept.
pub(super) enum Rest {
    /// Everything that can be read.
    Accept(Accept),
    /// It cannot be carried out; these offers go back, for this reason.
    GiveBack(Vec<OfferId>, String),
}

/// A task of an Accept that may be unreadable: all that is needed to answer for it.
struct Named {
    task: String,
    agent: String,
}

/// Reads an Accept part by part.
pub(super) fn judge(accept: wire::Accept, now: UnixMillis) -> Judged {
    let size = check_accept_size(&accept);
    let wire::Accept { offer_ids, operations, filter, leftover_reason } = accept;
    let names: Vec<(String, Vec<Named>)> = operations.iter().map(names).collect();
    let offers: Vec<OfferId> = offer_ids.iter().filter_map(|id| OfferId::new(id.as_str()).ok()).collect();
    let head = wire::Accept { offer_ids, operations: Vec::new(), filter, leftover_reason };
    let head =
        size.and_then(|()| each_once(&names)).and_then(|()| accept_from_wire(head)).map_err(|e| e.within("accept"));
    let mut reader = Reader { now, told: Vec::new() };
    match head {
        Ok(head) => {
            let parts = operations.into_iter().zip(names).enumerate();
            let operations = parts.filter_map(|(at, (operation, (_, names)))| reader.read(at, operation, &names));
            let accept = Accept { operations: operations.collect(), ..head };
            Judged { told: reader.told, rest: Rest::Accept(accept) }
        }
        Err(error) => {
            let message = error.to_string();
            for (operation_id, tasks) in names {
                reader.refuse_operation(operation_id, OperationOutcome::Dropped, &message);
                for task in tasks {
                    reader.refuse_task(&task, TaskState::Dropped, &message);
                }
            }
            reader.error(&message);
            Judged { told: reader.told, rest: Rest::GiveBack(offers, message) }
        }
    }
}

/// Operation id and tasks of an operation.
fn names(operation: &wire::Operation) -> (String, Vec<Named>) {
    let named = |launch: &wire::TaskLaunch| Named {
        task: launch.task.as_ref().map(|task| task.task_id.clone()).unwrap_or_default(),
        agent: launch.agent_id.clone(),
    };
    (operation.operation_id.clone(), tasks_of(operation).iter().map(named).collect())
}

/// A task that is there twice is wrong with the whole: no answer would be clear.
fn each_once(names: &[(String, Vec<Named>)]) -> Result<(), WireError> {
    let mut seen = BTreeSet::new();
    for (at, (_, tasks)) in names.iter().enumerate() {
        for (number, Named { task, .. }) in tasks.iter().enumerate() {
            if !task.is_empty() && !seen.insert(task) {
                let path = format!("operations[{at}].tasks[{number}].task.task_id");
                return Err(WireError::new(path, Defect::Duplicate { what: task.clone() }));
            }
        }
    }
    Ok(())
}

/// Reads the operations one by one and answers for those that make no sense.
struct Reader {
    now: UnixMillis,
    told: Vec<SchedulerEvent>,
}

impl Reader {
    fn read(&mut self, at: usize, operation: wire::Operation, names: &[Named]) -> Option<Operation> {
        let place = format!("accept.operations[{at}]");
        let wire::Operation { operation_id, operation } = operation;
        let operation = match operation {
            // One task that is wrong does not stop the others.
            Some(WireOperation::Launch(launch)) if operation_id.is_empty() && !launch.tasks.is_empty() => {
                let tasks = self.read_each(&place, launch.tasks, names);
                return (!tasks.is_empty()).then_some(Operation::Launch { tasks });
            }
            other => wire::Operation { operation_id: operation_id.clone(), operation: other },
        };
        match Operation::try_from(operation).map_err(|e| e.within(&place)) {
            Ok(operation) => Some(operation),
            Err(error) => {
                let message = error.to_string();
                // The path names the task of a group that is wrong; the others were only in its company.
                let is_bad = |number: usize| error.path.contains(&format!(".tasks[{number}]"));
                for (number, task) in names.iter().enumerate() {
                    let state = if is_bad(number) { TaskState::Error } else { TaskState::Dropped };
                    self.refuse_task(task, state, &message);
                }
                if operation_id.is_empty() && names.is_empty() {
                    self.error(&message);
                }
                self.refuse_operation(operation_id, OperationOutcome::Refused, &message);
                None
            }
        }
    }

    fn read_each(&mut self, place: &str, tasks: Vec<wire::TaskLaunch>, names: &[Named]) -> Vec<TaskLaunch> {
        let mut read = Vec::with_capacity(tasks.len());
        for (number, (task, named)) in tasks.into_iter().zip(names).enumerate() {
            match TaskLaunch::try_from(task) {
                Ok(task) => read.push(task),
                Err(error) => {
                    let message = error.within(&format!("{place}.launch.tasks[{number}]")).to_string();
                    self.refuse_task(named, TaskState::Error, &message);
                }
            }
        }
        read
    }

    /// A status when the task can be named, an error otherwise.
    fn refuse_task(&mut self, named: &Named, state: TaskState, message: &str) {
        let Ok(task) = TaskId::new(named.task.as_str()) else { return self.error(message) };
        let agent = AgentId::new(named.agent.as_str()).ok();
        let status = TaskStatus::new(task, agent, state, TaskSource::Master, self.now);
        self.told.push(SchedulerEvent::Status(vec![status.because(TaskReason::TaskInvalid, message)]));
    }

    fn refuse_operation(&mut self, operation_id: String, outcome: OperationOutcome, message: &str) {
        if !operation_id.is_empty() {
            self.told.push(SchedulerEvent::OperationStatus { operation_id, outcome, message: message.to_owned() });
        }
    }

    fn error(&mut self, message: &str) {
        let message = message.to_owned();
        self.told.push(SchedulerEvent::Error { kind: ErrorKind::Invalid, message, is_fatal: false });
    }
}

#[cfg(test)]
mod tests;
