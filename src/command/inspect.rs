//! `inspect`: what is in a file, and what is wrong with it.

use super::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use server::vault::FileInput;
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Args)]
pub struct Arguments {
    /// An MP4 file, an init or media segment, an MPD, or an HLS playlist.
    file: PathBuf,
}

/// Prints the report; a defect is a refusal.
pub fn run(arguments: Arguments, answer: Answer) -> Result<(), Failure> {
    let name = || arguments.file.display().to_string();
    let mut file =
        FileInput::open(&arguments.file).with_context(name).map_err(Failure::Environment)?;
    let report = media::inspect::inspect(&mut file).with_context(name).map_err(Failure::Refused)?;
    answer.print(&report, |report| report.to_string());
    match report.defects().len() {
        0 => Ok(()),
        found => Err(Failure::Refused(anyhow::anyhow!("{}: {found} defects", name()))),
    }
}
