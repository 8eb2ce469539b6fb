//! An S3 server for the tests, from the package registry: signatures are checked as Amazon
//! checks them (Version 4), objects are files in a folder.

use anyhow::Result;

use crate::{place, step};

const NAME: &str = "s3s-fs";
/// The last one for the Rust version that CONTRIBUTING.md asks for.
const VERSION: &str = "0.14.1";

/// Builds the server once, into `target/tools`.
pub fn bring() -> Result<()> {
    let built = place::s3_server();
    if built.is_file() {
        return Ok(());
    }
    let tools = place::tools();
    let mut command = place::cargo();
    // Not optimized: it is built faster than the tests could win back.
    command.args(["install", NAME, "--version", VERSION, "--locked", "--features", "binary"]);
    command.args(["--debug", "--quiet", "--root"]).arg(&tools);
    command.arg("--target-dir").arg(tools.join("build"));
    step::run(
        &format!("build {NAME} {VERSION}, an S3 server for the tests (once, a few minutes)"),
        &mut command,
        "look at the network and at the free space on this disk (`df -h .`)",
    )?;
    // Ten times the size of the program, and never needed again.
    Ok(std::fs::remove_dir_all(tools.join("build"))?)
}
