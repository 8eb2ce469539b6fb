//! `--clear-lead` leaves the first seconds clear: with a warning, and in production only where
//! the operator allows it by name.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/packages.rs"]
mod packages;

use binary::said;
use clip::clip;
use packages::{files, package};

#[test]
fn production_leaves_nothing_clear_unless_allowed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "320x180", 6, "") else { return };
    let production = [
        ("STRONGROOM_MODE", "production"),
        ("STRONGROOM_LISTEN_BEHIND_PROXY", "true"),
        ("STRONGROOM_KEYS_ALLOW_FILE_IN_PRODUCTION", "true"),
    ];
    let allowed = [("STRONGROOM_PACKAGING_ALLOW_CLEAR_LEAD_IN_PRODUCTION", "true")];
    let run = |name: &str, seconds: &str, settings: &[&[(&str, &str)]]| {
        let out = folder.path().join(name);
        let mut command = package(folder.path());
        command.args(["--clear-lead", seconds, "--out"]).arg(&out).arg(&clip);
        command.envs(settings.concat());
        let output = command.output().unwrap();
        (output.status.code(), said(&output), files(&out))
    };
    let (code, told, left) = run("refused", "2", &[&production]);
    assert_eq!((code, left.len()), (Some(2), 0), "{told}");
    assert!(told.contains("in production nothing of a title is left clear"), "{told}");
    assert!(told.contains("packaging.allow_clear_lead_in_production"), "{told}");

    let (code, told, encrypted) = run("encrypted", "0", &[&production]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told, led) = run("allowed", "2", &[&production, &allowed]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("the first seconds of this title are not encrypted"), "{told}");
    let first = "cbcs/video-180p/1.m4s";
    assert!(led.contains_key(first) && led[first] != encrypted[first]);
    assert!(run("laptop", "2", &[]).2 == led);
}
