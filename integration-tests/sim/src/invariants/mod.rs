//! What must hold, one property a file. `check_step` after every step; `is_healed` after the faults.

mod audits;
mod healed;
mod launched_once;
mod no_overcommit;
mod told_once;

use crate::world::World;

pub use healed::is_healed;

/// Every safety property; the first broken one in words.
pub fn check_step(world: &mut World) -> Result<(), String> {
    told_once::check(world)?;
    audits::check(world)?;
    launched_once::check(world)?;
    no_overcommit::check(world)
}
