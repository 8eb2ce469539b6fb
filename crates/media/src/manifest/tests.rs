//! Manifests as agreed, and as two other parsers read them.

use super::fixture::{
    in_segments, in_single_files, kid, with_images, with_surround, with_texts, with_trick_tracks,
};
use super::*;
use dash_mpd_core as dash;
use m3u8_rs::{MasterPlaylist, MediaPlaylist};
use model::{Scheme, TrackClass};

fn read_mpd(text: &str) -> dash::MPD {
    dash::parse(text).unwrap()
}

/// I-frame playlists are no variants, though the parser lists them as such.
fn read_master(text: &str) -> MasterPlaylist {
    let mut master = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    master.variants.retain(|one| !one.is_i_frame);
    master
}

fn read_media(text: &str) -> MediaPlaylist {
    m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap()
}

#[test]
fn the_manifests_read_as_agreed() {
    let presentation = in_segments();
    insta::assert_snapshot!("manifest.mpd", mpd(&presentation));
    insta::assert_snapshot!("master.m3u8", hls_master(&presentation, Scheme::Cbcs));
    insta::assert_snapshot!("master_cenc.m3u8", hls_master(&presentation, Scheme::Cenc));
    insta::assert_snapshot!("video.m3u8", hls_media(&presentation, &presentation.tracks[0]));
    let i_frames = hls_i_frames(&presentation, &presentation.tracks[0]).unwrap();
    insta::assert_snapshot!("iframes.m3u8", i_frames);
    assert_eq!(hls_i_frames(&presentation, &presentation.tracks[3]), None);
    let in_files = in_single_files();
    insta::assert_snapshot!("single_file.mpd", mpd(&in_files));
    insta::assert_snapshot!("single_file_audio.m3u8", hls_media(&in_files, &in_files.tracks[8]));
}

#[test]
fn subtitles_stand_beside_every_scheme_and_are_not_encrypted() {
    let presentation = with_texts(in_segments());
    let read = read_mpd(&mpd(&presentation));
    let sets = &read.periods[0].adaptations;
    let texts: Vec<_> =
        sets.iter().filter(|set| set.contentType.as_deref() == Some("text")).collect();
    assert_eq!(texts.len(), 2);
    for (set, (language, codecs)) in texts.iter().zip([("en", "wvtt"), ("de", "stpp.ttml.im1t")]) {
        assert_eq!(set.lang.as_deref(), Some(language));
        assert_eq!(set.mimeType.as_deref(), Some("application/mp4"));
        assert_eq!(set.Role[0].value.as_deref(), Some("subtitle"));
        assert!(set.ContentProtection.is_empty());
        assert_eq!(set.representations[0].codecs.as_deref(), Some(codecs));
    }
    for scheme in Scheme::ALL {
        let master = read_master(&hls_master(&presentation, scheme));
        let texts: Vec<_> = master
            .alternatives
            .iter()
            .filter(|one| one.media_type == m3u8_rs::AlternativeMediaType::Subtitles)
            .map(|one| (one.language.as_deref().unwrap(), one.uri.as_deref().unwrap()))
            .collect();
        let expected = [("en", "text/text-en/playlist.m3u8"), ("de", "text/text-de/playlist.m3u8")];
        assert_eq!(texts, expected);
        assert!(master.variants.iter().all(|one| one.subtitles.as_deref() == Some("subtitles")));
    }
    insta::assert_snapshot!("text.m3u8", hls_media(&presentation, &presentation.tracks[10]));
    insta::assert_snapshot!("text_ttml.m3u8", hls_media(&presentation, &presentation.tracks[11]));
}

