//! A real browser without a window, steered over its debugging pipe: pages, what they hold, pictures of them.
//!
//! It opens no port and leaves nothing behind: profile and process end with it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{require, wait_for};

/// How long a page may take to show something, on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark text on a light page.
    Light,
    /// Light text on a dark page.
    Dark,
}

/// Headless Chromium with an empty profile and one page.
pub struct Browser {
    _profile: TempDir,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    calls: u64,
    events: VecDeque<Value>,
}

impl Browser {
    /// Starts a browser; panics with the install command when there is none.
    pub fn new() -> Self {
        require("chromium", "chromium");
        let profile = tempfile::Builder::new().prefix("proffer-browser-").tempdir().expect("a temporary directory");
        // The browser reads commands from file 3 and answers on file 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null", "sh", "--remote-debugging-pipe"])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium starts");
        let to = process.stdin.take().expect("the pipe was asked for");
        let from = BufReader::new(process.stdout.take().expect("the pipe was asked for"));
        let (session, events) = (String::new(), VecDeque::new());
        let mut browser = Self { _profile: profile, process, to, from, session, calls: 0, events };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = text(&browser.call("Target.attachToTarget", attach)["sessionId"]);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sets how wide and high the page is, in CSS pixels, and its colours.
    pub fn resize(&mut self, width: u32, height: u32, scheme: Scheme) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.call("Emulation.setEmulatedMedia", media);
    }

    /// Pages opened from now on run their scripts, or none.
    pub fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push_back(event);
        }
    }

    /// The value of an expression on the page; promises are awaited.
    pub fn eval(&mut self, script: &str) -> Value {
        let answer = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", answer);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true on the page; panics with the page's text when it never is.
    pub fn wait_until(&mut self, script: &str) {
        wait_for(script, DEADLINE, || match self.eval(script) {
            Value::Bool(true) => Ok(()),
            other => Err(format!("{other}, the page says: {}", self.eval("document.body.innerText"))),
        });
    }

    /// What the page complained about so far: errors of scripts, refused resources, broken rules.
    pub fn complaints(&mut self) -> Vec<String> {
        // All events that came before the answer are read with it.
        self.eval("1");
        let is_complaint = |event: &&Value| {
            event["method"] == "Runtime.exceptionThrown"
                || event["method"] == "Log.entryAdded" && event["params"]["entry"]["level"] == "error"
        };
        self.events.iter().filter(is_complaint).map(Value::to_string).collect()
    }

    /// Writes a picture of what is seen as PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = decode_base64(&text(&answer["data"]));
        std::fs::write(file, picture).expect("the picture can be written");
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut message = message.to_string().into_bytes();
        message.push(0);
        self.to.write_all(&message).and_then(|()| self.to.flush()).expect("chromium listens");
        loop {
            let answer = self.read();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).expect("chromium answers");
        assert_eq!(message.pop(), Some(0), "chromium ended: {}", String::from_utf8_lossy(&message));
        serde_json::from_slice(&message).expect("chromium speaks JSON")
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends by itself when asked; the profile must not be in use when it is removed.
        self.session.clear();
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        let asked = self.to.write_all(close).and_then(|()| self.to.flush());
        let mut rest = Vec::new();
        while asked.is_ok() && self.from.read_until(0, &mut rest).is_ok_and(|read| read > 0) {
            rest.clear();
        }
        if asked.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("chromium answered {value} where a text must be")).to_owned()
}

/// Plain base64, as the debugging protocol carries pictures.
fn decode_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for digit in text.bytes().take_while(|digit| *digit != b'=') {
        let value = DIGITS.iter().position(|d| *d == digit).expect("base64 has 64 digits");
        held = held << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_with_any_padding() {
        for (text, bytes) in [("", ""), ("cA==", "p"), ("cHI=", "pr"), ("cHJv", "pro"), ("cHJvZmZlcg==", "proffer")] {
            assert_eq!(decode_base64(text), bytes.as_bytes());
        }
    }
}
