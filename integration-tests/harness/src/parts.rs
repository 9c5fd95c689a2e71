//! Small real parts: binaries, ports, HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Panics with the install command when a program is not on this machine.
pub fn require(program: &str, package: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin"]);
    let found = dirs.map(|dir| PathBuf::from(dir).join(program)).any(|p| p.is_file());
    assert!(found, "{program} is missing; install it with: apt-get install {package}");
}

/// Where `free_port` looks: above the host ports of the clusters of tests, below the ports of outgoing connections.
const FIRST_PORT: u16 = 30_000;
const PORTS: u32 = 2_700;

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

/// A TCP port nobody listens on now and that this process gives out once. It lies below the range the kernel takes ports
/// for outgoing connections from, so that none of them takes it before the server it is for listens.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        // Test runs beside each other begin at different places.
        let nth = std::process::id().wrapping_mul(97).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = FIRST_PORT + u16::try_from(nth).expect("PORTS fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("all ports from {FIRST_PORT} on are used: `ss -lntp` shows by whom");
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
