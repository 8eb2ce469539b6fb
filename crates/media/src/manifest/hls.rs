//! HLS: one multivariant playlist per scheme and one media playlist per track
//! (RFC 8216bis, protocol version 6).
//!
//! A playlist names every system that can play its scheme; delivery keeps the asking one's lines.
//! No key line has an IV: `cbcs` has its constant IV in `tenc`, and FairPlay in its license.

use super::key_lines::{KeyLines, session_key_lines};
use super::presentation::{Presentation, SegmentEntry, TrackLayout, TrackMedia, TrackRendition};
use super::renditions::{self, TEXT_GROUP, audio_groups, group_id};
use super::rotation::{KeyRotation, KeySignal};
use crate::pssh::SystemId;
use model::{Dialect, Scheme};
use std::fmt::Write as _;

/// `KEYFORMAT` of FairPlay.
pub(super) const FAIRPLAY: &str = "com.apple.streamingkeydelivery";
/// `KEYFORMAT` of PlayReady.
pub(super) const PLAYREADY: &str = "com.microsoft.playready";
/// `KEYFORMAT` of Clear Key as hls.js reads it.
pub(super) const CLEARKEY: &str = "org.w3.clearkey";

/// The dialect whose key lines have this `KEYFORMAT`.
pub(super) fn dialect_of(key_format: &str) -> Option<Dialect> {
    match key_format {
        FAIRPLAY => Some(Dialect::FairPlay),
        PLAYREADY => Some(Dialect::PlayReady),
        CLEARKEY => Some(Dialect::ClearKey),
        other if SystemId::parse_urn(other) == Some(SystemId::WIDEVINE) => Some(Dialect::Widevine),
        _ => None,
    }
}

/// Writes the multivariant playlist of one scheme.
#[must_use]
pub fn hls_master(presentation: &Presentation, scheme: Scheme) -> String {
    let tracks = presentation.tracks_of(scheme).filter(|track| track.trick_of.is_none());
    let tracks: Vec<&TrackRendition> = tracks.collect();
    let is_video = |track: &&TrackRendition| matches!(track.media, TrackMedia::Video { .. });
    let (videos, audios): (Vec<_>, Vec<_>) = tracks.iter().copied().partition(is_video);
    let groups = audio_groups(&audios);
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    session_key_lines(&mut out, presentation, scheme);
    renditions::audio_lines(&mut out, &groups);
    let texts: Vec<&TrackRendition> = presentation.texts().collect();
    renditions::text_lines(&mut out, &texts);
    let has_text = !texts.is_empty();
    if videos.is_empty() {
        for (group, members) in groups.iter().enumerate() {
            if let Some(first) = members.first() {
                stream_lines(&mut out, first, Some((group, members)), has_text);
            }
        }
    }
    for video in &videos {
        if groups.is_empty() {
            stream_lines(&mut out, video, None, has_text);
        }
        for (group, members) in groups.iter().enumerate() {
            stream_lines(&mut out, video, Some((group, members)), has_text);
        }
    }
    videos.iter().for_each(|video| super::i_frames::stream_line(&mut out, video));
    presentation.images.iter().for_each(|images| super::images::stream_line(&mut out, images));
    out
}

fn stream_lines(
    out: &mut String,
    track: &TrackRendition,
    audio: Option<(usize, &Vec<&TrackRendition>)>,
    has_text: bool,
) {
    let (mut peak, mut average) = (track.peak_bandwidth(), track.average_bandwidth());
    let mut codecs = vec![track.codecs.as_str()];
    let mut tail = String::new();
    if let TrackMedia::Video { width, height, frame_rate } = &track.media {
        tail = format!(",RESOLUTION={width}x{height}");
        if let Some(rate) = frame_rate {
            let thousandths = (u64::from(rate.frames) * 1000 + u64::from(rate.seconds.get() / 2))
                / u64::from(rate.seconds.get());
            tail += &format!(",FRAME-RATE={}.{:03}", thousandths / 1000, thousandths % 1000);
        }
        let audios = || audio.iter().flat_map(|(_, members)| members.iter());
        peak = peak.saturating_add(audios().map(|track| track.peak_bandwidth()).max().unwrap_or(0));
        average = average
            .saturating_add(audios().map(|track| track.average_bandwidth()).max().unwrap_or(0));
        tail += ",CLOSED-CAPTIONS=NONE";
    }
    if let Some((group, members)) = audio {
        for track in members {
            if !codecs.contains(&track.codecs.as_str()) {
                codecs.push(&track.codecs);
            }
        }
        tail += &format!(",AUDIO={}", quoted(&group_id(group)));
    }
    if has_text {
        tail += &format!(",SUBTITLES=\"{TEXT_GROUP}\"");
    }
    line(
        out,
        format_args!(
            "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS={}{tail}\n{}",
            quoted(&codecs.join(",")),
            track.playlist_path(),
        ),
    );
}

