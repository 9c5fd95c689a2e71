//! Runs `iptables-save` and `iptables-restore`.
//!
//! Never builds rules; it hands texts over and reports what the tools said.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::contract::NetworkError;
use crate::saved::Saved;

/// A tool that takes longer hangs; it normally needs about 20 ms.
const TOOL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a tool itself waits for another user of the rules, in seconds.
const LOCK_WAIT_S: &str = "20";
/// Where the tools are when `PATH` has no administrator's directories.
const SYSTEM_DIRS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// The two tools.
#[derive(Debug, Clone)]
pub(crate) struct Iptables {
    save: PathBuf,
    restore: PathBuf,
}

impl Iptables {
    /// Finds the tools in `PATH` and the usual directories.
    pub(crate) fn find() -> Result<Self, NetworkError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::env::split_paths(&path).chain(SYSTEM_DIRS.map(PathBuf::from));
        Self::find_in(&dirs.collect::<Vec<_>>())
    }

    fn find_in(dirs: &[PathBuf]) -> Result<Self, NetworkError> {
        Ok(Self { save: find_tool(dirs, "iptables-save")?, restore: find_tool(dirs, "iptables-restore")? })
    }

    /// Reads all rules.
    pub(crate) async fn save(&self) -> Result<Saved, NetworkError> {
        let text = run(&self.save, &[], "").await?;
        Ok(Saved::parse(&text))
    }

    /// Applies one transaction, wholly or (per table) not at all.
    pub(crate) async fn restore(&self, transaction: &str) -> Result<(), NetworkError> {
        let args = ["--noflush", "--wait", LOCK_WAIT_S];
        run(&self.restore, &args, transaction).await.map(drop)
    }
}

fn find_tool(dirs: &[PathBuf], tool: &str) -> Result<PathBuf, NetworkError> {
    let found = dirs.iter().map(|dir| dir.join(tool)).find(|path| path.is_file());
    found.ok_or_else(|| {
        NetworkError::new(
            "look for the packet filter tools",
            format!("{tool} not found: install it with `apt-get install iptables`"),
        )
    })
}

async fn run(tool: &Path, args: &[&str], input: &str) -> Result<String, NetworkError> {
    let what = format!("run {}", tool.display());
    match tokio::time::timeout(TOOL_TIMEOUT, feed(tool, args, input)).await {
        Err(_) => Err(NetworkError::new(
            what,
            format!("no end after {} s; is another process holding the rules?", TOOL_TIMEOUT.as_secs()),
        )),
        Ok(Err(error)) => Err(NetworkError::new(what, error)),
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let hint = if said.contains("Permission denied") { "; run the agent as root" } else { "" };
            Err(NetworkError::new(what, format!("{}: {said}{hint}", output.status)))
        }
    }
}

async fn feed(tool: &Path, args: &[&str], input: &str) -> std::io::Result<std::process::Output> {
    let mut child = Command::new(tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let write = async move {
        match stdin {
            // Closed by drop: the tool works at the end of its input. A tool that stopped reading says why itself.
            Some(mut stdin) => stdin.write_all(input.as_bytes()).await.or(Ok(())),
            None => Ok(()),
        }
    };
    let (written, output): (std::io::Result<()>, _) = tokio::join!(write, child.wait_with_output());
    written.and(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_its_package() {
        let empty = tempfile::tempdir().unwrap();
        let error = Iptables::find_in(&[empty.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("apt-get install iptables"), "{error}");
    }
}
