//! Checks what an author made with the rules of the protocol itself, so that no master ever has to refuse it.
//!
//! There is one set of rules, in the conversions from the wire. This module only asks them; it sends nothing.

use proffer_proto_model::convert::{MAX_MESSAGE_CHARS, WireError};
use proffer_proto_model::{DeclineReason, Demand, FrameworkInfo, TaskSpec};
use proffer_proto_wire::{common, scheduler};

/// What a master would refuse in this task. Host ports may still be open.
pub(crate) fn check_task(task: &TaskSpec) -> Result<(), WireError> {
    let mut closed = task.clone();
    for port in &mut closed.container.ports {
        // An open port gets a number when it is launched; any number will do here.
        port.host_port = port.host_port.max(1);
    }
    TaskSpec::try_from(common::TaskSpec::from(closed)).map(|_| ())
}

/// What a master would refuse in this demand.
pub(crate) fn check_demand(demand: &Demand) -> Result<(), WireError> {
    Demand::try_from(scheduler::Demand::from(demand.clone())).map(|_| ())
}

/// What a master would refuse in what a framework says of itself.
pub(crate) fn check_info(info: &FrameworkInfo) -> Result<(), WireError> {
    FrameworkInfo::try_from(scheduler::FrameworkInfo::from(info.clone())).map(|_| ())
}

/// The reason with its message cut to what a master takes.
pub(crate) fn shorten(reason: DeclineReason) -> DeclineReason {
    DeclineReason { message: shorten_text(reason.message), ..reason }
}

/// A message cut to what a master takes, and without NULs.
pub(crate) fn shorten_text(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
        message.truncate(end);
    }
    message.retain(|c| c != '\0');
    message
}
