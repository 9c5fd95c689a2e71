//! Addresses of servers as people write them: `host:port` or `http://host:port`.

use std::fmt;
use std::str::FromStr;

/// Where a server answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A host name or an IP address; an IPv6 address without brackets.
    host: String,
    port: u16,
}

/// What is wrong with an address, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {text:?} {defect}; {fix}")]
pub struct AddressError {
    /// The text given, shortened.
    pub text: String,
    /// What is wrong.
    pub defect: &'static str,
    /// What would be right.
    pub fix: String,
}

const FIX: &str = "write it as host:port, e.g. 127.0.0.1:5050";

fn fail<T>(text: &str, defect: &'static str, fix: impl Into<String>) -> Result<T, AddressError> {
    Err(AddressError { text: text.chars().take(64).collect(), defect, fix: fix.into() })
}

impl Address {
    /// The host: a name or an IP address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 only where a free one is asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As a URI for a client: `http://host:port`.
    pub fn uri(&self) -> String {
        format!("http://{self}")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return fail(text, "is empty", FIX);
        }
        if text.starts_with("https://") {
            return fail(text, "asks for TLS, which is not implemented yet", "write http:// or leave it out");
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        if rest.contains("://") {
            return fail(text, "has an unknown scheme", FIX);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split(text, rest)?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() {
            return fail(text, "has no host", FIX);
        }
        if let Some(_bad) = host.chars().find(|c| !is_host(*c)) {
            return fail(text, "has a host that holds a character no host name has", FIX);
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return fail(text, "has a port that is not a number", FIX);
        }
        match port.parse() {
            Ok(port) => Ok(Self { host: host.to_owned(), port }),
            Err(_) => fail(text, "has a port above 65535", "ports are 1 to 65535"),
        }
    }
}

/// Host and port of `rest`; IPv6 addresses are in brackets.
fn split<'a>(text: &str, rest: &'a str) -> Result<(&'a str, &'a str), AddressError> {
    if let Some(bracketed) = rest.strip_prefix('[') {
        return match bracketed.split_once("]:") {
            Some(parts) => Ok(parts),
            None => fail(text, "has no port after the bracket", "write it as [::1]:5050"),
        };
    }
    match rest.rsplit_once(':') {
        None => fail(text, "has no port", format!("write {}:5050", rest.chars().take(64).collect::<String>())),
        Some((host, _)) if host.contains(':') => {
            fail(text, "is ambiguous", "write IPv6 addresses in brackets, e.g. [::1]:5050")
        }
        Some(parts) => Ok(parts),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

/// Several addresses joined by commas; at least one.
pub fn parse_addresses(text: &str) -> Result<Vec<Address>, AddressError> {
    text.split(',').map(|one| one.trim().parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_addresses_are_read() {
        let table = [
            ("127.0.0.1:5050", "127.0.0.1:5050"),
            ("http://127.0.0.1:5050", "127.0.0.1:5050"),
            ("http://master-1.example:80/", "master-1.example:80"),
            ("[::1]:5050", "[::1]:5050"),
            ("http://[fe80::1]:65535", "[fe80::1]:65535"),
            ("localhost:0", "localhost:0"),
        ];
        for (text, shown) in table {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.uri(), format!("http://{shown}"));
        }
        let list = parse_addresses("a:1, b:2").unwrap();
        assert_eq!(list.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
    }

    #[test]
    fn wrong_addresses_are_refused_with_the_fix() {
        let table = [
            ("", "is empty"),
            ("localhost", "write localhost:5050"),
            ("localhost:", "not a number"),
            ("localhost:http", "not a number"),
            ("localhost:70000", "above 65535"),
            ("localhost:-1", "not a number"),
            (":5050", "has no host"),
            ("::1:5050", "in brackets"),
            ("[::1]", "[::1]:5050"),
            ("https://a:1", "TLS"),
            ("unix:///run/x", "unknown scheme"),
            ("a b:1", "no host name has"),
            ("http://a:1/path", "not a number"),
            ("a:1,", "is empty"),
        ];
        for (text, told) in table {
            let error = parse_addresses(text).expect_err(text).to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
