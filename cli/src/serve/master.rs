//! `proffer master`.

use proffer_master_server::{Config, Master, RawConfig, Sharing};

use super::{log, stop_signal, told};
use crate::args::{MasterArgs, ResourcesArg, StoreArgs};
use crate::{CliError, Outcome};

/// Runs until told to stop.
///
/// # Errors
/// Why it could not start or go on.
pub async fn run(args: MasterArgs) -> Result<Outcome, CliError> {
    log();
    let MasterArgs {
        store: StoreArgs { data_dir, etcd },
        listen,
        advertise,
        lease,
        offer_timeout,
        agent_timeout,
        agent_removals_per_minute,
        max_offers_per_framework,
        max_frameworks,
        calls_per_second,
        call_burst,
        maintenance_notice,
        preemption,
        preemption_notice,
        exclude_from_shares,
        min_offer,
        placement,
        offer_gpus_to_all,
    } = args;
    let sharing = Sharing {
        excluded_kinds: exclude_from_shares,
        min_offer: min_offer.map(|ResourcesArg(amounts)| amounts).unwrap_or_default(),
        placement,
        gpus_for_all: offer_gpus_to_all,
    };
    let raw = RawConfig {
        data_dir,
        etcd: etcd.options(),
        advertise: advertise.map(|address| address.to_string()),
        lease_ms: Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
        listen: Some(listen.to_string()),
        offer_timeout_ms: Some(u64::try_from(offer_timeout.as_millis()).unwrap_or(u64::MAX)),
        agent_timeout_ms: Some(u64::try_from(agent_timeout.as_millis()).unwrap_or(u64::MAX)),
        agent_removals_per_minute: Some(agent_removals_per_minute),
        max_offers_per_framework: Some(max_offers_per_framework),
        max_frameworks: Some(max_frameworks),
        calls_per_second: Some(calls_per_second),
        call_burst: Some(call_burst),
        preemption_notice_ms: preemption.then(|| u64::try_from(preemption_notice.as_millis()).unwrap_or(u64::MAX)),
        maintenance_notice_ms: Some(u64::try_from(maintenance_notice.as_millis()).unwrap_or(u64::MAX)),
        sharing,
        ..RawConfig::default()
    };
    let config = Config::try_from(raw).map_err(told)?;
    let stop = stop_signal()?;
    let mut master = Master::start(config).await.map_err(told)?;
    println!("master on {}; dashboard http://{}/", master.address(), master.address());
    tokio::select! {
        ended = master.ended() => ended.map_err(told)?,
        () = stop.draining() => master.shutdown().await.map_err(told)?,
    }
    Ok(Outcome::Good)
}
