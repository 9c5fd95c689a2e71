//! Generated gRPC and protobuf code of the Proffer protocol, and nothing else.
