//! The real binary, run as an operator would.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary on a data folder, with nothing of the caller's environment in its settings.
pub fn strongroom(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_remove("STRONGROOM_CONFIG").env_remove("STRONGROOM_LOG");
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed; its standard output.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("answers are UTF-8")
}

/// Standard error and output of a run, for assertions.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stderr[..], &output.stdout[..]].concat()).into_owned()
}
