//! Renditions of sound and subtitles in an HLS multivariant playlist (RFC 8216bis, 4.4.6.1).

use super::description::default_of;
use super::hls::{line, quoted};
use super::presentation::{TrackMedia, TrackRendition};
use crate::codec::ChannelLayout;
use model::TrackRole;

/// Id of the one group of subtitles.
pub(super) const TEXT_GROUP: &str = "subtitles";

/// Groups audio tracks by codec and loudspeakers, each language and description once in a group;
/// a second quality of one makes another group.
///
/// Groups must have the same members but for codec and channels (4.4.6.1.1): one that a group
/// lacks is filled with its first track, so that no viewer's choice of language depends on the
/// sound system.
pub(super) fn audio_groups<'a>(audios: &[&'a TrackRendition]) -> Vec<Vec<&'a TrackRendition>> {
    let mut groups: Vec<Vec<&TrackRendition>> = Vec::new();
    let mut firsts: Vec<&TrackRendition> = Vec::new();
    for track in audios {
        let is_heard = |member: &&TrackRendition| member.is_described_as(track);
        let takes = |group: &&mut Vec<&TrackRendition>| {
            group.first().is_some_and(|first| first.is_quality_of(track))
                && !group.iter().any(is_heard)
        };
        match groups.iter_mut().find(takes) {
            Some(group) => group.push(track),
            None => groups.push(vec![track]),
        }
        if !firsts.iter().any(is_heard) {
            firsts.push(track);
        }
    }
    let own = |group: &[&'a TrackRendition], first: &&'a TrackRendition| {
        group.iter().find(|track| track.is_described_as(first)).copied().unwrap_or(first)
    };
    groups.iter().map(|group| firsts.iter().map(|first| own(group, first)).collect()).collect()
}

pub(super) fn group_id(group: usize) -> String {
    format!("audio-{}", group + 1)
}

/// The renditions of every group of sound.
pub(super) fn audio_lines(out: &mut String, groups: &[Vec<&TrackRendition>]) {
    // What a member is called is the same in every group.
    let Some(first) = groups.first() else { return };
    let (names, default) = (names(first), default_of(first));
    for (group, members) in groups.iter().enumerate() {
        let id = group_id(group);
        for (at, (track, name)) in members.iter().zip(&names).enumerate() {
            let TrackMedia::Audio { channels, layout, .. } = &track.media else { continue };
            let channels = match layout {
                ChannelLayout::Dolby { joc_objects: Some(objects), .. } => format!("{objects}/JOC"),
                _ => channels.to_string(),
            };
            let tail = format!(",CHANNELS=\"{channels}\"");
            let choice = Choice::of(members, at, default);
            media_line(out, ("AUDIO", &id), track, name, choice, &tail);
        }
    }
}

/// Subtitles that the viewer turns on, or that the player shows by the viewer's language.
pub(super) fn text_lines(out: &mut String, texts: &[&TrackRendition]) {
    let names = names(texts);
    let default = texts.iter().position(|text| text.description.is_default == Some(true));
    for (at, (track, name)) in texts.iter().zip(&names).enumerate() {
        let is_forced = if track.description.is_forced() { "YES" } else { "NO" };
        let tail = format!(",FORCED={is_forced}");
        let choice = Choice::of(texts, at, default);
        media_line(out, ("SUBTITLES", TEXT_GROUP), track, name, choice, &tail);
    }
}

/// When a player takes a rendition by itself.
#[derive(Clone, Copy)]
struct Choice {
    is_default: bool,
    is_automatic: bool,
}

impl Choice {
    /// Of two that a player cannot tell apart by the viewer's wishes it may take one only, and
    /// none is taken for a comment by itself.
    fn of(members: &[&TrackRendition], at: usize, default: Option<usize>) -> Self {
        let is_default = default == Some(at);
        let wish = |track: &TrackRendition| {
            let language = track.language().unwrap_or_default().to_owned();
            (language, characteristics(track), track.description.is_forced())
        };
        let own = members.get(at).map(|track| wish(track));
        let is_own = |track: &&&TrackRendition| Some(wish(track)) == own;
        let is_rival = |(other, track): (usize, &&TrackRendition)| {
            (other < at || default == Some(other)) && other != at && is_own(&track)
        };
        let has_rival = members.iter().enumerate().any(is_rival);
        let role = members.get(at).and_then(|track| track.description.role);
        let is_aside = matches!(role, Some(TrackRole::Commentary | TrackRole::Supplementary));
        Self { is_default, is_automatic: is_default || !(has_rival || is_aside) }
    }
}

fn media_line(
    out: &mut String,
    (kind, group): (&str, &str),
    track: &TrackRendition,
    name: &str,
    choice: Choice,
    tail: &str,
) {
    let (TrackMedia::Audio { language, .. } | TrackMedia::Text { language, .. }) = &track.media
    else {
        return;
    };
    let language = language.as_ref().map(|tag| format!(",LANGUAGE={}", quoted(tag)));
    let characteristics = characteristics(track)
        .map(|characteristics| format!(",CHARACTERISTICS={}", quoted(characteristics)));
    let yes = |is: bool| if is { "YES" } else { "NO" };
    line(
        out,
        format_args!(
            "#EXT-X-MEDIA:TYPE={kind},GROUP-ID={},NAME={}{},DEFAULT={},AUTOSELECT={}{tail}{},URI={}",
            quoted(group),
            quoted(name),
            language.unwrap_or_default(),
            yes(choice.is_default),
            yes(choice.is_automatic),
            characteristics.unwrap_or_default(),
            quoted(&track.playlist_path()),
        ),
    );
}

/// Media characteristics by which players find what is for whom.
fn characteristics(track: &TrackRendition) -> Option<&'static str> {
    let is_sound = matches!(track.media, TrackMedia::Audio { .. });
    match track.description.role? {
        TrackRole::Description if is_sound => Some("public.accessibility.describes-video"),
        TrackRole::Caption => Some(
            "public.accessibility.transcribes-spoken-dialog,\
             public.accessibility.describes-music-and-sound",
        ),
        TrackRole::Easyreader => Some("public.easy-to-read"),
        _ => None,
    }
}

/// What the members of a group are called: each differently (4.4.6.1.1).
fn names(members: &[&TrackRendition]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(members.len());
    for track in members {
        let stem = stem(track);
        let mut numbered = (2..).map(|number| format!("{stem} {number}"));
        let is_free = |name: &String| !names.contains(name);
        let name = Some(stem.clone()).filter(is_free).or_else(|| numbered.find(is_free));
        names.push(name.unwrap_or(stem));
    }
    names
}

/// The label, else the language of sound and the name of subtitles, with the role.
fn stem(track: &TrackRendition) -> String {
    if let Some(label) = &track.description.label {
        return label.clone();
    }
    let plain = match &track.media {
        TrackMedia::Audio { language: Some(language), .. } => language,
        _ => &track.name,
    };
    match track.description.role.filter(|role| *role != TrackRole::Main) {
        Some(role) => format!("{plain} ({role})"),
        None => plain.clone(),
    }
}
