//! Start, recovery after a restart, and removal of everything.
//!
//! Never trusts a memory: what exists is asked from the kernel, what should exist from the caller.

use std::collections::BTreeMap;
use std::fs::{self, File};

use nix::fcntl::{Flock, FlockArg};

use super::{Owner, Wired, requests};
use crate::conntrack::{Stale, forget};
use crate::contract::{AttachRequest, Attachment, NetworkError};
use crate::forwarding::{self, Farewell};
use crate::host_ports;
use crate::links::Link;
use crate::netns;

impl Owner {
    pub(super) async fn start(&mut self) -> Result<(), NetworkError> {
        let first = self.bridge.is_none();
        let iptables = self.iptables().await?;
        let lock = self.lock_host()?;
        let bridge = self.make_bridge().await?;
        drop(lock);
        let saved = iptables.save().await?;
        iptables.restore(&self.rules.install(&saved)).await?;
        self.live_rules = saved.containers(&self.names);
        self.bridge = Some(bridge);
        if first {
            self.look_around().await?;
        }
        Ok(())
    }

    pub(super) async fn ensure_started(&mut self) -> Result<(), NetworkError> {
        match self.bridge {
            Some(_) => Ok(()),
            None => self.start().await,
        }
    }

    pub(super) async fn recover(&mut self, keep: Vec<AttachRequest>) -> Result<(), NetworkError> {
        self.start().await?;
        let mut wanted = BTreeMap::new();
        for request in keep {
            let others = BTreeMap::new();
            let ports = requests::check(&request, &others)?;
            wanted.insert(request.container_id, ports);
        }
        // Nothing is known any more but what is found; what this life wired is found, too.
        for (id, wired) in std::mem::take(&mut self.containers) {
            self.found.insert(self.names.netns(&id), wired.attachment.address);
        }
        for (id, ports) in &wanted {
            let Some(address) = self.adopt(id).await? else {
                tracing::warn!(container_id = %id, "no wired network namespace to keep");
                continue;
            };
            let attachment = Attachment { netns: self.names.netns_path(id), address };
            let wired = Wired { attachment, ports: ports.clone(), held: Vec::new() };
            self.containers.insert(id.clone(), wired);
        }
        self.replace_rules().await?;
        let gone: Vec<_> = self.found.values().map(|address| Stale::From(*address)).collect();
        forget(&gone);
        self.sweep().await?;
        self.hold_ports().await;
        Ok(())
    }

    pub(super) async fn remove_all(&mut self) -> Result<(), NetworkError> {
        let iptables = self.iptables().await?;
        self.bridge = self.links.find(&self.names.bridge()).await?.map(|bridge| bridge.index);
        self.containers.clear();
        let saved = iptables.save().await?;
        if let Some(transaction) = self.rules.uninstall(&saved) {
            iptables.restore(&transaction).await?;
        }
        self.live_rules.clear();
        self.sweep().await?;
        self.found.clear();
        self.pool.clear();
        self.bridge = None;
        self.remove_bridge().await
    }

