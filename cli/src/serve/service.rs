//! `proffer service`.

use proffer_service::{Config, ServiceServer};

use super::{log, stop_signal, told};
use crate::args::{Masters, ServiceArgs};
use crate::{CliError, Outcome};

/// Runs until told to stop; its tasks go on.
///
/// # Errors
/// Why it could not start or go on.
pub async fn run(args: ServiceArgs, masters: Masters) -> Result<Outcome, CliError> {
    log();
    let ServiceArgs { data_dir, listen, roles } = args;
    let masters = masters.0.iter().map(ToString::to_string).collect();
    let roles = roles.iter().map(ToString::to_string).collect();
    let config = Config { masters, listen: listen.to_string(), roles, data_dir };
    let stop = stop_signal()?;
    let mut server = ServiceServer::start(config).await.map_err(told)?;
    println!("service framework on {}", server.api_address);
    tokio::select! {
        ended = server.wait() => ended.map_err(told)?,
        () = stop.draining() => {
            server.shutdown().await;
            server.wait().await.map_err(told)?;
        }
    }
    Ok(Outcome::Good)
}
