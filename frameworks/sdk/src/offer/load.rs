//! How much of one call the tasks of an offer take: a master takes so many tasks, fields and bytes in one. What does not
//! fit any more waits for the next offer; it is never sent to be refused as a whole.

use std::ops::Add;

use proffer_proto_model::TaskSpec;
use proffer_proto_model::convert::MAX_ACCEPT_TASKS;
use proffer_proto_transport::MAX_MESSAGE_BYTES;
use proffer_proto_wire::{MAX_CALL_PARTS, common, count_bytes, count_parts, scheduler};

/// Fields left for all that is not tasks: the offers, reservations and volumes of the same answer.
const OTHER_PARTS: usize = 20_000;
/// Bytes left for it.
const OTHER_BYTES: usize = 256 << 10;
/// Fields and bytes of a task's place in the call, beside the task.
const PLACE: usize = 64;
/// A part has at least one byte. A task with no more bytes than this has no more parts than there is room for in each of as
/// many tasks as may be, so that they need not be counted.
const SMALL_BYTES: usize = (MAX_CALL_PARTS - OTHER_PARTS) / MAX_ACCEPT_TASKS - PLACE;

/// What tasks take of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    tasks: usize,
    parts: usize,
    bytes: usize,
}

impl Load {
    /// That of these tasks.
    pub(super) fn of(tasks: &[TaskSpec]) -> Self {
        tasks.iter().map(Self::of_one).fold(Self::default(), Self::add)
    }

    fn of_one(task: &TaskSpec) -> Self {
        let task = Some(common::TaskSpec::from(task.clone()));
        let launch = scheduler::TaskLaunch { task, ..Default::default() };
        let bytes = count_bytes(&launch);
        let parts = if bytes <= SMALL_BYTES { bytes } else { count_parts(&launch) };
        Self { tasks: 1, parts: parts + PLACE, bytes: bytes + PLACE }
    }

    /// A master takes so much in one call.
    pub(super) fn fits_a_call(self) -> bool {
        let Self { tasks, parts, bytes } = self;
        let is_small = bytes <= MAX_MESSAGE_BYTES - OTHER_BYTES;
        tasks <= MAX_ACCEPT_TASKS && parts <= MAX_CALL_PARTS - OTHER_PARTS && is_small
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let Self { tasks, parts, bytes } = self;
        Self { tasks: tasks + other.tasks, parts: parts + other.parts, bytes: bytes + other.bytes }
    }
}
