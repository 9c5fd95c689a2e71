//! `make bench-guards`: what frameworks that misbehave cost the others of a real master over gRPC.
#![allow(clippy::expect_used)] // A benchmark that cannot run must stop.

use std::path::PathBuf;

use proffer_integration_bench::load::guards;
use proffer_integration_bench::report::{print, write};

fn main() {
    let figures = guards::measure();
    print(&figures);
    let path = PathBuf::from("target/bench/guards.json");
    write(&path, &figures).expect("the report can be written below target/");
    println!("written to {}", path.display());
}
