//! Makes Rust of the messages in `proto/`: the types and protobuf by prost, JSON and what is required by [`json`].

mod json;
mod names;

use std::path::Path;
use std::{env, fs};

const FILES: [&str; 9] = [
    "mesos/v1/mesos.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/allocator/allocator.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/resource_provider/resource_provider.proto",
    "mesos/v1/scheduler/scheduler.proto",
];

#[expect(clippy::print_stdout, reason = "cargo listens there")]
fn main() {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build");
    let out = env::var_os("OUT_DIR").expect("cargo says where to");
    let set = protox::compile(FILES, ["proto"]).unwrap_or_else(|error| panic!("{error:?}"));
    fs::write(Path::new(&out).join("json.rs"), json::generate(&set)).expect("a writable folder");
    prost_build::Config::new()
        .btree_map(["."])
        .compile_well_known_types()
        .include_file("tree.rs")
        .compile_fds(set)
        .unwrap_or_else(|error| panic!("{error}"));
}
