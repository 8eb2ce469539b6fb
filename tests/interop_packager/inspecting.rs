//! What others encrypt, `inspect` explains, in the two schemes as well that we never write
//! (ISO/IEC 23001-7, 10.2 and 10.3); and what is encrypted is no source of a package.

use crate::binary::{done, said, strongroom};
use crate::clip::clip;
use crate::keys::{hex, kid_and_key, raw_keys};
use crate::peers::Peers;
use model::TrackClass;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Shaka Packager's file of one stream of a clip.
fn encrypted(peers: &Peers, clip: &Path, stream: &str, options: &[&str]) -> PathBuf {
    let path = clip.with_file_name(format!("{stream}-{}.mp4", options.join("")));
    let what = format!("in={},stream={stream},output={}", clip.display(), path.display());
    let keys = raw_keys(TrackClass::Sd);
    let always = [&what, "--enable_raw_key_encryption", "--clear_lead", "0", "--keys", &keys];
    peers.packager(&[&always[..], options].concat());
    path
}

fn inspect(file: &Path) -> Value {
    let report =
        done(strongroom(&file.with_extension("data")).args(["--json", "inspect"]).arg(file));
    serde_json::from_str(&report).unwrap()
}

/// What the first box of a type says.
fn detail<'r>(boxes: &'r Value, kind: &str) -> Option<&'r Value> {
    boxes.as_array()?.iter().find_map(|node| match node["type"] == kind {
        true => Some(&node["detail"]),
        false => detail(&node["children"], kind),
    })
}

#[test]
fn cens_and_cbc1_are_explained() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = "-c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -b:a 96k";
    let card = "testsrc2=size=320x180:rate=25:duration=10";
    let clip = clip(&peers, folder.path(), "clip", card, options);
    let kid = hex(&kid_and_key(TrackClass::Sd).0);
    for (scheme, stream, iv_size, pattern) in [
        ("cens", "video", 8, json!([1, 9])),
        ("cens", "audio", 8, Value::Null),
        ("cbc1", "video", 16, Value::Null),
        ("cbc1", "audio", 16, Value::Null),
    ] {
        let what = format!("{scheme} {stream}");
        let file = encrypted(&peers, &clip, stream, &["--protection_scheme", scheme]);
        let report = inspect(&file);
        assert_eq!(report["defects"], json!([]), "{what}");
        let track = &report["tracks"][0];
        assert_eq!((&track["scheme"], &track["kids"]), (&json!(scheme), &json!([kid])), "{what}");
        let tenc = &detail(&report["boxes"], "tenc").unwrap()["encryption"];
        assert_eq!((&tenc["iv_size"], &tenc["pattern"]), (&json!(iv_size), &pattern), "{what}");

        let samples = peers.coded_samples(&clip, &format!("0:{}:0", &stream[..1]), &[]);
        let sizes = samples.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap());
        let sizes: Vec<u64> = sizes.collect();
        let bytes: u64 = sizes.iter().sum();
        assert_eq!(track["sample_bytes"], bytes, "{what}");
        assert_eq!(track["protected_samples"], sizes.len(), "{what}");
        let protected = track["protected_bytes"].as_u64().unwrap();
        match (scheme, stream) {
            // A block chained to the one before it is a whole one.
            ("cbc1", "audio") => {
                assert_eq!(
                    protected,
                    sizes.iter().map(|size| size / 16 * 16).sum::<u64>(),
                    "{what}"
                );
            }
            (_, "audio") => assert_eq!(protected, bytes, "{what}"),
            // Slice headers and what is no slice are clear.
            _ => assert!((bytes * 95 / 100..bytes).contains(&protected), "{what}: {protected}"),
        }
        let percent = track["protected_percent"].as_f64().unwrap();
        let exact = protected as f64 * 100.0 / bytes as f64;
        assert!((0.0..0.011).contains(&(exact - percent)), "{what}: {percent} for {exact}");
    }
}

#[test]
fn what_is_encrypted_is_not_packaged() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = "-c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -b:a 96k";
    let card = "testsrc2=size=320x180:rate=25:duration=10";
    let clip = clip(&peers, folder.path(), "clip", card, options);
    for scheme in ["cenc", "cens", "cbc1", "cbcs"] {
        for stream in ["video", "audio"] {
            // With the boxes of a DRM system, and with the sample entry alone.
            for systems in ["Widevine", "FairPlay"] {
                let protected = ["--protection_scheme", scheme, "--protection_systems", systems];
                let file = encrypted(&peers, &clip, stream, &protected);
                let out = folder.path().join("out");
                let mut command = strongroom(&folder.path().join("data"));
                command.args(["package", "--content", "film", "--out"]).arg(&out).arg(&file);
                let output = command.output().unwrap();
                let what = format!("{scheme} {stream} {systems}: {}", said(&output));
                assert_eq!(output.status.code(), Some(1), "{what}");
                assert!(said(&output).contains("it is encrypted already"), "{what}");
                assert!(!out.exists(), "{what}");
            }
        }
    }
}
