//! Tasks: what agents say of them, what frameworks confirm, kill and ask.

mod acknowledge;
mod kill;
mod reconcile;
mod strays;
mod updates;

pub(crate) use strays::Strays;
