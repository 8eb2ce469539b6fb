//! A packaged title for tests: SD, HD and two languages, once per scheme.

use super::{
    ByteSpan, Description, FrameRate, ImageTrack, KeyFrame, KeyRotation, KeySignal, Presentation,
    SegmentEntry, TextFormat, TrackLayout, TrackMedia, TrackProtection, TrackRendition, Turn,
};
use crate::codec::ChannelLayout;
use crate::images::Tiles;
use crate::pssh::{KeyNames, NamedKey};
use model::{
    ContentId, KeyId, PackagedEvent, PackagedImages, PackagedText, PackagedVariant, Rotation,
    Scheme, Timestamp, TrackClass, TrackRole,
};
use std::num::NonZeroU32;

/// The key of a class in a scheme.
pub(crate) fn kid(class: TrackClass, scheme: Scheme) -> KeyId {
    KeyId::from_bytes([0x10 * (scheme as u8 + 1) + class as u8; 16])
}

/// In the segments layout.
pub(crate) fn in_segments() -> Presentation {
    let tracks = Scheme::ALL
        .into_iter()
        .flat_map(|scheme| {
            [
                video(scheme, "video-360p", 640, 360, 60_000),
                video(scheme, "video-576p", 1024, 576, 120_000),
                video(scheme, "video-1080p", 1920, 1080, 500_000),
                audio(scheme, "audio-en", "en"),
                audio(scheme, "audio-de", "de"),
            ]
        })
        .collect();
    Presentation {
        content_id: ContentId::parse("film-1").unwrap(),
        tracks,
        images: None,
        cues_ns: Vec::new(),
        live: None,
        rotation: None,
    }
}

/// The same title in the single-file layout.
pub(crate) fn in_single_files() -> Presentation {
    let mut presentation = in_segments();
    for track in &mut presentation.tracks {
        track.layout = TrackLayout::SingleFile {
            init: ByteSpan { start: 0, len: 1200 },
            index: ByteSpan { start: 1200, len: 68 },
        };
    }
    presentation
}

/// The same title with subtitles, as text and as TTML.
pub(crate) fn with_texts(mut presentation: Presentation) -> Presentation {
    for (name, language, format, codecs) in [
        ("text-en", "en", TextFormat::WebVtt, "wvtt"),
        ("text-de", "de", TextFormat::Ttml, "stpp.ttml.im1t"),
    ] {
        presentation.tracks.push(TrackRendition {
            protection: None,
            media: TrackMedia::Text { format, language: Some(language.to_owned()) },
            codecs: codecs.to_owned(),
            ..audio(Scheme::Cbcs, name, language)
        });
    }
    presentation
}

/// Sound alone in `cbcs`: AAC of two qualities and languages, 5.1, Atmos and MP3.
pub(crate) fn with_surround() -> Presentation {
    let dolby = |joc_objects| ChannelLayout::Dolby { map: 0xf801, joc_objects };
    let of = |name: &str, codecs: &str, speakers: (u16, ChannelLayout)| {
        let mut track = audio(Scheme::Cbcs, name, "en");
        codecs.clone_into(&mut track.codecs);
        if let TrackMedia::Audio { channels, layout, .. } = &mut track.media {
            (*channels, *layout) = speakers;
        }
        track
    };
    let stereo = (2, ChannelLayout::Mpeg(2));
    let tracks = vec![
        audio(Scheme::Cbcs, "audio-en", "en"),
        audio(Scheme::Cbcs, "audio-de", "de"),
        of("audio-en-better", "mp4a.40.2", stereo),
        of("surround-en", "ec-3", (6, dolby(None))),
        of("atmos-en", "ec-3", (6, dolby(Some(16)))),
        of("mp3-en", "mp4a.6B", stereo),
    ];
    Presentation {
        content_id: ContentId::parse("film-1").unwrap(),
        tracks,
        images: None,
        cues_ns: Vec::new(),
        live: None,
        rotation: None,
    }
}

