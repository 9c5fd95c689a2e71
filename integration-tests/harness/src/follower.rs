//! A command that goes on, such as `proffer events --follow`, and what it has said so far. Ended when dropped.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::{Cluster, binary};

/// A `proffer` that runs beside the test.
pub struct Follower {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Follower {
    /// Starts `proffer` with these arguments against the cluster.
    pub fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let out = cluster.scratch().join(format!("follower-{}.out", args.join("-").replace('/', "+")));
        let err = out.with_extension("err");
        let file = |path| File::create(path).expect("the directory is writable");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binary("proffer", "proffer")).args(args);
        command.env("PROFFER_MASTER", cluster.master()).env("NO_COLOR", "1").stdin(Stdio::null());
        let child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("the program starts");
        Self { child, out, err }
    }

    /// Its standard output so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Its standard error so far.
    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// How it ended; `None` while it goes on.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
