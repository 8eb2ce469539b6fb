//! HLS I-frame playlists (RFC 8216bis, 4.4.3.6 and 4.4.6.3): every key frame that begins a
//! fragment, by its bytes in the encrypted segments.
//!
//! An entry is `moof`, the head of `mdat` and the picture; the rest of the fragment is not
//! fetched. Key and init are those of the track, so fast play needs the license that play needs.

use super::hls::{length_line, line, longest_s, map_line, quoted, relative, target_s};
use super::key_lines::KeyLines;
use super::presentation::{Presentation, TrackMedia, TrackRendition, average_of, peak_of};

/// Writes the I-frame playlist of one track of `presentation`; `None` where it has no key frames
/// to list.
#[must_use]
pub fn hls_i_frames(presentation: &Presentation, track: &TrackRendition) -> Option<String> {
    let playlist = track.iframe_playlist_path()?;
    let entries = track.key_frame_entries();
    let target = target_s(presentation).max(longest_s(&entries, track.timescale));
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-I-FRAMES-ONLY\n"
    );
    map_line(&mut out, presentation, track);
    // Where one playlist of a title has dates, all have (6.2.4).
    super::periods::date_lines(&mut out, presentation, track);
    let mut keys = KeyLines::new(presentation, track);
    for (frame, entry) in track.key_frames.iter().zip(&entries) {
        keys.before(frame.segment.saturating_sub(1), &mut out);
        length_line(&mut out, entry, track.timescale);
        line(&mut out, format_args!("#EXT-X-BYTERANGE:{}@{}", frame.span.len, frame.span.start));
        let path = track.hls_segment_path(frame.segment);
        line(&mut out, format_args!("{}", relative(&path, &playlist)));
    }
    out += "#EXT-X-ENDLIST\n";
    Some(out)
}

/// Names the I-frame playlist of a track in the multivariant playlist. It is no variant: a
/// player takes it for fast play alone.
pub(super) fn stream_line(out: &mut String, track: &TrackRendition) {
    let Some(playlist) = track.iframe_playlist_path() else { return };
    let TrackMedia::Video { width, height, .. } = track.media else { return };
    let entries = track.key_frame_entries();
    line(
        out,
        format_args!(
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS={},RESOLUTION={width}x{height},URI={}",
            peak_of(&entries, track.timescale),
            average_of(&entries, track.timescale),
            quoted(&track.codecs),
            quoted(&playlist),
        ),
    );
}
