//! `--ladder-codec`: renditions that are encoded and encrypted by one command, and read by two
//! other decryptors.

use crate::binary::{done, strongroom};
use crate::clip::clip;
use crate::peers::Peers;
use serde_json::{Value, json};

const KID: &str = "6b1d4f2c8e0a4d3f9b7c5a1e2d3c4b5a";
const KEY: &str = "000102030405060708090a0b0c0d0e0f";
/// The clip's pictures.
const PICTURES: usize = 250;

#[test]
fn a_ladder_in_hevc_is_aligned_and_decrypted_by_two_others() {
    encode("hevc", "hvc1.1.6.");
}

#[test]
fn a_ladder_in_av1_is_aligned_and_decrypted_by_two_others() {
    encode("av1", "av01.0.");
}

/// Two rungs of one clip; `codecs` is how the profile for eight bits begins.
fn encode(codec: &str, codecs: &str) {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let options = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -b:a 96k";
    let card = "testsrc2=size=320x180:rate=25:duration=10";
    let mezzanine = clip(&peers, folder.path(), "mezzanine", card, options);
    let keys = json!([{"content_id": "film", "kid": KID, "key": KEY}]);
    std::fs::write(at("keys.json"), keys.to_string()).unwrap();
    let mut command = strongroom(&at("data"));
    command.args(["--json", "package", "--content", "film", "--scheme", "dual"]);
    command.args(["--layout", "single-file", "--segment-seconds", "2"]);
    command.args(["--ladder", "180p,120p", "--ladder-codec", codec, "--keys"]);
    command.arg(at("keys.json")).arg("--out").arg(at("out")).arg(mezzanine);
    let event: Value = serde_json::from_str(&done(&mut command)).unwrap();

    let variants = event["variants"].as_array().unwrap();
    let pictures: Vec<_> = variants.iter().filter(|one| !one["height"].is_null()).collect();
    assert_eq!(pictures.len(), 4, "two rungs in two schemes");
    let mut lengths = Vec::new();
    for variant in pictures {
        let [name, scheme] = ["name", "scheme"].map(|field| variant[field].as_str().unwrap());
        let what = format!("{codec} {scheme} {name}");
        let told = variant["codecs"].as_str().unwrap();
        assert!(told.starts_with(codecs) && !told.ends_with(".10"), "{what}: {told}");
        let file = at("out").join(scheme).join(format!("{name}.mp4"));
        let decrypted = at("decrypted.mp4");
        let stream = format!("in={},stream=video,output={}", file.display(), decrypted.display());
        let key = format!("label=:key_id={KID}:key={KEY}");
        peers.packager(&[&stream, "--enable_raw_key_decryption", "--keys", &key]);
        let by_packager = peers.coded_samples(&decrypted, "0:0", &[]);
        let by_ffmpeg = peers.coded_samples(&file, "0:0", &["-decryption_key", KEY]);
        assert_eq!(by_packager, by_ffmpeg, "{what}");
        assert_eq!(by_ffmpeg.len(), PICTURES, "{what}");
        assert_ne!(by_ffmpeg, peers.coded_samples(&file, "0:0", &[]), "{what}: it is encrypted");
        let playlist = std::fs::read_to_string(file.with_extension("m3u8")).unwrap();
        let own = playlist.lines().filter(|line| line.starts_with("#EXTINF"));
        lengths.push(own.map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(lengths[0].len(), 5, "{lengths:?}");
    assert!(lengths.iter().all(|one| *one == lengths[0]), "{codec}: cut at the same times");
}
