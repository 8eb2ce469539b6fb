//! kill -9 in the middle of packaging leaves no half package visible, and the next run works.

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

use binary::{done, said, strongroom};
use clip::clip;
use std::path::Path;
use std::process::{Child, Stdio};

#[test]
fn a_killed_job_leaves_the_old_package_or_the_new_one() {
    let rounds = if std::env::var_os("STRONGROOM_LONG").is_some() { 200 } else { 10 };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "640x360", 60, "-b:v 4M -minrate 4M") else { return };
    let start = || -> Child {
        strongroom(&data)
            .args(["package", "--content", "film", "--scheme", "dual", "--segment-seconds", "2"])
            .arg(&clip)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    assert!(start().wait().unwrap().success());
    let (whole, first) = published(&data).unwrap();

    for round in 0..rounds {
        // Kills fall at even steps of the output, the last ones while it is being published.
        let files = whole * (round + 1) / rounds;
        let mut job = start();
        while job.try_wait().unwrap().is_none() && staged(&data) < files {
            std::thread::yield_now();
        }
        job.kill().unwrap();
        job.wait().unwrap();
        let (files, _) = published(&data).unwrap();
        assert_eq!(files, whole, "what viewers get is whole after kill {round}");
    }
    assert!(start().wait().unwrap().success());
    let (files, last) = published(&data).unwrap();
    assert_eq!(files, whole);
    assert_ne!(first, last, "an undisturbed job takes the place of the old package");
    assert_eq!(staged(&data), 0, "nothing of the killed jobs is left");
}

#[test]
fn a_killed_job_for_a_folder_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "out"].map(|name| folder.path().join(name));
    let Some(clip) = clip(folder.path(), "640x360", 60, "-b:v 4M -minrate 4M") else { return };
    let package = || {
        let mut command = strongroom(&data);
        command.args(["package", "--content", "film", "--out"]).arg(&out).arg(&clip);
        command
    };
    let mut job = package().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while job.try_wait().unwrap().is_none() && files_in(&folder.path().join(".out.partial")) < 4 {
        std::thread::yield_now();
    }
    job.kill().unwrap();
    job.wait().unwrap();
    assert!(!out.exists());
    done(&mut package());
    let whole = files_in(&out);
    assert!(out.join("package.json").is_file() && whole > 20, "{whole} files");

    std::fs::write(folder.path().join("cut.mp4"), &std::fs::read(&clip).unwrap()[..500_000])
        .unwrap();
    let refused = strongroom(&data)
        .args(["package", "--content", "film", "--out"])
        .args([folder.path().join("refused"), folder.path().join("cut.mp4")])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("cut.mp4"), "{}", said(&refused));
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".mp4"))
        .collect();
    left.sort();
    assert_eq!(left, ["data", "out"], "a refused job leaves nothing");
}

/// Files of the package that viewers get, and the package's id; `None`: the title is not
/// published.
fn published(data: &Path) -> Option<(usize, String)> {
    let titles = done(strongroom(data).args(["--json", "title", "list"]));
    let titles: serde_json::Value = serde_json::from_str(&titles).unwrap();
    let film = titles["titles"].as_array().unwrap().iter().find(|t| t["content_id"] == "film")?;
    assert_eq!(film["state"], "published");
    let current = data.join("media/film/current");
    let package: model::PackagedEvent =
        serde_json::from_slice(&std::fs::read(current.join("package.json")).unwrap()).unwrap();
    Some((files_in(&current), package.package_id.to_string()))
}

fn staged(data: &Path) -> usize {
    // A guard and a lock stand there too; files of packages are one folder deeper.
    let staging = data.join("media/.staging");
    let Ok(entries) = std::fs::read_dir(staging) else { return 0 };
    entries.flatten().filter(|e| e.path().is_dir()).map(|e| files_in(&e.path())).sum()
}

/// Files below a folder; a folder that goes away while it is read holds none.
fn files_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| if path.is_dir() { files_in(path) } else { 1 };
    entries.flatten().map(|entry| count(&entry.path())).sum()
}