#[test]
fn thumbnails_are_one_set_of_tiles_for_every_scheme() {
    let presentation = with_images(in_segments());
    let text = mpd(&presentation);
    let read = read_mpd(&text);
    let set = read.periods[0].adaptations.last().unwrap();
    assert_eq!(set.contentType.as_deref(), Some("image"));
    assert_eq!(set.mimeType.as_deref(), Some("image/jpeg"));
    assert!(set.ContentProtection.is_empty());
    let representation = &set.representations[0];
    assert_eq!((representation.width, representation.height), (Some(960), Some(360)));
    assert_eq!(representation.bandwidth, Some(53_334));
    let tile = &representation.essential_property[0];
    assert_eq!(tile.schemeIdUri, "http://dashif.org/guidelines/thumbnail_tile");
    assert_eq!(tile.value.as_deref(), Some("3x2"));
    assert!(text.contains("images/thumbs-320/$Number$.jpg"), "{text}");
    let images = presentation.images.as_ref().unwrap();
    insta::assert_snapshot!("images.m3u8", hls_images(images));
    for scheme in Scheme::ALL {
        let text = hls_master(&presentation, scheme);
        let named = "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=53334,RESOLUTION=320x180,CODECS=\"jpeg\",\
                     URI=\"images/thumbs-320/playlist.m3u8\"\n";
        assert!(text.contains(named), "{text}");
        let master = read_master(&text);
        assert!(master.variants.iter().all(|one| !one.uri.contains("thumbs")));
    }
}

#[test]
fn a_trick_track_is_a_set_of_its_own_and_no_variant() {
    let presentation = with_trick_tracks(in_segments());
    let read = read_mpd(&mpd(&presentation));
    let sets = &read.periods[0].adaptations;
    let with_property: Vec<_> = sets
        .iter()
        .filter_map(|set| Some((set, set.essential_property.first()?)))
        .map(|(set, property)| {
            assert_eq!(property.schemeIdUri, "http://dashif.org/guidelines/trickmode");
            assert_eq!(set.representations.len(), 1);
            assert!(set.supplemental_property.is_empty());
            let main = sets.iter().find(|one| one.id == property.value).unwrap();
            assert_eq!(main.ContentProtection[0], set.ContentProtection[0]);
            let first = |set: &dash::AdaptationSet| set.representations[0].id.clone().unwrap();
            (first(set), first(main))
        })
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let expected =
        [pair("cbcs-trick-360p", "cbcs-video-360p"), pair("cenc-trick-360p", "cenc-video-360p")];
    assert_eq!(with_property, expected);
    for scheme in Scheme::ALL {
        let master = hls_master(&presentation, scheme);
        assert_eq!(master, hls_master(&in_segments(), scheme));
    }
}

#[test]
fn another_parser_finds_every_track_in_the_mpd() {
    for presentation in [in_segments(), in_single_files()] {
        let read = read_mpd(&mpd(&presentation));
        let sets = &read.periods[0].adaptations;
        // Per scheme: SD, HD and two languages.
        assert_eq!(sets.len(), 8);
        let names: Vec<_> = sets
            .iter()
            .flat_map(|set| &set.representations)
            .map(|one| one.id.clone().unwrap())
            .collect();
        let expected: Vec<_> = presentation
            .tracks
            .iter()
            .map(|track| format!("{}-{}", track.folder(), track.name))
            .collect();
        assert_eq!(names, expected);
        assert_eq!(read.mediaPresentationDuration.unwrap().as_millis(), 8075);
    }
}

#[test]
fn each_set_states_its_one_key_and_no_license_url() {
    let text = mpd(&in_segments());
    for (at, set) in read_mpd(&text).periods[0].adaptations.iter().enumerate() {
        let scheme = if at < 4 { Scheme::Cbcs } else { Scheme::Cenc };
        let class = [TrackClass::Sd, TrackClass::Hd, TrackClass::Audio, TrackClass::Audio][at % 4];
        let descriptors = &set.ContentProtection;
        assert_eq!(descriptors[0].value.as_deref(), Some(scheme.name()));
        assert_eq!(descriptors[0].default_KID, Some(kid(class, scheme).to_uuid()));
        let clear_key = &descriptors[3];
        assert_eq!(clear_key.schemeIdUri, "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e");
        assert!(clear_key.cenc_pssh.is_empty());
        assert_eq!(descriptors.len(), 4);
        assert!(descriptors.iter().all(|one| one.laurl.is_none() && one.clearkey_laurl.is_none()));
    }
    assert!(!text.contains("1077efec") && !text.to_lowercase().contains("laurl"));
}

#[test]
fn sets_that_differ_in_the_key_alone_are_switchable() {
    let read = read_mpd(&mpd(&in_segments()));
    let switchable = |set: &dash::AdaptationSet| {
        set.supplemental_property.first().map(|property| property.value.clone().unwrap())
    };
    let listed: Vec<_> = read.periods[0].adaptations.iter().map(switchable).collect();
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(listed, [some("1"), some("0"), None, None, some("5"), some("4"), None, None]);
}

