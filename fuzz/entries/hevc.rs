//! HEVC NAL units and configurations of any bytes: a slice segment header is never longer than its slice.

use media::bmff::FourCc;
use media::codec::hevc::{HevcConfig, Nal, ParameterSets};

/// Reads `bytes` as `hvcC`, and as NAL units, each behind a length of two bytes.
pub fn run(bytes: &[u8]) {
    if let Ok(config) = HevcConfig::parse(bytes) {
        let _ = config.profile.codecs(FourCc(*b"hvc1"));
    }
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
