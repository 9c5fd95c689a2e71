//! Frameworks: how they come, what they want, how they end.

mod leave;
mod removed;
mod subscribe;
mod update;

pub(crate) use removed::Removed;
