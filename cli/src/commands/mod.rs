//! The user commands: each asks the servers and prints what they say.

pub(crate) mod apply;
pub(crate) mod drain;
mod dry_run;
pub(crate) mod events;
pub(crate) mod frameworks;
pub(crate) mod image;
mod inverse;
pub(crate) mod job;
pub(crate) mod lists;
pub(crate) mod logs;
pub(crate) mod maintenance;
pub(crate) mod ps;
pub(crate) mod reservations;
pub(crate) mod role_policy;
pub(crate) mod roles;
pub(crate) mod scale;
pub(crate) mod snapshot;
pub(crate) mod volumes;
pub(crate) mod why;
