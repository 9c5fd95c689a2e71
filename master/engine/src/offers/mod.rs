//! Offers: made from grants, ended exactly once.

mod end;
mod make;
