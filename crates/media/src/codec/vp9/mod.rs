//! VP9 (VP9 Bitstream & Decoding Process Specification, version 0.6): where in a superframe its
//! frames' content lies.
//!
//! Clear are each frame's uncompressed header and the superframe index; the compressed header and
//! the tiles are content (VP Codec ISO Media File Format Binding, "Common Encryption").

mod header;
mod superframe;

use super::Run;
use crate::bmff::Fields;
use crate::input::{Malformed, Unsupported, What};
use header::{Header, References, Size};
use superframe::Superframe;

/// `vpcC`, and what the samples add to it.
#[derive(Clone, Debug)]
pub struct Vp9Config {
    /// Profile, level, bit depth, chroma subsampling, color primaries, transfer characteristics,
    /// matrix coefficients and full range flag, as they stand in the codecs string.
    pub parameters: [u8; 8],
    /// The size that no frame may exceed.
    max_size: Size,
    references: References,
}

impl Vp9Config {
    /// Reads the box body; no frame may be larger than `max_size`.
    ///
    /// Shape: version 1 and flags; profile, level; 4 bits of depth, 3 of chroma, 1 of range;
    /// three bytes of color; a length that is 0.
    /// Errors: [`Malformed::Value`], a field that is cut off.
    pub fn parse(body: &[u8], max_size: (u32, u32)) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        let (version, _) = fields.version_and_flags()?;
        let [profile, level, format, primaries, transfer, matrix] = fields.array()?;
        let (depth, chroma) = (format >> 4, format >> 1 & 7);
        if version != 1 || profile > 3 || !matches!(depth, 8 | 10 | 12) || chroma > 3 {
            return Err(Malformed::Value("the VP9 decoder configuration").into());
        }
        let parameters = [profile, level, depth, chroma, primaries, transfer, matrix, format & 1];
        Ok(Self { parameters, max_size, references: References::default() })
    }

    /// The codecs string (the binding, "Codecs Parameter String"), with all its fields.
    #[must_use]
    pub fn codecs(&self) -> String {
        let fields = self.parameters.iter().map(|value| format!(".{value:02}"));
        std::iter::once("vp09".to_owned()).chain(fields).collect()
    }

    /// Splits a superframe; each frame is a run.
    pub(super) fn runs(&mut self, sample: &[u8], runs: &mut Vec<Run>) -> Result<(), What> {
        runs.clear();
        let superframe = Superframe::split(sample)?;
        for frame in superframe.frames() {
            let Header { len, size } = Header::read(frame, &mut self.references)?;
            let (width, height) = size.unwrap_or_default();
            if width > self.max_size.0 || height > self.max_size.1 {
                // It would pass for a smaller track, and get that one's key.
                let what = "a VP9 frame larger than its track says";
                return Err(Unsupported::Feature(what).into());
            }
            runs.push(Run { clear: len, content: frame.len() - len });
        }
        if superframe.index_len > 0 {
            runs.push(Run { clear: superframe.index_len, content: 0 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
