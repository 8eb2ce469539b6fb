//! Manifests of a title whose keys change: what they say, as other parsers and our own readers
//! read it, and what sessions see of them.

use super::filter::{self, Filter, FilterError};
use super::fixture::{in_segments, in_single_files, kid, kid_in, package, with_cue, with_rotation};
use super::listing::{Listed, MediaParts, Named, parse_mpd, parse_multivariant};
use super::{KeySignal, Presentation, TrackRendition, hls_i_frames, hls_master, hls_media, mpd};
use crate::pssh::{self, PlayReadyObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dash_mpd_core as dash;
use model::{Dialect, KeyId, Scheme, TrackClass, TrackClasses};

fn rotating(signal: KeySignal) -> Presentation {
    with_rotation(in_segments(), signal)
}

/// KIDs of a box or an object in base64.
fn kids_in(text: &str, is_object: bool) -> Vec<KeyId> {
    let bytes = STANDARD.decode(text).unwrap();
    match is_object {
        true => PlayReadyObject::parse(&bytes).unwrap().kids,
        false => pssh::parse(&bytes).unwrap().all_kids(),
    }
}

/// The keys of the tracks, then those of these periods.
fn named(scheme: Scheme, periods: std::ops::Range<u32>) -> Vec<KeyId> {
    let classes = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];
    let of_periods = periods.flat_map(|period| classes.map(|class| kid_in(period, class, scheme)));
    classes.map(|class| kid(class, scheme)).into_iter().chain(of_periods).collect()
}

/// `default_KID` and the KIDs of every `pssh` and `pro` of a set.
fn protection(set: &dash::AdaptationSet) -> (KeyId, Vec<Vec<KeyId>>) {
    let default = set.ContentProtection.iter().find_map(|one| one.default_KID.as_ref()).unwrap();
    let boxes = set.ContentProtection.iter().flat_map(|one| &one.cenc_pssh);
    let boxes = boxes.map(|one| kids_in(one.content.as_ref().unwrap(), false));
    let objects = set.ContentProtection.iter().filter_map(|one| one.msprpro.as_ref());
    let objects = objects.map(|one| kids_in(one.content.as_ref().unwrap(), true));
    (KeyId::parse(default).unwrap(), boxes.chain(objects).collect())
}

fn scheme_of(set: &dash::AdaptationSet) -> Scheme {
    let scheme = set.ContentProtection.iter().find_map(|one| one.value.as_deref()).unwrap();
    Scheme::parse(scheme).unwrap()
}

#[test]
fn in_band_an_mpd_names_the_keys_of_the_tracks() {
    for presentation in
        [rotating(KeySignal::InBand), with_rotation(in_single_files(), KeySignal::InBand)]
    {
        let read = dash::parse(&mpd(&presentation)).unwrap();
        assert_eq!(read.periods.len(), 1);
        let own: std::collections::BTreeSet<_> =
            presentation.tracks.iter().map(|track| track.protection.unwrap().kid).collect();
        for set in &read.periods[0].adaptations {
            let (default, all) = protection(set);
            assert!(own.contains(&default));
            // What the media names is looked for only by players that find nothing here.
            assert_eq!(all, [[]; 0]);
            let clearkey =
                set.ContentProtection.iter().map(|one| one.schemeIdUri.as_str()).next_back();
            assert_eq!(clearkey, Some("urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"));
        }
    }
}

#[test]
fn an_mpd_names_every_key_where_one_batch_has_them_all() {
    let mut presentation = rotating(KeySignal::InBand);
    let rotation = presentation.rotation.as_mut().unwrap();
    rotation.of.batch_periods = std::num::NonZeroU32::new(3).unwrap();
    for set in &dash::parse(&mpd(&presentation)).unwrap().periods[0].adaptations {
        let (_, all) = protection(set);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|kids| *kids == named(scheme_of(set), 0..3)), "{all:?}");
    }
}

