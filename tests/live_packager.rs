//! A live channel out of a real encoder in real time: killed it goes on, its segments decrypt, its
//! window moves, its end closes it.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic and measure time, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/encoder.rs"]
mod encoder;
#[path = "support/peers.rs"]
#[expect(dead_code, reason = "other tests use more of the peers")]
mod peers;

use binary::{done, said, strongroom};
use encoder::{FRAGMENTS, encoder};
use peers::Peers;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

const KEY: &str = "6a5f3b1c9d8e7f60112233445566778a";

/// What an encoder sends that has no MP4.
const TRANSPORT: &str = "-f mpegts -";

/// A channel in a folder, under keys of a file.
struct Channel {
    folder: tempfile::TempDir,
}

impl Channel {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = |scheme: &str, id: char, iv: Option<&str>| {
            let kid = id.to_string().repeat(32);
            let key = if scheme == "cbcs" { KEY.to_owned() } else { KEY.replace('a', "b") };
            let mut entry =
                json!({"content_id": "channel", "kid": kid, "key": key, "scheme": scheme});
            iv.into_iter().for_each(|iv| entry["iv"] = iv.into());
            entry
        };
        let keys = json!([key("cbcs", '1', Some(&"c".repeat(32))), key("cenc", '2', None)]);
        std::fs::write(folder.path().join("keys.json"), keys.to_string()).unwrap();
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn start(&self, source: Stdio, more: &[&str]) -> Child {
        let mut command = strongroom(&self.folder.path().join("data"));
        command.args(["--json", "package", "--live", "--content", "channel", "--scheme", "dual"]);
        command.args(["--segment-seconds", "1", "--window", "5", "--keys"]);
        command.arg(self.folder.path().join("keys.json")).arg("--out").arg(self.out());
        command.args(more).arg("-").stdin(source);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn list(&self) -> Option<m3u8_rs::MediaPlaylist> {
        self.list_of("cbcs/video-180p")
    }

    fn list_of(&self, track: &str) -> Option<m3u8_rs::MediaPlaylist> {
        let text = std::fs::read(self.out().join(track).join("playlist.m3u8")).ok()?;
        Some(m3u8_rs::parse_media_playlist_res(&text).unwrap())
    }

    /// The number of the last segment that players see, 0 for none.
    fn last(&self) -> u64 {
        self.list().map_or(0, |list| list.media_sequence + list.segments.len() as u64 - 1)
    }

    fn wait_for(&self, number: u64) {
        let begun = Instant::now();
        while self.last() < number {
            assert!(begun.elapsed() < Duration::from_secs(40), "no segment {number}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every listed segment is there and decrypts to as many samples as it has frames.
    fn check_segments(&self, peers: &Peers) {
        for (scheme, key) in [("cbcs", KEY.to_owned()), ("cenc", KEY.replace('a', "b"))] {
            for (track, stream) in [("video-180p", "0:v"), ("audio-und", "0:a")] {
                let folder = self.out().join(scheme).join(track);
                let init = std::fs::read(folder.join("init.mp4")).unwrap();
                let list = self.list_of(&format!("{scheme}/{track}")).unwrap();
                assert!(list.segments.len() >= 4);
                for segment in &list.segments {
                    let bytes = std::fs::read(folder.join(&segment.uri)).unwrap();
                    let whole = self.folder.path().join("whole.mp4");
                    std::fs::write(&whole, [&init[..], &bytes[..]].concat()).unwrap();
                    let options = ["-decryption_key", &key];
                    let decrypted = peers.ffmpeg(&[
                        "-decryption_key",
                        &key,
                        "-xerror",
                        "-i",
                        whole.to_str().unwrap(),
                        "-map",
                        stream,
                        "-f",
                        "framemd5",
                        "-",
                    ]);
                    let frames = decrypted.lines().filter(|line| !line.starts_with('#')).count();
                    let samples = peers.coded_samples(&whole, stream, &options).len();
                    assert!(frames > 0 && frames == samples, "{scheme} {track} {}", segment.uri);
                }
            }
        }
    }
}

fn end(mut child: Child) -> Output {
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.stdin.take().is_none());
    child.wait_with_output().unwrap()
}

fn mpd(out: &Path) -> dash_mpd_core::MPD {
    dash_mpd_core::parse(&std::fs::read_to_string(out.join("manifest.mpd")).unwrap()).unwrap()
}

#[test]
fn a_killed_channel_goes_on_within_five_seconds_and_renumbers_nothing() {
    let Some(peers) = Peers::find() else { return };
    let channel = Channel::new();
    let mut sizes = std::collections::BTreeMap::new();
    for (round, lives_ms) in [3300, 2700, 3900].into_iter().enumerate() {
        let Some(mut source) = encoder(60, FRAGMENTS) else { return };
        let before = channel.last();
        let begun = Instant::now();
        let mut packager = channel.start(source.stdout.take().unwrap().into(), &[]);
        channel.wait_for(before + 1);
        let resumed = begun.elapsed();
        assert!(round == 0 || resumed < Duration::from_secs(5), "resumed in {resumed:?}");
        std::thread::sleep(Duration::from_millis(lives_ms));
        packager.kill().unwrap();
        packager.wait().unwrap();
        source.kill().unwrap();
        source.wait().unwrap();
        // What was listed is there, and stays as it was.
        let list = channel.list().unwrap();
        for segment in &list.segments {
            let path = channel.out().join("cbcs/video-180p").join(&segment.uri);
            let size = std::fs::metadata(path).unwrap().len();
            assert_eq!(*sizes.entry(segment.uri.clone()).or_insert(size), size);
        }
        assert!(list.segments.iter().filter(|one| one.discontinuity).count() <= round);
    }
    let Some(mut source) = encoder(60, FRAGMENTS) else { return };
    let before = channel.last();
    let packager = channel.start(source.stdout.take().unwrap().into(), &[]);
    let second = channel.start(Stdio::null(), &[]);
    channel.wait_for(before + 2);
    // One packager a channel.
    let refused = second.wait_with_output().unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", said(&refused));
    assert_eq!(mpd(&channel.out()).mpdtype.as_deref(), Some("dynamic"));
    channel.wait_for(before + 4);
    let ended = end(packager);
    source.kill().unwrap();
    source.wait().unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
    let line: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(
        (&line["is_over"], line["last_number"].as_u64()),
        (&json!(true), Some(channel.last()))
    );
    channel.check_segments(&peers);
    let list = channel.list().unwrap();
    let breaks = list.segments.iter().filter(|one| one.discontinuity).count() as u64;
    assert_eq!(list.discontinuity_sequence + breaks, 3);
    assert!(list.end_list && list.media_sequence > 1 && list.segments.len() <= 7);
    // One window is listed, and one of grace is kept.
    let folder = channel.out().join("cbcs/video-180p");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let kept = files.filter(|file| file.path().extension().is_some_and(|end| end == "m4s")).count();
    assert!((list.segments.len()..=15).contains(&kept), "{kept} files");
    let mpd = mpd(&channel.out());
    assert_eq!(mpd.mpdtype.as_deref(), Some("static"));
    let Some(mut source) = encoder(2, FRAGMENTS) else { return };
    let over = channel.start(source.stdout.take().unwrap().into(), &[]).wait_with_output().unwrap();
    source.wait().unwrap();
    assert_eq!(over.status.code(), Some(1));
    assert!(said(&over).contains("has ended"), "{}", said(&over));
}

#[test]
fn a_transport_stream_is_published_and_its_end_is_the_end_of_the_event() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(mut source) = encoder(6, TRANSPORT) else { return };
    let output = strongroom(&data)
        .args(["--json", "package", "--live", "--content", "channel", "--segment-seconds", "1"])
        .args(["--window", "10", "-"])
        .stdin(Stdio::from(source.stdout.take().unwrap()))
        .output()
        .unwrap();
    source.wait().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line["segments"].as_u64().unwrap() >= 4, "{line}");
    let titles = done(strongroom(&data).args(["--json", "title", "list"]));
    let titles: serde_json::Value = serde_json::from_str(&titles).unwrap();
    assert_eq!(titles["titles"][0]["state"], "published");
    let current = data.join("media/channel/current");
    let package: model::PackagedEvent =
        serde_json::from_slice(&std::fs::read(current.join("package.json")).unwrap()).unwrap();
    assert!(package.live && package.package_id.to_string() == line["package_id"].as_str().unwrap());
    assert_eq!(mpd(&current).mpdtype.as_deref(), Some("static"));
}

#[test]
fn a_channel_goes_on_under_the_keys_of_its_own_service_and_no_other() {
    let channel = Channel::new();
    let start = |service: &str, source: Stdio| {
        let mut command = strongroom(&channel.folder.path().join(service));
        command.args(["package", "--live", "--content", "channel", "--scheme", "dual"]);
        command.args(["--segment-seconds", "1", "--window", "5", "--rotate-seconds", "2", "--out"]);
        command.arg(channel.out()).arg("-").stdin(source);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let Some(mut source) = encoder(60, FRAGMENTS) else { return };
    let mut packager = start("one", source.stdout.take().unwrap().into());
    channel.wait_for(3);
    packager.kill().unwrap();
    packager.wait().unwrap();
    let (last, known) = (channel.last(), std::fs::read(channel.out().join("live.json")).unwrap());
    // Another data folder is another key service, which makes keys of its own.
    let mut again = encoder(60, FRAGMENTS).unwrap();
    let other = start("two", again.stdout.take().unwrap().into()).wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));
    assert!(said(&other).contains("not the one that the channel began with"), "{}", said(&other));
    assert_eq!(std::fs::read(channel.out().join("live.json")).unwrap(), known);
    // Its own gives the same keys a second time.
    let mut third = encoder(60, FRAGMENTS).unwrap();
    let own = start("one", third.stdout.take().unwrap().into());
    channel.wait_for(last + 2);
    let ended = end(own);
    assert!(ended.status.success(), "{}", said(&ended));
    for source in [&mut source, &mut again, &mut third] {
        source.kill().unwrap();
        source.wait().unwrap();
    }
}

