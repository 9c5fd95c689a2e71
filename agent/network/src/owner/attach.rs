//! Attach and detach of one container, all but their rules, which a batch shares.
//!
//! Never leaves half an attach behind: a failed step takes back the ones before it, and a killed agent's half is taken
//! away by the next attach of that container or by recovery.

use std::net::Ipv4Addr;

use super::batch::{Change, Pending};
use super::{Owner, Reply, Wired, requests};
use crate::contract::{AttachRequest, Attachment, NetworkError, PublishedPort};
use crate::host_ports;
use crate::inside::configure_inside;
use crate::netns;

impl Owner {
    pub(super) async fn begin_attach(
        &mut self,
        request: AttachRequest,
        reply: Reply<Attachment>,
        batch: &mut Vec<Pending>,
    ) {
        // Ports of containers in the batch are not known to the checks; clashes are rare, so they just wait.
        let clashes = |pending: &Pending| match pending {
            Pending::Attach { wired, .. } => wired.ports.iter().any(|port| {
                let same = |other: &PublishedPort| other.host_port == port.host_port;
                request.ports.iter().any(same)
            }),
            Pending::Detach { .. } => true,
        };
        if !request.ports.is_empty() && batch.iter().any(clashes) {
            self.flush(batch).await;
        }
        match self.prepare(&request).await {
            Ok(Prepared::Done(attachment)) => drop(reply.send(Ok(attachment))),
            Ok(Prepared::Wired(wired)) => batch.push(Pending::Attach { id: request.container_id, wired, reply }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    pub(super) async fn begin_detach(&mut self, id: String, reply: Reply<()>, batch: &mut Vec<Pending>) {
        let ready = match requests::check_id(&id) {
            Ok(()) => self.iptables().await.map(drop),
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => batch.push(Pending::Detach { id, reply }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Wires a container up to its rules.
    async fn prepare(&mut self, request: &AttachRequest) -> Result<Prepared, NetworkError> {
        let ports = requests::check(request, &self.containers)?;
        self.ensure_started().await?;
        let id = &request.container_id;
        if let Some(wired) = self.containers.get(id) {
            if wired.ports != ports {
                let cause = "it is attached with other published ports: detach it first";
                return Err(NetworkError::new(format!("attach container {id}"), cause));
            }
            if netns::is_mounted(&wired.attachment.netns) {
                return Ok(Prepared::Done(wired.attachment.clone()));
            }
            tracing::warn!(container_id = %id, "network namespace vanished, making a new one");
            self.take_down(id).await?;
        }
        let held = host_ports::reserve(&ports).await?;
        let address = match self.adopt(id).await? {
            Some(address) => address,
            None => self.wire(id).await?,
        };
        let attachment = Attachment { netns: self.names.netns_path(id), address };
        Ok(Prepared::Wired(Wired { attachment, ports, held }))
    }

    /// The address of a container that a former life of the agent wired to the end.
    pub(super) async fn adopt(&mut self, id: &str) -> Result<Option<Ipv4Addr>, NetworkError> {
        let Some(address) = self.found.get(&self.names.netns(id)).copied() else {
            return Ok(None);
        };
        let host_link = self.links.find(&self.names.host_link(id)).await?;
        if host_link.is_some_and(|link| link.bridge.is_some() && link.bridge == self.bridge) {
            self.found.remove(&self.names.netns(id));
            return Ok(Some(address));
        }
        self.take_down(id).await?;
        Ok(None)
    }

    async fn wire(&mut self, id: &str) -> Result<Ipv4Addr, NetworkError> {
        // Half of an attach that was killed may lie there.
        self.take_down(id).await?;
        let address = self.pool.take().ok_or_else(|| {
            let cause = format!("all addresses of {} are in use: stop some containers", self.config.subnet);
            NetworkError::new(format!("attach container {id}"), cause)
        })?;
        match self.wire_with(id, address).await {
            Ok(()) => Ok(address),
            Err(error) => {
                self.pool.release(address);
                self.take_down_after(id, &error).await;
                Err(error)
            }
        }
    }

    async fn wire_with(&self, id: &str, address: Ipv4Addr) -> Result<(), NetworkError> {
        let path = self.names.netns_path(id);
        let bridge = self.bridge.unwrap_or_default();
        netns::create(&path).await?;
        let link = self.names.host_link(id);
        self.links.add_pair(&link, bridge, &path, address).await?;
        configure_inside(&path, address, self.config.subnet.gateway()).await
    }

    pub(super) async fn finish_attach(
        &mut self,
        id: String,
        mut wired: Wired,
        rules: Result<(), NetworkError>,
    ) -> Result<Attachment, NetworkError> {
        let attachment = wired.attachment.clone();
        let finished = match rules {
            Ok(()) => host_ports::listen(std::mem::take(&mut wired.held)),
            Err(error) => Err(error),
        };
        let failed = finished.map(|held| wired.held = held).err();
        self.containers.insert(id.clone(), wired);
        let Some(error) = failed else {
            return Ok(attachment);
        };
        let no_rules = Change { id: id.clone(), rules: Vec::new() };
        if let Some(Err(cause)) = self.apply(vec![no_rules]).await.pop() {
            tracing::warn!(container_id = %id, error = %cause, "rules of a failed attach stay until detach");
        }
        self.take_down_after(&id, &error).await;
        Err(error)
    }

    pub(super) async fn finish_detach(
        &mut self,
        id: &str,
        rules: Result<(), NetworkError>,
    ) -> Result<(), NetworkError> {
        rules?;
        self.take_down(id).await
    }

    /// Removes link, namespace and address of a container, whatever of them there is.
    pub(super) async fn take_down(&mut self, id: &str) -> Result<(), NetworkError> {
        self.links.delete(&self.names.host_link(id)).await?;
        netns::remove(&self.names.netns_path(id))?;
        let wired = self.containers.remove(id).map(|wired| wired.attachment.address);
        let found = self.found.remove(&self.names.netns(id));
        for address in wired.into_iter().chain(found) {
            self.pool.release(address);
        }
        Ok(())
    }

    async fn take_down_after(&mut self, id: &str, error: &NetworkError) {
        if let Err(second) = self.take_down(id).await {
            tracing::warn!(container_id = %id, %error, %second, "cleaning up after a failed attach failed, too");
        }
    }
}

/// How far `prepare` came.
enum Prepared {
    Done(Attachment),
    Wired(Wired),
}
