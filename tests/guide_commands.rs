//! The guides' command lines, run as they stand: in a folder that holds inputs of the names they
//! use. What a guide shows of an answer has to be in the answer.
//!
//! One word is replaced: the host of the examples is a web server of the test's. Where S3 is and
//! who asks, which the guide leaves open, comes from the test's own bucket.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/bucket.rs"]
mod bucket;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;
#[path = "support/web_server.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod web_server;

use binary::{done, said, strongroom};
use bucket::Bucket;
use service::Service;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use web_server::{Manner, WebServer};

/// The host of the guides' examples.
const HOST: &str = "https://cdn.example";
/// Where a service is that was started without settings.
const OWN: &str = "http://127.0.0.1:8470";
/// Ten lines, as refused in subtitles.md.
const BROKEN_VTT: &str = "WEBVTT\n\n\n\n\n\n\n\n\n0:0 --> 1:0\nHello\n";

fn guide(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The fenced blocks of a guide.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```").skip(1).step_by(2).map(|block| block.trim_start_matches("text")).collect()
}

/// The command lines in which our binary runs, with what continues them.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in blocks(text) {
        let joined = block.replace("\\\n", " ");
        let own = joined
            .lines()
            .filter(|line| line.starts_with("strongroom ") || line.contains("| strongroom "));
        found.extend(own.map(str::to_owned));
    }
    found
}

/// The clear media that the guides name, each made when a command first asks for it.
struct Films {
    folder: PathBuf,
}

impl Films {
    /// A folder of its own for a command, with every input that it names; `None`, said loudly,
    /// where ffmpeg is missing.
    fn set_out(&self, command: &str, number: usize) -> Option<PathBuf> {
        // As short as can be; large enough for every rung; long enough for every cue.
        let film = match command {
            _ if command.contains("--ladder") => ("large.mp4", "1920x1080", 25, 1, "-c:a aac"),
            _ if command.contains("--ad-cue") => {
                ("long.mp4", "64x36", 1, 1240, "-c:a aac -ar 16000")
            }
            _ => ("short.mp4", "640x360", 25, 4, "-c:a aac"),
        };
        let sound = ("sound.mp4", "64x36", 25, 4, "-vn -c:a aac");
        let known = [
            ("film.mp4", film),
            ("in.mp4", film),
            ("1080p.mp4", ("1080p.mp4", "1920x1080", 25, 4, "-an")),
            ("360p.mp4", ("360p.mp4", "640x360", 25, 4, "-an")),
            ("en.mp4", sound),
            ("ad.mp4", sound),
            ("film.ts", ("film.ts", "640x360", 25, 4, "-c:a aac")),
            ("film.mkv", ("film.mkv", "640x360", 25, 4, "-c:a aac")),
        ];
        let place = self.folder.join(format!("command-{number}"));
        std::fs::create_dir_all(&place).unwrap();
        for (name, clip) in known {
            if command.split_whitespace().any(|word| word == name) {
                std::fs::hard_link(self.clip(clip)?, place.join(name)).unwrap();
            }
        }
        let vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello\n";
        let ttml = "<tt xmlns=\"http://www.w3.org/ns/ttml\" xml:lang=\"de\"><body><div>\
             <p begin=\"1s\" end=\"2s\">Hallo</p></div></body></tt>";
        for (name, text) in [("film.en.vtt", vtt), ("film.de.vtt", vtt), ("film.de.ttml", ttml)] {
            std::fs::write(place.join(name), text).unwrap();
        }
        Some(place)
    }

    /// A clip: name, size, pictures a second, seconds, options.
    fn clip(&self, (name, size, rate, seconds, options): Clip<'_>) -> Option<PathBuf> {
        let path = self.folder.join(name);
        if path.exists() {
            return Some(path);
        }
        let run = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
            .arg(format!("testsrc2=size={size}:rate={rate}:duration={seconds}"))
            .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:duration={seconds}")])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
            .args(["-g", &(2 * rate).to_string(), "-bf", "0"])
            .args(options.split_whitespace())
            .arg(&path)
            .status();
        match run {
            Ok(status) => assert!(status.success(), "{name}"),
            Err(_) if std::env::var_os("CI").is_none() => {
                eprintln!("SKIPPED: ffmpeg is not installed, nothing to package");
                return None;
            }
            Err(error) => panic!("CI needs ffmpeg: {error}"),
        }
        Some(path)
    }
}

type Clip<'a> = (&'a str, &'a str, u32, u32, &'a str);

/// Runs a line by the shell, as its reader would, in `place`.
fn run(line: &str, place: &Path, bucket: Option<&Bucket>) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_strongroom"));
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(place);
    command.env("PATH", format!("{}:{path}", binary.parent().unwrap().display()));
    command.env_remove("STRONGROOM_CONFIG").env_remove("STRONGROOM_DATA");
    if let Some(bucket) = bucket {
        bucket.furnish(&mut command);
    }
    command.output().unwrap()
}

/// Runs every command of a guide; `look` sees its folder and what it said.
fn run_guide(name: &str, count: usize, look: impl Fn(&str, &Path, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let films = Films { folder: folder.path().to_owned() };
    let Some(film) = films.clip(("short.mp4", "640x360", 25, 4, "-c:a aac")) else { return };
    let server = WebServer::start(std::fs::read(&film).unwrap(), Manner::Good);
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    std::fs::create_dir(bucket.folder().join("in")).unwrap();
    std::fs::copy(film, bucket.folder().join("in/film.mp4")).unwrap();
    let commands = commands(&guide(name));
    assert_eq!(commands.len(), count, "{name} has other commands: {commands:#?}");
    for (number, command) in commands.iter().enumerate() {
        let Some(place) = films.set_out(command, number) else { return };
        let line = command.replace(HOST, &server.url(""));
        let output = run(&line, &place, Some(&bucket));
        let told = said(&output);
        assert!(output.status.success(), "{name}: {command}\n{told}");
        look(command, &place, &told);
        std::fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn vod() {
    run_guide("vod.md", 10, |command, place, told| {
        assert!(told.contains("every sample decrypted again and compared"), "{told}");
        assert!(place.join("strongroom-data/media/film").is_dir(), "{command}: it is published");
    });
}

#[test]
fn s3() {
    run_guide("s3.md", 3, |_, _, told| assert!(told.contains(" bytes"), "{told}"));
    // The settings that the guide names are those under which its commands ran.
    let folder = tempfile::tempdir().unwrap();
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    let mut command = Command::new("true");
    let known: Vec<_> = bucket
        .furnish(&mut command)
        .get_envs()
        .map(|(name, _)| name.to_str().unwrap().to_owned())
        .collect();
    let text = guide("s3.md");
    let exports = text.lines().filter_map(|line| line.strip_prefix("export "));
    let named: Vec<_> = exports
        .flat_map(|line| line.split('#').next().unwrap().split_whitespace())
        .map(|setting| setting.split_once('=').unwrap().0.to_owned())
        .collect();
    assert_eq!(named.len(), 5);
    assert!(named.iter().all(|name| known.contains(name)), "{named:?} of {known:?}");
}

/// A guide to a DRM system whose commands ran, one after the other in one folder. Its service runs
/// on.
struct DrmRun {
    folder: TempDir,
    text: String,
    /// What the commands said.
    told: String,
    /// Those that play.
    plays: Vec<String>,
    _service: Service,
}

impl DrmRun {
    fn of(name: &str) -> Option<Self> {
        let (folder, text) = (tempfile::tempdir().unwrap(), guide(name));
        let films = Films { folder: folder.path().to_owned() };
        let film = films.clip(("short.mp4", "640x360", 25, 4, "-c:a aac"))?;
        std::fs::hard_link(film, folder.path().join("film.mp4")).unwrap();
        let commands = commands(&text);
        // A guide may show this line twice: what to do next, and where it is done.
        let serve = commands.iter().rposition(|line| line == "strongroom serve").unwrap();
        let (mut told, mut running, mut plays) = (String::new(), None, Vec::new());
        for (number, command) in commands.iter().enumerate() {
            if command == "strongroom serve" {
                let data = folder.path().join("strongroom-data");
                let start = || Service::start(&mut strongroom(&data), &folder.path().join("log"));
                running = (number == serve).then(start);
                continue;
            }
            let url = running.as_ref().map_or(OWN, |service: &Service| service.url.as_str());
            let line = command.replace(OWN, url);
            let output = run(&line, folder.path(), None);
            assert!(output.status.success(), "{name}: {command}\n{}", said(&output));
            told += &said(&output);
            plays.extend(command.contains("| strongroom play ").then_some(line));
        }
        Some(Self { folder, text, told, plays, _service: running.unwrap() })
    }

    /// Each line that the guide shows as said was said.
    fn said_what_is_shown(&self) {
        let is_said =
            |block: &&str| block.contains("; next") || block.trim_start().starts_with("played ");
        let shown = blocks(&self.text).into_iter().filter(is_said).flat_map(str::lines);
        let shown: Vec<_> = shown.filter(|line| !line.is_empty()).collect();
        assert!(shown.len() > 3, "{shown:?}");
        assert!(shown.iter().all(|line| self.told.contains(line)), "{}", self.told);
    }

    /// Changes the service's credentials: one more command of the operator.
    fn operate(&self, line: &str) {
        let output = run(line, self.folder.path(), None);
        assert!(output.status.success(), "{line}\n{}", said(&output));
    }

    fn plays(&self, line: &str) -> Output {
        run(line, self.folder.path(), None)
    }

    /// The service looks every two seconds.
    fn is_soon_refused(&self, line: &str) -> bool {
        (0..5).any(|_| {
            std::thread::sleep(std::time::Duration::from_secs(2));
            self.plays(line).status.code() == Some(1)
        })
    }
}

#[test]
fn widevine() {
    let Some(ran) = DrmRun::of("widevine.md") else { return };
    ran.said_what_is_shown();
    // What the guide says of a revoked system.
    let list = ran.folder.path().join("lab/widevine/device_list.json");
    let json = std::fs::read_to_string(&list).unwrap();
    let revoked = json.replace("\"revoked_system_ids\": []", "\"revoked_system_ids\": [7001]");
    assert_ne!(revoked, json);
    std::fs::write(&list, revoked).unwrap();
    ran.operate("strongroom credentials devices lab/widevine/device_list.json");
    let [play] = &ran.plays[..] else { panic!("{:?}", ran.plays) };
    assert!(ran.is_soon_refused(play), "a revoked device plays on");
    let other = ran.plays(&play.replace("--level L1", "--level L2"));
    assert!(other.status.success(), "the others play: {}", said(&other));
}

#[test]
fn playready() {
    let Some(ran) = DrmRun::of("playready.md") else { return };
    ran.said_what_is_shown();
    let [first, second, third] = &ran.plays[..] else { panic!("{:?}", ran.plays) };
    // The guide's own line of the digest that revokes the L1 device.
    let mut digest = blocks(&ran.text).into_iter().flat_map(str::lines);
    let digest = digest.find(|line| line.starts_with("openssl ")).unwrap();
    let output = run(digest, ran.folder.path(), None);
    let digest = said(&output).split_whitespace().next().unwrap().to_owned();
    assert_eq!(digest.len(), 64, "{digest}");
    let list = ran.folder.path().join("lab/playready/revocation.json");
    let revoked = format!("{{\"revoked_public_key_digests\": [\"{digest}\"]}}");
    std::fs::write(&list, revoked).unwrap();
    ran.operate("strongroom credentials import playready lab/playready");
    assert!(ran.is_soon_refused(first), "a revoked device plays on");
    for other in [second, third] {
        let other = ran.plays(other);
        assert!(other.status.success(), "the others play: {}", said(&other));
    }
}

#[test]
fn fairplay() {
    let Some(ran) = DrmRun::of("fairplay.md") else { return };
    ran.said_what_is_shown();
    let [play] = &ran.plays[..] else { panic!("{:?}", ran.plays) };
    ran.operate("strongroom credentials remove fairplay");
    assert!(ran.is_soon_refused(play), "without credentials it plays on");
}

#[test]
fn rotation() {
    run_guide("rotation.md", 2, |command, place, told| {
        assert!(told.contains(" kid "), "{told}");
        let by_periods = command.contains("periods");
        let folder = place.join(if by_periods { "film-tv" } else { "film" });
        let document = std::fs::read_to_string(folder.join("package.json")).unwrap();
        assert!(document.contains("\"rotation\"") && document.contains("\"period_kids\""));
        assert_eq!(folder.join("cbcs/video-360p/init-0.mp4").exists(), by_periods);
    });
}

#[test]
fn subtitles() {
    let text = guide("subtitles.md");
    let shown: Vec<_> = blocks(&text)
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.starts_with("  text "))
        .collect();
    assert_eq!(shown.len(), 2);
    run_guide("subtitles.md", 1, |_, place, told| {
        for line in &shown {
            assert!(told.contains(line), "{line}\n{told}");
        }
        let document = std::fs::read(place.join("packaged/package.json")).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["texts"].as_array().unwrap().len(), 2);
        // The refusal that the guide shows.
        std::fs::remove_file(place.join("film.en.vtt")).unwrap();
        std::fs::write(place.join("film.en.vtt"), BROKEN_VTT).unwrap();
        let line = "strongroom package --content film --out refused film.mp4 film.en.vtt";
        let output = run(line, place, None);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let refusal = text.lines().find(|line| line.starts_with("film.en.vtt: line 10")).unwrap();
        assert!(said(&output).contains(refusal), "{}", said(&output));
    });
}

#[test]
fn trick_play() {
    let text = guide("trick-play.md");
    let listed: Vec<_> = blocks(&text)
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.starts_with("images/"))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(listed.len(), 3);
    run_guide("trick-play.md", 1, |_, place, _| {
        for path in listed.iter().copied().chain(["cbcs/trick-360p/init.mp4"]) {
            assert!(place.join("film").join(path).is_file(), "{path}");
        }
    });
}

#[test]
fn policies() {
    let (text, folder) = (guide("policies.md"), tempfile::tempdir().unwrap());
    let document = blocks(&text).into_iter().find_map(|block| block.strip_prefix("toml\n"));
    std::fs::write(folder.path().join("rental.toml"), document.unwrap()).unwrap();
    let commands = commands(&text);
    assert_eq!(commands.len(), 10, "{commands:#?}");
    for command in commands {
        let output = run(&command, folder.path(), None);
        assert!(output.status.success(), "{command}\n{}", said(&output));
        let told = said(&output);
        match command.as_str() {
            "strongroom policy test rental --as-device L3" => {
                assert!(told.contains("HD     withheld"), "{told}");
            }
            _ if command.contains("--offline") => {
                assert!(told.contains("hdcp 2.2") && told.contains("license_s 604800"), "{told}");
            }
            _ => {}
        }
    }
    // Every field of a document that has them all is in the guide's table.
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/policy/full");
    let full = std::fs::read_to_string(full).unwrap();
    let fields = full.lines().filter_map(|line| line.split_once(" = "));
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    for (field, _) in fields {
        let named = format!("`{field}`");
        assert!(rows.iter().any(|row| row.contains(&named)), "{field} is not in the table");
    }
}

#[test]
fn from_shaka_packager() {
    run_guide("from-shaka-packager.md", 1, |_, place, _| {
        for manifest in ["manifest.mpd", "master.m3u8", "package.json"] {
            assert!(place.join("film").join(manifest).is_file(), "{manifest}");
        }
    });
    // Every option of our column is one.
    let folder = tempfile::tempdir().unwrap();
    let help = done(strongroom(folder.path()).args(["package", "--help"]));
    let text = guide("from-shaka-packager.md");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let ours = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let words = ours.flat_map(|cell| cell.split(|c: char| c.is_whitespace() || "`,;:".contains(c)));
    let is_option = |word: &&str| word.starts_with("--") && !word.starts_with("---");
    let options: Vec<_> = words.filter(is_option).collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options {
        assert!(help.contains(option), "{option} is no option of package");
    }
}

#[test]
fn play() {
    // Its commands need a service; its options are those that there are.
    let folder = tempfile::tempdir().unwrap();
    let help = done(strongroom(folder.path()).args(["play", "--help"]));
    let text = guide("play.md");
    let words = text.split(|c: char| c.is_whitespace() || "`,;:\\|.".contains(c));
    let options: Vec<_> = words.filter(|word| word.starts_with("--") && word.len() > 4).collect();
    assert!(options.len() > 10, "{options:?}");
    for option in options.into_iter().filter(|option| !["--process", "--keys"].contains(option)) {
        assert!(help.contains(option), "{option} is no option of play");
    }
}
