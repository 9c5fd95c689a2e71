//! A real browser without a window.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::require;

/// Headless Chromium with an empty profile.
pub struct Browser {
    profile: TempDir,
}

impl Browser {
    /// Prepares a browser; panics with the install command when there is none.
    pub fn new() -> Self {
        require("chromium", "chromium");
        let profile = tempfile::Builder::new().prefix("proffer-browser-").tempdir().expect("a temporary directory");
        Self { profile }
    }

    /// The page as the browser sees it, after scripts ran for `budget_ms` of virtual time.
    pub fn dom(&self, url: &str, budget_ms: u32) -> String {
        let output = self
            .command()
            .arg(format!("--virtual-time-budget={budget_ms}"))
            .args(["--dump-dom", url])
            .output()
            .expect("chromium starts");
        assert!(output.status.success(), "chromium {url}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Writes a picture of the page.
    pub fn screenshot(&self, url: &str, width: u32, height: u32, file: &Path) {
        let output = self
            .command()
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--screenshot={}", file.display()))
            .arg(url)
            .output()
            .expect("chromium starts");
        assert!(file.is_file(), "no screenshot of {url}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self) -> Command {
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .stdin(Stdio::null());
        command
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}
