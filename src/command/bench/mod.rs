//! `bench`: the figures of the README, with the command that reproduces them.

mod licenses;
mod load;
mod package;

use super::Failure;
use crate::screen::Answer;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub enum Arguments {
    /// CPU and memory of packaging, against `cp` and, where found, Shaka Packager.
    Package(package::Arguments),
    /// CPU per license and latency of a running service.
    Licenses(licenses::Arguments),
}

/// Measures.
pub fn run(arguments: Arguments, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Package(arguments) => package::run(&arguments, answer),
        Arguments::Licenses(arguments) => licenses::run(&arguments, answer),
    }
}
