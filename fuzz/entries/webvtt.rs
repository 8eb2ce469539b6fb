//! Any bytes, read as WebVTT: what is read has the shape that segments are written from.

use media::text::webvtt::WebVtt;

/// Reads `bytes` as a file.
pub fn run(bytes: &[u8]) {
    let Ok(file) = WebVtt::parse(bytes) else { return };
    assert!(file.header.starts_with("WEBVTT"));
    assert!(file.cues.is_sorted_by_key(|cue| cue.start_ms));
    for cue in &file.cues {
        assert!(cue.start_ms < cue.end_ms && !cue.payload.is_empty());
        assert!(!cue.payload.contains("\n\n") && !cue.payload.contains("-->"));
    }
}
