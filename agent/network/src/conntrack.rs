//! Makes the kernel forget connections it translates for a container that is gone, or not yet for one that is new.
//!
//! Never touches other connections. Rules are only asked for the first packet of a flow; without this, a client that keeps
//! sending UDP from one port would reach the old container's address, or nobody, for as long as it keeps sending.

use std::io;
use std::net::Ipv4Addr;

use nix::libc::{AF_INET, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use rtnetlink::sys::Socket;
use rtnetlink::sys::constants::NETLINK_NETFILTER;

/// Message kinds of the connection tracking subsystem (subsystem 1 in the high byte).
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;
/// Attributes; names as in the kernel's `nfnetlink_conntrack.h`.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_V4_SRC: u16 = 1;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
const FILTER_ORIG_FLAGS: u16 = 1;
const FILTER_REPLY_FLAGS: u16 = 2;
const FLAG_IP_SRC: u32 = 1;
const FLAG_PROTO_NUM: u32 = 1 << 3;
const FLAG_PROTO_DST_PORT: u32 = 1 << 5;
const UDP: u8 = 17;
/// Netlink header and netfilter header.
const HEADER_BYTES: usize = 16 + 4;
/// More than the kernel puts into one answer.
const ANSWER_BYTES: usize = 64 * 1024;

/// Which connections to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Answered by this address.
    From(Ipv4Addr),
    /// UDP to this port.
    UdpTo(u16),
}

/// Forgets connections that match any of `stale`. They would end by themselves, only later, so failing is only logged.
///
/// Looks through the whole table once (some 13 ms on a small machine), so ask for many at once.
pub(crate) fn forget(stale: &[Stale]) {
    match try_forget(stale) {
        Ok(count) => tracing::debug!(count, "forgot stale connections"),
        Err(error) => tracing::warn!(%error, "cannot forget stale connections, they may linger"),
    }
}

fn try_forget(stale: &[Stale]) -> io::Result<usize> {
    // The kernel's filter takes one condition; several are picked here.
    let filter = match stale {
        [] => return Ok(0),
        [one] => one.filter(),
        _ => Vec::new(),
    };
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send(&message(GET, NLM_F_DUMP, &filter), 0)?;
    let mut tuples = Vec::new();
    receive(&socket, |body| {
        let named = stale.iter().find_map(|stale| stale.tuple_of(body));
        tuples.extend(named.map(<[u8]>::to_vec));
    })?;
    for tuple in &tuples {
        let body = attribute(TUPLE_ORIG | NESTED, tuple);
        socket.send(&message(DELETE, NLM_F_ACK, &body), 0)?;
        match receive(&socket, |_| {}) {
            // It ended by itself meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(tuples.len())
}

impl Stale {
    /// Lets the kernel (5.8 or newer) pick; older ones send all.
    fn filter(self) -> Vec<u8> {
        let (kind, tuple, orig, reply) = match self {
            Self::From(address) => {
                let source = attribute(IP_V4_SRC, &address.octets());
                (TUPLE_REPLY, attribute(TUPLE_IP | NESTED, &source), 0, FLAG_IP_SRC)
            }
            Self::UdpTo(port) => {
                let mut proto = attribute(PROTO_NUM, &[UDP]);
                proto.extend(attribute(PROTO_DST_PORT, &port.to_be_bytes()));
                let flags = FLAG_PROTO_NUM | FLAG_PROTO_DST_PORT;
                (TUPLE_ORIG, attribute(TUPLE_PROTO | NESTED, &proto), flags, 0)
            }
        };
        let mut flags = attribute(FILTER_ORIG_FLAGS, &orig.to_ne_bytes());
        flags.extend(attribute(FILTER_REPLY_FLAGS, &reply.to_ne_bytes()));
        let mut body = attribute(kind | NESTED, &tuple);
        body.extend(attribute(FILTER | NESTED, &flags));
        body
    }

    /// What names the connection to the kernel, when it matches.
    fn tuple_of(self, body: &[u8]) -> Option<&[u8]> {
        let orig = find(body, TUPLE_ORIG)?;
        let matches = match self {
            Self::From(address) => {
                let ip = find(find(body, TUPLE_REPLY)?, TUPLE_IP)?;
                find(ip, IP_V4_SRC)? == address.octets()
            }
            Self::UdpTo(port) => {
                let proto = find(orig, TUPLE_PROTO)?;
                find(proto, PROTO_NUM)? == [UDP] && find(proto, PROTO_DST_PORT)? == port.to_be_bytes()
            }
        };
        matches.then_some(orig)
    }
}

/// Reads answers until the kernel says it is done; `seen` gets the attributes of each.
fn receive(socket: &Socket, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        socket.recv(&mut answer, 0)?;
        let mut rest = answer.as_slice();
        while let Some((kind, body, next)) = split_message(rest) {
            match i32::from(kind) {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return match code {
                        0 => Ok(()),
                        code => Err(io::Error::from_raw_os_error(code.saturating_abs())),
                    };
                }
                _ => seen(body.get(HEADER_BYTES - 16..).unwrap_or_default()),
            }
            rest = next;
        }
    }
}

/// Kind and body of the first message, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(16..len)?;
    Some((kind, body, bytes.get(aligned(len)..).unwrap_or_default()))
}

fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..len)?;
        if kind & TYPE_MASK == wanted {
            return Some(value);
        }
        attributes = attributes.get(aligned(len)..)?;
    }
}

fn message(kind: u16, flags: i32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let flags = u16::try_from(flags | NLM_F_REQUEST).unwrap_or(0);
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number and port: one question at a time on a socket of its own needs none.
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(AF_INET).unwrap_or(0), 0, 0, 0]);
    bytes.extend(body);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = 4 + value.len();
    let mut bytes = u16::try_from(len).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(len), 0);
    bytes
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(protocol: u8, port: u16, from: [u8; 4]) -> Vec<u8> {
        let mut proto = attribute(PROTO_NUM, &[protocol]);
        proto.extend(attribute(PROTO_DST_PORT, &port.to_be_bytes()));
        let orig = attribute(TUPLE_PROTO | NESTED, &proto);
        let reply = attribute(TUPLE_IP | NESTED, &attribute(IP_V4_SRC, &from));
        let mut body = attribute(TUPLE_ORIG | NESTED, &orig);
        body.extend(attribute(TUPLE_REPLY | NESTED, &reply));
        body
    }

    #[test]
    fn only_matching_connections_are_named() {
        let body = entry(UDP, 53, [10, 88, 0, 2]);
        assert!(Stale::UdpTo(53).tuple_of(&body).is_some());
        assert!(Stale::UdpTo(54).tuple_of(&body).is_none());
        assert!(Stale::From(Ipv4Addr::new(10, 88, 0, 2)).tuple_of(&body).is_some());
        assert!(Stale::From(Ipv4Addr::new(10, 88, 0, 3)).tuple_of(&body).is_none());
        assert!(Stale::UdpTo(53).tuple_of(&entry(6, 53, [10, 88, 0, 2])).is_none());
    }

    #[test]
    fn broken_messages_name_nothing() {
        let body = entry(UDP, 53, [10, 88, 0, 2]);
        for len in 0..body.len() {
            let _ = Stale::UdpTo(53).tuple_of(&body[..len]);
            let _ = split_message(&body[..len]);
        }
        assert!(find(&[0, 0, 0, 0], 1).is_none());
        assert!(split_message(&[0; 16]).is_none());
    }
}
