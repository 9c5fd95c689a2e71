//! Progress where a person waits. Drawn on standard error, and only when that is a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::clean;

/// Several bars below each other.
#[derive(Default)]
pub(crate) struct Bars(MultiProgress);

impl Bars {
    /// A bar that counts things.
    pub(crate) fn counting(&self, name: &str, length: u64) -> ProgressBar {
        self.bar(name, length, "{prefix:16} [{bar:30}] {pos}/{len} {msg}")
    }

    /// A bar that counts bytes.
    pub(crate) fn bytes(&self, name: &str, length: u64) -> ProgressBar {
        self.bar(name, length, "{prefix:16} [{bar:30}] {bytes}/{total_bytes} {msg}")
    }

    fn bar(&self, name: &str, length: u64, template: &str) -> ProgressBar {
        let bar = self.0.add(ProgressBar::new(length));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(clean(name).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
