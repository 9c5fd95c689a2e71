//! Decodes what comes over the wire as prost does, but gives up on a message that has too many fields.
//!
//! The bytes of a message are bounded by the server. That does not bound what becomes of them: an empty task is two
//! bytes on the wire and half a kilobyte in memory, so that one legal-sized message could take gigabytes. Never looks at
//! what fields say; that is for the converters.

use std::cell::Cell;
use std::marker::PhantomData;

use prost::bytes::Buf;
use prost::{DecodeError, Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use crate::bounds::Bound;

/// The codec of all services of the protocol.
#[derive(Debug)]
pub struct BoundedCodec<T, U> {
    types: PhantomData<(T, U)>,
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder { message: PhantomData }
    }
}

/// Decodes messages of one kind.
#[derive(Debug)]
pub struct BoundedDecoder<U> {
    message: PhantomData<U>,
}

impl<U: Message + Name + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        decode(buf, &Bound::of(U::PACKAGE, U::NAME)).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

fn decode<U: Message + Default>(buf: impl Buf, bound: &Bound) -> Result<U, Status> {
    let mut head = [0; MAX_KEY_BYTES];
    let known = buf.chunk().len().min(MAX_KEY_BYTES);
    head[..known].copy_from_slice(&buf.chunk()[..known]);
    decode_at_most(buf, bound.parts).map_err(|error| match error {
        Some(error) => Status::internal(error.to_string()),
        None => Status::resource_exhausted(bound.told(&head[..known])),
    })
}

/// `None` for a message that has more parts.
fn decode_at_most<U: Message + Default>(buf: impl Buf, most: usize) -> Result<U, Option<DecodeError>> {
    let left = Cell::new(most);
    let decoded = U::decode(Parts { buf, left: &left });
    // First: what was cut off may look whole.
    if left.get() == 0 {
        return Err(None);
    }
    decoded.map_err(Some)
}

/// How many bytes a message takes on the wire.
pub fn count_bytes<M: Message>(message: &M) -> usize {
    message.encoded_len()
}

/// How many parts a message has, as they are counted when it is decoded.
pub fn count_parts<M: Message + Default>(message: &M) -> usize {
    let left = Cell::new(usize::MAX);
    let bytes = message.encode_to_vec();
    // What was just made can be read.
    let _same = M::decode(Parts { buf: &bytes[..], left: &left });
    usize::MAX - left.get()
}

/// Longest key of a field.
const MAX_KEY_BYTES: usize = 10;

/// What is read once too many parts have been: no length, no tag and no text begins like this, so that reading ends with
/// an error at once. (A buffer that seemed to end would do, if nobody asked it for what it had promised before.)
const NOTHING: [u8; 16] = [0xff; 16];

/// A buffer out of which only so many parts can be taken.
struct Parts<'a, B> {
    buf: B,
    left: &'a Cell<usize>,
}