/// Writes the media playlist of one track of `presentation`.
#[must_use]
pub fn hls_media(presentation: &Presentation, track: &TrackRendition) -> String {
    let target = target_s(presentation);
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n");
    match &presentation.live {
        Some(live) => live.hls_head(&mut out),
        None => out += "#EXT-X-PLAYLIST-TYPE:VOD\n",
    }
    if track.segments.iter().all(|segment| segment.starts_with_sap) {
        out += "#EXT-X-INDEPENDENT-SEGMENTS\n";
    }
    let mut offset = match track.layout {
        TrackLayout::SingleFile { index, .. } if !track.is_plain_text_in_hls() => Some(index.end()),
        TrackLayout::Segments | TrackLayout::SingleFile { .. } => None,
    };
    let mut keys = KeyLines::new(presentation, track);
    map_line(&mut out, presentation, track);
    super::periods::date_lines(&mut out, presentation, track);
    let playlist = track.playlist_path();
    let first_number = presentation.live.as_ref().map_or(1, |live| live.first_number);
    for (at, (segment, begin_ts)) in track.segments.iter().zip(track.begins()).enumerate() {
        keys.before(at, &mut out);
        if let Some(live) = &presentation.live {
            live.hls_before(&mut out, track, at, begin_ts);
        }
        length_line(&mut out, segment, track.timescale);
        if let Some(start) = offset {
            line(&mut out, format_args!("#EXT-X-BYTERANGE:{}@{start}", segment.size_bytes));
            offset = Some(start.saturating_add(segment.size_bytes));
        }
        let number = usize::try_from(first_number).unwrap_or(usize::MAX).saturating_add(at);
        let path = track.hls_segment_path(number);
        line(&mut out, format_args!("{}", relative(&path, &playlist)));
    }
    if presentation.live.as_ref().is_none_or(|live| live.is_over) {
        out += "#EXT-X-ENDLIST\n";
    }
    out
}

/// One target duration for all playlists of a presentation (6.2.4), in seconds.
pub(super) fn target_s(presentation: &Presentation) -> u64 {
    if let Some(live) = &presentation.live {
        return live.target_s;
    }
    let all = presentation.tracks.iter();
    all.map(|track| longest_s(&track.segments, track.timescale)).max().unwrap_or(0).max(1)
}

/// Length of the longest segment in seconds, rounded as a target duration is.
pub(super) fn longest_s(segments: &[SegmentEntry], timescale: u32) -> u64 {
    let longest = segments.iter().map(|segment| segment.duration_ts).max().unwrap_or(0);
    let timescale = u64::from(timescale.max(1));
    longest.saturating_add(timescale / 2) / timescale
}

/// Where the init is. Paths in a media playlist are relative to it, and init and segments lie
/// beside it. Where each key has an init of its own, [`KeyLines`] names them.
pub(super) fn map_line(out: &mut String, presentation: &Presentation, track: &TrackRendition) {
    let uri = quoted(beside(&track.init_path()));
    let is_each = |one: &KeyRotation| one.signal == KeySignal::Periods;
    let has_inits =
        track.protection.is_some() && presentation.rotation.as_ref().is_some_and(is_each);
    match track.layout {
        _ if track.is_plain_text_in_hls() || has_inits => {}
        TrackLayout::Segments => line(out, format_args!("#EXT-X-MAP:URI={uri}")),
        TrackLayout::SingleFile { init, .. } => {
            let range = format!("{}@{}", init.len, init.start);
            line(out, format_args!("#EXT-X-MAP:URI={uri},BYTERANGE=\"{range}\""));
        }
    }
}

pub(super) fn length_line(out: &mut String, segment: &SegmentEntry, timescale: u32) {
    let micros = u128::from(segment.duration_ts) * 1_000_000 / u128::from(timescale.max(1));
    line(out, format_args!("#EXTINF:{}.{:06},", micros / 1_000_000, micros % 1_000_000));
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes every write");
}

/// A quoted string, without the characters that cannot stand in one (4.2).
pub(super) fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|c| *c != '"' && !c.is_control()).collect();
    format!("\"{text}\"")
}

/// A path in the package as the playlist names it: it lies beside it, or in a folder there.
pub(super) fn relative<'p>(path: &'p str, playlist: &str) -> &'p str {
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    path.strip_prefix(folder).map_or(path, |rest| rest.trim_start_matches('/'))
}

/// The last part of a path.
fn beside(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
