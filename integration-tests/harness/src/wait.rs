//! Waiting for conditions, never for time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Asks again and again until `probe` gives an answer; panics with the last refusal after `deadline`.
pub fn wait_for<T, E: Debug>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(last) if started.elapsed() > deadline => {
                panic!("waited {deadline:?} for {what}; last seen: {last:?}")
            }
            // The pause between two looks, not a wait for time to pass.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Asks until `probe` says yes; panics after `deadline`.
pub fn wait_until(what: &str, deadline: Duration, mut probe: impl FnMut() -> bool) {
    wait_for(what, deadline, || if probe() { Ok(()) } else { Err("not yet") });
}