impl<B: Buf> Buf for Parts<'_, B> {
    fn remaining(&self) -> usize {
        self.buf.remaining()
    }

    fn chunk(&self) -> &[u8] {
        match self.left.get() {
            0 => &NOTHING[..self.buf.remaining().min(NOTHING.len())],
            _ => self.buf.chunk(),
        }
    }

    fn advance(&mut self, count: usize) {
        self.left.set(self.left.get().saturating_sub(1));
        self.buf.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use prost::bytes::BytesMut;

    use super::*;
    use crate::agent::{AgentMessage, AgentTask, AttachRequest, agent_message};
    use crate::bounds::{MAX_AGENT_PARTS, MAX_CALL_PARTS};
    use crate::common::{ContainerSpec, EnvVar, TaskSpec};
    use crate::operator::SetWeightsRequest;
    use crate::scheduler::{Accept, Call, Launch, Operation, Subscribe, TaskLaunch, call, operation};

    fn accept(tasks: Vec<TaskLaunch>) -> Call {
        let launch =
            Operation { operation: Some(operation::Operation::Launch(Launch { tasks })), ..Default::default() };
        let accept = Accept { operations: vec![launch], ..Default::default() };
        Call { call: Some(call::Call::Accept(accept)) }
    }

    /// A thousand tasks as long as anybody's.
    fn long_accept() -> Call {
        let env = |n: usize| EnvVar { name: format!("VARIABLE_{n}"), value: "a value".repeat(3), ..Default::default() };
        let container = ContainerSpec {
            command: vec!["sh".to_owned(), "-c".to_owned()],
            env: (0..30).map(env).collect(),
            ..Default::default()
        };
        let spec = TaskSpec { container: Some(container), ..Default::default() };
        accept(vec![TaskLaunch { task: Some(spec), ..Default::default() }; 1_000])
    }

    #[test]
    fn the_longest_call_of_anybody_is_decoded() {
        let call = long_accept();
        let bytes = call.encode_to_vec();
        assert!(bytes.len() < 4 << 20, "{}", bytes.len());
        assert_eq!(decoded::<Call>(&bytes).unwrap(), call);
        assert!(count_parts(&call) < MAX_CALL_PARTS, "{}", count_parts(&call));
    }

    fn decoded<M: Message + Name + Default>(bytes: &[u8]) -> Result<M, Status> {
        decode(bytes, &Bound::of(M::PACKAGE, M::NAME))
    }

    /// Ten thousand tasks of forty variables are known at once, in 64 MiB.
    #[test]
    fn all_tasks_of_the_largest_agent_are_decoded() {
        let env =
            |n: usize| EnvVar { name: format!("VARIABLE_{n}"), value: "a value".repeat(10), ..Default::default() };
        let container = ContainerSpec { env: (0..40).map(env).collect(), ..Default::default() };
        let spec = TaskSpec { task_id: "t".repeat(40), container: Some(container), ..Default::default() };
        let one = AgentTask { framework_id: "F1-1".to_owned(), task: Some(spec), ..Default::default() };
        let attach = AttachRequest { tasks: vec![one; 10_000], ..Default::default() };
        let message = AgentMessage { message: Some(agent_message::Message::Attach(attach)) };
        let bytes = message.encode_to_vec();
        assert!((32 << 20..64 << 20).contains(&bytes.len()), "{}", bytes.len());
        assert!(decoded::<AgentMessage>(&bytes).unwrap() == message);
    }

    #[test]
    fn empty_tasks_of_an_agent_and_weights_by_the_million_are_refused() {
        // AgentMessage.attach.tasks, SetWeightsRequest.weights
        let mut tasks = [3 << 3 | 2, 0].repeat(MAX_AGENT_PARTS);
        let mut attach = vec![1 << 3 | 2];
        prost::encode_length_delimiter(tasks.len(), &mut attach).unwrap();
        attach.append(&mut tasks);
        let status = decoded::<AgentMessage>(&attach).unwrap_err();
        assert!(status.message().starts_with("attach.tasks: the call has more than 4000000 fields"), "{status}");
        let weights = [1 << 3 | 2, 0].repeat(MAX_CALL_PARTS);
        let status = decoded::<SetWeightsRequest>(&weights).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("more than 500000 fields"), "{status}");
    }

    #[test]
    fn empty_tasks_by_the_million_are_refused_without_making_them() {
        let mut bytes = [1 << 3 | 2, 0].repeat(2_000_000);
        // Call.accept.operations.launch.tasks, made by hand: in memory they would be a gigabyte.
        for field in [2, 2, 4] {
            let mut around = vec![field << 3 | 2];
            prost::encode_length_delimiter(bytes.len(), &mut around).unwrap();
            around.append(&mut bytes);
            bytes = around;
        }
        assert!(bytes.len() < 4 << 20, "{}", bytes.len());
        let status = decoded::<Call>(&bytes).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().starts_with("accept.operations: the call has more than 500000 fields"), "{status}");
    }

    /// Wherever it is cut, in whatever pieces it comes: an error, never a panic, never half a message.
    #[test]
    fn every_bound_gives_the_whole_message_or_an_error() {
        let env = vec![EnvVar { name: "N".to_owned(), value: "v".repeat(40), ..Default::default() }; 2];
        let container = ContainerSpec { command: vec!["x".repeat(30)], env, ..Default::default() };
        let spec = TaskSpec { container: Some(container), ..Default::default() };
        let call = accept(vec![TaskLaunch { task: Some(spec), ..Default::default() }, TaskLaunch::default()]);
        let bytes = call.encode_to_vec();
        for piece in [1, 3, 7, bytes.len()] {
            let refused =
                (1..2 * bytes.len()).take_while(|&most| decode_at_most::<Call>(pieces(&bytes, piece), most).is_err());
            let enough = refused.count() + 1;
            assert!((20..2 * bytes.len()).contains(&enough), "{enough} parts");
            for most in enough..enough + 50 {
                assert_eq!(decode_at_most::<Call>(pieces(&bytes, piece), most).unwrap(), call);
            }
        }
    }

    #[test]
    fn what_is_no_message_is_told_as_before() {
        let status = decoded::<Subscribe>(&[0xff; 40]).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }

    /// The bytes as a buffer of many chunks.
    fn pieces(bytes: &[u8], piece: usize) -> impl Buf {
        let mut chunks: Vec<BytesMut> = bytes.chunks(piece).map(BytesMut::from).collect();
        chunks.reverse();
        Pieces(chunks)
    }

    struct Pieces(Vec<BytesMut>);

    impl Buf for Pieces {
        fn remaining(&self) -> usize {
            self.0.iter().map(BytesMut::len).sum()
        }

        fn chunk(&self) -> &[u8] {
            self.0.last().map_or(&[], |piece| piece)
        }

        fn advance(&mut self, mut count: usize) {
            while count > 0 {
                let piece = self.0.last_mut().expect("as many bytes as asked for");
                let taken = count.min(piece.len());
                piece.advance(taken);
                count -= taken;
                if piece.is_empty() {
                    self.0.pop();
                }
            }
        }
    }
}
