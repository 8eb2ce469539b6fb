//! The DASH manifest: an MPD, static or dynamic (ISO/IEC 23009-1:2022, 5.2 and 5.3).
//!
//! One `AdaptationSet` per scheme, kind, language, description, codec, loudspeakers and key, so that
//! a set has one `default_KID` and a player that lacks a key drops the whole set. Sets that differ in the key
//! alone name each other as switchable (5.3.3.5).
//!
//! Descriptors are those that every web player takes: no license URL, no descriptor of the
//! common system and no `pssh` for Clear Key, each of which stops dash.js or misleads Shaka. Where
//! keys change in band, which dash.js does not play, the common system stands for Clear Key and no
//! descriptor has a `pssh`: what the media names is then asked for.

use super::description;
use super::periods::{self, CONTINUITY, Part, Run};
use super::presentation::{
    ByteSpan, Presentation, TrackLayout, TrackMedia, TrackProtection, TrackRendition,
};
use super::rotation::KeyRotation;
use super::xml::{self, Element};
use crate::codec::ChannelLayout;
use crate::pssh::{self, NamedKey, SystemId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::KeyId;

/// `schemeIdUri` of the descriptor that names scheme and KID (ISO/IEC 23009-1, 5.8.5.2).
pub(super) const MP4_PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";
/// `value` of the descriptor that stands for Clear Key.
pub(super) const CLEARKEY_NAME: &str = "ClearKey1.0";
const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
/// Dolby's channel map, four hexadecimal digits (ETSI TS 102 366, I.1.2.1).
const DOLBY_CHANNELS: &str = "tag:dolby.com,2014:dash:audio_channel_configuration:2011";
/// Joint object coding in E-AC-3, and how many objects it has (ETSI TS 103 420).
const DOLBY_EXTENSION: &str = "tag:dolby.com,2018:dash:EC3_ExtensionType:2018";
const DOLBY_OBJECTS: &str = "tag:dolby.com,2018:dash:EC3_ExtensionComplexityIndex:2018";
/// `schemeIdUri` of the property that makes a set one for fast play (DASH-IF IOP 4.3, 3.2.9), as
/// players know it; its value names the main set.
const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
/// `schemeIdUri` of the property that lists switchable sets (5.3.3.5).
pub(super) const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";

/// Writes `manifest.mpd` with every track of every scheme.
#[must_use]
pub fn mpd(presentation: &Presentation) -> String {
    let tracks = &presentation.tracks;
    let in_one_file =
        tracks.iter().all(|track| matches!(track.layout, TrackLayout::SingleFile { .. }));
    let profile = if in_one_file { "isoff-on-demand:2011" } else { "isoff-live:2011" };
    let longest_ms = tracks.iter().map(longest_segment_ms).max().unwrap_or(0);
    let longest_ms = presentation.live.as_ref().map_or(longest_ms, |live| live.target_s * 1000);
    let root = Element::new("MPD")
        .with("xmlns", "urn:mpeg:dash:schema:mpd:2011")
        .with("xmlns:cenc", "urn:mpeg:cenc:2013")
        .with("xmlns:mspr", "urn:microsoft:playready")
        .with(
            "profiles",
            format!("urn:mpeg:dash:profile:{profile},urn:mpeg:dash:profile:cmaf:2019"),
        );
    let root = match &presentation.live {
        Some(live) => live.mpd(root, presentation),
        None => root
            .with("type", "static")
            .with("mediaPresentationDuration", duration(presentation.duration_ms())),
    };
    let root = root
        .with("maxSegmentDuration", duration(longest_ms))
        .with("minBufferTime", duration(longest_ms));
    let periods = periods::parts(presentation).into_iter().map(|part| {
        let (count, mut sets) = adaptation_sets(presentation, &part);
        if let Some(images) = &presentation.images {
            sets.push(super::images::adaptation_set(count, images, &part));
        }
        part.period().with_children(sets)
    });
    xml::write(&root.with_children(periods))
}

/// Whether a player may switch between the tracks without the viewer's wish.
fn may_switch(a: &TrackRendition, b: &TrackRendition) -> bool {
    a.scheme() == b.scheme()
        && a.trick_of == b.trick_of
        && content_type(a) == content_type(b)
        && a.is_quality_of(b)
        && a.is_described_as(b)
}

/// How many sets the title has, and those with something in a part of it.
fn adaptation_sets(presentation: &Presentation, part: &Part) -> (usize, Vec<Element>) {
    let tracks = &presentation.tracks;
    let mut sets: Vec<Vec<&TrackRendition>> = Vec::new();
    for track in tracks {
        let same = |set: &&mut Vec<&TrackRendition>| {
            let kid = |track: &TrackRendition| track.protection.map(|protection| protection.kid);
            set.first().is_some_and(|first| kid(first) == kid(track) && may_switch(first, track))
        };
        match sets.iter_mut().find(same) {
            Some(set) => set.push(track),
            None => sets.push(vec![track]),
        }
    }
    // Each set with its id and first track, to find the others that it can switch to.
    let ids: Vec<(usize, &TrackRendition)> = sets
        .iter()
        .enumerate()
        .filter_map(|(id, set)| set.first().map(|first| (id, *first)))
        .collect();
    let is_sound = |track: &&TrackRendition| content_type(track) == "audio";
    let sounds: Vec<&TrackRendition> = tracks.iter().filter(is_sound).collect();
    let main_sound = description::default_of(&sounds).and_then(|at| sounds.get(at).copied());
    let found = ids
        .iter()
        .zip(&sets)
        .filter(|(_, set)| set.iter().any(|track| !part.run(track).segments.is_empty()))
        .filter_map(|((id, first), set)| {
            let others: Vec<String> = ids
                .iter()
                .filter(|(other, track)| other != id && may_switch(track, first))
                .map(|(other, _)| other.to_string())
                .collect();
            let is_main =
                is_sound(first) && main_sound.is_some_and(|main| first.is_described_as(main));
            let main = first.trick_of.as_ref().and_then(|main| {
                let is_main =
                    |one: &&TrackRendition| one.name == *main && one.scheme() == first.scheme();
                sets.iter().position(|set| set.iter().any(is_main))
            });
            let protections = content_protection(first, presentation.rotation.as_ref(), part);
            let links = Links { switchable_with: others.join(","), main };
            adaptation_set(*id, set, protections, &links, is_main, part)
        })
        .collect();
    (sets.len(), found)
}

/// The other sets that a set names.
struct Links {
    /// Those that a player may switch to.
    switchable_with: String,
    /// The one whose key frames it is.
    main: Option<usize>,
}

fn adaptation_set(
    id: usize,
    set: &[&TrackRendition],
    protections: Vec<Element>,
    links: &Links,
    is_main: bool,
    part: &Part,
) -> Option<Element> {
    let first = set.first()?;
    let kind = content_type(first);
    let top_level_type = if kind == "text" { "application" } else { kind };
    let mut element = Element::new("AdaptationSet")
        .with("id", id)
        .with("contentType", kind)
        .with("mimeType", format!("{top_level_type}/mp4"));
    if let Some(language) = first.language() {
        element = element.with("lang", language);
    }
    let aligned = match first.layout {
        TrackLayout::Segments => ("segmentAlignment", "startWithSAP"),
        TrackLayout::SingleFile { .. } => ("subsegmentAlignment", "subsegmentStartsWithSAP"),
    };
    element = element.with(aligned.0, "true");
    if set.iter().flat_map(|track| &track.segments).all(|segment| segment.starts_with_sap) {
        element = element.with(aligned.1, 1);
    }
    element = element.with_children(protections);
    if let Some(main) = links.main {
        element = element.child(descriptor("EssentialProperty", TRICK_MODE, &main.to_string()));
    }
    if !links.switchable_with.is_empty() {
        let others = &links.switchable_with;
        element = element.child(descriptor("SupplementalProperty", SWITCHING, others));
    }
    if let Some(before) = part.goes_on_from(set) {
        element =
            element.child(descriptor("SupplementalProperty", CONTINUITY, &before.to_string()));
    }
    let element = element.with_children(description::elements(first, is_main));
    Some(element.with_children(set.iter().filter_map(|track| representation(track, part))))
}

fn descriptor(name: &str, scheme_id_uri: &str, value: &str) -> Element {
    Element::new(name).with("schemeIdUri", scheme_id_uri).with("value", value)
}

/// What a set says of its key: its own, or that of the part, with those that players ask for
/// together.
fn content_protection(
    track: &TrackRendition,
    rotation: Option<&KeyRotation>,
    part: &Part,
) -> Vec<Element> {
    const NAME: &str = "ContentProtection";
    let text = |name, bytes: Vec<u8>| Element::new(name).text(STANDARD.encode(bytes));
    let Some(protection) = track.protection else { return Vec::new() };
    let TrackProtection { mut kid, scheme, playready_checksum: checksum, .. } = protection;
    let keys = match (rotation, part.key_period) {
        (None, _) => vec![NamedKey { kid, checksum }],
        (Some(rotation), None) => rotation.init_keys(scheme),
        (Some(rotation), Some(period)) => {
            kid = rotation.key_in(&protection, period).map_or(kid, |key| key.kid);
            rotation.batch_keys(scheme, rotation.of.batch_of(period))
        }
    };
    let kids: Vec<KeyId> = keys.iter().map(|key| key.kid).collect();
    let in_band = rotation.filter(|_| part.key_period.is_none());
    // A player that finds initialization data here does not look for more in the media.
    let is_told = in_band.is_none_or(|rotation| rotation.is_one_batch());
    let widevine = is_told.then(|| text("cenc:pssh", pssh::widevine(&kids, scheme)));
    let mut found = vec![
        descriptor(NAME, MP4_PROTECTION, scheme.name()).with("cenc:default_KID", kid.to_uuid()),
        Element::new(NAME).with("schemeIdUri", SystemId::WIDEVINE.urn()).with_children(widevine),
    ];
    // The packager refuses a batch that no header holds.
    let playready = pssh::playready_list(&keys, scheme).ok();
    let object = pssh::playready_object_of(&keys, scheme).ok();
    found.extend(playready.zip(object).map(|(whole, object)| {
        let named = [text("cenc:pssh", whole), text("mspr:pro", object)];
        descriptor(NAME, &SystemId::PLAYREADY.urn(), "MSPR 2.0")
            .with_children(named.into_iter().filter(|_| is_told))
    }));
    // Of its own system Shaka makes initialization data of the default KID, with the same effect.
    let clearkey = if in_band.is_some() { SystemId::COMMON } else { SystemId::CLEARKEY };
    found.push(descriptor(NAME, &clearkey.urn(), CLEARKEY_NAME));
    found
}

fn representation(track: &TrackRendition, part: &Part) -> Option<Element> {
    let run = part.run(track);
    if run.segments.is_empty() {
        return None;
    }
    let mut element = Element::new("Representation")
        .with("id", format!("{}-{}", track.folder(), track.name))
        // The peak: with `minBufferTime` of one segment no player starves at this rate (5.3.5.4).
        .with("bandwidth", track.peak_bandwidth())
        .with("codecs", &track.codecs);
    match &track.media {
        TrackMedia::Video { width, height, frame_rate } => {
            element = element.with("width", width).with("height", height);
            if let Some(rate) = frame_rate {
                element = element.with(
                    "frameRate",
                    match rate.seconds.get() {
                        1 => rate.frames.to_string(),
                        seconds => format!("{}/{seconds}", rate.frames),
                    },
                );
            }
        }
        TrackMedia::Audio { sample_rate, channels, layout, .. } => {
            element = element.with("audioSamplingRate", sample_rate);
            element = element.with_children(channel_descriptors(*channels, *layout));
        }
        TrackMedia::Text { .. } => {}
    }
    Some(match track.layout {
        TrackLayout::Segments => element.child(segment_template(track, part, &run)),
        TrackLayout::SingleFile { init, index } => {
            element.child(Element::new("BaseURL").text(track.init_path())).child(
                Element::new("SegmentBase")
                    .with("indexRange", range(index))
                    .with("timescale", track.timescale)
                    .child(Element::new("Initialization").with("range", range(init))),
            )
        }
    })
}

/// What says which loudspeakers there are, and of objects among them.
fn channel_descriptors(channels: u16, layout: ChannelLayout) -> Vec<Element> {
    let configuration =
        |scheme, value: &str| descriptor("AudioChannelConfiguration", scheme, value);
    match layout {
        // The numbers of ISO/IEC 23003-3 and of 23091-3 are the same.
        ChannelLayout::Mpeg(number) => vec![configuration(CHANNELS, &number.to_string())],
        ChannelLayout::Unknown if channels <= 2 => {
            vec![configuration(CHANNELS, &channels.to_string())]
        }
        ChannelLayout::Unknown => Vec::new(),
        ChannelLayout::Dolby { map, joc_objects } => {
            let property = |scheme, value: &str| descriptor("SupplementalProperty", scheme, value);
            let mut found = vec![configuration(DOLBY_CHANNELS, &format!("{map:04X}"))];
            if let Some(objects) = joc_objects {
                found.push(property(DOLBY_EXTENSION, "JOC"));
                found.push(property(DOLBY_OBJECTS, &objects.to_string()));
            }
            found
        }
    }
}

fn segment_template(track: &TrackRendition, part: &Part, run: &Run<'_>) -> Element {
    // `$` begins an identifier in a template (5.3.9.4.4).
    let folder = format!("{}/{}", track.folder(), track.name).replace('$', "$$");
    let mut template = Element::new("SegmentTemplate").with("timescale", track.timescale);
    if part.id > 0 {
        template = template.with("presentationTimeOffset", part.offset_ts(track.timescale));
    }
    let period = part.key_period.filter(|_| track.protection.is_some());
    let init = period.map_or_else(|| "init.mp4".to_owned(), |period| format!("init-{period}.mp4"));
    template
        .with("startNumber", run.number)
        .with("initialization", format!("{folder}/{init}"))
        .with("media", format!("{folder}/$Number$.m4s"))
        .child(Element::new("SegmentTimeline").with_children(timeline(track, run)))
}

/// One `S` per run of equally long segments.
fn timeline(track: &TrackRendition, run: &Run<'_>) -> Vec<Element> {
    let mut runs: Vec<(Option<u64>, u64, u64)> = Vec::new();
    for (at, segment) in run.segments.iter().enumerate() {
        let begin = if at == 0 { Some(run.start_ts) } else { track.jump_at(run.first + at) };
        match runs.last_mut().filter(|(_, lasts, _)| *lasts == segment.duration_ts) {
            Some((_, _, repeats)) if begin.is_none() => *repeats += 1,
            _ => runs.push((begin, segment.duration_ts, 0)),
        }
    }
    let element = |(begin, lasts, repeats): (Option<u64>, u64, u64)| {
        let mut equal = Element::new("S");
        if let Some(begin) = begin {
            equal = equal.with("t", begin);
        }
        equal = equal.with("d", lasts);
        if repeats > 0 { equal.with("r", repeats) } else { equal }
    };
    runs.into_iter().map(element).collect()
}

const fn content_type(track: &TrackRendition) -> &'static str {
    match track.media {
        TrackMedia::Video { .. } => "video",
        TrackMedia::Audio { .. } => "audio",
        TrackMedia::Text { .. } => "text",
    }
}

fn longest_segment_ms(track: &TrackRendition) -> u64 {
    let longest = track.segments.iter().map(|segment| segment.duration_ts).max().unwrap_or(0);
    super::presentation::to_ms(longest, track.timescale)
}

/// `PT4.004S` (XML Schema, `duration`).
pub(super) fn duration(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("PT{}S", ms / 1000),
        rest => format!("PT{}.{rest:03}S", ms / 1000),
    }
}

/// First and last byte, as an HTTP range writes it.
fn range(span: ByteSpan) -> String {
    format!("{}-{}", span.start, span.end().saturating_sub(1))
}
