//! Driving a cluster the way people do: through the `proffer` program.

use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::{Cluster, binary};

/// What a command said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Standard error without line breaks and frames, so that a sentence can be looked for.
    pub fn told(&self) -> String {
        let words = self.stderr.split_whitespace().filter(|word| *word != "│" && *word != "×");
        words.collect::<Vec<_>>().join(" ")
    }
}

impl Cluster {
    /// Runs `proffer` with these arguments against this cluster.
    pub fn proffer(&self, args: &[&str]) -> Output {
        self.run(binary("proffer", "proffer"), args)
    }

    /// Runs any program with this cluster's master in its environment.
    pub fn run(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
        let output = Command::new(program)
            .args(args)
            .env("PROFFER_MASTER", self.master())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output; panics when the command fails.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.proffer(args);
        assert!(output.status.success(), "proffer {args:?}: {}\n{}{}", output.status, output.stdout, output.stderr);
        output.stdout
    }

    /// The answer as JSON; panics when the command fails.
    pub fn json(&self, args: &[&str]) -> Value {
        self.try_json(args).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The answer as JSON, or what the command said instead: for servers that are on their way up.
    pub fn try_json(&self, args: &[&str]) -> Result<Value, String> {
        let mut all = vec!["-o", "json"];
        all.extend(args);
        let output = self.proffer(&all);
        if !output.status.success() {
            return Err(format!("proffer {all:?}: {}\n{}{}", output.status, output.stdout, output.stderr));
        }
        serde_json::from_str(&output.stdout)
            .map_err(|e| format!("proffer {all:?} printed no JSON ({e}): {}", output.stdout))
    }
}
