//! Generated gRPC and protobuf code of the Proffer protocol, and the codec that bounds what a call may hold.
//!
//! Only edges use these types; everything behind an edge speaks `proffer-proto-model`.
#![allow(missing_docs)]

mod bounds;
mod codec;

mod proffer {
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("proffer.common.v1");
        }
    }
    pub mod scheduler {
        pub mod v1 {
            tonic::include_proto!("proffer.scheduler.v1");
        }
    }
    pub mod agent {
        pub mod v1 {
            tonic::include_proto!("proffer.agent.v1");
        }
    }
    pub mod operator {
        pub mod v1 {
            tonic::include_proto!("proffer.operator.v1");
        }
    }
    pub mod service {
        pub mod v1 {
            tonic::include_proto!("proffer.service.v1");
        }
    }
    pub mod batch {
        pub mod v1 {
            tonic::include_proto!("proffer.batch.v1");
        }
    }
}

pub use bounds::{MAX_AGENT_PARTS, MAX_CALL_PARTS};
pub use codec::{BoundedCodec, count_bytes, count_parts};

/// The agent API.
pub use proffer::agent::v1 as agent;
/// The API of the batch framework.
pub use proffer::batch::v1 as batch;
/// Resources, tasks and other words all APIs share.
pub use proffer::common::v1 as common;
/// The operator API.
pub use proffer::operator::v1 as operator;
/// The scheduler API.
pub use proffer::scheduler::v1 as scheduler;
/// The API of the service framework.
pub use proffer::service::v1 as service;

/// The encoded file descriptor set of all APIs, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
