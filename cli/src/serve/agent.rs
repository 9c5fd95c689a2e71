//! `proffer agent`.

use crate::args::{AgentArgs, Masters};
use crate::{CliError, Outcome};

/// Runs until told to stop.
///
/// # Errors
/// Always, until its server is part of this program.
pub async fn run(_args: AgentArgs, _masters: Masters) -> Result<Outcome, CliError> {
    Err(CliError::not_implemented("proffer agent"))
}
