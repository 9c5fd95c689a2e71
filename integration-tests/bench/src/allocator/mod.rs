//! The allocator in the shapes in which Apache Mesos' allocator was measured. Each run is one shape in a fresh process.

mod attach;
mod change;
mod cluster;
mod full;
mod quota;
mod races;
mod small_tasks;

use serde::{Deserialize, Serialize};

use crate::report::{Better, Figure};

/// One shape: a name, and what to run.
pub struct Shape {
    /// Its name in the report.
    pub name: &'static str,
    run: fn() -> Vec<Sample>,
}

impl Shape {
    /// Runs it once.
    pub fn run(&self) -> Vec<Sample> {
        (self.run)()
    }
}

/// One value of one run, and what stands beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// What was measured, after the shape's name.
    pub what: String,
    /// In `unit`.
    pub value: f64,
    /// Unit.
    pub unit: String,
    /// The best figure of Mesos 1.11 for the same, where there is one.
    pub anchor: Option<f64>,
    /// What is to be reached.
    pub target: Option<(f64, Better)>,
}

impl Sample {
    fn new(what: &str, value: f64, unit: &str) -> Self {
        Self { what: what.to_owned(), value, unit: unit.to_owned(), anchor: None, target: None }
    }

    fn anchor(self, anchor: f64) -> Self {
        Self { anchor: Some(anchor), ..self }
    }

    fn target(self, target: f64, better: Better) -> Self {
        Self { target: Some((target, better)), ..self }
    }

    /// The figure of a shape, with the median of all its runs for a value. Carried over by the speed of this machine
    /// beside that of the anchors, where it is known.
    pub fn figure(&self, shape: &str, value: f64, speed: Option<f64>) -> Figure {
        let figure = Figure::new(format!("{shape}: {}", self.what), value, self.unit.clone()).carry(speed);
        match self.target {
            Some((target, better)) => figure.against(self.anchor, target, better),
            None => Figure { anchor: self.anchor, ..figure },
        }
    }
}

/// Every shape.
pub const SHAPES: &[Shape] = &[
    Shape { name: "S1 10k agents x 1,000 frameworks, one role", run: full::one_role },
    Shape { name: "S1 10k agents x 1,000 frameworks, one role each", run: full::role_each },
    Shape { name: "S1 5k agents x 50 frameworks, all declined", run: full::saturated },
    Shape { name: "S2 10k agents come one by one, 1,000 frameworks", run: attach::one_by_one },
    Shape { name: "S3 quota, 3,000 agents, roles and frameworks", run: quota::large_and_small },
    Shape { name: "S3 quota, 1,000 agents, 100 roles, 1,000 frameworks", run: quota::a_quarter_is_left },
    Shape { name: "S4 small tasks, 1k agents x 24, 50 frameworks", run: small_tasks::few_frameworks },
    Shape { name: "S4 small tasks, 1k agents x 24, 1,000 frameworks", run: small_tasks::many_frameworks },
    Shape { name: "optimistic, 1k agents x 50 frameworks", run: races::first_wins },
    Shape { name: "one task ends and another starts", run: change::one_change },
];
