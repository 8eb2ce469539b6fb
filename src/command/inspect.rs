//! `inspect`: what is in a file, and what is wrong with it.

use super::source::{Location, Sources, open};
use super::{Failure, Place, runtime};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

/// Arguments of `inspect`.
#[derive(Args)]
pub struct Arguments {
    /// An MP4 file, an init or media segment, an MPD, or an HLS playlist: a path, `-`,
    /// http(s)://… or s3://BUCKET/KEY.
    #[arg(value_parser = OsStringValueParser::new().try_map(Location::parse))]
    file: Location,
}

/// Prints the report; a defect is a refusal.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let runtime = runtime()?;
    let source = Sources::new(place, runtime.handle().clone())?.find(&arguments.file)?;
    let name = || arguments.file.to_string();
    let mut file = open(&source)?;
    let report =
        media::inspect::inspect(&mut *file).with_context(name).map_err(Failure::Refused)?;
    answer.print(&report, |report| report.to_string());
    match report.defects().len() {
        0 => Ok(()),
        found => Err(Failure::Refused(anyhow::anyhow!("{}: {found} defects", name()))),
    }
}
