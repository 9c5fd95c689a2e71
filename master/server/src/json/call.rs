//! Calls the operator API in this process, as a gRPC client would over the wire: same checks, same errors.

use proffer_proto_wire::operator::operator_server::OperatorServer;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status, Streaming};

use crate::api::operator::OperatorApi;

/// The operator API in this process. Cheap to clone.
pub(super) type Operator = OperatorServer<OperatorApi>;

/// One question, one answer.
pub(super) async fn unary(
    operator: &Operator,
    method: &MethodDescriptor,
    request: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let (mut client, path) = (client(operator), path(method)?);
    ready(&mut client).await?;
    Ok(client.unary(Request::new(request), path, Dynamic(method.output())).await?.into_inner())
}

/// One question, many answers.
pub(super) async fn streaming(
    operator: &Operator,
    method: &MethodDescriptor,
    request: DynamicMessage,
) -> Result<Streaming<DynamicMessage>, Status> {
    let (mut client, path) = (client(operator), path(method)?);
    ready(&mut client).await?;
    Ok(client.server_streaming(Request::new(request), path, Dynamic(method.output())).await?.into_inner())
}

/// Answers are of this process and may be as large as they are.
fn client(operator: &Operator) -> Grpc<Operator> {
    Grpc::new(operator.clone()).max_decoding_message_size(usize::MAX)
}

async fn ready(client: &mut Grpc<Operator>) -> Result<(), Status> {
    client.ready().await.map_err(|never| match never {})
}

fn path(method: &MethodDescriptor) -> Result<http::uri::PathAndQuery, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    http::uri::PathAndQuery::try_from(path).map_err(|e| Status::internal(e.to_string()))
}

/// Messages that are known by their description only; the description is that of the answer.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|e| Status::internal(e.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), from);
        message.map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}