#[test]
fn what_is_no_stream_and_what_is_no_option_is_refused() {
    let channel = Channel::new();
    let path = channel.folder.path().join("source");
    let refused = |bytes: &[u8], more: &[&str]| {
        std::fs::write(&path, bytes).unwrap();
        let source = std::fs::File::open(&path).unwrap();
        let output = channel.start(source.into(), more).wait_with_output().unwrap();
        assert!(!channel.out().exists() && output.stdout.is_empty());
        (output.status.code(), said(&output))
    };
    for (bytes, what) in [
        (&b"no stream at all"[..], "not an MP4"),
        (&b""[..], "empty"),
        (&b"\0\0\0\x14ftypisom\0\0\0\0isom"[..], "moov"),
        (&b"\x1a\x45\xdf\xa3 matroska"[..], "fragmented MP4 or MPEG-TS"),
    ] {
        let (code, said) = refused(bytes, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(what), "{said}");
    }
    for (options, what) in [
        (&["--window", "2"][..], "window"),
        (&["--clear-lead", "4"], "--clear-lead"),
        (&["--layout", "single-file"], "--layout single-file"),
        (&["--rotate-seconds", "4", "--rotate-signal", "periods"], "--rotate-signal periods"),
    ] {
        let (code, said) = refused(b"", options);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
}
