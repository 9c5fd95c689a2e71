//! Real sockets: gRPC and HTTP on one port, a dead peer, a stopping server.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use proffer_proto_transport::{
    Address, ErrorKind, KeepAlive, RemoteError, Shutdown, bind, connect, connect_with, serve, serve_with,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Longer than anything here takes on a loaded machine.
const LONG: Duration = Duration::from_secs(60);

async fn start(keep_alive: KeepAlive) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let http = Router::new().route("/hello", get(|| async { "hello over http" }));
    let (listener, address) = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shutdown = Shutdown::new(Duration::from_millis(200));
    let served = serve_with(listener, Routes::new(health), http, shutdown.clone(), keep_alive);
    (address, shutdown, tokio::spawn(async move { served.await.unwrap() }))
}

async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

#[tokio::test]
async fn one_port_answers_grpc_and_http() {
    let (address, shutdown, server) = start(KeepAlive::default()).await;
    let mut client = HealthClient::new(connect(&Address::from(address)).unwrap());
    assert_eq!(client.check(request()).await.unwrap().into_inner().status, 1);

    let answer = http_get(address, "/hello").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello over http"), "{answer}");
    let answer = http_get(address, "/nothing-here").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "an unknown page is a 404, not an empty gRPC answer: {answer}");

    shutdown.begin();
    timeout(LONG, server).await.unwrap().unwrap();
    TcpListener::bind(address).await.expect("the port is free again");
}

#[tokio::test]
async fn an_open_stream_ends_when_the_server_is_cut() {
    let (address, shutdown, server) = start(KeepAlive::default()).await;
    let mut client = HealthClient::new(connect(&Address::from(address)).unwrap());
    let mut watch = client.watch(request()).await.unwrap().into_inner();
    watch.message().await.unwrap();

    shutdown.cut();
    timeout(LONG, server).await.unwrap().unwrap();
    let ended = timeout(LONG, watch.message()).await.expect("the stream ends");
    assert!(ended.is_err(), "a cut stream ends with an error: {ended:?}");
}

#[tokio::test]
async fn a_silent_peer_is_found_out_by_keepalive() {
    let (address, _shutdown, _server) = start(KeepAlive::default()).await;
    let (proxy, cables) = proxy_to(address).await;
    let fast = KeepAlive { interval: Duration::from_millis(100), timeout: Duration::from_millis(100) };
    let mut client = HealthClient::new(connect_with(&Address::from(proxy), fast).unwrap());
    let mut watch = client.watch(request()).await.unwrap().into_inner();
    watch.message().await.unwrap();

    cables.abort();
    let ended = timeout(LONG, watch.message()).await.expect("keepalive ends the stream");
    assert!(ended.is_err(), "{ended:?}");
}

/// Forwards one connection until aborted; then both sockets stay open and silent, as in a partition.
async fn proxy_to(server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cables = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        // Leaked on purpose: closing them would tell the client that the peer is gone.
        let (client, server) = (Box::leak(Box::new(client)), Box::leak(Box::new(server)));
        tokio::io::copy_bidirectional(client, server).await.unwrap();
    });
    (address, cables)
}

#[tokio::test]
async fn an_absent_server_is_told_in_words() {
    let (listener, address) = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    drop(listener);
    let mut client = HealthClient::new(connect(&Address::from(address)).unwrap());
    let error = RemoteError::from(client.check(request()).await.unwrap_err());
    assert_eq!((error.kind, error.is_local), (ErrorKind::Unavailable, true), "{error}");
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_fix() {
    let (listener, address) = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = bind(&Address::from(address)).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    let served = serve(listener, Routes::default(), Router::new(), {
        let shutdown = Shutdown::default();
        shutdown.begin();
        shutdown
    });
    timeout(LONG, served).await.unwrap().unwrap();
}
