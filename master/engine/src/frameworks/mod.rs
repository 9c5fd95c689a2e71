//! Frameworks: how they come, what they want, how they end.

mod leave;
mod subscribe;
mod update;
