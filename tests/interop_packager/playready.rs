//! What Shaka Packager signals for PlayReady (Microsoft, PlayReady Header Specification), we read;
//! and for the same key our box says the same. The key id has no two bytes alike: it is written as
//! a GUID, whose byte order is not its own.

use crate::binary::{done, strongroom};
use crate::clip::clip;
use crate::peers::Peers;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const KID: &str = "00112233445566778899aabbccddeeff";
const KEY: &str = "8f0e1d2c3b4a59687786a5b4c3d2e1f0";

fn packaged_by_shaka(peers: &Peers, clip: &Path, scheme: &str) -> PathBuf {
    let path = clip.with_file_name(format!("shaka-{scheme}.mp4"));
    let what = format!("in={},stream=video,output={}", clip.display(), path.display());
    let keys = format!("label=:key_id={KID}:key={KEY}");
    let protection = ["--protection_systems", "PlayReady", "--protection_scheme", scheme];
    let options = [&what, "--enable_raw_key_encryption", "--clear_lead", "0", "--keys", &keys];
    peers.packager(&[&options[..], &protection].concat());
    path
}

/// The first file below a folder with this name whose path has a word in it.
fn file(folder: &Path, word: &str, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).find_map(|path| match path.is_dir() {
        true => file(&path, word, name),
        false => (path.ends_with(name) && path.to_str()?.contains(word)).then_some(path),
    })
}

/// What the PlayReady box of a file says.
fn playready(file: &Path) -> Value {
    let report =
        done(strongroom(&file.with_extension("data")).args(["--json", "inspect"]).arg(file));
    let report: Value = serde_json::from_str(&report).unwrap();
    let mut found = Vec::new();
    boxes(&report["boxes"], &mut found);
    found.retain(|detail| detail.to_string().contains("WRMHEADER"));
    assert_eq!(found.len(), 1, "{report:#}");
    found.remove(0)
}

fn boxes(nodes: &Value, found: &mut Vec<Value>) {
    for node in nodes.as_array().into_iter().flatten() {
        if node["type"] == "pssh" {
            found.push(node["detail"].clone());
        }
        boxes(&node["children"], found);
    }
}

#[test]
fn one_playready_box_is_shaka_packagers_and_ours() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = "-c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -b:a 96k";
    let card = "testsrc2=size=320x180:rate=25:duration=4";
    let clip = clip(&peers, folder.path(), "clip", card, options);
    let keys = folder.path().join("keys.json");
    let key = json!([{"content_id": "film", "kid": KID, "key": KEY}]);
    std::fs::write(&keys, key.to_string()).unwrap();
    let ours = folder.path().join("film");
    let mut package = strongroom(&folder.path().join("data"));
    package.args(["package", "--content", "film", "--scheme", "dual", "--keys"]).arg(keys);
    done(package.arg("--out").arg(&ours).arg(&clip));
    for (scheme, version) in [("cenc", "4.0.0.0"), ("cbcs", "4.3.0.0")] {
        let theirs = playready(&packaged_by_shaka(&peers, &clip, scheme));
        let init = file(&ours.join(scheme), "video", "init.mp4").unwrap();
        assert_eq!(playready(&init), theirs, "{scheme}");
        let said = theirs.to_string();
        assert!(said.contains(KID) && said.contains(version), "{said}");
        assert!(said.contains("MyIRAFVEd2aImaq7zN3u/w=="), "the id, as a GUID, in base64: {said}");
    }
}