    /// Keeps other agents of this machine away from what all agents share; ends when dropped.
    fn lock_host(&self) -> Result<Flock<File>, NetworkError> {
        let dir = self.names.netns_dir();
        let failed = |error: std::io::Error| {
            let cause = format!("{error}; run the agent as root or configure another directory");
            NetworkError::new(format!("use {} for network namespaces", dir.display()), cause)
        };
        fs::create_dir_all(dir).map_err(failed)?;
        let file = File::open(dir).map_err(failed)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))
    }

    async fn make_bridge(&mut self) -> Result<u32, NetworkError> {
        let name = self.names.bridge();
        let gateway = self.config.subnet.gateway();
        self.check_subnet(&name).await?;
        if self.links.find(&name).await?.is_none() {
            self.links.add_bridge(&name, gateway).await?;
        }
        let what = || format!("make bridge {name}");
        let bridge = self.links.find(&name).await?;
        let bridge = bridge.ok_or_else(|| NetworkError::new(what(), "it vanished"))?;
        if !bridge.is_bridge {
            let cause = "a link of that name is no bridge: remove it or give the agent another tag";
            return Err(NetworkError::new(what(), cause));
        }
        let is_on = forwarding::is_on()?;
        if let Some(note) = forwarding::note(&bridge, is_on) {
            self.links.set_alias(bridge.index, note).await?;
        }
        if !is_on {
            forwarding::set(true)?;
        }
        let addresses = self.links.addresses().await?;
        if !addresses.iter().any(|(index, address, _)| *index == bridge.index && *address == gateway) {
            self.links.add_address(bridge.index, gateway).await?;
        }
        self.links.set_up(bridge.index).await?;
        forwarding::route_loopback(&name)?;
        Ok(bridge.index)
    }

    /// The subnet must not be in use, and the bridge must not have served another one.
    async fn check_subnet(&self, bridge: &str) -> Result<(), NetworkError> {
        let (links, addresses) = (self.links.list().await?, self.links.addresses().await?);
        let subnet = self.config.subnet;
        for (index, address, len) in addresses {
            let name = links.iter().find(|link| link.index == index).map_or("?", |link| &link.name);
            let is_own = name == bridge;
            let cause = if is_own && address != subnet.gateway() {
                "remove everything of this agent before its subnet changes"
            } else if !is_own && subnet.overlaps(address, len) {
                "configure a subnet that nobody uses"
            } else {
                continue;
            };
            let what = format!("use subnet {subnet}");
            return Err(NetworkError::new(what, format!("link {name} has {address}/{len}: {cause}")));
        }
        Ok(())
    }

    /// Learns what a former life left: wired namespaces are remembered, halves are removed.
    async fn look_around(&mut self) -> Result<(), NetworkError> {
        for file in netns::list(self.names.netns_dir())? {
            if !self.names.is_netns(&file) {
                continue;
            }
            let path = self.names.netns_dir().join(&file);
            match netns::wired_address(&path).await {
                Some(address) if self.pool.claim(address) => drop(self.found.insert(file, address)),
                _ => {
                    tracing::info!(netns = %path.display(), "removing half-made network namespace");
                    netns::remove(&path)?;
                }
            }
        }
        Ok(())
    }

    async fn replace_rules(&mut self) -> Result<(), NetworkError> {
        let iptables = self.iptables().await?;
        self.live_rules.clear();
        for (id, wired) in &self.containers {
            let rules = self.rules.container_rules(id, wired.attachment.address, &wired.ports);
            self.live_rules.insert(id.clone(), rules);
        }
        let text = self.rules.replace_containers(self.live_rules.values().flatten());
        iptables.restore(&text).await
    }

    /// Removes links and namespaces of this agent that belong to no known container.
    async fn sweep(&mut self) -> Result<(), NetworkError> {
        let known = |id: &String| (self.names.host_link(id), self.names.netns(id));
        let (links, files): (Vec<_>, Vec<_>) = self.containers.keys().map(known).unzip();
        let mut strangers = Vec::new();
        for link in self.links.list().await? {
            let is_ours = match link.bridge {
                Some(bridge) => Some(bridge) == self.bridge,
                // Somebody removed the bridge and left its ports.
                None => self.names.is_host_link(&link.name),
            };
            if is_ours && !links.contains(&link.name) {
                strangers.push(link.name);
            }
        }
        self.links.delete_all(&strangers, self.bridge.unwrap_or_default()).await?;
        for file in netns::list(self.names.netns_dir())? {
            if self.names.is_netns(&file) && !files.contains(&file) {
                netns::remove(&self.names.netns_dir().join(&file))?;
                if let Some(address) = self.found.remove(&file) {
                    self.pool.release(address);
                }
            }
        }
        Ok(())
    }

    /// Containers run on when their port cannot be held; the rules lead to them all the same.
    async fn hold_ports(&mut self) {
        for (id, wired) in &mut self.containers {
            match host_ports::reserve(&wired.ports).await.and_then(host_ports::listen) {
                Ok(held) => wired.held = held,
                Err(error) => {
                    tracing::warn!(container_id = %id, %error, "cannot hold a published port")
                }
            }
        }
    }

    async fn remove_bridge(&self) -> Result<(), NetworkError> {
        let Some(bridge) = self.links.find(&self.names.bridge()).await? else {
            return Ok(());
        };
        let _lock = self.lock_host()?;
        let links: Vec<Link> = self.links.list().await?;
        match forwarding::farewell(&bridge, &links) {
            Farewell::Keep => {}
            Farewell::TurnOff => forwarding::set(false)?,
            Farewell::HandOver(other) => self.links.set_alias(other.index, forwarding::duty()).await?,
        }
        self.links.delete(&bridge.name).await
    }
}
