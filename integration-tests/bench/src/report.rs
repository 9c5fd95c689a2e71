//! A list of figures, as a table for people and as JSON for programs.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Whether a small or a large value is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Better {
    /// Times and sizes.
    Lower,
    /// Rates.
    Higher,
}

/// One figure beside what others reach and what is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The median over all repetitions.
    pub value: f64,
    /// What it would be on the machine of the anchors, for times and rates when its speed beside this one's is known.
    pub carried: Option<f64>,
    /// Of the value, the anchor and the target.
    pub unit: String,
    /// What the peer reached, at its best; none when there is nothing to compare with.
    pub anchor: Option<f64>,
    /// What is to be reached; none when the figure is for information.
    pub target: Option<f64>,
    /// The target is reached, by what was carried if there is such a value; true when there is no target.
    pub ok: bool,
}

impl Figure {
    /// A figure without anchor or target.
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, carried: None, unit: unit.into(), anchor: None, target: None, ok: true }
    }

    /// The same figure as it would be on the machine of the anchors, `speed` being how fast this one is beside it. Sizes
    /// and ratios stay.
    pub fn carry(self, speed: Option<f64>) -> Self {
        let speed = speed.filter(|speed| *speed > 0.0);
        let carried = match self.unit.as_str() {
            "ms" | "us" | "s" => speed.map(|speed| self.value * speed),
            "1/s" => speed.map(|speed| self.value / speed),
            _ => None,
        };
        Self { carried, ..self }
    }

    /// The same figure beside an anchor and a target.
    pub fn against(self, anchor: Option<f64>, target: f64, better: Better) -> Self {
        let value = self.comparable();
        let ok = match better {
            Better::Lower => value <= target,
            Better::Higher => value >= target,
        };
        Self { anchor, target: Some(target), ok, ..self }
    }

    fn comparable(&self) -> f64 {
        self.carried.unwrap_or(self.value)
    }

    fn row(&self) -> [String; 7] {
        let optional = |value: Option<f64>| value.map_or("-".to_owned(), number);
        let ratio = self.anchor.map_or("-".to_owned(), |anchor| {
            let value = self.comparable();
            let times = if value > 0.0 { anchor / value } else { f64::INFINITY };
            format!("{}x", number(if times < 1.0 && self.unit.contains("/s") { 1.0 / times } else { times }))
        });
        let verdict = if self.ok { "yes" } else { "NO" };
        let value = format!("{} {}", number(self.value), self.unit);
        let carried = optional(self.carried);
        [self.name.clone(), value, carried, optional(self.anchor), ratio, optional(self.target), verdict.to_owned()]
    }
}

/// The middle one of some values; 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints the table.
pub fn print(figures: &[Figure]) {
    let head = ["what", "median", "carried", "anchor", "ratio", "target", "reached"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(figures.iter().map(Figure::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in &rows {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The targets that were not reached, in words.
pub fn missed(figures: &[Figure]) -> Vec<String> {
    let missed = figures.iter().filter(|figure| !figure.ok);
    let told = |figure: &Figure| {
        let target = figure.target.map(number).unwrap_or_default();
        format!("{}: {} {}, the target is {target}", figure.name, number(figure.comparable()), figure.unit)
    };
    missed.map(told).collect()
}

/// Writes the figures as a JSON list, making the folder when it is missing.
pub fn write(path: &Path, figures: &[Figure]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(figures)?)
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_reached_from_the_right_side() {
        let time = |value| Figure::new("pass", value, "ms").against(Some(250.0), 12.0, Better::Lower).ok;
        let rate = |value| Figure::new("rate", value, "1/s").against(None, 100.0, Better::Higher).ok;
        assert_eq!((time(11.9), time(12.1), rate(99.0), rate(100.0)), (true, false, false, true));
    }

    #[test]
    fn the_report_is_a_list_of_figures_and_what_is_missed_is_told() {
        let figures = [
            Figure::new("alone", 900.0, "tasks/s"),
            Figure::new("beside one that hangs", 0.951, "of that").against(None, 0.95, Better::Higher),
            Figure::new("beside one that floods", 0.949, "of that").against(None, 0.95, Better::Higher),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench/guards.json");
        write(&path, &figures).unwrap();
        let read: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read.len(), 3);
        for figure in &read {
            for key in ["name", "value", "unit", "anchor", "target", "ok"] {
                assert!(figure.get(key).is_some(), "{figure} has no {key}");
            }
        }
        assert_eq!(read.iter().map(|figure| figure["ok"] == true).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(missed(&figures), ["beside one that floods: 0.949 of that, the target is 0.950"]);
    }

    #[test]
    fn what_is_carried_to_a_slower_machine_is_slower_and_decides() {
        let time = Figure::new("pass", 10.0, "ms").carry(Some(1.5)).against(None, 12.0, Better::Lower);
        let rate = Figure::new("rate", 150.0, "1/s").carry(Some(1.5)).against(None, 110.0, Better::Higher);
        let size = Figure::new("memory", 10.0, "MB").carry(Some(1.5)).against(None, 12.0, Better::Lower);
        let unknown = Figure::new("pass", 10.0, "ms").carry(None).against(None, 12.0, Better::Lower);
        assert_eq!((time.carried, time.ok), (Some(15.0), false));
        assert_eq!((rate.carried, rate.ok), (Some(100.0), false));
        assert_eq!((size.carried, size.ok, unknown.carried, unknown.ok), (None, true, None, true));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!((median(vec![9.0, 1.0, 3.0]), median(vec![])), (3.0, 0.0));
    }
}
