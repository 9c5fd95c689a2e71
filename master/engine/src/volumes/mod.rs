//! Persistent volumes: made of reserved disk, used by one writer or many readers, gone only when somebody says so.
//!
//! The record of an agent holds its volumes; a volume's disk stays part of the pool it was made of and is never offered.

mod mounts;
mod operate;
mod outcomes;
mod record;
mod sync;

pub(crate) use mounts::Mounted;
pub(crate) use operate::{beside_volumes, home_of};
pub(crate) use outcomes::Settled;
pub(crate) use record::disk;
