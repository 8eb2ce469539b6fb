//! Any bytes, read as a live stream in pieces: a refusal, never a panic, and the same wherever the
//! stream is torn. What is left of them is read as the state of a channel.

use media::live::{Event, Reader, SegmentRules, Segmenter};
use media::package::channel::{ChannelSettings, ChannelState, StateError};
use model::{ContentId, Scheme};

/// Longest input whose every piece is looked at.
const MAX_BYTES: usize = 256 << 10;

/// Reads `bytes` in pieces of a length that their first byte says; at once where that is 0.
pub fn run(bytes: &[u8]) {
    let bytes = bytes.get(..MAX_BYTES).unwrap_or(bytes);
    state(bytes);
    let Some((length, stream)) = bytes.split_first() else { return };
    let at_once = read(stream.chunks(stream.len().max(1)));
    let torn = match length {
        0 => read(stream.chunks(4096)),
        length => read(stream.chunks(usize::from(*length))),
    };
    assert_eq!(at_once, torn, "a stream says the same wherever it is torn");
}

/// What was read: segments with their samples, and whether all of it could be.
fn read<'s>(pieces: impl Iterator<Item = &'s [u8]>) -> (Vec<Vec<usize>>, bool) {
    let mut reader = Reader::default();
    let mut segmenter: Option<Segmenter> = None;
    let mut segments = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match (reader.next_event(), &mut segmenter) {
                (Ok(None), _) => break,
                (Err(_), _) => return (segments, false),
                (Ok(Some(Event::Movie { tracks, .. })), _) => {
                    let times: Vec<u64> = tracks.iter().map(|one| one.edit.media_time).collect();
                    let rules = SegmentRules { segment_s: 1, period_s: None, not_before_ns: 0 };
                    segmenter = Some(Segmenter::new(&tracks, &times, rules));
                }
                (Ok(Some(Event::Fragment(samples))), Some(segmenter)) => {
                    if segmenter.push(samples, 0).is_err() {
                        return (segments, false);
                    }
                    while let Ok(Some(segment)) = segmenter.next_segment() {
                        segments.push(segment.tracks.iter().map(|one| one.samples.len()).collect());
                    }
                }
                (Ok(Some(Event::Fragment(_))), None) => unreachable!("the movie comes first"),
            }
        }
    }
    (segments, reader.finish().is_ok())
}

fn state(bytes: &[u8]) {
    let Ok(content_id) = ContentId::parse("channel") else { return };
    let schemes = vec![Scheme::Cbcs];
    let settings =
        ChannelSettings { content_id, schemes, segment_s: 1, window_s: 3, rotation: None };
    if let Ok(state) = ChannelState::go_on(bytes, &settings) {
        let again = ChannelState::go_on(state.write().as_bytes(), &settings);
        assert!(!matches!(again, Err(StateError::Unreadable(_))), "what was written reads back");
    }
}
