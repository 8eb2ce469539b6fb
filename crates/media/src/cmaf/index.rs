//! `sidx`: where the segments of a single file are (ISO/IEC 14496-12:2022, 8.16.3).

use super::TRACK_ID;
use crate::bmff::full_box;

/// One segment in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Bytes.
    pub size: u32,
    /// Ticks.
    pub duration: u32,
    /// Whether it begins with a stream access point of type 1 or 2.
    pub starts_with_sap: bool,
}

/// Most segments in one index.
pub const MAX_REFERENCES: usize = u16::MAX as usize;

/// Bytes of an index with `count` segments.
#[must_use]
pub const fn index_len(count: usize) -> usize {
    40 + 12 * count
}

/// Appends the index of segments that follow it directly, the first at `start` ticks of
/// presentation time.
///
/// Limits: [`MAX_REFERENCES`], which the caller keeps.
pub fn write_index(timescale: u32, start: u64, segments: &[Reference], out: &mut Vec<u8>) {
    full_box(out, b"sidx", 1, 0, |out| {
        out.extend(TRACK_ID.to_be_bytes());
        out.extend(timescale.to_be_bytes());
        out.extend(start.to_be_bytes());
        out.extend(0_u64.to_be_bytes());
        out.extend([0; 2]);
        out.extend(u16::try_from(segments.len()).unwrap_or(u16::MAX).to_be_bytes());
        for segment in segments {
            out.extend((segment.size & 0x7fff_ffff).to_be_bytes());
            out.extend(segment.duration.to_be_bytes());
            let sap = if segment.starts_with_sap { 0x9000_0000_u32 } else { 0 };
            out.extend(sap.to_be_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_the_length_it_is_given_room_for() {
        for count in [0, 1, 7] {
            let segment = Reference { size: 9, duration: 4, starts_with_sap: true };
            let mut out = Vec::new();
            write_index(90_000, 5, &vec![segment; count], &mut out);
            assert_eq!(out.len(), index_len(count));
        }
    }
}