/// The same title with subtitles and more sound, all of it described: described picture and a
/// comment in German beside the German film, captions and forced subtitles.
pub(crate) fn with_descriptions(presentation: Presentation) -> Presentation {
    let mut presentation = with_texts(presentation);
    let layout = presentation.tracks[0].layout;
    let said = |role, label: Option<&str>| Description {
        role: Some(role),
        label: label.map(str::to_owned),
        ..Description::default()
    };
    let of = |track: TrackRendition, description| TrackRendition { layout, description, ..track };
    for scheme in Scheme::ALL {
        let described = said(TrackRole::Description, Some("Audiodeskription"));
        presentation.tracks.extend([
            of(audio(scheme, "audio-de-2", "de"), described),
            of(audio(scheme, "audio-de-3", "de"), said(TrackRole::Commentary, None)),
        ]);
    }
    let text = |name, language: &str, description| TrackRendition {
        protection: None,
        media: TrackMedia::Text { format: TextFormat::WebVtt, language: Some(language.to_owned()) },
        codecs: "wvtt".to_owned(),
        ..of(audio(Scheme::Cbcs, name, language), description)
    };
    let captions = said(TrackRole::Caption, Some("für Gehörlose"));
    let forced = Description { is_forced: true, ..Description::default() };
    presentation.tracks.push(text("text-de-2", "de", captions));
    presentation.tracks.push(text("text-de-3", "de", forced));
    presentation
}

/// The same title in two parts, the second from the second segment on.
pub(crate) fn with_cue(presentation: Presentation) -> Presentation {
    Presentation { cues_ns: vec![4_004_000_000], ..presentation }
}

/// The key of a class in a scheme in a period.
pub(crate) fn kid_in(period: u32, class: TrackClass, scheme: Scheme) -> KeyId {
    let mut bytes = [0x10 * (scheme as u8 + 1) + class as u8; 16];
    bytes[..4].copy_from_slice(&(0xff00_0000 | period).to_be_bytes());
    KeyId::from_bytes(bytes)
}

/// The same title with a key for each segment of four seconds; two keys are a batch.
pub(crate) fn with_rotation(presentation: Presentation, signal: KeySignal) -> Presentation {
    let classes = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];
    let named =
        |kid, scheme| NamedKey { kid, checksum: (scheme == Scheme::Cenc).then_some([0xc5; 8]) };
    let names = |scheme: Scheme| KeyNames {
        scheme,
        tracks: classes.map(|class| (class, named(kid(class, scheme), scheme))).into(),
        periods: (0..3)
            .map(|period| {
                let of = |class| (class, named(kid_in(period, class, scheme), scheme));
                (period, classes.map(of).into())
            })
            .collect(),
    };
    let number = |n| NonZeroU32::new(n).unwrap();
    let turns = [0, 4_004_000_000, 8_000_000_000];
    let turns = turns.into_iter().zip(0..).map(|(start_ns, period)| Turn { start_ns, period });
    let rotation = KeyRotation {
        of: Rotation { period_s: number(4), batch_periods: number(2) },
        signal,
        turns: turns.collect(),
        names: Scheme::ALL.map(names).to_vec(),
        is_whole: true,
    };
    Presentation { rotation: Some(rotation), ..presentation }
}

/// The same title with a track for fast play in each scheme.
pub(crate) fn with_trick_tracks(mut presentation: Presentation) -> Presentation {
    for scheme in Scheme::ALL {
        presentation.tracks.push(TrackRendition {
            trick_of: Some("video-360p".to_owned()),
            key_frames: Vec::new(),
            ..video(scheme, "trick-360p", 640, 360, 9_000)
        });
    }
    presentation
}

/// The same title with thumbnails: two sheets, the second one not full.
pub(crate) fn with_images(mut presentation: Presentation) -> Presentation {
    let tiles = Tiles { width: 320, height: 180, columns: 3, rows: 2, interval_s: 1, count: 9 };
    presentation.images = Some(ImageTrack { tiles, sheet_bytes: vec![30_000, 20_000] });
    presentation
}

