//! What is listed of the playlists that we write is what the MPD of the same title lists.

use super::*;
use crate::manifest::fixture::{
    in_segments, in_single_files, kid, with_cue, with_images, with_surround, with_texts,
    with_trick_tracks,
};
use crate::manifest::listing::{parse_mpd, subsegments};
use crate::manifest::{Presentation, hls_master, hls_media, mpd};
use model::TrackClass;

/// Both kinds of playlist of a title, read.
fn listed(title: &Presentation, scheme: Scheme, dialect: Dialect) -> Vec<Listed> {
    let named = parse_multivariant(&hls_master(title, scheme)).unwrap();
    let read = |one: Named| {
        let track = title.tracks.iter().find(|track| track.playlist_path() == one.playlist);
        one.list(&hls_media(title, track.unwrap()), dialect).unwrap()
    };
    named.into_iter().map(read).collect()
}

#[test]
fn playlists_list_what_the_mpd_lists() {
    for title in [in_segments(), with_cue(with_images(with_texts(in_segments())))] {
        let title = with_trick_tracks(title);
        for scheme in Scheme::ALL {
            let found = listed(&title, scheme, Dialect::Widevine);
            let mut known = parse_mpd(&mpd(&title)).unwrap();
            known.retain(|one| one.protection.is_some_and(|(own, _)| own == scheme));
            assert_eq!(found.len(), known.len());
            for one in found {
                let same = known.iter().find(|same| same.id == one.id).unwrap();
                let paths = |one: &Listed| {
                    let MediaParts::Segments(segments) = &one.media else { panic!("segments") };
                    segments.iter().map(|one| one.part.clone()).collect::<Vec<_>>()
                };
                assert_eq!((&one.init, paths(&one)), (&same.init, paths(same)));
                assert_eq!((one.medium, one.protection), (same.medium, same.protection));
                assert_eq!((one.width, one.height), (same.width, same.height));
                assert_eq!((&one.codecs, &one.language), (&same.codecs, &same.language));
            }
        }
    }
}

#[test]
fn single_files_are_read_by_their_ranges() {
    let title = in_single_files();
    let found = listed(&title, Scheme::Cbcs, Dialect::FairPlay);
    for one in &found {
        let file = format!("cbcs/{}.", &one.id[5..]);
        let track = title.tracks.iter().find(|track| track.playlist_path().starts_with(&file));
        let MediaParts::Segments(parts) = &one.media else { panic!("segments") };
        assert_eq!(one.init.span, Some(ByteSpan { start: 0, len: 1200 }));
        assert_eq!(parts.len(), track.unwrap().segments.len());
        assert_eq!(parts[0].part.span.unwrap().start, 1268);
        for pair in parts.windows(2) {
            let [one, next] = [&pair[0].part, &pair[1].part];
            assert_eq!(one.span.unwrap().end(), next.span.unwrap().start);
            assert_eq!(one.path, next.path);
        }
    }
    assert!(subsegments(&found[0].init, b"").is_err());
}

#[test]
fn fairplay_starts_with_its_uri_and_the_others_know_their_key() {
    let title = in_segments();
    let hd = kid(TrackClass::Hd, Scheme::Cbcs);
    for dialect in Dialect::ALL {
        let found = listed(&title, Scheme::Cbcs, dialect);
        let one = found.iter().find(|one| one.height == 1080).unwrap();
        assert_eq!(one.protection, Some((Scheme::Cbcs, hd)), "{dialect:?}");
        let uri = one.key_uri.as_deref().unwrap();
        let is_skd = uri == format!("skd://film-1?kid={hd}");
        assert_eq!(is_skd, dialect == Dialect::FairPlay, "{uri}");
    }
    let cenc = listed(&title, Scheme::Cenc, Dialect::FairPlay);
    assert!(cenc.iter().all(|one| one.protection.is_none() && one.key_uri.is_none()));
}

#[test]
fn sound_alone_is_listed_with_its_main_language() {
    let found = listed(&with_surround(), Scheme::Cbcs, Dialect::FairPlay);
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|one| one.medium == Medium::Audio && !one.codecs.is_empty()));
    assert!(found.iter().any(|one| one.is_main));
}

/// A media playlist with these lines.
fn media(lines: &str) -> Result<Listed, ListingError> {
    let one = parse_multivariant("#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=4x2\nv/p.m3u8\n");
    let text = format!("#EXTM3U\n{lines}\n#EXT-X-ENDLIST\n");
    one.unwrap().pop().unwrap().list(&text, Dialect::FairPlay)
}

#[test]
fn ranges_without_a_start_go_on() {
    let lines = "#EXT-X-MAP:URI=\"a\",BYTERANGE=\"9@0\"\n#EXT-X-BYTERANGE:5@9\na\n\
                 #EXT-X-BYTERANGE:7\na";
    let MediaParts::Segments(parts) = media(lines).unwrap().media else { panic!("segments") };
    assert_eq!(parts[1].part.span, Some(ByteSpan { start: 14, len: 7 }));
    assert_eq!(parts[1].part.path, "v/a");
    let other = "#EXT-X-MAP:URI=\"a\"\n#EXT-X-BYTERANGE:5@9\na\n#EXT-X-BYTERANGE:7\nb";
    assert_eq!(media(other), Err(ListingError::Unsupported("a range")));
}

