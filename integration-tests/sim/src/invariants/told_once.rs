//! Frameworks were told the truth in order: updates without gaps, one terminal state, nothing after it.

use crate::world::World;

/// Takes what the oracle noticed.
pub fn check(world: &mut World) -> Result<(), String> {
    let broken = world.oracle.take_broken();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
}