#[test]
fn a_session_of_clear_key_is_told_its_system_where_keys_change_in_band() {
    let presentation = rotating(KeySignal::InBand);
    let event = package(&presentation);
    let filter =
        Filter::new(&event, Scheme::Cbcs, TrackClasses::up_to(TrackClass::Uhd), Dialect::ClearKey);
    let text = filter::mpd(&mpd(&presentation), &filter).unwrap();
    for set in &dash::parse(&text).unwrap().periods[0].adaptations {
        let uris: Vec<_> =
            set.ContentProtection.iter().map(|one| one.schemeIdUri.as_str()).collect();
        let common = "urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";
        assert_eq!(uris, ["urn:mpeg:dash:mp4protection:2011", common]);
    }
    let other = text.replace("ClearKey1.0", "other");
    assert!(!filter::mpd(&other, &filter).unwrap().contains("1077efec"));
}

#[test]
fn by_periods_each_names_its_key_its_init_and_its_batch() {
    for presentation in [rotating(KeySignal::Periods), with_cue(rotating(KeySignal::Periods))] {
        let read = dash::parse(&mpd(&presentation)).unwrap();
        assert_eq!(read.periods.len(), 3);
        for (period, key_period) in read.periods.iter().zip(0..) {
            for set in &period.adaptations {
                let scheme = scheme_of(set);
                let (default, all) = protection(set);
                let classes = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];
                assert!(classes.iter().any(|class| kid_in(key_period, *class, scheme) == default));
                // The batch of the third period is the last: it names no next one.
                let batch = if key_period < 2 { 0..3 } else { 2..3 };
                assert!(all.iter().all(|kids| *kids == named(scheme, batch.clone())));
                let goes_on = set
                    .supplemental_property
                    .iter()
                    .any(|one| one.schemeIdUri == "urn:mpeg:dash:period-continuity:2015");
                assert_eq!(goes_on, key_period > 0);
                for one in &set.representations {
                    let template = one.SegmentTemplate.as_ref().unwrap();
                    let init = template.initialization.as_ref().unwrap();
                    assert!(init.ends_with(&format!("/init-{key_period}.mp4")), "{init}");
                }
            }
        }
    }
}

/// The key lines of a media playlist: the segment they stand before, `KEYFORMAT`, `KEYID`, `URI`.
fn key_lines(text: &str) -> Vec<(usize, String, Option<String>, String)> {
    let value = |line: &str, name: &str| {
        let list = super::attribute_list::AttributeList::parse(line.split_once(':').unwrap().1);
        list.unwrap().value(name).map(str::to_owned)
    };
    let mut segments = 0;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("#EXTINF") {
            segments += 1;
        } else if line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-SESSION-KEY") {
            let [format, uri] = ["KEYFORMAT", "URI"].map(|name| value(line, name).unwrap());
            found.push((segments, format, value(line, "KEYID"), uri));
        }
    }
    found
}

