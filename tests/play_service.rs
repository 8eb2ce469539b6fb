//! The reference player signs in at the running service and plays its title in both schemes, under
//! Widevine and PlayReady at every level, under FairPlay and under Clear Key: the frames are the clear source's, and no player
//! gets a better picture than its level may have (R110, R160, R163).

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
#[expect(dead_code, reason = "other tests run more commands")]
mod house;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{done, said, strongroom};
use clip::clip;
use frames::decoded;
use house::House;
use std::path::PathBuf;
use std::process::Output;

/// The running service with a title in SD, HD and UHD, and a viewer.
struct Film {
    house: House,
    /// Clear clips, SD first, which has the sound.
    sources: Vec<PathBuf>,
}

impl Film {
    /// `None`, said loudly, where ffmpeg is missing.
    fn open() -> Option<Self> {
        let house = House::open(&["viewer"]);
        let folder = house.folder.path();
        let mut sources = vec![clip(folder, "320x180", 2, "-g 25 -bf 2")?];
        for size in ["1280x720", "1936x1096"] {
            sources.push(clip(folder, size, 2, "-g 25 -an")?);
        }
        let package = ["package", "--content", "film", "--scheme", "dual"];
        let mut command = strongroom(&house.data());
        done(command.args(package).args(["--segment-seconds", "1"]).args(&sources));
        Some(Self { house, sources })
    }

    fn devices(&self) -> PathBuf {
        self.house.devices_of("widevine")
    }

    /// The decoded frames of the clear sources: one's picture, and the sound.
    fn frames(&self, picture: usize) -> String {
        decoded("video", &self.sources[picture], "0:v") + &decoded("audio", &self.sources[0], "0:a")
    }

    fn play(&self, options: &[&str]) -> Output {
        self.house.start("viewer", "film", options).wait_with_output().unwrap()
    }

    /// Plays to the end; what was played, and its frames.
    fn played(&self, options: &[&str]) -> (serde_json::Value, String) {
        self.house.played("viewer", "film", options)
    }
}

fn assert_plays_at_every_level(system: &str) {
    let Some(film) = Film::open() else { return };
    let devices = film.house.devices_of(system);
    for (level, picture, size, keys) in
        [("L1", 2, "1936x1096", 4), ("L2", 1, "1280x720", 3), ("L3", 0, "320x180", 2)]
    {
        for scheme in ["cbcs", "cenc"] {
            let device = ["--device", devices.to_str().unwrap(), "--level", level];
            let how = ["--dialect", system, "--scheme", scheme];
            let (played, frames) = film.played(&[device, how].concat());
            assert_eq!(played["tracks"][0]["resolution"], size, "{played}");
            assert_eq!((&played["scheme"], &played["level"]), (&scheme.into(), &level.into()));
            let usable = played["keys"]["usable"].as_array().unwrap().len();
            assert_eq!((usable, &played["dialect"]), (keys, &system.into()), "{played}");
            assert!(frames == film.frames(picture), "{level} {scheme}: other frames");
        }
    }
}

#[test]
fn the_title_plays_under_widevine_at_every_level_and_in_both_schemes() {
    assert_plays_at_every_level("widevine");
}

#[test]
fn the_title_plays_under_playready_at_every_level_and_in_both_schemes() {
    assert_plays_at_every_level("playready");
}

#[test]
fn the_title_plays_under_fairplay_from_its_playlists() {
    let Some(film) = Film::open() else { return };
    let devices = film.house.devices_of("fairplay");
    let device = ["--dialect", "fairplay", "--device", devices.to_str().unwrap()];
    let (played, frames) = film.played(&device);
    assert_eq!(played["tracks"][0]["resolution"], "1280x720", "{played}");
    assert_eq!((&played["scheme"], &played["level"]), (&"cbcs".into(), &"L2".into()));
    assert_eq!(played["keys"]["usable"].as_array().unwrap().len(), 3, "{played}");
    assert!(frames == film.frames(1), "other frames");
    for (option, words) in [
        (["--scheme", "cenc"], "FairPlay plays cbcs and no other scheme"),
        (["--level", "L1"], "FairPlay proves no level"),
    ] {
        let wrong = film.play(&[&device[..], &option].concat());
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        assert!(said(&wrong).contains(words), "{}", said(&wrong));
    }
}

