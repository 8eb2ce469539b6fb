//! What `package` can be asked.

use clap::{Args, ValueEnum};
use media::package::Layout;
use model::Scheme;
use std::path::PathBuf;

/// Arguments of `package`.
#[derive(Args)]
pub struct Arguments {
    /// The title's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[arg(long, value_name = "ID")]
    pub(super) content: String,
    /// Write the package to this folder; absent: to the store of `--data`, and publish it.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Protection scheme; `dual` writes both from one reading.
    #[arg(long, value_enum, default_value_t = Schemes::Cbcs)]
    pub(super) scheme: Schemes,
    /// How the media lies in files.
    #[arg(long, value_enum, default_value_t = Files::Segments)]
    pub(super) layout: Files,
    /// Shortest segment; it ends at the next key frame.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) segment_seconds: u32,
    /// Raw keys (JSON list) instead of those of the key service; for tests and for moving in.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(super) keys: Option<PathBuf>,
    /// Renditions and sound tracks: MP4 files with H.264 and AAC.
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
}

/// Schemes of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Schemes {
    /// AES-CBC in a 1:9 pattern: every current device.
    Cbcs,
    /// AES-CTR: older devices.
    Cenc,
    /// Both, as two sets of files.
    Dual,
}

/// Layouts of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Files {
    /// A file for each segment.
    Segments,
    /// One file for each track, read by byte ranges.
    SingleFile,
}

impl Schemes {
    /// As the packager takes them.
    pub(super) fn list(self) -> Vec<Scheme> {
        match self {
            Self::Cbcs => vec![Scheme::Cbcs],
            Self::Cenc => vec![Scheme::Cenc],
            Self::Dual => Scheme::ALL.to_vec(),
        }
    }
}

impl Files {
    /// As the packager takes them.
    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::Segments => Layout::Segments,
            Self::SingleFile => Layout::SingleFile,
        }
    }
}
