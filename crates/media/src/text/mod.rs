//! Subtitles: WebVTT and TTML, as files and as tracks of MP4 (ISO/IEC 14496-30:2018).

mod clock;
mod error;
pub(crate) mod stpp;
mod sweep;
mod track;
pub mod ttml;
pub mod webvtt;
pub(crate) mod wvtt;

pub use error::TextError;
pub(crate) use sweep::{Stretch, Sweep, crowd};
pub(crate) use track::read_track;

use crate::input::{Fault, Input, Place, Unsupported, What};
use ttml::Ttml;
use webvtt::WebVtt;

/// Bytes of a file, or of a track, of subtitles.
pub const MAX_BYTES: usize = 8 << 20;
/// Cues of a track.
pub const MAX_CUES: usize = 50_000;
/// Bytes of one cue with its markup.
pub const MAX_CUE_BYTES: usize = 16 << 10;
/// Cues that are shown at the same time.
pub const MAX_AT_ONCE: usize = 64;
/// Bytes before the first cue of WebVTT: they repeat in each segment.
pub const MAX_HEADER_BYTES: usize = 64 << 10;
/// Bytes of the head of TTML, which repeats likewise.
pub const MAX_TTML_HEAD_BYTES: usize = 256 << 10;
/// Bytes from which a file is known.
const SNIFFED: usize = 4096;
const BOX_HEAD: usize = 8;

/// One track of subtitles.
#[derive(Clone, Debug)]
pub(crate) enum Subtitles {
    /// WebVTT.
    WebVtt(WebVtt),
    /// TTML: documents one behind the other.
    Ttml(Vec<Document>),
}

/// A document of TTML and the span of time for which it speaks, milliseconds of the title.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub from_ms: u64,
    pub to_ms: u64,
    /// Added to its own times.
    pub shift_ms: i64,
    pub ttml: Ttml,
}

/// Reads a file of subtitles; `None` where it is something else.
///
/// Errors: [`Fault`] with the line.
pub(crate) fn read_file(input: &mut dyn Input) -> Result<Option<Subtitles>, Fault> {
    let len = usize::try_from(input.len()).unwrap_or(usize::MAX);
    // No more of a film than the head of its first box.
    let mut begin = vec![0; len.min(BOX_HEAD)];
    read_at(input, &mut begin)?;
    let may_be_text =
        |first: &u8| matches!(first, b'W' | b'<' | 0xef) || first.is_ascii_whitespace();
    if !begin.first().is_some_and(may_be_text) {
        return Ok(None);
    }
    begin.resize(len.min(SNIFFED), 0);
    read_at(input, &mut begin)?;
    let is_webvtt = webvtt::is_signed(&begin);
    if !is_webvtt && !ttml::is_signed(&begin) {
        return Ok(None);
    }
    if len > MAX_BYTES {
        let what = Unsupported::Limit { what: "bytes of subtitles", limit: MAX_BYTES as u64 };
        return Err(Place::File.fault(what));
    }
    let mut bytes = vec![0; len];
    read_at(input, &mut bytes)?;
    if is_webvtt {
        return Ok(Some(Subtitles::WebVtt(WebVtt::parse(&bytes)?)));
    }
    let ttml = Ttml::parse(&bytes)?;
    let document = Document { from_ms: 0, to_ms: ttml::NO_END, shift_ms: 0, ttml };
    Ok(Some(Subtitles::Ttml(vec![document])))
}

fn read_at(input: &mut dyn Input, out: &mut [u8]) -> Result<(), Fault> {
    input.read_at(0, out).map_err(|error| Place::File.fault(What::Read(error)))
}

/// The text of a file, without a byte order mark. Errors: the line that is no UTF-8.
fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
        Place::Line(line).fault(TextError::NotUtf8)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

impl Subtitles {
    /// The language that it says itself.
    pub fn language(&self) -> Option<&str> {
        match self {
            Self::WebVtt(_) => None,
            Self::Ttml(documents) => documents.first().and_then(|one| one.ttml.language()),
        }
    }

    /// When the last cue begins, milliseconds; `None` without cues.
    pub fn last_begin(&self) -> Option<u64> {
        match self {
            Self::WebVtt(file) => file.cues.last().map(|cue| cue.start_ms),
            Self::Ttml(documents) => {
                let begins = documents.iter().flat_map(|one| {
                    let (from, to) = one.own_span();
                    let shown = one.ttml.shown(from, to).into_iter();
                    shown.map(|shown| shown.begin_ms.saturating_add_signed(one.shift_ms))
                });
                begins.max()
            }
        }
    }
}

impl Document {
    /// The span for which it speaks, in its own times.
    pub fn own_span(&self) -> (u64, u64) {
        (self.own_ms(self.from_ms), self.own_ms(self.to_ms))
    }

    /// A time of the title in its own times.
    pub fn own_ms(&self, title_ms: u64) -> u64 {
        if title_ms == ttml::NO_END {
            title_ms
        } else {
            title_ms.saturating_add_signed(-self.shift_ms)
        }
    }
}
