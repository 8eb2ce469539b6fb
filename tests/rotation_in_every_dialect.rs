//! A title whose keys change plays whole at the running service under every DRM system: the frames
//! are the clear source's, and licenses are asked for once a batch (R120 to R122).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/house.rs"]
mod house;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use clip::clip;
use frames::decoded;
use house::House;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Periods of a second that a batch has.
const BATCH: u64 = 4;

/// Packages a title whose keys change each second.
fn package(house: &House, content: &str, sources: &[PathBuf]) {
    let batch = BATCH.to_string();
    let options = ["package", "--content", content, "--scheme", "dual", "--segment-seconds", "1"];
    let rotation = ["--rotate-seconds", "1", "--rotate-batch", &batch];
    let sources: Vec<&str> = sources.iter().map(|path| path.to_str().unwrap()).collect();
    house.run(&[&options[..], &rotation, &sources].concat());
}

/// The decoded frames of the clear sources.
fn clear(picture: &Path, sound: &Path) -> String {
    decoded("video", picture, "0:v") + &decoded("audio", sound, "0:a")
}

fn key_counts(played: &Value) -> Vec<u64> {
    let tracks = played["tracks"].as_array().unwrap();
    tracks.iter().map(|track| track["key_count"].as_u64().unwrap()).collect()
}

#[test]
fn every_level_of_widevine_and_playready_asks_once_a_batch() {
    let house = House::open(&["viewer"]);
    let folder = house.folder.path();
    let Some(sd) = clip(folder, "160x90", 12, "-g 25 -bf 2") else { return };
    let Some(hd) = clip(folder, "1280x720", 12, "-g 25 -an") else { return };
    package(&house, "film", &[sd.clone(), hd.clone()]);
    let (of_sd, of_hd) = (clear(&sd, &sd), clear(&hd, &sd));
    for (system, level, scheme, size, frames) in [
        ("widevine", "L1", "cbcs", "1280x720", &of_hd),
        ("widevine", "L3", "cenc", "160x90", &of_sd),
        ("playready", "L1", "cenc", "1280x720", &of_hd),
        ("playready", "L2", "cbcs", "1280x720", &of_hd),
        ("playready", "L3", "cbcs", "160x90", &of_sd),
    ] {
        let devices = house.devices_of(system);
        let device = ["--device", devices.to_str().unwrap(), "--level", level];
        let how = ["--dialect", system, "--scheme", scheme];
        let (played, got) = house.played("viewer", "film", &[device, how].concat());
        assert_eq!(played["tracks"][0]["resolution"], size, "{system} {level}: {played}");
        assert_eq!((&played["ended"], &played["stalls"]), (&"the title is over".into(), &0.into()));
        assert!(got == *frames, "{system} {level} {scheme}: other frames");
        let counts = key_counts(&played);
        let periods = *counts.iter().max().unwrap();
        assert!(periods >= 12 && counts.iter().all(|count| *count >= 12), "{played}");
        // The first request is about two batches: each but the last brings news.
        let requests = played["license_requests"].as_u64().unwrap();
        assert_eq!(requests, periods.div_ceil(BATCH) - 1, "{system} {level}: {played}");
    }
}

#[test]
fn fairplay_asks_for_many_keys_of_its_playlists_at_once() {
    let house = House::open(&["viewer"]);
    let Some(film) = clip(house.folder.path(), "160x90", 40, "-g 25 -bf 2") else { return };
    package(&house, "film", std::slice::from_ref(&film));
    let devices = house.devices_of("fairplay");
    let device = ["--dialect", "fairplay", "--device", devices.to_str().unwrap()];
    let (played, got) = house.played("viewer", "film", &device);
    assert_eq!((&played["ended"], &played["stalls"]), (&"the title is over".into(), &0.into()));
    assert!(got == clear(&film, &film), "other frames");
    let counts = key_counts(&played);
    assert!(counts.iter().all(|count| *count >= 40), "{played}");
    // What begins the tracks, and then 64 keys at a time.
    let keys: u64 = counts.iter().sum();
    let requests = played["license_requests"].as_u64().unwrap();
    assert_eq!(requests, 1 + (keys - 2).div_ceil(64), "{played}");
}
