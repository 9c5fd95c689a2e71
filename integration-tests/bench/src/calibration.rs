//! How fast this machine is right now: the same two measurements that stand beside the anchors.

use std::process::Command;

use crate::report::Figure;

/// What the machine of the anchors reached at its best, see the first two figures of every report.
const ANCHOR_SHA256_MB_PER_S: f64 = 2_123.0;
const ANCHOR_PRIMES_PER_S: f64 = 2_038.0;

/// How fast this machine was at its best, measured as often as was asked.
#[derive(Debug, Default)]
pub struct Calibration {
    sha256: Option<f64>,
    primes: Option<f64>,
}

impl Calibration {
    /// Measures once more with each program that is installed; what is missing is said with its install command.
    pub fn measure(&mut self) {
        self.sha256 = best(self.sha256, sha256());
        self.primes = best(self.primes, primes());
    }

    /// How fast this machine is beside that of the anchors: by the first of the two, which hardly sees the neighbours.
    pub fn speed(&self) -> Option<f64> {
        self.sha256.map(|rate| rate / ANCHOR_SHA256_MB_PER_S)
    }

    /// One figure for each program that is installed.
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |name: &str, rate: f64, unit: &str, anchor| Figure {
            anchor: Some(anchor),
            ..Figure::new(format!("calibration: {name}"), rate, unit)
        };
        let sha256 = self.sha256.map(|rate| figure("openssl sha256", rate, "MB/s", ANCHOR_SHA256_MB_PER_S));
        let primes = self.primes.map(|rate| figure("sysbench cpu", rate, "ev/s", ANCHOR_PRIMES_PER_S));
        sha256.into_iter().chain(primes).collect()
    }
}

fn best(old: Option<f64>, new: Option<f64>) -> Option<f64> {
    old.into_iter().chain(new).reduce(f64::max)
}

fn sha256() -> Option<f64> {
    let arguments = ["speed", "-seconds", "3", "-bytes", "8192", "sha256"];
    let output = run("openssl", &arguments, "apt-get install openssl")?;
    let kilobytes = output.lines().rev().find(|line| line.starts_with("sha256"))?.split_whitespace().last()?;
    Some(kilobytes.trim_end_matches('k').parse::<f64>().ok()? / 1_000.0)
}

fn primes() -> Option<f64> {
    let arguments = ["cpu", "--cpu-max-prime=20000", "--threads=1", "--time=3", "run"];
    let output = run("sysbench", &arguments, "apt-get install sysbench")?;
    output.lines().find_map(|line| line.trim().strip_prefix("events per second:"))?.trim().parse().ok()
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
