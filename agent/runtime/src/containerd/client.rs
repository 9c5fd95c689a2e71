//! One connection to containerd: namespace and lease on every request, one table from status codes to our errors.
//! Holds no state besides the connection, which reconnects by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1 as api;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::{RuntimeError, RuntimeErrorKind};

/// Answers may hold many specifications of 20 kB each.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Content under a lease whose owner died is freed after this time.
const LEASE_HOURS: i64 = 24;

/// A containerd that takes longer for anything but waiting and image data is overloaded or stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to connect to a socket on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    namespace: MetadataValue<Ascii>,
    socket: Arc<PathBuf>,
}

/// Keeps content and snapshots from the garbage collector until it is released.
pub(super) struct Lease {
    id: String,
    header: MetadataValue<Ascii>,
}

impl Client {
    /// Never fails for a daemon that is down: the first request does.
    pub(super) fn new(socket: &Path, namespace: &str) -> Result<Self, RuntimeError> {
        let what = || format!("connect to containerd at {}", socket.display());
        // No HTTP/2 keepalive here: both ends are on this machine, so a dead peer closes the socket at once,
        // and containerd's server drops clients that ping more often than every five minutes.
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))
            .map_err(|error| RuntimeError::invalid(what(), error))?
            .connect_timeout(CONNECT_TIMEOUT);
        let namespace = namespace.parse().map_err(|error| RuntimeError::invalid(what(), error))?;
        Ok(Self { channel: endpoint.connect_lazy(), namespace, socket: Arc::new(socket.to_owned()) })
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel())
    }

    pub(super) fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn content(&self) -> ContentClient<Channel> {
        ContentClient::new(self.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn diff(&self) -> DiffClient<Channel> {
        DiffClient::new(self.channel())
    }

    fn leases(&self) -> LeasesClient<Channel> {
        LeasesClient::new(self.channel())
    }

    /// A request that must be answered within [`ANSWER_TIMEOUT`].
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.patient_request(message);
        request.set_timeout(ANSWER_TIMEOUT);
        request
    }

    /// A request that may take as long as it needs.
    pub(super) fn patient_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        request
    }

    /// A request under a lease: work on images, which may take as long as it needs.
    pub(super) fn leased<T>(&self, lease: &Lease, message: T) -> Request<T> {
        let mut request = self.patient_request(message);
        request.metadata_mut().insert("containerd-lease", lease.header.clone());
        request
    }

    pub(super) async fn lease(&self) -> Result<Lease, RuntimeError> {
        let id = format!("proffer-{}", uuid::Uuid::new_v4());
        let expire = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(LEASE_HOURS);
        let labels = [("containerd.io/gc.expire".to_owned(), expire.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())];
        let create = api::CreateRequest { id: id.clone(), labels: labels.into() };
        self.leases()
            .create(self.request(create))
            .await
            .map_err(|status| self.error("create a containerd lease", status))?;
        let header = id.parse().map_err(|error| RuntimeError::internal("create a containerd lease", error))?;
        Ok(Lease { id, header })
    }

    /// Keeps a blob or a snapshot from the garbage collector whether or not it is there yet.
    /// Lease first, look afterwards: what is seen then stays.
    pub(super) async fn lease_resource(&self, lease: &Lease, kind: &str, id: &str) -> Result<(), RuntimeError> {
        let resource = api::Resource { id: id.to_owned(), r#type: kind.to_owned() };
        let add = api::AddResourceRequest { id: lease.id.clone(), resource: Some(resource) };
        self.leases()
            .add_resource(self.request(add))
            .await
            .map_err(|status| self.error(format!("lease {kind} {id}"), status))?;
        Ok(())
    }

    /// Gives everything under the lease back to the garbage collector; a lost lease runs out by itself.
    pub(super) async fn release(&self, lease: Lease) {
        let delete = api::DeleteRequest { id: lease.id, sync: false };
        if let Err(status) = self.leases().delete(self.request(delete)).await {
            tracing::debug!(error = %status, "containerd lease left to expire");
        }
    }

    /// Our error for a status of containerd.
    pub(super) fn error(&self, what: impl Into<String>, status: Status) -> RuntimeError {
        if is_connection_lost(&status) {
            let cause = format!(
                "containerd at {} does not answer ({}); is it running?",
                self.socket.display(),
                status.message()
            );
            return RuntimeError::new(RuntimeErrorKind::Unavailable, what, cause);
        }
        let kind = match status.code() {
            Code::NotFound => RuntimeErrorKind::NotFound,
            Code::AlreadyExists => RuntimeErrorKind::AlreadyExists,
            Code::InvalidArgument => RuntimeErrorKind::Invalid,
            Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted => RuntimeErrorKind::Unavailable,
            _ => RuntimeErrorKind::Internal,
        };
        RuntimeError::new(kind, what, status.message())
    }
}

/// True when the daemon went away, or never was there, rather than said no.
pub(super) fn is_connection_lost(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Cancelled => true,
        Code::Unknown | Code::Internal => {
            let text = status.message();
            ["transport error", "h2 protocol error", "connection error", "error reading a body"]
                .iter()
                .any(|part| text.contains(part))
        }
        _ => false,
    }
}

/// True when the shim behind a task died.
pub(super) fn is_shim_lost(status: &Status) -> bool {
    status.code() == Code::Unknown && status.message().contains("ttrpc: closed")
}