/// Its package document.
pub(crate) fn package(presentation: &Presentation) -> PackagedEvent {
    let variant = |track: &TrackRendition| PackagedVariant {
        name: track.name.clone(),
        trick_of: track.trick_of.clone(),
        scheme: track.scheme().unwrap(),
        track_class: track.protection.unwrap().class,
        kid: track.protection.unwrap().kid,
        period_kids: presentation
            .rotation
            .as_ref()
            .map(|rotation| rotation.period_kids(track.protection.unwrap()))
            .unwrap_or_default(),
        codecs: track.codecs.clone(),
        bandwidth: track.average_bandwidth(),
        width: None,
        height: None,
        language: None,
        role: track.description.role,
        clear_lead_ms: track.clear_lead_ms(),
        playlist: track.playlist_path(),
        iframe_playlist: track.iframe_playlist_path(),
        size_bytes: track.size_bytes(),
    };
    let text = |track: &TrackRendition| PackagedText {
        name: track.name.clone(),
        codecs: track.codecs.clone(),
        language: None,
        role: track.description.role,
        playlist: track.playlist_path(),
        size_bytes: track.size_bytes(),
    };
    let images = |track: &ImageTrack| PackagedImages {
        name: track.tiles.name(),
        width: track.tiles.width,
        height: track.tiles.height,
        columns: track.tiles.columns,
        rows: track.tiles.rows,
        interval_s: track.tiles.interval_s,
        count: track.tiles.count,
        sheets: track.tiles.sheets(),
        playlist: track.tiles.playlist_path(),
        bif: track.tiles.bif_path(),
        size_bytes: 1,
    };
    PackagedEvent {
        event: PackagedEvent::EVENT.to_owned(),
        version: PackagedEvent::VERSION,
        content_id: presentation.content_id.clone(),
        package_id: model::PackageId::from_bytes([1; 16]),
        schemes: Scheme::ALL.to_vec(),
        variants: Scheme::ALL
            .iter()
            .flat_map(|scheme| presentation.tracks_of(*scheme))
            .map(variant)
            .collect(),
        texts: presentation.texts().map(text).collect(),
        images: presentation.images.iter().map(images).collect(),
        dash: super::DASH_PATH.to_owned(),
        hls: Scheme::ALL.map(|scheme| super::hls_path(scheme).to_owned()).to_vec(),
        live: false,
        rotation: presentation.rotation.as_ref().map(|rotation| rotation.of),
        duration_ms: presentation.duration_ms(),
        size_bytes: 1,
        packager: "test".to_owned(),
        packaged_at: Timestamp(0),
    }
}

fn video(scheme: Scheme, name: &str, width: u32, height: u32, size_bytes: u64) -> TrackRendition {
    let rate = FrameRate { frames: 30_000, seconds: NonZeroU32::new(1001).unwrap() };
    let segment =
        |duration_ts, size_bytes| SegmentEntry { duration_ts, size_bytes, starts_with_sap: true };
    TrackRendition {
        name: name.to_owned(),
        media: TrackMedia::Video { width, height, frame_rate: Some(rate) },
        codecs: "avc1.64001f".to_owned(),
        timescale: 30_000,
        // The last one is short: it must not make the peak.
        segments: vec![
            segment(120_120, size_bytes),
            segment(120_120, size_bytes * 2),
            segment(2002, size_bytes),
        ],
        // Two in the first segment.
        key_frames: [(1, 24, 0), (1, 31_000, 60_060), (2, 24, 120_120), (3, 24, 240_240)]
            .map(|(segment, start, presentation_ts)| KeyFrame {
                segment,
                span: ByteSpan { start, len: size_bytes / 20 },
                presentation_ts,
            })
            .to_vec(),
        ..track(scheme, TrackClass::of_picture(width, height))
    }
}

fn audio(scheme: Scheme, name: &str, language: &str) -> TrackRendition {
    let segment =
        |duration_ts| SegmentEntry { duration_ts, size_bytes: 64_000, starts_with_sap: true };
    TrackRendition {
        name: name.to_owned(),
        media: TrackMedia::Audio {
            sample_rate: 48_000,
            channels: 2,
            layout: ChannelLayout::Mpeg(2),
            language: Some(language.to_owned()),
        },
        codecs: "mp4a.40.2".to_owned(),
        timescale: 48_000,
        segments: vec![segment(192_512), segment(191_488), segment(3072)],
        ..track(scheme, TrackClass::Audio)
    }
}

fn track(scheme: Scheme, class: TrackClass) -> TrackRendition {
    TrackRendition {
        name: String::new(),
        trick_of: None,
        protection: Some(TrackProtection {
            scheme,
            class,
            kid: kid(class, scheme),
            playready_checksum: (scheme == Scheme::Cenc).then_some([0xc5; 8]),
        }),
        codecs: String::new(),
        media: TrackMedia::Video { width: 0, height: 0, frame_rate: None },
        timescale: 1,
        start_ts: 0,
        layout: TrackLayout::Segments,
        segments: Vec::new(),
        clear_segments: 0,
        description: Description::default(),
        key_frames: Vec::new(),
        live: None,
    }
}
