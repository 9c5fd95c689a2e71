//! Reservations: which part of an agent is whose, how it is taken and given back. Stored before anybody is told.

mod kept;
mod operate;
mod owned;
mod pools;
mod share;
mod words;

pub(crate) use kept::Kept;
pub use operate::OperatorReservation;
pub(crate) use pools::{PoolWords, is_for_role};
pub(crate) use share::{Share, order};
