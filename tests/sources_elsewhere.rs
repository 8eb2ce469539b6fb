//! Sources at other places: the package is the one that files give, and a source that is not
//! there, changes or ends early gives none.

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
#[path = "support/clip.rs"]
mod clip;
#[path = "support/packages.rs"]
mod packages;
#[path = "support/web_server.rs"]
mod web_server;

use binary::{done, said, strongroom};
use bucket::Bucket;
use clip::clip;
use packages::{files, package};
use std::io::Write as _;
use std::process::Stdio;
use web_server::{Manner, WebServer};

#[test]
fn a_package_is_the_same_wherever_its_source_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let Some(clip) = clip(folder.path(), "640x360", 8, "-b:v 3M -minrate 3M") else { return };
    let bytes = std::fs::read(&clip).unwrap();
    assert!(bytes.len() > 1 << 20, "longer than what is read at once");
    done(package(folder.path()).arg("--out").arg(at("file")).arg(&clip));
    let expected = files(&at("file"));
    assert!(expected.len() > 10, "{:?}", expected.keys());

    for (name, manner) in
        [("good", Manner::Good), ("plain", Manner::Plain), ("stumbles", Manner::Stumbles)]
    {
        let server = WebServer::start(bytes.clone(), manner);
        let url = server.url("/a%20film.mp4?token=of-the-test");
        done(package(folder.path()).arg("--out").arg(at(name)).arg(url));
        assert!(files(&at(name)) == expected, "{name}");
        // A header of a box costs no request of its own.
        let requests = server.requests();
        assert!(requests < 200, "{name}: {requests} requests");
    }

    let mut piped = package(folder.path());
    piped.arg("--out").arg(at("piped")).arg("-").stdin(Stdio::piped());
    let mut piped = piped.stdout(Stdio::null()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(piped.wait().unwrap().success());
    assert!(files(&at("piped")) == expected, "standard input");

    let Some(bucket) = Bucket::start(folder.path()) else { return };
    std::fs::create_dir(bucket.folder().join("in")).unwrap();
    std::fs::copy(&clip, bucket.folder().join("in/a film.mp4")).unwrap();
    let mut command = package(folder.path());
    command.arg("--out").arg(at("bucket")).arg("s3://films/in/a film.mp4");
    done(bucket.furnish(&mut command));
    assert!(files(&at("bucket")) == expected, "S3");
}

#[test]
fn thumbnails_are_the_same_wherever_their_source_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let Some(clip) = clip(folder.path(), "320x180", 8, "-b:v 2M -minrate 2M") else { return };
    let bytes = std::fs::read(&clip).unwrap();
    let make = |name: &str| {
        let mut command = package(folder.path());
        command.arg("--thumbnails=160x90@2").arg("--out").arg(at(name));
        command
    };
    done(make("file").arg(&clip));
    let expected = files(&at("file"));
    assert!(expected.contains_key("images/thumbs-160/1.jpg"), "{:?}", expected.keys());
    let server = WebServer::start(bytes.clone(), Manner::Good);
    done(make("web").arg(server.url("/film.mp4")));
    assert!(files(&at("web")) == expected, "HTTP");

    // Behind what tells the tracks, the source goes away while it is fetched for ffmpeg.
    let server = WebServer::start(bytes.clone(), Manner::CutsAfter(bytes.len() * 3 / 4));
    let refused = make("cut").arg(server.url("/film.mp4")).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("/film.mp4") && !at("cut").exists(), "{}", said(&refused));

    let Some(bucket) = Bucket::start(folder.path()) else { return };
    std::fs::copy(&clip, bucket.folder().join("film.mp4")).unwrap();
    let mut command = make("bucket");
    done(bucket.furnish(command.arg("s3://films/film.mp4")));
    assert!(files(&at("bucket")) == expected, "S3");
}

#[test]
fn a_file_is_inspected_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "320x180", 2, "") else { return };
    let inspect = || {
        let mut command = strongroom(&folder.path().join("data"));
        command.args(["--json", "inspect"]);
        command
    };
    let expected = done(inspect().arg(&clip));
    let server = WebServer::start(std::fs::read(&clip).unwrap(), Manner::Good);
    assert_eq!(done(inspect().arg(server.url("/clip.mp4"))), expected);
    let piped = inspect().arg("-").stdin(std::fs::File::open(&clip).unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stdout), expected);
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    std::fs::copy(&clip, bucket.folder().join("clip.mp4")).unwrap();
    assert_eq!(done(bucket.furnish(inspect().arg("s3://films/clip.mp4"))), expected);
}

#[test]
fn a_source_that_is_no_good_gives_no_package_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let Some(clip) = clip(folder.path(), "640x360", 8, "-b:v 3M -minrate 3M") else { return };
    let bytes = std::fs::read(&clip).unwrap();
    let late = bytes.len() / 2;
    for (manner, code, words) in [
        (Manner::Says(404), 2, "not found"),
        (Manner::Says(403), 2, "access denied"),
        (Manner::Says(401), 2, "access denied"),
        (Manner::Says(500), 2, "500"),
        (Manner::IgnoresRanges, 2, "range requests"),
        (Manner::ChangesAfter(late), 1, "it changed"),
        (Manner::ChangesSilentlyAfter(late), 1, "it changed"),
        (Manner::CutsAfter(late), 1, ""),
    ] {
        let server = WebServer::start(bytes.clone(), manner);
        let url = server.url("/film.mp4?signature=do-not-print-me");
        let refused = package(folder.path()).arg("--out").arg(&out).arg(&url).output().unwrap();
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(code), "{manner:?}: {said}");
        assert!(said.contains(words) && said.contains("/film.mp4"), "{manner:?}: {said}");
        assert!(!said.contains("do-not-print-me"), "{manner:?}: {said}");
        assert!(!out.exists(), "{manner:?}");
    }
    for nowhere in ["http://127.0.0.1:9/film.mp4", "s3://x", "http://", "s3://films/a//b"] {
        let refused = package(folder.path()).arg("--out").arg(&out).arg(nowhere).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{nowhere}: {}", said(&refused));
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "the clip and the keys: {left:?}");
}

#[test]
fn a_bucket_that_says_no_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    std::fs::write(bucket.folder().join("film.mp4"), b"anything").unwrap();
    let ask = |key: &str, secret: Option<&str>| {
        let mut command = package(folder.path());
        command.arg("--out").arg(folder.path().join("out")).arg(key);
        bucket.furnish(&mut command);
        command.envs(secret.map(|secret| ("AWS_SECRET_ACCESS_KEY", secret)));
        let output = command.output().unwrap();
        (output.status.code(), said(&output))
    };
    let (code, said) = ask("s3://films/nothing.mp4", None);
    assert_eq!((code, said.contains("not found")), (Some(2), true), "{said}");
    let (code, said) = ask("s3://films/film.mp4", Some("another secret"));
    assert_eq!((code, said.contains("access denied")), (Some(2), true), "{said}");
    assert!(!said.contains("another secret"), "{said}");
    let (code, said) = ask("s3://films/film.mp4", None);
    assert_eq!((code, said.contains("not an MP4 file")), (Some(1), true), "{said}");
}
