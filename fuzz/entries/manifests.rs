//! The manifest filter takes any text without panicking and never lets a license URL through.

use media::manifest::filter::{self, Filter};
use model::{Dialect, KeyId, Scheme};

/// Filters `bytes` as each kind of manifest.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for scheme in Scheme::ALL {
        let filter = Filter {
            dialect: Dialect::ClearKey,
            scheme,
            kids: [KeyId::from_bytes([1; 16])].into(),
            playlists: ["cbcs/video-360p/playlist.m3u8".to_owned()].into(),
            trick_playlists: ["cbcs/video-360p/iframes.m3u8".to_owned()].into(),
        };
        for kept in [
            filter::mpd(text, &filter),
            filter::hls_master(text, &filter),
            filter::hls_media(text, &filter),
        ] {
            assert!(kept.is_err() || !kept.is_ok_and(|text| text.contains("Laurl")));
        }
    }
}
