//! Names of everything an agent makes on its host, derived from its tag and the container's id.
//!
//! Never random: the same container finds its things again after a restart.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::config::BridgeConfig;

/// Letters of a short id: 32 of them, so five bits make one.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The kernel allows 15 letters for a link: `pf`, these of the agent, and those of the container.
const LINK_TAG_LETTERS: usize = 4;
const LINK_LETTERS: usize = 9;
const NETNS_LETTERS: usize = 13;

/// Names of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    tag: String,
    netns_dir: PathBuf,
}

impl Names {
    pub(crate) fn new(config: &BridgeConfig) -> Self {
        Self { tag: config.tag.clone(), netns_dir: config.netns_dir.clone() }
    }

    /// The bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("pf-{}", self.tag)
    }

    /// Chain in `nat` that leads published ports to containers.
    pub(crate) fn dnat_chain(&self) -> String {
        format!("PF-{}-DNAT", self.tag)
    }

    /// Chain in `nat` that hides container and loopback addresses.
    pub(crate) fn masquerade_chain(&self) -> String {
        format!("PF-{}-MASQ", self.tag)
    }

    /// Chain in `filter` that lets container traffic through the host.
    pub(crate) fn forward_chain(&self) -> String {
        format!("PF-{}-FWD", self.tag)
    }

    /// Chain in `filter` that keeps containers off the host's loopback.
    pub(crate) fn input_chain(&self) -> String {
        format!("PF-{}-IN", self.tag)
    }

    /// Comment on every rule of one container.
    pub(crate) fn comment(&self, container_id: &str) -> String {
        format!("{}{container_id}", self.comment_prefix())
    }

    /// What all comments of this agent start with.
    pub(crate) fn comment_prefix(&self) -> String {
        format!("proffer:{}:", self.tag)
    }

    /// Host side of a container's link pair.
    pub(crate) fn host_link(&self, container_id: &str) -> String {
        format!("{}{}", self.link_prefix(), short_id(container_id, LINK_LETTERS))
    }

    /// Whether a link on the host is named like the host side of one of this agent's pairs.
    pub(crate) fn is_host_link(&self, link: &str) -> bool {
        let rest = link.strip_prefix(self.link_prefix().as_str());
        rest.is_some_and(|rest| is_short(rest, LINK_LETTERS))
    }

    fn link_prefix(&self) -> String {
        format!("pf{}", short_id(&self.tag, LINK_TAG_LETTERS))
    }

    /// File name of a container's namespace.
    pub(crate) fn netns(&self, container_id: &str) -> String {
        format!("pf-{}-{}", self.tag, short_id(container_id, NETNS_LETTERS))
    }

    /// Whether a file in the directory of namespaces is one of this agent's.
    pub(crate) fn is_netns(&self, file: &str) -> bool {
        file.strip_prefix("pf-")
            .and_then(|rest| rest.strip_prefix(self.tag.as_str()))
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| is_short(rest, NETNS_LETTERS))
    }

    /// Where a container's namespace is mounted.
    pub(crate) fn netns_path(&self, container_id: &str) -> PathBuf {
        self.netns_dir.join(self.netns(container_id))
    }

    /// Where namespaces are mounted.
    pub(crate) fn netns_dir(&self) -> &std::path::Path {
        &self.netns_dir
    }
}

/// Hardware address that belongs to an address, so that a neighbour's memory stays right when the address changes hands.
pub(crate) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    // 0x02: locally administered, one receiver.
    [0x02, 0x50, a, b, c, d]
}

fn short_id(container_id: &str, letters: usize) -> String {
    let digest = Sha256::digest(container_id.as_bytes());
    digest.iter().take(letters).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

fn is_short(text: &str, letters: usize) -> bool {
    text.len() == letters && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Subnet;

    fn names(tag: &str) -> Names {
        Names::new(&BridgeConfig::new(tag, Subnet::new(10, 88, 1).unwrap()))
    }

    #[test]
    fn link_names_fit_the_kernel() {
        let names = names("abcd1234");
        assert!(names.bridge().len() <= 15);
        assert_eq!(names.host_link("some-container").len(), 15);
        assert!(names.masquerade_chain().len() <= 28);
    }

    #[test]
    fn agents_with_similar_tags_do_not_take_each_others_things() {
        let (short, long) = (names("a"), names("ab"));
        assert!(short.is_host_link(&short.host_link("x")));
        assert!(!short.is_host_link(&long.host_link("x")));
        assert!(!long.is_host_link(&short.host_link("x")));
        assert!(short.is_netns(&short.netns("x")));
        assert!(!short.is_netns(&long.netns("x")));
        assert!(!long.is_netns(&short.netns("x")));
        assert!(!short.is_host_link(&short.bridge()));
        assert!(!short.is_netns("default"));
    }
}
