//! Offers: made from grants, ended exactly once.

mod end;
mod guard;
mod make;
mod race;
mod rows;

pub(crate) use guard::Guard;
