//! NAL units of any bytes: a slice header is never longer than its slice.

use media::codec::h264::{Nal, ParameterSets};

/// Reads `bytes` as NAL units, each behind a length of two bytes.
pub fn run(bytes: &[u8]) {
    let mut sets = ParameterSets::default();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (nal, next) = tail.split_at(length);
        if let Ok(Nal::Slice { header_len }) = sets.read(nal) {
            assert!(header_len <= nal.len());
        }
        rest = next;
    }
}
