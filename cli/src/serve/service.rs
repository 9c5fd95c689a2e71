//! `proffer service`.

use crate::args::{Masters, ServiceArgs};
use crate::{CliError, Outcome};

/// Runs until told to stop.
///
/// # Errors
/// Always, until its server is part of this program.
pub async fn run(_args: ServiceArgs, _masters: Masters) -> Result<Outcome, CliError> {
    Err(CliError::not_implemented("proffer service"))
}