#[test]
fn a_word_about_the_level_is_no_level() {
    let Some(film) = Film::open() else { return };
    // The token call and the CDM say L1, the certificate is an L3 device's.
    let profile = film.devices().join("devices");
    std::fs::remove_dir_all(profile.join("L1")).unwrap();
    std::fs::rename(profile.join("L3"), profile.join("L1")).unwrap();
    let devices = film.devices();
    let (played, frames) = film.played(&["--device", devices.to_str().unwrap(), "--level", "L1"]);
    assert_eq!(played["tracks"][0]["resolution"], "320x180", "{played}");
    assert_eq!(played["keys"]["usable"].as_array().unwrap().len(), 2, "{played}");
    assert_eq!(played["keys"]["withheld"].as_array().unwrap().len(), 2, "{played}");
    assert!(frames == film.frames(0), "other frames");
}

#[test]
fn software_gets_its_certificate_once_and_anew_where_its_store_is_damaged() {
    let Some(film) = Film::open() else { return };
    // A folder that holds the root and no device.
    let own = film.house.folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(film.devices().join("root_public.der"), own.join("root_public.der")).unwrap();
    let url = format!("{}/provisioning/widevine", film.house.service.url);
    let closed = "http://127.0.0.1:9/provisioning/widevine";
    let play = |url: &str, level: &str| {
        let device = ["--device", own.to_str().unwrap(), "--level", level];
        film.play(&[&device[..], &["--provisioning-url", url]].concat())
    };
    let assert_played = |output: &Output| {
        assert!(output.status.success(), "{}", said(output));
        let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(played["tracks"][0]["resolution"], "320x180", "{played}");
    };
    let file = |name: &str| own.join("devices/L3").join(name);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    assert_played(&play(&url, "L3"));
    let (certificate, private) = (read("certificate.bin"), read("private.pem"));
    // Nobody is asked again: nobody is there.
    assert_played(&play(closed, "L3"));
    // Damaged, or lost with a kill between the two files: the same key, the same certificate.
    let mut damaged = certificate.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bytes in [&damaged[..], b"", b"no certificate"] {
        std::fs::write(file("certificate.bin"), bytes).unwrap();
        assert_played(&play(&url, "L3"));
        assert!(read("certificate.bin") == certificate);
    }
    // A key that does not read is gone: a new device registers.
    std::fs::write(file("private.pem"), &private[..private.len() / 2]).unwrap();
    assert_played(&play(&url, "L3"));
    assert!(read("certificate.bin") != certificate && read("private.pem") != private);
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file("private.pem")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let refused = play(&url, "L1");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("software is L3"), "{}", said(&refused));
    // A device that came with its certificate asks nobody.
    let made = film.devices();
    let made = ["--device", made.to_str().unwrap(), "--provisioning-url", closed];
    assert_played(&film.play(&made));
}

#[test]
fn the_title_plays_under_clear_key_in_both_schemes() {
    let Some(film) = Film::open() else { return };
    for scheme in ["cbcs", "cenc"] {
        let (played, frames) = film.played(&["--scheme", scheme]);
        assert_eq!(played["tracks"][0]["resolution"], "320x180", "{played}");
        assert_eq!((&played["scheme"], &played["level"]), (&scheme.into(), &"L3".into()));
        assert!(frames == film.frames(0), "{scheme}: other frames");
    }
    let refused = film.house.start_with("another word", "viewer", "film", &[]);
    let refused = refused.wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let sentence = "strongroom: The name or the password is not right.";
    assert!(said(&refused).lines().any(|line| line == sentence), "{}", said(&refused));
    for (options, words) in [
        (&["--level", "L1"][..], "Clear Key attests no device"),
        (&["--dialect", "widevine"], "Widevine needs a device"),
        (&["--dialect", "playready"], "PlayReady needs a device"),
        (&["--dialect", "fairplay"], "FairPlay needs a device"),
        (&["--device", "nowhere"], "no device of this level"),
    ] {
        let wrong = film.play(options);
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        assert!(said(&wrong).contains(words), "{}", said(&wrong));
    }
}
