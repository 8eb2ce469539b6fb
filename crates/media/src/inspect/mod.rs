//! What is in a file: the boxes of an MP4 with their protection, or a manifest's renditions.
//!
//! A broken file is a result, not an error: what can be read is shown, and each
//! [`Defect`] says what is wrong and where.

mod boxes;
mod facts;
mod fields;
mod manifests;
mod text;
mod tracks;

pub use facts::{Fact, Facts};
pub use fields::{BoxDetail, KeySettings};
pub use manifests::{ManifestKind, ManifestReport, RenditionReport, SystemReport};
pub use tracks::{KeyRun, Percent, TrackReport};

use crate::Input;
use crate::manifest::xml::MAX_BYTES;
use serde::Serialize;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "file", rename_all = "snake_case")]
pub enum Report {
    /// An MP4 file, an init or a media segment.
    Media(MediaReport),
    /// A DASH manifest or an HLS playlist.
    Manifest(ManifestReport),
}

/// An MP4 file, an init or a media segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaReport {
    /// Length of the file.
    pub size_bytes: u64,
    /// Its tracks, by id.
    pub tracks: Vec<TrackReport>,
    /// What is wrong with it.
    pub defects: Vec<Defect>,
    /// All its boxes.
    pub boxes: Vec<BoxNode>,
}

/// A box with the boxes in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoxNode {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length, header and all.
    pub size_bytes: u64,
    /// What it says, if it matters here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<BoxDetail>,
    /// The boxes in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<BoxNode>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// Offset in the file; in a playlist the line, counted from 1.
    pub at: u64,
    /// In which box or element: `moov/trak`.
    pub within: String,
    /// What is wrong, as a clause.
    pub what: String,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Not a format that we know.
    #[error("neither an MP4 file nor a DASH or HLS manifest")]
    UnknownFormat,
    /// A manifest above 8 MiB.
    #[error("the manifest is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The shell could not read.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
}

/// Looks into a file.
///
/// Errors: [`InspectError`]; a file of a known format that is broken has [`Defect`]s instead.
/// Limits: 200 000 boxes, 16 levels, 16 MiB of one box's body; manifests 8 MiB.
pub fn inspect(input: &mut dyn Input) -> Result<Report, InspectError> {
    let size_bytes = input.len();
    let mut head = [0; 64];
    let head = head.get_mut(..usize::try_from(size_bytes).map_or(64, |size| size.min(64)));
    let head = head.unwrap_or_default();
    input.read_at(0, head)?;
    if head.is_empty() {
        return Err(InspectError::Empty);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"#EXTM3U") || text.starts_with(b"<") {
        let text = whole_text(input)?;
        return manifests::report(&text).map(Report::Manifest).ok_or(InspectError::UnknownFormat);
    }
    // The type of the first box: four printable characters.
    let is_box = head.get(4..8).is_some_and(|kind| kind.iter().all(u8::is_ascii_graphic));
    if is_box { boxes::report(input).map(Report::Media) } else { Err(InspectError::UnknownFormat) }
}

fn whole_text(input: &mut dyn Input) -> Result<String, InspectError> {
    let len = usize::try_from(input.len()).ok().filter(|len| *len <= MAX_BYTES);
    let mut bytes = vec![0; len.ok_or(InspectError::TooLong)?];
    input.read_at(0, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Report {
    /// What is wrong with the file.
    #[must_use]
    pub fn defects(&self) -> &[Defect] {
        match self {
            Self::Media(media) => &media.defects,
            Self::Manifest(manifest) => &manifest.defects,
        }
    }
}

#[cfg(test)]
mod tests;
