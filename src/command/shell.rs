//! `openapi`, `completions`, `man`: what the binary says about itself.

use super::{Failure, Line};
use clap::{Args, CommandFactory as _};
use std::io::Write as _;

/// Arguments of `completions`.
#[derive(Args)]
pub struct Arguments {
    /// The shell to write for.
    shell: clap_complete::Shell,
}

/// Prints the OpenAPI document.
pub fn openapi() -> Result<(), Failure> {
    write_out(server::openapi().as_bytes())
}

/// Prints a completion script.
pub fn completions(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Line::command(), "strongroom", &mut script);
    write_out(&script)
}

/// Prints the manual page (roff).
pub fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Line::command()).render(&mut page).map_err(Failure::environment)?;
    write_out(&page)
}

/// Writes whole documents; a reader that went away is not a failure.
fn write_out(document: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(document) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::environment(error))
        }
        _ => Ok(()),
    }
}
