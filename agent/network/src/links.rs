//! Links, addresses and routes through netlink.
//!
//! Never decides what should exist; it makes, finds and deletes what it is told.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::Path;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::{Error, Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::config::Subnet;
use crate::contract::NetworkError;
use crate::names::mac_of;
use crate::netns::CONTAINER_LINK;

/// Groups of links about to be deleted are this plus the index of their bridge: nobody else's, and one per agent.
const GROUP_BASE: u32 = 0x7066_0000;

/// What matters of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: Option<String>,
    /// Index of the bridge it is a port of.
    pub(crate) bridge: Option<u32>,
    pub(crate) is_bridge: bool,
    /// 0 for all links nobody put into a group.
    pub(crate) group: u32,
}

/// An open netlink socket of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    handle: Handle,
}

impl Links {
    /// Opens a socket in the calling thread's namespace; needs a runtime.
    pub(crate) fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All links.
    pub(crate) async fn list(&self) -> Result<Vec<Link>, NetworkError> {
        let messages = self.handle.link().get().execute().try_collect::<Vec<_>>().await;
        let messages = messages.map_err(|error| failure("list links", &error))?;
        Ok(messages.into_iter().map(link_of).collect())
    }

    /// The link of that name.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Link>, NetworkError> {
        let mut found = self.handle.link().get().match_name(name).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.map(link_of)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failure(format!("look for link {name}"), &error)),
        }
    }

    /// Addresses of all links with their prefix length.
    pub(crate) async fn addresses(&self) -> Result<Vec<(u32, Ipv4Addr, u8)>, NetworkError> {
        let messages = self.handle.address().get().execute().try_collect::<Vec<_>>().await;
        let messages = messages.map_err(|error| failure("list addresses", &error))?;
        let mut addresses = Vec::new();
        for message in messages {
            let (index, len) = (message.header.index, message.header.prefix_len);
            addresses.extend(message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(IpAddr::V4(address)) => Some((index, *address, len)),
                _ => None,
            }));
        }
        Ok(addresses)
    }

    /// A bridge, still down, with a hardware address that stays when ports come and go.
    pub(crate) async fn add_bridge(&self, name: &str, gateway: Ipv4Addr) -> Result<(), NetworkError> {
        let message = LinkBridge::new(name).down().address(mac_of(gateway).to_vec()).build();
        let added = self.handle.link().add(message).execute().await;
        added.map_err(|error| failure(format!("add bridge {name}"), &error))
    }

    /// Writes a note on a link that the kernel keeps.
    pub(crate) async fn set_alias(&self, index: u32, alias: &str) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).alias(alias).build();
        let set = self.handle.link().set(message).execute().await;
        set.map_err(|error| failure(format!("note on link {index}"), &error))
    }

    /// Gives a link an address.
    pub(crate) async fn add_address(&self, index: u32, address: Ipv4Addr) -> Result<(), NetworkError> {
        let request = self.handle.address().add(index, address.into(), Subnet::PREFIX_LEN);
        let added = request.execute().await;
        added.map_err(|error| failure(format!("add address {address}"), &error))
    }

    /// Brings a link up.
    pub(crate) async fn set_up(&self, index: u32) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_index(index).up().build();
        let set = self.handle.link().set(message).execute().await;
        set.map_err(|error| failure(format!("bring link {index} up"), &error))
    }

    /// A pair from the bridge into the namespace, in one step: there never is a half of it anywhere else.
    pub(crate) async fn add_pair(
        &self,
        name: &str,
        bridge: u32,
        namespace: &Path,
        address: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        let what = || format!("add link pair {name}");
        let inside = File::open(namespace).map_err(|error| NetworkError::new(what(), error))?;
        let peer = LinkUnspec::new_with_name(CONTAINER_LINK)
            .setns_by_fd(inside.as_raw_fd())
            .address(mac_of(address).to_vec())
            .build();
        let message = LinkVeth::new(name, CONTAINER_LINK)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .controller(bridge)
            .up()
            .build();
        let added = self.handle.link().add(message).execute().await;
        added.map_err(|error| failure(what(), &error))?;
        self.reflect(name).await
    }

    /// Deletes a link; a missing one is no error.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_name(name).build();
        match self.handle.link().del_with_message(message).execute().await {
            Err(error) if !is_missing(&error) => Err(failure(format!("delete link {name}"), &error)),
            _ => Ok(()),
        }
    }

    /// Deletes ports of a bridge; missing ones are no error.
    ///
    /// Each deletion waits some 20 ms for the kernel, so many are put into a group and deleted as one.
    pub(crate) async fn delete_all(&self, names: &[String], bridge: u32) -> Result<(), NetworkError> {
        let group = GROUP_BASE + bridge;
        let links = self.list().await?;
        let foreign = |link: &Link| link.group == group && !names.contains(&link.name);
        let present: Vec<_> = links.iter().filter(|link| names.contains(&link.name)).collect();
        if present.len() < 2 || links.iter().any(foreign) {
            for link in present {
                self.delete(&link.name).await?;
            }
            return Ok(());
        }
        for link in present {
            let message = LinkUnspec::new_with_index(link.index).link_group(group).build();
            match self.handle.link().set(message).execute().await {
                Err(error) if !is_missing(&error) => {
                    return Err(failure(format!("group link {}", link.name), &error));
                }
                _ => {}
            }
        }
        let message = LinkUnspec::new_with_index(0).link_group(group).build();
        match self.handle.link().del_with_message(message).execute().await {
            Err(error) if !is_missing(&error) => Err(failure(format!("delete links of group {group}"), &error)),
            _ => Ok(()),
        }
    }

    /// Lets the bridge send a frame back where it came from: a container that calls its own published port.
    async fn reflect(&self, name: &str) -> Result<(), NetworkError> {
        let Some(port) = self.find(name).await? else {
            return Err(NetworkError::new(format!("configure link {name}"), "it vanished"));
        };
        let message = LinkBridgePort::new(port.index).hairpin(true).build();
        let set = self.handle.link().set_port(message).execute().await;
        set.map_err(|error| failure(format!("configure link {name}"), &error))
    }

    /// Sends everything that is not local to `gateway`.
    pub(crate) async fn add_default_route(&self, gateway: Ipv4Addr) -> Result<(), NetworkError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        let added = self.handle.route().add(route).execute().await;
        added.map_err(|error| failure(format!("add default route by {gateway}"), &error))
    }
}

fn link_of(message: LinkMessage) -> Link {
    let mut link = Link { index: message.header.index, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Group(group) => link.group = group,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Controller(index) => link.bridge = Some(index),
            LinkAttribute::LinkInfo(infos) => link.is_bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge)),
            _ => {}
        }
    }
    link
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NetlinkError(message) if message.raw_code() == -(nix::libc::ENODEV))
}

fn failure(what: impl Into<String>, error: &Error) -> NetworkError {
    let cause = match error {
        Error::NetlinkError(message) => {
            let error = message.to_io();
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "; run the agent as root",
                _ => "",
            };
            format!("{error}{hint}")
        }
        other => other.to_string(),
    };
    NetworkError::new(what, cause)
}
