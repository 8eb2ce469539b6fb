//! Strongroom: content protection for a streaming service in one binary.

mod command;
mod core_dumps;
mod measure;
mod screen;

use clap::Parser as _;
use command::Command;
use std::alloc::System;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is given back. Our own types wipe themselves; a license that leaves by a
/// connection also lies in buffers of libraries, which do not.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let line = command::Line::parse();
    let dumps = core_dumps::off();
    let log = if line.command.is_service() { "info" } else { "warn" };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("STRONGROOM_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(log)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Err(error) = dumps {
        tracing::warn!(%error, "a crash may write keys to a core dump");
    }
    match Command::run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}
