//! Small real parts: binaries, ports, HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Panics with the install command when a program is not on this machine.
pub fn require(program: &str, package: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin"]);
    let found = dirs.map(|dir| PathBuf::from(dir).join(program)).any(|p| p.is_file());
    assert!(found, "{program} is missing; install it with: apt-get install {package}");
}

/// A binary of the workspace: in `PROFFER_BIN_DIR` when that is set, else beside the running test.
/// Panics with the build command when it is not there.
pub fn binary(name: &str, package: &str) -> PathBuf {
    let dir = match std::env::var_os("PROFFER_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let test = std::env::current_exe().expect("a running test has a path");
            let dir = test.parent().and_then(|deps| deps.parent()).expect("tests run from target/<profile>/deps");
            dir.to_owned()
        }
    };
    let path = dir.join(name);
    assert!(path.is_file(), "{} is missing; build it with: cargo build -p {package}", path.display());
    path
}

/// A TCP port nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The body of a page, or why there is none.
pub fn http_get(address: &str, path: &str) -> Result<String, String> {
    let text = |e: std::io::Error| format!("GET http://{address}{path}: {e}");
    let mut stream = TcpStream::connect(address).map_err(text)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(text)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP answer: {answer:?}"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{status}: {body}")) }
}