fn check_playlist(presentation: &Presentation, track: &TrackRendition) {
    let (scheme, class) = (track.scheme().unwrap(), track.protection.unwrap().class);
    let lines = key_lines(&hls_media(presentation, track));
    let of = |format: &str| -> Vec<_> { lines.iter().filter(|one| one.1 == format).collect() };
    let skd: Vec<_> = of("com.apple.streamingkeydelivery")
        .into_iter()
        .map(|one| (one.0, one.3.clone()))
        .collect();
    let expected = (0..3).map(|at| {
        let kid = kid_in(at, class, scheme);
        (at as usize, format!("skd://film-1?kid={kid}"))
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!(skd, if scheme == Scheme::Cbcs { expected } else { vec![] });
    let clear: Vec<_> =
        of("org.w3.clearkey").into_iter().map(|one| (one.0, one.2.clone().unwrap())).collect();
    assert_eq!(
        clear,
        [0, 1, 2].map(|at| (at as usize, format!("0x{}", kid_in(at, class, scheme))))
    );
    for (format, is_object) in [
        ("urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", false),
        ("com.microsoft.playready", true),
    ] {
        let batches = of(format).into_iter().map(|(at, _, kid, uri)| {
            let data = uri.split_once("base64,").unwrap().1;
            (*at, kid.clone().unwrap(), kids_in(data, is_object))
        });
        let expected = [(0_usize, 0, 0..3), (2, 2, 2..3)].map(|(at, period, periods)| {
            (at, format!("0x{}", kid_in(period, class, scheme)), named(scheme, periods))
        });
        assert_eq!(batches.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn playlists_have_a_line_where_a_system_hears_of_new_keys() {
    for signal in [KeySignal::InBand, KeySignal::Periods] {
        let presentation = rotating(signal);
        presentation.tracks.iter().for_each(|track| check_playlist(&presentation, track));
        let track = &presentation.tracks[0];
        let text = hls_media(&presentation, track);
        let maps: Vec<_> = text.lines().filter(|line| line.starts_with("#EXT-X-MAP")).collect();
        match signal {
            KeySignal::InBand => assert_eq!(maps, ["#EXT-X-MAP:URI=\"init.mp4\""]),
            KeySignal::Periods => {
                assert_eq!(maps, [0, 1, 2].map(|at| format!("#EXT-X-MAP:URI=\"init-{at}.mp4\"")))
            }
        }
        m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
        // Key frames of the second segment are under its key.
        let i_frames = key_lines(&hls_i_frames(&presentation, track).unwrap());
        let skd = i_frames.iter().filter(|one| one.1 == "com.apple.streamingkeydelivery");
        assert_eq!(skd.map(|one| one.0).collect::<Vec<_>>(), [0, 2, 3]);
    }
}

#[test]
fn a_clear_lead_has_its_init_and_no_key() {
    let mut presentation = rotating(KeySignal::Periods);
    presentation.tracks[0].clear_segments = 2;
    let text = hls_media(&presentation, &presentation.tracks[0]);
    assert_eq!(text.matches("#EXT-X-MAP").count(), 3);
    let lines = key_lines(&text);
    assert!(lines.iter().all(|one| one.0 == 2) && lines.len() == 4, "{lines:?}");
}

#[test]
fn session_keys_are_those_of_the_tracks_and_of_the_first_batch() {
    let presentation = rotating(KeySignal::InBand);
    let lines = key_lines(&hls_master(&presentation, Scheme::Cbcs));
    let of = |format: &str| -> Vec<_> { lines.iter().filter(|one| one.1 == format).collect() };
    // Three classes: their own keys, and those of the two periods of the batch.
    let skd = of("com.apple.streamingkeydelivery");
    assert_eq!(skd.len(), 9);
    assert!(skd[0].3.ends_with(&kid(TrackClass::Sd, Scheme::Cbcs).to_string()));
    assert_eq!(of("org.w3.clearkey").len(), 9);
    let [playready] = of("com.microsoft.playready")[..] else { panic!("one") };
    let data = playready.3.split_once("base64,").unwrap().1;
    assert_eq!(kids_in(data, true), named(Scheme::Cbcs, 0..3));
    let lowest = kid(TrackClass::Audio, Scheme::Cbcs);
    assert_eq!(playready.2, Some(format!("0x{lowest}")));
}

#[test]
fn sessions_see_the_keys_of_their_classes_and_no_other() {
    for signal in [KeySignal::InBand, KeySignal::Periods] {
        let presentation = rotating(signal);
        let package = package(&presentation);
        let whole = mpd(&presentation);
        for (scheme, dialect) in
            Scheme::ALL.into_iter().flat_map(|one| Dialect::ALL.map(|d| (one, d)))
        {
            let classes = TrackClasses::up_to(TrackClass::Sd);
            let sd = Filter::new(&package, scheme, classes, dialect);
            let text = filter::mpd(&whole, &sd).unwrap();
            let periods = if signal == KeySignal::Periods { 3 } else { 1 };
            assert_eq!(text.matches("<Period ").count(), periods);
            // Two pictures of one class, and sound in two languages, in each.
            assert_eq!(text.matches("default_KID").count(), periods * 3);
            assert!(!text.contains("video-1080p"));
            let is_cenc_fairplay = dialect == Dialect::FairPlay && scheme == Scheme::Cenc;
            for track in presentation.tracks_of(scheme).filter(|_| !is_cenc_fairplay) {
                let media = filter::hls_media(&hls_media(&presentation, track), &sd);
                if track.name == "video-1080p" {
                    assert_eq!(media, Err(FilterError::NothingLeft));
                    continue;
                }
                let lines = key_lines(&media.unwrap());
                let is_one = matches!(dialect, Dialect::FairPlay | Dialect::ClearKey);
                assert_eq!(lines.len(), if is_one { 3 } else { 2 }, "{dialect:?} {lines:?}");
            }
            let master = filter::hls_master(&hls_master(&presentation, scheme), &sd).unwrap();
            for class in [TrackClass::Hd, TrackClass::Uhd] {
                let foreign = (0..3).map(|period| kid_in(period, class, scheme));
                for kid in foreign.chain([kid(class, scheme)]) {
                    let line = format!("=0x{kid}");
                    assert!(!master.contains(&line) && !master.contains(&format!("kid={kid}")));
                }
            }
            let has_keys = master.contains("#EXT-X-SESSION-KEY");
            assert_eq!(has_keys, !is_cenc_fairplay);
        }
    }
}

fn list(presentation: &Presentation, track: &TrackRendition, dialect: Dialect) -> Listed {
    let master = hls_master(presentation, track.scheme().unwrap());
    let named: Vec<Named> = parse_multivariant(&master).unwrap();
    let playlist = track.playlist_path();
    let own = named.into_iter().find(|one| one.playlist == playlist).unwrap();
    own.list(&hls_media(presentation, track), dialect).unwrap()
}

#[test]
fn a_player_reads_where_keys_and_inits_change() {
    let presentation = rotating(KeySignal::Periods);
    let (track, scheme) = (&presentation.tracks[0], Scheme::Cbcs);
    let kids = [0, 1, 2].map(|period| Some(kid_in(period, TrackClass::Sd, scheme)));
    let listed = parse_mpd(&mpd(&presentation)).unwrap();
    let of_mpd = listed.iter().find(|one| one.id == "cbcs-video-360p").unwrap();
    for one in [of_mpd, &list(&presentation, track, Dialect::FairPlay)] {
        assert_eq!(one.protection.unzip().1, kids[0]);
        assert_eq!(one.init.path, "cbcs/video-360p/init-0.mp4");
        let turns: Vec<_> = one
            .turns
            .iter()
            .map(|turn| (turn.segment, turn.kid, turn.init.path.as_str()))
            .collect();
        let init = |at| format!("cbcs/video-360p/init-{at}.mp4");
        assert_eq!(turns, [(1, kids[1], init(1).as_str()), (2, kids[2], init(2).as_str())]);
        let MediaParts::Segments(parts) = &one.media else { panic!("segments") };
        assert_eq!(parts.len(), 3);
    }
    let presentation = rotating(KeySignal::InBand);
    let track = &presentation.tracks[0];
    // In band an MPD says nothing, and playlists what their system is to hear.
    let listed = parse_mpd(&mpd(&presentation)).unwrap();
    assert!(listed.iter().all(|one| one.turns.is_empty()));
    let of_fairplay = list(&presentation, track, Dialect::FairPlay);
    let uris: Vec<_> = of_fairplay.turns.iter().map(|turn| turn.key_uri.clone().unwrap()).collect();
    assert_eq!(uris, [1, 2].map(|at| format!("skd://film-1?kid={}", kids[at].unwrap())));
    let of_widevine = list(&presentation, track, Dialect::Widevine);
    assert_eq!(of_widevine.turns.iter().map(|turn| turn.segment).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_first_key_behind_a_clear_lead_is_no_turn() {
    let mut presentation = rotating(KeySignal::InBand);
    presentation.tracks[0].clear_segments = 1;
    let listed = list(&presentation, &presentation.tracks[0], Dialect::FairPlay);
    assert_eq!(listed.protection.unzip().1, Some(kid_in(1, TrackClass::Sd, Scheme::Cbcs)));
    assert_eq!(listed.turns.iter().map(|turn| turn.segment).collect::<Vec<_>>(), [2]);
}
