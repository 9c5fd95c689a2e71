//! What must hold, one property a file. `check_step` after every step; `is_healed` after the faults.

mod audits;
mod gangs;
mod healed;
mod launched_once;
pub mod limits;
mod no_overcommit;
pub mod owned;
pub mod shares;
mod told_once;
mod volumes;

use crate::world::World;

pub use healed::is_healed;

/// Every safety property of whatever the step may have changed; the first broken one in words.
pub fn check_step(world: &mut World) -> Result<(), String> {
    let touched = world.take_touched();
    told_once::check(world)?;
    if world.trace.steps().is_multiple_of(world.scenario.audit_every) {
        audits::check(world, &touched)?;
    }
    launched_once::check(world, &touched)?;
    no_overcommit::check(world, &touched)?;
    volumes::check(world, &touched)?;
    limits::check(world, &touched)?;
    shares::check(world)
}
