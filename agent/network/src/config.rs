//! What an agent's network is configured with, checked before anything is made.
//!
//! Never touches the system: a configuration is right or wrong by itself.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest tag; the kernel allows 15 letters for the bridge and 28 for a chain, the rest is room to read them.
const TAG_MAX: usize = 8;

/// Configuration of one agent's bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Marks everything of this agent on the host: 1–8 of `a`–`z` and `0`–`9`, unique among the agents of one machine.
    /// The bridge is `pf-<tag>`, the rule chains are `PF-<tag>-…`, the namespaces are `pf-<tag>-…`.
    pub tag: String,
    /// Addresses of the containers; `.1` is the bridge. Unique among the agents of one machine.
    pub subnet: Subnet,
    /// Where network namespaces are mounted. Absolute; made when missing and never removed. Usual: `/run/netns`.
    pub netns_dir: PathBuf,
}

impl BridgeConfig {
    /// A configuration with namespaces in `/run/netns`.
    pub fn new(tag: impl Into<String>, subnet: Subnet) -> Self {
        Self { tag: tag.into(), subnet, netns_dir: PathBuf::from("/run/netns") }
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first defect, with what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let right = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if self.tag.is_empty() || self.tag.len() > TAG_MAX || !self.tag.chars().all(right) {
            return Err(ConfigError::Tag(self.tag.clone()));
        }
        if !self.netns_dir.is_absolute() {
            return Err(ConfigError::NetnsDir(self.netns_dir.clone()));
        }
        Ok(())
    }
}

/// 254 host addresses of a private IPv4 `/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    prefix: [u8; 3],
}

impl Subnet {
    /// Bits of the network part.
    pub const PREFIX_LEN: u8 = 24;

    /// The subnet `a.b.c.0/24`.
    ///
    /// # Errors
    /// When it is not in 10/8, 172.16/12 or 192.168/16.
    pub fn new(a: u8, b: u8, c: u8) -> Result<Self, ConfigError> {
        let subnet = Self { prefix: [a, b, c] };
        if subnet.network().is_private() { Ok(subnet) } else { Err(ConfigError::NotPrivate(subnet)) }
    }

    /// `a.b.c.0`
    pub fn network(self) -> Ipv4Addr {
        self.at(0)
    }

    /// The bridge's address, `a.b.c.1`.
    pub fn gateway(self) -> Ipv4Addr {
        self.at(1)
    }

    /// Addresses containers can have, lowest first.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        (2..=254).map(move |last| self.at(last))
    }

    /// Whether the address is one a container can have.
    pub fn is_host(self, address: Ipv4Addr) -> bool {
        let octets = address.octets();
        octets[..3] == self.prefix && (2..=254).contains(&octets[3])
    }

    /// Whether any address is in both this subnet and `address/prefix_len`.
    pub fn overlaps(self, address: Ipv4Addr, prefix_len: u8) -> bool {
        let bits = u32::from(prefix_len.min(Self::PREFIX_LEN));
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        u32::from(self.network()) & mask == u32::from(address) & mask
    }

    fn at(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, last)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network(), Self::PREFIX_LEN)
    }
}

impl FromStr for Subnet {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Subnet(text.to_owned());
        let (address, len) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let [a, b, c, last] = address.octets();
        if len != "24" || last != 0 {
            return Err(wrong());
        }
        Self::new(a, b, c)
    }
}

/// A defect of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The tag has a wrong length or letter.
    #[error("network tag `{0}` is wrong: use 1 to {TAG_MAX} of the letters a-z and digits 0-9")]
    Tag(String),
    /// The directory is relative.
    #[error("directory of network namespaces `{}` is not absolute: write it with a leading /", .0.display())]
    NetnsDir(PathBuf),
    /// Not `a.b.c.0/24`.
    #[error("subnet `{0}` is wrong: write it as a.b.c.0/24, for example 10.88.1.0/24")]
    Subnet(String),
    /// Public addresses.
    #[error("subnet {0} is not private: take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")]
    NotPrivate(Subnet),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_subnets_name_what_is_right() {
        for (text, hint) in [
            ("", "a.b.c.0/24"),
            ("10.88.1.0", "a.b.c.0/24"),
            ("10.88.1.0/16", "a.b.c.0/24"),
            ("10.88.1.7/24", "a.b.c.0/24"),
            ("10.88.1/24", "a.b.c.0/24"),
            ("fd00::/24", "a.b.c.0/24"),
            ("8.8.8.0/24", "not private"),
            ("127.0.0.0/24", "not private"),
        ] {
            let error = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
        assert_eq!("10.88.1.0/24".parse::<Subnet>().unwrap().to_string(), "10.88.1.0/24");
    }

    #[test]
    fn wrong_configurations_are_refused() {
        let subnet = Subnet::new(10, 88, 1).unwrap();
        for tag in ["", "toolong99", "Upper", "a-b", "ä", "a b"] {
            let error = BridgeConfig::new(tag, subnet).validate().unwrap_err();
            assert_eq!(error, ConfigError::Tag(tag.to_owned()));
        }
        let relative = BridgeConfig { netns_dir: "run/netns".into(), ..BridgeConfig::new("a1", subnet) };
        assert!(matches!(relative.validate(), Err(ConfigError::NetnsDir(_))));
        assert_eq!(BridgeConfig::new("a1", subnet).validate(), Ok(()));
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let subnet = Subnet::new(10, 88, 1).unwrap();
        for (address, len, overlaps) in [
            ([10, 88, 1, 9], 32, true),
            ([10, 88, 1, 1], 24, true),
            ([10, 88, 0, 1], 16, true),
            ([10, 88, 0, 1], 24, false),
            ([10, 89, 1, 1], 16, false),
            ([0, 0, 0, 0], 0, true),
        ] {
            assert_eq!(subnet.overlaps(address.into(), len), overlaps, "{address:?}/{len}");
        }
    }
}
