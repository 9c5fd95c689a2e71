//! A real master and peers that speak to it over real gRPC on loopback: agents whose tasks end at once, frameworks built
//! with the SDK that always want more, and frameworks that behave badly.
//!
//! Nothing here is a container: what is loaded is the master.

pub mod agent;
pub mod bad;
pub mod framework;
pub mod guards;

use std::net::SocketAddr;
use std::path::Path;

use proffer_master_server::{Config, Handle, Master, RawConfig};
use tokio::runtime::Runtime;

/// A master on threads of its own, as the process would have them.
pub struct Server {
    runtime: Runtime,
    handle: Handle,
}

impl Server {
    /// Starts a master with this configuration below this directory, on a free port.
    pub fn start(data_dir: &Path, raw: RawConfig) -> Self {
        let raw = RawConfig { listen: Some("127.0.0.1:0".to_owned()), data_dir: data_dir.to_owned(), ..raw };
        let runtime = Runtime::new().expect("threads can be started");
        let config = Config::try_from(raw).expect("the benchmark's own configuration is sound");
        let handle = runtime.block_on(Master::start(config)).expect("a master starts on an empty directory");
        Self { runtime, handle }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    /// Ends it.
    pub fn stop(self) {
        let Self { runtime, handle } = self;
        runtime.block_on(handle.shutdown()).expect("the master ends well");
    }
}
