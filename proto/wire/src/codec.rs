//! Decodes what comes over the wire as prost does, but gives up on a call of a framework that has too many fields.
//!
//! The bytes of a message are bounded by the server. That does not bound what becomes of them: an empty task is two
//! bytes on the wire and half a kilobyte in memory, so that one legal-sized message could take gigabytes. Never looks at
//! what fields say; that is for the converters.

use std::any::TypeId;
use std::cell::Cell;
use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// Most parts of one call of a framework: a field has at least two, its tag and its value or length. The largest accept
/// the master takes (1,000 tasks) has room for about 500 in each task.
pub const MAX_CALL_PARTS: usize = 500_000;

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
    U: Message + Default + Send + 'static,
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

impl<U: Message + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Frameworks are anybody's; agents and the master's answers are ours.
        let is_call = TypeId::of::<U>() == TypeId::of::<crate::scheduler::Call>();
        let most = if is_call { MAX_CALL_PARTS } else { usize::MAX };
        decode(buf, most).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

fn decode<U: Message + Default>(buf: impl Buf, most: usize) -> Result<U, Status> {
    let left = Cell::new(most);
    let decoded = U::decode(Parts { buf, left: &left });
    // First: what was cut off may look whole.
    if left.get() == 0 {
        return Err(Status::resource_exhausted(format!("it has more than {most} fields and values")));
    }
    decoded.map_err(|error| Status::internal(error.to_string()))
}

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
    use crate::common::{ContainerSpec, EnvVar, TaskSpec};
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
        assert_eq!(decode::<Call>(&bytes[..], MAX_CALL_PARTS).unwrap(), call);
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
        let status = decode::<Call>(&bytes[..], MAX_CALL_PARTS).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("500000 fields"), "{status}");
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
            let refused = (1..2 * bytes.len()).take_while(|&most| decode::<Call>(pieces(&bytes, piece), most).is_err());
            let enough = refused.count() + 1;
            assert!((20..2 * bytes.len()).contains(&enough), "{enough} parts");
            for most in enough..enough + 50 {
                assert_eq!(decode::<Call>(pieces(&bytes, piece), most).unwrap(), call);
            }
        }
    }

    #[test]
    fn what_is_no_message_is_told_as_before() {
        let status = decode::<Subscribe>(&[0xff; 40][..], 1_000).unwrap_err();
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
