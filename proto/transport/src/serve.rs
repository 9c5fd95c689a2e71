//! Servers: gRPC and plain HTTP on one port.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::{Request, header::CONTENT_TYPE};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::{ServiceExt, service_fn};

use crate::cut::CutStream;
use crate::{Address, KeepAlive, Shutdown, unreadable};

/// Largest gRPC message a server decodes, in bytes. Give it to each service with `max_decoding_message_size`.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Largest HTTP/2 frame, in bytes.
pub const MAX_FRAME_BYTES: u32 = 64 << 10;

/// Most open calls on one connection.
const MAX_STREAMS: u32 = 1_024;

/// Largest head of one request, in bytes.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Why a server could not listen or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen or stop what uses it")]
    Bind {
        /// The address.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The server broke.
    #[error("the server on {address} broke: {source}")]
    Broken {
        /// Where it listened.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Listens; port 0 takes a free one. The second value is the address that was bound.
///
/// # Errors
/// [`ServeError::Bind`] when the address is taken or not of this host.
pub async fn bind(address: &Address) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address: address.clone(), source };
    let listener = TcpListener::bind((address.host(), address.port())).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves gRPC calls (by their content type) and plain HTTP/1.1 and HTTP/2 requests on one listener, until
/// `shutdown` ends. Returns once every connection is closed or cut.
///
/// # Errors
/// [`ServeError::Broken`] when the server cannot go on.
pub async fn serve(listener: TcpListener, grpc: Routes, http: Router, shutdown: Shutdown) -> Result<(), ServeError> {
    serve_with(listener, grpc, http, shutdown, KeepAlive::default()).await
}

/// The same with keepalive of the caller's choice.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    listener: TcpListener,
    grpc: Routes,
    http: Router,
    shutdown: Shutdown,
    keep_alive: KeepAlive,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let cut = shutdown.cut_token();
    let incoming = TcpListenerStream::new(listener).map(move |accepted| {
        accepted.map(|stream| {
            // Without it small messages wait for the acknowledgement of earlier ones.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY on a connection");
            }
            CutStream::new(stream, cut.clone())
        })
    });
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(keep_alive.interval))
        .http2_keepalive_timeout(Some(keep_alive.timeout))
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .add_routes(Routes::from(by_content_type(grpc.into_axum_router(), http)))
        .serve_with_incoming_shutdown(incoming, {
            let s = shutdown.clone();
            async move { s.draining().await }
        });
    tokio::select! {
        served = server => served.map_err(|source| ServeError::Broken { address, source }),
        () = shutdown.ended() => Ok(()),
    }
}

/// gRPC is told apart by its content type, so that each side keeps an answer of its own for unknown paths.
fn by_content_type(grpc: Router, http: Router) -> Router {
    Router::new().fallback_service(service_fn(move |request: Request<Body>| {
        let (is_grpc, path) = (is_grpc(&request), request.uri().path().to_owned());
        let side = if is_grpc { grpc.clone() } else { http.clone() };
        async move {
            let answer: Result<Response, Infallible> = side.oneshot(request).await;
            answer.map(|response| if is_grpc { unreadable::explain(&path, response) } else { response })
        }
    }))
}

fn is_grpc(request: &Request<Body>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
