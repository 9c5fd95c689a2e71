//! `make bench-allocator`: every shape several times, each time in a fresh process, interleaved; then the table.
//!
//! `bench-allocator --once N` runs shape N in this process and prints its values, one a line.
#![allow(clippy::expect_used)] // A benchmark that cannot run must stop.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use proffer_integration_bench::allocator::{SHAPES, Sample};
use proffer_integration_bench::calibration::Calibration;
use proffer_integration_bench::report::{Figure, median, print, write};

/// Runs of each shape.
const REPETITIONS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--once", number] => {
            let shape = number.parse::<usize>().ok().and_then(|n| SHAPES.get(n));
            let Some(shape) = shape else {
                eprintln!("there is no shape {number}; the last one is {}", SHAPES.len() - 1);
                return ExitCode::FAILURE;
            };
            print_once(&shape.run());
            ExitCode::SUCCESS
        }
        [] => {
            measure();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: bench-allocator [--once N]");
            ExitCode::FAILURE
        }
    }
}

fn measure() {
    let mut runs: Vec<Vec<Vec<Sample>>> = SHAPES.iter().map(|_| Vec::new()).collect();
    let mut calibration = Calibration::default();
    calibration.measure();
    for repetition in 1..=REPETITIONS {
        for (number, shape) in SHAPES.iter().enumerate() {
            eprintln!("run {repetition} of {REPETITIONS}: {}", shape.name);
            runs[number].push(run_once(number));
        }
    }
    // The neighbours come and go: the best of both times counts.
    calibration.measure();
    let mut figures = calibration.figures();
    for (shape, runs) in SHAPES.iter().zip(&runs) {
        let Some(first) = runs.first() else { continue };
        for (at, reading) in first.iter().enumerate() {
            let value = median(runs.iter().filter_map(|run| run.get(at)).map(|r| r.value).collect());
            figures.push(reading.figure(shape.name, value, calibration.speed()));
        }
    }
    match calibration.speed() {
        Some(speed) => println!(
            "carried: what it would be on the machine of the anchors, which this one is {speed:.2} times as fast as \
             (openssl sha256, best of before and after); ratio and reached go by it"
        ),
        None => println!("nothing is carried to the machine of the anchors: there is no openssl to compare with it"),
    }
    finish(&figures);
}

fn finish(figures: &[Figure]) {
    print(figures);
    let path = PathBuf::from("target/bench/allocator.json");
    write(&path, figures).expect("the report can be written below target/");
    println!("written to {}", path.display());
}

fn print_once(samples: &[Sample]) {
    for sample in samples {
        println!("{}", serde_json::to_string(sample).expect("plain numbers and words"));
    }
}

fn run_once(number: usize) -> Vec<Sample> {
    let program = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(program).args(["--once", &number.to_string()]).output().expect("it can be run again");
    assert!(output.status.success(), "shape {number} failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().map(|line| serde_json::from_str(line).expect("a reading a line")).collect()
}
