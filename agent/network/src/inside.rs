//! What a container sees of its network: loopback, address and default route.
//!
//! Never works on the host's side.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::contract::NetworkError;
use crate::links::Links;
use crate::netns::{self, CONTAINER_LINK};

/// Gives a namespace whose pair exists its loopback, address and default route, in this order.
pub(crate) async fn configure_inside(
    namespace: &Path,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Result<(), NetworkError> {
    let inside = netns::run_in(namespace, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        Ok(runtime.block_on(configure(address, gateway)))
    });
    inside.await?
}

async fn configure(address: Ipv4Addr, gateway: Ipv4Addr) -> Result<(), NetworkError> {
    let links = Links::open().map_err(|error| NetworkError::new("open a netlink socket", error))?;
    for name in ["lo", CONTAINER_LINK] {
        let Some(link) = links.find(name).await? else {
            return Err(NetworkError::new(format!("configure link {name}"), "it is not in the namespace"));
        };
        if name == CONTAINER_LINK {
            links.add_address(link.index, address).await?;
        }
        links.set_up(link.index).await?;
    }
    links.add_default_route(gateway).await
}