#[test]
fn another_parser_finds_every_variant_in_the_playlists() {
    let presentation = in_segments();
    for scheme in Scheme::ALL {
        let master = read_master(&hls_master(&presentation, scheme));
        assert_eq!(master.version, Some(6));
        let uris: Vec<_> = master.variants.iter().map(|one| one.uri.as_str()).collect();
        let folder = scheme.name();
        let expected = ["video-360p", "video-576p", "video-1080p"]
            .map(|name| format!("{folder}/{name}/playlist.m3u8"));
        assert_eq!(uris, expected);
        for (variant, height) in master.variants.iter().zip([360, 576, 1080]) {
            assert_eq!(variant.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
            assert_eq!(variant.resolution.unwrap().height, height);
            assert_eq!(variant.frame_rate, Some(29.97));
            assert_eq!(variant.audio.as_deref(), Some("audio-1"));
            assert!(variant.average_bandwidth.unwrap() <= variant.bandwidth);
        }
        let languages: Vec<_> = master
            .alternatives
            .iter()
            .map(|one| (one.language.as_deref().unwrap(), one.default))
            .collect();
        assert_eq!(languages, [("en", true), ("de", false)]);
        // SD, HD and audio keys, for each system that plays the scheme.
        let systems = if scheme == Scheme::Cbcs { 4 } else { 3 };
        assert_eq!(master.session_key.len(), 3 * systems);
    }
}

#[test]
fn a_media_playlist_adds_up() {
    for presentation in [in_segments(), in_single_files()] {
        for track in &presentation.tracks {
            let read = read_media(&hls_media(&presentation, track));
            assert_eq!((read.target_duration, read.segments.len(), read.end_list), (4, 3, true));
            assert!(read.segments.iter().all(|one| one.duration.round() <= 4.0));
            let whole: f32 = read.segments.iter().map(|one| one.duration).sum();
            assert!((whole * 1000.0 - track.duration_ms() as f32).abs() < 1.5);
            assert!(read.segments[0].key.as_ref().unwrap().iv.is_none());
            if let TrackLayout::SingleFile { index, .. } = track.layout {
                let ranges: Vec<_> = read
                    .segments
                    .iter()
                    .map(|one| one.byte_range.clone().unwrap())
                    .map(|range| (range.offset.unwrap(), range.length))
                    .collect();
                assert_eq!(ranges[0].0, index.end());
                assert_eq!(ranges[1].0, ranges[0].0 + ranges[0].1);
                assert_eq!(ranges[2].0 + ranges[2].1, index.end() + track.size_bytes());
            }
        }
    }
}

#[test]
fn fair_play_is_never_offered_with_cenc_and_its_uri_names_content_and_key_only() {
    let presentation = in_segments();
    assert!(!hls_master(&presentation, Scheme::Cenc).contains("skd:"));
    let track = presentation.tracks_of(Scheme::Cbcs).next().unwrap();
    let line = hls_media(&presentation, track);
    let line = line.lines().find(|line| line.contains("skd:")).unwrap();
    let uri = format!("URI=\"skd://film-1?kid={}\"", track.protection.unwrap().kid);
    assert!(line.contains(&uri) && !line.contains("IV="), "{line}");
}

#[test]
fn the_peak_leaves_a_short_last_segment_out() {
    let mut track = in_segments().tracks.remove(0);
    // 120 000 bytes in 4.004 s; the last 60 000 bytes last 67 ms and count with the one before.
    assert_eq!(track.peak_bandwidth(), (180_000 * 8 * 30_000_u64).div_ceil(122_122));
    assert_eq!(track.average_bandwidth(), (240_000 * 8 * 30_000_u64).div_ceil(242_242));
    track.segments.clear();
    assert_eq!((track.peak_bandwidth(), track.average_bandwidth(), track.duration_ms()), (0, 0, 0));
}

#[test]
fn two_qualities_of_a_language_make_two_groups() {
    let mut presentation = in_segments();
    let mut better = presentation.tracks[3].clone();
    better.name = "audio-en-high".to_owned();
    better.codecs = "mp4a.40.5".to_owned();
    presentation.tracks.insert(5, better);
    let master = read_master(&hls_master(&presentation, Scheme::Cbcs));
    let of = |group: &str| master.alternatives.iter().filter(|one| one.group_id == group).count();
    // The second group takes its German from the first: groups have the same members.
    assert_eq!((of("audio-1"), of("audio-2"), master.variants.len()), (2, 2, 6));
    let codecs: Vec<_> =
        master.variants[..2].iter().map(|one| one.codecs.clone().unwrap()).collect();
    assert_eq!(codecs, ["avc1.64001f,mp4a.40.2", "avc1.64001f,mp4a.40.5,mp4a.40.2"]);
}

#[test]
fn sound_of_several_systems_reads_as_agreed() {
    let presentation = with_surround();
    let text = mpd(&presentation);
    let tells = ["<AdaptationSet", "<Representation", "<AudioChannel", "<Supplemental"];
    let lines = text.lines().filter(|line| tells.iter().any(|tell| line.contains(tell)));
    insta::assert_snapshot!("surround.mpd", lines.collect::<Vec<_>>().join("\n"));
    let text = hls_master(&presentation, Scheme::Cbcs);
    let lines = text.lines().filter(|line| !line.contains("SESSION-KEY"));
    insta::assert_snapshot!("surround.m3u8", lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_sound_system_is_a_set_and_a_group_of_its_own() {
    let presentation = with_surround();
    let read = read_mpd(&mpd(&presentation));
    let names = |set: &dash::AdaptationSet| {
        let names = set.representations.iter().map(|one| one.id.clone().unwrap());
        names.collect::<Vec<_>>().join(" ")
    };
    let sets: Vec<_> = read.periods[0].adaptations.iter().map(names).collect();
    let expected =
        ["audio-en cbcs-audio-en-better", "audio-de", "surround-en", "atmos-en", "mp3-en"];
    assert_eq!(sets, expected.map(|names| format!("cbcs-{names}")));
    let master = read_master(&hls_master(&presentation, Scheme::Cbcs));
    let groups: Vec<_> = master
        .alternatives
        .iter()
        .map(|one| {
            let channels = one.channels.clone().unwrap();
            (one.group_id.as_str(), one.name.as_str(), one.default, channels)
        })
        .collect();
    let line = |group, channels: [&str; 2]| {
        [(group, "en", true, channels[0].to_owned()), (group, "de", false, channels[1].to_owned())]
    };
    let expected = [
        line("audio-1", ["2", "2"]),
        line("audio-2", ["2", "2"]),
        line("audio-3", ["6", "2"]),
        line("audio-4", ["16/JOC", "2"]),
        line("audio-5", ["2", "2"]),
    ];
    assert_eq!(groups, expected.concat());
    let codecs: Vec<_> = master.variants.iter().map(|one| one.codecs.clone().unwrap()).collect();
    assert_eq!(codecs[2], "ec-3,mp4a.40.2");
}

#[test]
fn titles_of_one_kind_have_manifests_too() {
    let whole = in_segments();
    let only = |is_audio: bool| {
        let tracks = whole.tracks.iter().filter(|one| one.language().is_some() == is_audio);
        Presentation { tracks: tracks.cloned().collect(), ..whole.clone() }
    };
    let sound = read_master(&hls_master(&only(true), Scheme::Cbcs));
    assert_eq!((sound.variants.len(), sound.alternatives.len()), (1, 2));
    assert_eq!(sound.variants[0].codecs.as_deref(), Some("mp4a.40.2"));
    let picture = read_master(&hls_master(&only(false), Scheme::Cbcs));
    assert_eq!((picture.variants.len(), picture.alternatives.len()), (3, 0));
    assert!(picture.variants.iter().all(|one| one.audio.is_none()));
    assert_eq!(read_mpd(&mpd(&only(true))).periods[0].adaptations.len(), 4);
}

#[test]
fn text_from_a_file_cannot_leave_its_place() {
    let mut presentation = in_segments();
    let TrackMedia::Audio { language, .. } = &mut presentation.tracks[3].media else { panic!() };
    *language = Some("x\"\n#EXT-X-KEY:METHOD=NONE\n<a b='&'/>".to_owned());
    let text = hls_master(&presentation, Scheme::Cbcs);
    assert!(text.lines().all(|line| !line.starts_with("#EXT-X-KEY")), "{text}");
    assert_eq!(read_master(&text).alternatives.len(), 2);
    let read = read_mpd(&mpd(&presentation));
    assert!(read.periods[0].adaptations[2].lang.as_ref().unwrap().ends_with("<a b='&'/>"));
}
