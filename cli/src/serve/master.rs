//! `proffer master`.

use crate::args::MasterArgs;
use crate::{CliError, Outcome};

/// Runs until told to stop.
///
/// # Errors
/// Always, until its server is part of this program.
pub async fn run(_args: MasterArgs) -> Result<Outcome, CliError> {
    Err(CliError::not_implemented("proffer master"))
}
