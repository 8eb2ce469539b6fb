//! The manifest filter takes any text without panicking and never lets a license URL through; a
//! player that reads any MPD is sent nowhere outside of its package and the CDNs that have it.

use media::manifest::ByteSpan;
use media::manifest::filter::{self, Filter, Steering};
use media::manifest::listing::{MediaParts, Part, parse_mpd, parse_multivariant, subsegments};
use model::{Dialect, KeyId, Scheme};

/// Filters `bytes` as each kind of manifest, and lists them; reads them as an index.
pub fn run(bytes: &[u8]) {
    let span = Some(ByteSpan { start: 0, len: u64::MAX });
    let _ = subsegments(&Part { path: String::new(), span }, bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for scheme in Scheme::ALL {
        let filter = Filter {
            dialect: Dialect::ClearKey,
            scheme,
            kids: [KeyId::from_bytes([1; 16])].into(),
            playlists: ["cbcs/video-360p/playlist.m3u8".to_owned()].into(),
            trick_playlists: ["cbcs/video-360p/iframes.m3u8".to_owned()].into(),
            clock_url: Some("https://host/api/v1/time".to_owned()),
            steering: None,
        };
        let pathway = |name: &str| (name.to_owned(), format!("https://{name}/v/film/"));
        let steering = Steering {
            server_url: "https://host/api/v1/steering/film/P".to_owned(),
            first: "a".to_owned(),
            pathways: vec![pathway("a"), pathway("b")],
        };
        let steered = Filter { steering: Some(steering), ..filter.clone() };
        for kept in [
            filter::mpd(text, &filter),
            filter::hls_master(text, &filter),
            filter::hls_media(text, &filter).map(|text| filter::hls_signed(&text, "a=b")),
            filter::mpd(text, &steered),
            filter::hls_master(text, &steered),
        ] {
            assert!(kept.is_err() || !kept.is_ok_and(|text| text.contains("Laurl")));
        }
    }
    let places = media::manifest::listing::mpd_places(text).unwrap_or_default();
    assert!(places.iter().all(|url| url.starts_with("http") && url.ends_with('/')));
    // One text as both playlists: what is named is read from the same lines.
    let named = parse_multivariant(text).unwrap_or_default();
    let from_playlists = named.into_iter().flat_map(|one| one.list(text, Dialect::FairPlay));
    let alone = Dialect::ALL.into_iter().filter_map(|dialect| {
        let master = "#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=1x1\na/b.m3u8\n";
        parse_multivariant(master).ok()?.pop()?.list(text, dialect).ok()
    });
    for listed in parse_mpd(text).into_iter().flatten().chain(from_playlists).chain(alone) {
        let media = match listed.media {
            MediaParts::Segments(segments) => segments.into_iter().map(|one| one.part).collect(),
            MediaParts::Indexed(index) => vec![index],
        };
        let inits = listed.turns.iter().map(|turn| &turn.init).chain([&listed.init]);
        let mut paths = media.iter().chain(inits).map(|part| &part.path);
        assert!(paths.all(|path| !path.starts_with('/') && !path.split('/').any(|p| p == "..")));
    }
}
