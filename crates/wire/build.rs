//! Compiles `proto/` with a compiler written in Rust, so that no `protoc` is needed on the machine. The generated code
//! is a pure function of `proto/` and of the locked crates, which is why it is made here and not committed.

use prost::Message as _;

const FILES: [&str; 3] =
    ["tandem/sync/v1/changed.proto", "tandem/sync/v1/due.proto", "tandem/sync/v1/job_event.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let set = protox::compile(FILES, [&root])?;
    let raw = set.encode_to_vec();
    prost_build::Config::new().compile_fds(set)?;
    // a newer sender may add fields
    pbjson_build::Builder::new()
        .register_descriptors(&raw)?
        .ignore_unknown_fields()
        .build(&[".tandem.sync.v1"])?;
    Ok(())
}
