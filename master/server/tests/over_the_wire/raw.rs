//! Streams on bare HTTP/2, for what no generated client would ever send.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use prost::Message;
use tokio::net::TcpStream;

use crate::support::{Cluster, soon};

/// A gRPC stream whose bytes are ours to choose.
pub struct RawStream {
    to: SendStream<Bytes>,
    from: RecvStream,
    // Keeps the connection open.
    _connection: SendRequest<Bytes>,
}

impl RawStream {
    /// Opens a method such as `/proffer.scheduler.v1.Scheduler/Session`.
    pub async fn open(cluster: &Cluster, method: &str) -> Self {
        let address = cluster.handle.address();
        let tcp = soon("a connection", TcpStream::connect(address)).await.unwrap();
        let (connection, driver) = soon("a handshake", h2::client::handshake(tcp)).await.unwrap();
        tokio::spawn(driver);
        let mut connection = soon("a ready connection", connection.ready()).await.unwrap();
        let request = http::Request::post(format!("http://{address}{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (response, to) = connection.send_request(request, false).unwrap();
        let response = soon("a response", response).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { to, from: response.into_body(), _connection: connection }
    }

    pub fn send(&mut self, bytes: impl Into<Bytes>) {
        self.to.send_data(bytes.into(), false).unwrap();
    }

    /// Ends our side well, as far as HTTP/2 is concerned.
    pub fn finish(&mut self) {
        self.to.send_data(Bytes::new(), true).unwrap();
    }

    /// Everything the master said to the end, and the code and message of its status.
    pub async fn end<M: Message + Default>(mut self) -> (Vec<M>, i32, String) {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = soon("bytes", self.from.data()).await {
            let chunk = chunk.unwrap();
            self.from.flow_control().release_capacity(chunk.len()).unwrap();
            bytes.extend_from_slice(&chunk);
        }
        let trailers = soon("trailers", self.from.trailers()).await.unwrap().expect("a status");
        let text = |name: &str| trailers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let mut messages = Vec::new();
        while bytes.has_remaining() {
            assert_eq!(bytes.get_u8(), 0, "compressed");
            let length = bytes.get_u32() as usize;
            messages.push(M::decode(bytes.split_to(length)).unwrap());
        }
        (messages, text("grpc-status").parse().unwrap(), text("grpc-message"))
    }
}

/// A message with its head.
pub fn framed(message: &impl Message) -> Bytes {
    let mut bytes = head(message.encoded_len() as u32);
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// The head of an uncompressed message of this length.
pub fn head(length: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(length);
    bytes
}
