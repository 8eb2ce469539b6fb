//! R001, R008: after everything has run once, no content key stands anywhere but in ClearKey
//! answers, which carry it by design.

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
#[path = "support/service.rs"]
mod service;

use binary::{done, said, strongroom};
use clip::clip;
use service::Service;
use std::path::Path;

#[test]
fn a_key_is_found_in_clearkey_answers_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "640x360", 8, "") else { return };
    let [bodies, licenses] = ["bodies", "licenses"].map(|name| folder.path().join(name));
    std::fs::create_dir(&bodies).unwrap();
    std::fs::create_dir(&licenses).unwrap();

    let package = strongroom(&data)
        .args(["package", "--content", "film", "--scheme", "dual"])
        .arg(&clip)
        .env("STRONGROOM_LOG", "debug")
        .output()
        .unwrap();
    assert!(package.status.success(), "{}", said(&package));
    std::fs::write(bodies.join("package.log"), said(&package)).unwrap();
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();

    let service = Service::start(&mut strongroom(&data), &bodies.join("serve.log"));
    watch_once(&service, account["password"].as_str().unwrap(), &bodies, &licenses);
    // Keys were unwrapped, written into answers and sent; what held them is wiped by now.
    let pid = service.child.id().to_string();
    let memory = strongroom(&data).args(["audit-leaks", "--process", &pid]).output().unwrap();
    assert_eq!(memory.status.code(), Some(0), "{}", said(&memory));
    drop(service);

    let search =
        |paths: &[&Path]| strongroom(&data).arg("audit-leaks").args(paths).output().unwrap();
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist");
    let clean = search(&[&data, &bodies, &web]);
    assert_eq!(clean.status.code(), Some(0), "{}", said(&clean));
    let answers = search(&[&licenses]);
    assert_eq!(answers.status.code(), Some(1), "the search knows the key: {}", said(&answers));
    assert!(said(&answers).contains("content key"), "{}", said(&answers));

    std::fs::copy(licenses.join("cbcs.json"), bodies.join("planted.txt")).unwrap();
    assert_eq!(search(&[&bodies]).status.code(), Some(1), "a planted key is found");
}

/// Signs in, fetches everything a player fetches in both schemes, and keeps every body.
fn watch_once(service: &Service, password: &str, bodies: &Path, licenses: &Path) {
    let bearer = service.sign_in("viewer", password);
    let keep = |name: &str, body: &[u8]| std::fs::write(bodies.join(name), body).unwrap();
    for scheme in ["cbcs", "cenc"] {
        let token = service.ask("GET", "/api/v1/playback/token/film", &[&bearer], b"");
        assert_eq!(token.status, 200, "{}", String::from_utf8_lossy(&token.body));
        keep(&format!("{scheme}-token.json"), &token.body);
        let token = token.json();

        let manifest = format!("{}?scheme={scheme}", token["manifest"]["dash"].as_str().unwrap());
        let mpd = service.ask("GET", &manifest, &[], b"");
        assert_eq!(mpd.status, 200, "{}", mpd.head);
        keep(&format!("{scheme}.mpd"), &mpd.body);
        let text = String::from_utf8(mpd.body).unwrap();

        let license = token["license"]["clearkey"].as_str().unwrap();
        let challenge = challenge_of(&text);
        let answer = service.ask("POST", license, &[], challenge.as_bytes());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        std::fs::write(licenses.join(format!("{scheme}.json")), &answer.body).unwrap();
        keep(&format!("{scheme}-license-head.txt"), answer.head.as_bytes());
        let replay = service.ask("POST", license, &[], format!(" {challenge}").as_bytes());
        assert_eq!(replay.status, 401, "another challenge for a used key id");
        keep(&format!("{scheme}-replay.json"), &replay.body);

        let base = manifest.rsplit_once('/').unwrap().0.to_owned();
        for (number, path) in segment_paths(&text).into_iter().enumerate() {
            let segment = service.ask("GET", &format!("{base}/{path}"), &[], b"");
            assert_eq!(segment.status, 200, "{path}");
            keep(&format!("{scheme}-{number}.mp4"), &segment.body);
        }
    }
}

/// An EME request for every key id of a manifest.
fn challenge_of(mpd: &str) -> String {
    let mut kids: Vec<String> = mpd
        .split("cenc:default_KID=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(|kid| model::KeyId::parse(kid).unwrap().to_base64url())
        .collect();
    kids.sort();
    kids.dedup();
    assert!(!kids.is_empty(), "{mpd}");
    serde_json::json!({"kids": kids, "type": "temporary"}).to_string()
}

/// Init and first two segments of every track that a manifest names by template.
fn segment_paths(mpd: &str) -> Vec<String> {
    let attribute = |element: &str, name: &str| {
        let rest = element.split(&format!(" {name}=\"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    let mut paths = vec![];
    for element in mpd.split("<SegmentTemplate").skip(1) {
        paths.push(attribute(element, "initialization").unwrap());
        let media = attribute(element, "media").unwrap();
        paths.extend(["1", "2"].map(|number| media.replace("$Number$", number)));
    }
    assert!(!paths.is_empty(), "{mpd}");
    paths
}
