//! Offers: made from grants, ended exactly once.

mod end;
mod guard;
mod make;

pub(crate) use guard::Guard;
