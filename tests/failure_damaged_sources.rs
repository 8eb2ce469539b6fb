//! A damaged source: exit 1, the file and what is wrong with it, nothing left, no event. A full
//! disk likewise.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;

use binary::{done, said, strongroom};
use clip::clip;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A folder with a clip's bytes, keys for it, and a place for damaged copies.
struct Bench {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Bench {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let clip = clip(folder.path(), "160x90", 4, options)?;
        let key = "00112233445566778899aabbccddeeff";
        let keys = format!(r#"[{{"content_id":"film","kid":"{key}","key":"{key}"}}]"#);
        std::fs::write(folder.path().join("keys.json"), keys).unwrap();
        Some(Self { bytes: std::fs::read(clip).unwrap(), folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Packages `bytes`, which lie in a file of this name, into a folder.
    fn package(&self, name: &str, bytes: &[u8]) -> Output {
        let source = self.path(name);
        std::fs::write(&source, bytes).unwrap();
        let mut command = strongroom(&self.path("data"));
        command.args(["package", "--content", "film", "--keys"]).arg(self.path("keys.json"));
        command.arg("--out").arg(self.path("out")).arg(source).output().unwrap()
    }

    /// It is refused for a reason that contains one of `reasons`, and leaves nothing.
    fn assert_refused(&self, name: &str, bytes: &[u8], reasons: &[&str]) {
        let output = self.package(name, bytes);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name), "{name}: which source? {said}");
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{name}: {said}");
        assert_nothing_left(self.folder.path(), &["out"]);
    }
}

/// No file or folder of these names, nor one that a job stages beside them.
fn assert_nothing_left(folder: &Path, names: &[&str]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!names.iter().any(|left| name.contains(left)), "{name} is left");
    }
}

/// A walk over numbers that looks random and is the same each time.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let mut state = seed;
    std::iter::from_fn(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).ok()
    })
}

#[test]
fn a_source_cut_off_anywhere_is_refused() {
    for options in ["-movflags +faststart", "", "-movflags +frag_keyframe+empty_moov"] {
        let Some(bench) = Bench::new(options) else { return };
        // A cut right behind the last fragment is a whole, shorter film; ffmpeg's index of
        // fragments stands behind it.
        let random = numbers(7).map(|number| number % (bench.bytes.len() - 200)).take(34);
        for len in random.collect::<Vec<_>>() {
            let output = bench.package("cut.mp4", &bench.bytes[..len]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{options:?} cut at {len}: {said}");
            assert!(said.contains("cut.mp4"), "{said}");
            assert_nothing_left(bench.folder.path(), &["out"]);
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    let Some(bench) = Bench::new("-movflags +faststart") else { return };
    let whole = bench.package("whole.mp4", &bench.bytes);
    assert!(whole.status.success(), "{}", said(&whole));
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    for at in numbers(11).take(60) {
        let mut bytes = bench.bytes.clone();
        // In the tables, where a bit decides.
        let at = at % 20_000;
        bytes[at / 8] ^= 1 << (at % 8);
        let output = bench.package("flipped.mp4", &bytes);
        match output.status.code() {
            Some(0) => std::fs::remove_dir_all(bench.path("out")).unwrap(),
            Some(1) => assert_nothing_left(bench.folder.path(), &["out"]),
            other => panic!("bit {at}: {other:?}: {}", said(&output)),
        }
    }
}

#[test]
fn what_lies_about_itself_is_refused_with_its_place() {
    let Some(bench) = Bench::new("-movflags +faststart") else { return };
    let moov = bench.bytes.windows(4).position(|four| four == b"moov").unwrap() - 4;
    let with = |at: usize, change: &[u8]| {
        let mut bytes = bench.bytes.clone();
        bytes[at..at + change.len()].copy_from_slice(change);
        bytes
    };
    let stsz = bench.bytes.windows(4).position(|four| four == b"stsz").unwrap() + 4;
    bench.assert_refused("empty.mp4", b"", &["it is empty"]);
    bench.assert_refused("zero.mp4", &with(moov, &[0; 4]), &["outside the media data"]);
    bench.assert_refused("short.mp4", &with(moov, &7_u32.to_be_bytes()), &["moov"]);
    let huge = [&1_u32.to_be_bytes()[..], b"moov", &(1_u64 << 63).to_be_bytes()].concat();
    bench.assert_refused("huge.mp4", &with(moov, &huge), &["9223372036854775808"]);
    let count = with(stsz + 8, &u32::MAX.to_be_bytes());
    bench.assert_refused("count.mp4", &count, &["4294967295"]);
    let mut deep = bench.bytes[..moov].to_vec();
    for depth in (1..5000_u32).rev() {
        deep.extend((depth * 8).to_be_bytes());
        deep.extend(b"moov");
    }
    bench.assert_refused("deep.mp4", &deep, &["moov", "missing"]);
    bench.assert_refused("picture.mp4", b"\x89PNG\r\n\x1a\n not a film at all", &["not"]);
    bench.assert_refused("words.mp4", b"Once upon a time there was no film.", &["not"]);
}

#[test]
fn a_refused_source_gives_no_title_no_event_and_no_media() {
    let Some(bench) = Bench::new("-movflags +faststart") else { return };
    let data = bench.path("data");
    let cut = bench.path("cut.mp4");
    std::fs::write(&cut, &bench.bytes[..bench.bytes.len() / 2]).unwrap();
    let mut command = strongroom(&data);
    let output = command.args(["package", "--content", "film"]).arg(&cut).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let titles = done(strongroom(&data).args(["--json", "title", "list"]));
    assert!(!titles.contains("film"), "{titles}");
    assert!(!is_below(&data, "film"), "no media of it");
}

/// Whether a file or folder below `folder` has this word in its name.
fn is_below(folder: &Path, word: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.file_name().unwrap().to_string_lossy().contains(word)
            || (path.is_dir() && is_below(&path, word))
    })
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let Some(bench) = Bench::new("-b:v 4M -minrate 4M") else { return };
    let source = bench.path("film.mp4");
    std::fs::write(&source, &bench.bytes).unwrap();
    let small = bench.path("small");
    std::fs::create_dir(&small).unwrap();
    // A disk of 256 KiB, which ends with the process that has it.
    let mut package = strongroom(&bench.path("data"));
    package.args(["package", "--content", "film", "--keys"]).arg(bench.path("keys.json"));
    package.arg("--out").arg(small.join("out")).arg(&source);
    let script = r#"mount -t tmpfs -o size=256k tmpfs "$0" || exit 99
        "$@"; code=$?; ls -A "$0"; exit $code"#;
    let mut command = std::process::Command::new("unshare");
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    command.arg(if is_root { "-m" } else { "-rm" }).args(["sh", "-c", script]).arg(&small);
    command.arg(package.get_program()).args(package.get_args());
    let output = command.output().unwrap();
    if output.status.code() == Some(99) && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: no disk can be mounted here: {}", said(&output));
        return;
    }
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}", said(&output));
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is left on the disk");
}
