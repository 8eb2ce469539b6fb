//! Tracks of subtitles that can be packaged: `wvtt` and `stpp` (ISO/IEC 14496-30:2018).

use super::fault::Fault;
use super::sample_table::SampleTable;
use super::source::{Located, Source, find};
use super::track::{Edit, Media, ms};
use crate::bmff::FourCc;
use std::num::NonZeroU32;

/// One track of subtitles.
#[derive(Clone, Debug)]
pub struct TextTrack {
    /// Its id in the source.
    pub id: u32,
    /// `wvtt` or `stpp`.
    pub entry: FourCc,
    /// Body of the sample entry, with its boxes.
    pub entry_body: Vec<u8>,
    /// Ticks per second.
    pub timescale: NonZeroU32,
    /// RFC 5646 language, unless undetermined.
    pub language: Option<String>,
    /// Where it begins.
    pub edit: Edit,
    /// Its samples.
    pub samples: SampleTable,
}

impl TextTrack {
    pub(super) fn new(id: u32, media: Media, edit: Edit) -> Self {
        let Media { timescale, language, entry, entry_body, samples, .. } = media;
        Self { id, entry, entry_body, timescale, language, edit, samples }
    }

    /// Length of all samples, milliseconds, rounded down.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        ms(self.samples.total_ticks(), self.timescale)
    }
}

/// Whether a track's handler and sample entry are those of subtitles that can be packaged; other
/// text, as QuickTime has it, is left out.
pub(super) fn is_subtitles(
    source: &mut Source<'_>,
    handler: FourCc,
    mdia: &[Located],
) -> Result<bool, Fault> {
    if !matches!(&handler.0, b"text" | b"subt" | b"sbtl") {
        return Ok(false);
    }
    let Some(minf) = find(mdia, b"minf") else { return Ok(false) };
    let minf = source.children_of(minf)?;
    let Some(stbl) = find(&minf, b"stbl") else { return Ok(false) };
    let stbl = source.children_of(stbl)?;
    let Some(stsd) = find(&stbl, b"stsd") else { return Ok(false) };
    let body = source.body(stsd)?;
    let kind = body.get(12..16);
    Ok(kind == Some(b"wvtt".as_slice()) || kind == Some(b"stpp".as_slice()))
}
