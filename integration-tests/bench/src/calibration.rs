//! How fast this machine is right now: the same two measurements that stand beside the anchors.

use std::process::Command;

use crate::report::Figure;

/// What the machine of the anchors reached at its best, see the first two figures of every report.
const ANCHOR_SHA256_MB_PER_S: f64 = 2_123.0;
const ANCHOR_PRIMES_PER_S: f64 = 2_038.0;

/// One figure for each program that is installed; what is missing is said with its install command.
pub fn measure() -> Vec<Figure> {
    [sha256(), primes()].into_iter().flatten().collect()
}

fn sha256() -> Option<Figure> {
    let arguments = ["speed", "-seconds", "3", "-bytes", "8192", "sha256"];
    let output = run("openssl", &arguments, "apt-get install openssl")?;
    let kilobytes = output.lines().rev().find(|line| line.starts_with("sha256"))?.split_whitespace().last()?;
    let rate = kilobytes.trim_end_matches('k').parse::<f64>().ok()? / 1_000.0;
    Some(Figure { anchor: Some(ANCHOR_SHA256_MB_PER_S), ..Figure::new("calibration: openssl sha256", rate, "MB/s") })
}

fn primes() -> Option<Figure> {
    let arguments = ["cpu", "--cpu-max-prime=20000", "--threads=1", "--time=3", "run"];
    let output = run("sysbench", &arguments, "apt-get install sysbench")?;
    let rate = output.lines().find_map(|line| line.trim().strip_prefix("events per second:"))?.trim().parse().ok()?;
    Some(Figure { anchor: Some(ANCHOR_PRIMES_PER_S), ..Figure::new("calibration: sysbench cpu", rate, "ev/s") })
}

fn run(program: &str, arguments: &[&str], install: &str) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("no calibration with {program}: {error}; install it with: {install}");
            None
        }
    }
}
