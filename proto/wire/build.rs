//! Compiles `proto/schema` with protox, so that no system protoc is needed.
use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 7] = [
    "common/resources.proto",
    "common/task.proto",
    "scheduler/scheduler.proto",
    "agent/agent.proto",
    "operator/operator.proto",
    "service/service.proto",
    "batch/batch.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let schema = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../schema");
    println!("cargo:rerun-if-changed={}", schema.display());
    let descriptors = protox::compile(FILES, [&schema])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    // The codec bounds messages by their name.
    config.enable_type_names();
    tonic_prost_build::configure().codec_path("crate::BoundedCodec").compile_fds_with_config(descriptors, config)?;
    Ok(())
}
