//! `make bench-guards`: what frameworks that misbehave cost the others of a real master over gRPC. Fails when one costs them
//! 5 % or more.
#![allow(clippy::expect_used)] // A benchmark that cannot run must stop.

use std::path::PathBuf;
use std::process::ExitCode;

use proffer_integration_bench::load::guards;
use proffer_integration_bench::report::{missed, print, write};

fn main() -> ExitCode {
    let figures = guards::measure();
    print(&figures);
    let path = PathBuf::from("target/bench/guards.json");
    write(&path, &figures).expect("the report can be written below target/");
    println!("written to {}", path.display());
    let missed = missed(&figures);
    missed.iter().for_each(|figure| eprintln!("not reached: {figure}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
