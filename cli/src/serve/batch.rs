//! `proffer batch`.

use crate::args::{BatchArgs, Masters};
use crate::{CliError, Outcome};

/// Runs until told to stop.
///
/// # Errors
/// Always, until its server is part of this program.
pub async fn run(_args: BatchArgs, _masters: Masters) -> Result<Outcome, CliError> {
    Err(CliError::not_implemented("proffer batch"))
}
