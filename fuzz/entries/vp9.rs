//! An `vpcC` and superframes of any bytes: the runs of a sample cover it exactly.

use media::codec::VideoCodec;
use media::codec::vp9::Vp9Config;

/// Reads a configuration behind a length of one byte, then samples behind lengths of two.
pub fn run(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let (config, mut rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let config = Vp9Config::parse(config, (640, 360)).map(VideoCodec::Vp9);
    let Ok(mut codec) = config else { return };
    let mut runs = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (sample, next) = tail.split_at(length);
        if codec.runs(sample, &mut runs).is_ok() {
            let covered: usize = runs.iter().map(|run| run.clear + run.content).sum();
            assert_eq!(covered, sample.len());
        }
        rest = next;
    }
}
