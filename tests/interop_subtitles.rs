//! ffmpeg reads back what is written of subtitles: the samples of `wvtt` and `stpp` at their
//! times, and for HLS the cues of the WebVTT segments.

#![expect(clippy::unwrap_used, reason = "a helper of tests may panic")]

#[path = "support/peers.rs"]
#[expect(dead_code, reason = "other tests ask the peers for more")]
mod peers;

use keys::{ContentKey, PackagingKey, PackagingKeys, SystemEntropy};
use media::NamedInput;
use media::package::{Layout, Plan, package};
use model::{ContentId, KeyId, PackageId, Scheme, Timestamp, TrackClass};
use peers::Peers;
use server::vault::{FileInput, FolderOutput};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const VTT: &str = "WEBVTT\n\n00:00.500 --> 00:01.500\nOne\n\n\
    00:01.000 --> 00:05.000\nAcross two cuts\n\n00:06.500 --> 00:09.000\nBeyond the end\n";
const TTML: &str = "<tt xmlns=\"http://www.w3.org/ns/ttml\" xml:lang=\"de\"><body><div>\
    <p begin=\"0.5s\" end=\"5s\">Eins</p></div></body></tt>";

fn keys() -> PackagingKeys {
    let key = |track_class| PackagingKey {
        kid: KeyId::from_bytes([track_class as u8 + 1; 16]),
        key: ContentKey::from_bytes(Zeroizing::new([track_class as u8 + 9; 16])),
        iv: None,
        track_class: Some(track_class),
        scheme: Some(Scheme::Cbcs),
        period: None,
    };
    PackagingKeys::new(TrackClass::ALL.into_iter().map(key).collect())
}

/// Packages eight seconds of picture, cut every two, with both kinds of subtitles.
fn packaged(peers: &Peers, folder: &Path) -> PathBuf {
    let path = |name: &str| folder.join(name);
    std::fs::write(path("film.en.vtt"), VTT).unwrap();
    std::fs::write(path("film.ttml"), TTML).unwrap();
    let film = path("film.mp4");
    let picture = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=25:duration=8"];
    let coded = ["-c:v", "libx264", "-g", "50", "-bf", "0", "-pix_fmt", "yuv420p"];
    peers.ffmpeg(&[&picture[..], &coded, &[film.to_str().unwrap()]].concat());
    let paths = [film, path("film.en.vtt"), path("film.ttml")];
    let mut files: Vec<_> = paths.iter().map(|path| FileInput::open(path).unwrap()).collect();
    let names = paths.iter().map(|path| path.display().to_string());
    let inputs = files.iter_mut().zip(names);
    let mut inputs: Vec<_> = inputs.map(|(input, name)| NamedInput { name, input }).collect();
    let plan = Plan {
        content_id: ContentId::parse("film").unwrap(),
        package_id: PackageId::random(&mut SystemEntropy),
        schemes: vec![Scheme::Cbcs],
        layout: Layout::SingleFile,
        segment_s: 2,
        packager: "test".into(),
        now: Timestamp(0),
        images: None,
        has_trick_track: false,
        rotation: None,
        clear_lead_s: 0,
        descriptions: Vec::new(),
        ad_cues_ms: Vec::new(),
    };
    let to = path("package");
    let mut out = FolderOutput::new(&to);
    package(&mut inputs, &plan, &keys(), &mut out, &mut SystemEntropy, &mut |_| ()).unwrap();
    to
}

/// Presentation time and duration of each sample, milliseconds.
fn times(peers: &Peers, file: &Path) -> Vec<(u64, u64)> {
    let file = file.to_str().unwrap();
    let lines = peers.ffmpeg(&["-i", file, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]);
    let timescale = lines.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).unwrap();
    let ms = |ticks: &str| {
        ticks.trim().parse::<u64>().unwrap() * 1000 / timescale.parse::<u64>().unwrap()
    };
    let samples = lines.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let mut fields = line.split(',').skip(2);
            (ms(fields.next().unwrap()), ms(fields.next().unwrap()))
        })
        .collect()
}

#[test]
fn ffmpeg_reads_the_subtitles_at_their_times() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let package = packaged(&peers, folder.path());
    let wvtt = [
        (0, 500),
        (500, 500),
        (1000, 500),
        (1500, 500),
        (2000, 2000),
        (4000, 1000),
        (5000, 1000),
        (6000, 500),
        (6500, 1500),
    ];
    assert_eq!(times(&peers, &package.join("text/text-en.mp4")), wvtt);
    let stpp = [(0, 2000), (2000, 2000), (4000, 2000), (6000, 2000)];
    assert_eq!(times(&peers, &package.join("text/text-de.mp4")), stpp);
    let across = "00:01.000 --> 00:05.000\nAcross two cuts";
    let segments = [
        (1, format!("00:00.500 --> 00:01.500\nOne\n\n{across}")),
        (3, across.to_owned()),
        (4, "00:06.500 --> 00:09.000\nBeyond the end".to_owned()),
    ];
    for (number, expected) in segments {
        let segment = package.join(format!("text/text-en/{number}.vtt"));
        let cues = peers.ffmpeg(&["-i", segment.to_str().unwrap(), "-f", "webvtt", "-"]);
        assert_eq!(cues.trim(), format!("WEBVTT\n\n{expected}"));
    }
}