#[test]
fn other_playlists_are_refused() {
    let map = "#EXT-X-MAP:URI=\"i\"\n";
    let key = |uri: &str, method: &str| {
        format!(
            "{map}#EXT-X-KEY:METHOD={method},URI=\"{uri}\",\
             KEYFORMAT=\"com.apple.streamingkeydelivery\"\n"
        )
    };
    let one = format!("skd://a?kid={}", "1".repeat(32));
    let two = format!("skd://a?kid={}", "2".repeat(32));
    assert!(media(&key(&one, "SAMPLE-AES")).is_ok());
    for (lines, word) in [
        (String::new(), "it has no EXT-X-MAP"),
        (format!("{map}#EXT-X-STREAM-INF:A=1"), "it is a multivariant playlist"),
        (key("skd://a", "SAMPLE-AES"), "a key"),
        (key(&one, "AES-128"), "a method of encryption"),
        (key(&one, "SAMPLE-AES") + &key(&two, "SAMPLE-AES-CTR"), "a rendition in several schemes"),
        (format!("{map}#EXTINF:x\na"), "a time"),
        (format!("{map}#EXT-X-PROGRAM-DATE-TIME:today\na"), "a time"),
        ("a".to_owned(), "it has no EXT-X-MAP"),
        (format!("{map}#EXT-X-BYTERANGE:x@1\na"), "a number"),
        (format!("{map}#EXT-X-KEY:METHOD"), "a list of attributes"),
    ] {
        assert_eq!(media(&lines), Err(ListingError::Unsupported(word)), "{lines}");
    }
    for name in ["/etc/passwd", "../../x", "https://h/a", "a?b"] {
        assert_eq!(media(&format!("{map}{name}")), Err(ListingError::Outside), "{name}");
        assert_eq!(media(&format!("#EXT-X-MAP:URI=\"{name}\"")), Err(ListingError::Outside));
        let master = format!("#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=4x2\n{name}\n");
        assert_eq!(parse_multivariant(&master), Err(ListingError::Outside), "{name}");
    }
    let one = || parse_multivariant("#EXTM3U\n#EXT-X-STREAM-INF:A=1\np\n").unwrap().remove(0);
    assert_eq!(one().list("#EXT", Dialect::FairPlay), Err(ListingError::OtherDocument));
    assert!(parse_multivariant("#EXTM3U\n#EXTINF:1,\n").is_err());
    assert!(parse_multivariant("#EXTM3U\n#EXT-X-STREAM-INF:A=1\n#EXT\n").is_err());
    let many = "#EXT-X-STREAM-INF:A=1\n";
    let many: String = (0..=MAX_RENDITIONS).map(|at| format!("{many}{at}\n")).collect();
    assert_eq!(parse_multivariant(&format!("#EXTM3U\n{many}")), Err(ListingError::TooLarge));
}

#[test]
fn keys_and_initializations_change_where_their_lines_stand() {
    let key = |digit: &str| {
        format!(
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a?kid={}\",\
             KEYFORMAT=\"com.apple.streamingkeydelivery\"\n",
            digit.repeat(32)
        )
    };
    let lines = format!(
        "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"i\"\n{}\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00Z\n#EXTINF:2,\na\n{}#EXTINF:1.5,\nb\n{}\
         #EXT-X-GAP\n#EXTINF:2,\nc\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"j\"\n\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:02:00Z\n#EXTINF:2,\nd",
        key("1"),
        key("1"),
        key("2"),
    );
    let listed = media(&lines).unwrap();
    let uri = |digit: &str| format!("skd://a?kid={}", digit.repeat(32));
    let uris: Vec<_> = listed.keys().filter_map(|(_, uri)| uri).collect();
    assert_eq!(uris, [uri("1"), uri("2")]);
    let [turn] = &listed.turns[..] else { panic!("one turn") };
    assert_eq!((turn.segment, turn.init.path.as_str()), (2, "v/j"));
    let MediaParts::Segments(segments) = &listed.media else { panic!("segments") };
    let of = |one: &Segment| (one.part.path.clone(), one.number, one.begins_ms, one.duration_ms);
    let of: Vec<_> = segments.iter().map(of).collect();
    let name = |name: &str| format!("v/{name}");
    let known = [(name("a"), 7, 60_000, 2000), (name("b"), 8, 62_000, 1500)];
    assert_eq!(of[..2], known);
    assert_eq!(of[2..], [(name("d"), 10, 120_000, 2000)], "what is not there is passed over");
    assert_eq!(listed.live, None);
    let one = parse_multivariant("#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=4x2\nv/p.m3u8\n");
    let text = format!("#EXTM3U\n{lines}\n");
    let live = one.unwrap().remove(0).list(&text, Dialect::FairPlay).unwrap().live;
    assert_eq!(live, Some(Live { reload_ms: 1000, delay_ms: 6000 }));
}
