//! What a framework does with offers: all named offers are valid or nothing happens; then step by step.

mod accept;
pub(crate) mod gang;
mod launch;

pub(crate) use launch::Held;
