//! Packages in a bucket are what they are in a folder; one whose upload failed or was killed
//! has no manifest.

#![expect(
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

use binary::{done, said};
use bucket::Bucket;
use clip::clip;
use packages::{files, package};
use std::process::Stdio;

#[test]
fn a_bucket_gets_what_a_folder_gets() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "640x360", 24, "-b:v 4M -minrate 4M") else { return };
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    for layout in ["segments", "single-file"] {
        let here = folder.path().join(layout);
        let options = ["--scheme", "cbcs", "--layout", layout];
        done(package(folder.path()).args(options).arg("--out").arg(&here).arg(&clip));
        let mut command = package(folder.path());
        command.args(options).args(["--out", &format!("s3://films/2026/{layout}/")]).arg(&clip);
        done(bucket.furnish(&mut command));
        let there = bucket.folder().join("2026").join(layout);
        let [here, there] = [files(&here), files(&there)];
        assert!(here.keys().eq(there.keys()), "{:?}\n{:?}", here.keys(), there.keys());
        assert!(here == there, "{layout}: the same bytes");
        // Larger than one part of an upload, so that parts were put together.
        assert!(layout == "segments" || here.values().any(|file| file.len() > 8 << 20));

        let mut again = package(folder.path());
        again.args(["--out", &format!("s3://films/2026/{layout}")]).arg(&clip);
        let refused = bucket.furnish(&mut again).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("objects are there already"), "{}", said(&refused));
        assert!(files(&bucket.folder().join("2026").join(layout)) == there, "nothing is touched");
    }
}

#[test]
fn a_killed_upload_leaves_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "640x360", 60, "-b:v 4M -minrate 4M") else { return };
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    for round in 1..6 {
        let prefix = format!("round-{round}");
        let mut command = package(folder.path());
        command.args(["--out", &format!("s3://films/{prefix}")]).arg(&clip);
        bucket.furnish(&mut command).stdout(Stdio::null()).stderr(Stdio::null());
        let mut job = command.spawn().unwrap();
        let there = || files(&bucket.folder().join(&prefix));
        while job.try_wait().unwrap().is_none() && there().len() < round * 8 {
            std::thread::yield_now();
        }
        assert!(job.try_wait().unwrap().is_none(), "round {round}: killed in the middle");
        job.kill().unwrap();
        job.wait().unwrap();
        let left = there();
        assert!(left.len() >= round * 8);
        let manifest = left.keys().find(|name| !name.ends_with(".m4s") && !name.ends_with(".mp4"));
        assert_eq!(manifest, None, "round {round}");
    }
}

#[test]
fn a_failed_job_removes_what_it_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "640x360", 20, "-movflags +faststart") else { return };
    let Some(bucket) = Bucket::start(folder.path()) else { return };
    // The length of a NAL unit near the end makes no sense: found when the media is read.
    let mut bytes = std::fs::read(&clip).unwrap();
    let late = bytes.len() * 9 / 10;
    bytes[late..].fill(0xff);
    let damaged = folder.path().join("damaged.mp4");
    std::fs::write(&damaged, bytes).unwrap();
    let mut command = package(folder.path());
    command.args(["--out", "s3://films/film"]).arg(&damaged);
    let refused = bucket.furnish(&mut command).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("damaged.mp4"), "{}", said(&refused));
    assert!(files(&bucket.folder().join("film")).is_empty());

    // Nobody is let in who has another secret, and nothing is there afterwards.
    let mut command = package(folder.path());
    command.args(["--out", "s3://films/film"]).arg(&clip);
    bucket.furnish(&mut command).env("AWS_SECRET_ACCESS_KEY", "another");
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("access denied"), "{}", said(&refused));
}
