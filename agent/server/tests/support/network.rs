//! Networks in memory.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;

use proffer_agent_network::{AttachRequest, Attachment, Network, NetworkError};

/// Remembers which containers are wired.
#[derive(Debug, Default)]
pub struct MemoryNetwork {
    pub attached: Mutex<BTreeSet<String>>,
    pub removed_all: Mutex<bool>,
}

#[tonic::async_trait]
impl Network for MemoryNetwork {
    async fn start(&self) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        self.attached.lock().unwrap().insert(request.container_id.clone());
        Ok(Attachment { netns: PathBuf::from("/run/netns/x"), address: Ipv4Addr::new(10, 9, 8, 7) })
    }

    async fn detach(&self, container_id: &str) -> Result<(), NetworkError> {
        self.attached.lock().unwrap().remove(container_id);
        Ok(())
    }

    async fn recover(&self, keep: &[AttachRequest]) -> Result<(), NetworkError> {
        let keep: BTreeSet<_> = keep.iter().map(|request| request.container_id.clone()).collect();
        self.attached.lock().unwrap().retain(|id| keep.contains(id));
        Ok(())
    }

    async fn remove_all(&self) -> Result<(), NetworkError> {
        self.attached.lock().unwrap().clear();
        *self.removed_all.lock().unwrap() = true;
        Ok(())
    }
}
