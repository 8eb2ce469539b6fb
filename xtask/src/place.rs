//! Where things are in the repository.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's output folder; what the chores make lies in it too, so that git never sees it.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The independent tools that tests compare with: `packager`, `ffmpeg`, `ffprobe`.
pub fn peers() -> PathBuf {
    target().join("peers")
}

/// Programs that are built for the tests.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// The S3 server of the tests.
pub fn s3_server() -> PathBuf {
    tools().join("bin/s3s-fs")
}

/// The binary that `cargo build` makes.
pub fn strongroom() -> PathBuf {
    target().join("debug/strongroom")
}

/// A cargo command in the repository's root.
///
/// `cargo xtask` itself runs below cargo, which hands its child the variables of the xtask
/// package; a nested cargo that saw them would take build scripts for changed.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
