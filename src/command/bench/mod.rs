//! `bench`: the figures of the README, with the command that reproduces them.

mod challenges;
mod exchange;
mod keys;
mod licenses;
mod load;
mod package;
mod rotation;
mod served;

use super::{Failure, Place};
use crate::screen::Answer;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub enum Arguments {
    /// CPU and memory of packaging, against `cp` and, where found, Shaka Packager.
    Package(package::Arguments),
    /// CPU per license and latency of a running service.
    Licenses(licenses::Arguments),
    /// Opening and rewrapping keys, at a file and at the back end that the settings name.
    Keys(keys::Arguments),
    /// Licenses of a crowd that watches a live event whose keys change, in virtual time.
    Rotation(rotation::Arguments),
}

/// Measures.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Package(arguments) => package::run(&arguments, answer),
        Arguments::Licenses(arguments) => licenses::run(&arguments, answer),
        Arguments::Keys(arguments) => keys::run(&arguments, place, answer),
        Arguments::Rotation(arguments) => rotation::run(&arguments, answer),
    }
}
