//! What we encrypt under keys that change, Shaka Packager and ffmpeg decrypt part by part. Neither
//! reads `seig`: where keys change in band, each part's init is told what its fragment says. That
//! browsers read it is for the browser tests to show.

use crate::h264_clips::h264_clips;
use crate::keys::{hex, keys};
use crate::packaged::{package_under, stream_of};
use crate::peers::Peers;
use ::keys::{ContentKey, PackagingKey, PackagingKeys};
use media::package::{KeySignal, RotationPlan};
use model::{KeyId, PackagedVariant, Rotation, TrackClass};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Periods of a clip of ten seconds that is cut every two.
const PERIODS: u32 = 3;

fn kid_and_key(period: u32, class: TrackClass) -> ([u8; 16], [u8; 16]) {
    let (mut kid, mut key) = ([class as u8 + 0x51; 16], [class as u8 + 0x81; 16]);
    kid[0] = u8::try_from(period).unwrap();
    key[0] = kid[0];
    (kid, key)
}

/// The keys of the tracks, and those of the periods; both schemes share them.
fn rotating_keys() -> PackagingKeys {
    let mut all = keys(false);
    let both = (0..PERIODS).flat_map(|period| TrackClass::ALL.map(|class| (period, class)));
    let key = |(period, class)| {
        let (kid, key) = kid_and_key(period, class);
        PackagingKey {
            kid: KeyId::from_bytes(kid),
            key: ContentKey::from_bytes(Zeroizing::new(key)),
            iv: None,
            track_class: Some(class),
            scheme: None,
            period: Some(period),
        }
    };
    all.extend(PackagingKeys::new(both.map(key).collect()));
    all
}

fn rotating(signal: KeySignal) -> Option<RotationPlan> {
    let number = |n| NonZeroU32::new(n).unwrap();
    let of = Rotation { period_s: number(4), batch_periods: number(2) };
    Some(RotationPlan { of, signal })
}

/// The keys of these periods as Shaka Packager takes them.
fn raw_keys(class: TrackClass, periods: std::ops::Range<u32>) -> String {
    let one = |period| {
        let (kid, key) = kid_and_key(period, class);
        format!("label=P{period}:key_id={}:key={}", hex(&kid), hex(&key))
    };
    periods.map(one).collect::<Vec<_>>().join(",")
}

fn by_packager(peers: &Peers, encrypted: &Path, variant: &PackagedVariant) -> Vec<String> {
    let decrypted = encrypted.with_extension("decrypted.mp4");
    let (_, kind) = stream_of(variant.track_class);
    peers.packager(&[
        &format!("in={},stream={kind},output={}", encrypted.display(), decrypted.display()),
        "--enable_raw_key_decryption",
        "--keys",
        &raw_keys(variant.track_class, 0..PERIODS),
    ]);
    peers.coded_samples(&decrypted, "0:0", &[])
}

/// What follows a box's type.
fn behind(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|four| four == kind).unwrap() + 4
}

/// The init as if the fragment's key were the track's: neither peer reads `seig`, whose fields are
/// those of `tenc`.
fn init_for(init: &[u8], segment: &[u8]) -> Vec<u8> {
    // Version and flags, grouping type, length of an entry, number of entries.
    let group = behind(segment, b"sgpd") + 16;
    // Version and flags.
    let tenc = behind(init, b"tenc") + 4;
    let len = if segment[group + 3] == 0 { 37 } else { 20 };
    let mut init = init.to_vec();
    init[tenc..tenc + len].copy_from_slice(&segment[group..group + len]);
    init
}

/// Each segment behind an init that names its key, and the period of that key.
fn parts_in_band(package: &Path, variant: &PackagedVariant, scratch: &Path) -> Vec<(u32, PathBuf)> {
    let folder = package.join(variant.scheme.name()).join(&variant.name);
    let init = std::fs::read(folder.join("init.mp4")).unwrap();
    let segments = (0..).map_while(|at| {
        let segment = std::fs::read(folder.join(format!("{}.m4s", at + 1))).ok()?;
        let path = scratch.join(format!("{}-{}-{at}-in-band.mp4", variant.scheme, variant.name));
        std::fs::write(&path, [init_for(&init, &segment), segment].concat()).unwrap();
        Some((at / 2, path))
    });
    segments.collect()
}

#[test]
fn two_other_decryptors_read_what_changes_keys_in_band() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = h264_clips(&peers, folder.path()).swap_remove(0);
    let to = folder.path().join("package");
    let event = package_under(rotating_keys(), &[&clip], &to, |plan| {
        plan.segment_s = 2;
        plan.rotation = rotating(KeySignal::InBand);
    });
    for variant in &event.variants {
        assert_eq!(variant.period_kids.len(), 3);
        check(&peers, &clip, variant, &parts_in_band(&to, variant, folder.path()));
    }
}

/// Both peers give the source's samples back, under the key of each part's period.
fn check(peers: &Peers, clip: &Path, variant: &PackagedVariant, parts: &[(u32, PathBuf)]) {
    let source = peers.coded_samples(clip, stream_of(variant.track_class).0, &[]);
    assert_eq!(parts.last().unwrap().0, PERIODS - 1);
    let what = format!("{} {}", variant.scheme, variant.name);
    let decrypted = parts.iter().flat_map(|(_, part)| by_packager(peers, part, variant));
    let decrypted: Vec<_> = decrypted.collect();
    assert!(decrypted == source, "{what}: a sample does not come back from Shaka Packager");
    let by_ffmpeg = parts.iter().flat_map(|(period, part)| {
        let key = hex(&kid_and_key(*period, variant.track_class).1);
        peers.coded_samples(part, "0:0", &["-decryption_key", &key])
    });
    let by_ffmpeg: Vec<_> = by_ffmpeg.collect();
    assert!(by_ffmpeg == source, "{what}: a sample does not come back from ffmpeg");
}

/// Every segment behind the init of its period; a segment has one fragment here, and so ffmpeg
/// reads it.
fn parts(package: &Path, variant: &PackagedVariant, scratch: &Path) -> Vec<(u32, PathBuf)> {
    let folder = package.join(variant.scheme.name()).join(&variant.name);
    let segments = (0..).map_while(|at| {
        let segment = std::fs::read(folder.join(format!("{}.m4s", at + 1))).ok()?;
        let period = at / 2;
        let init = std::fs::read(folder.join(format!("init-{period}.mp4"))).unwrap();
        let path = scratch.join(format!("{}-{}-{at}.mp4", variant.scheme, variant.name));
        std::fs::write(&path, [init, segment].concat()).unwrap();
        Some((period, path))
    });
    segments.collect()
}

#[test]
fn two_other_decryptors_read_each_part_that_has_an_init() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = h264_clips(&peers, folder.path()).swap_remove(0);
    let to = folder.path().join("package");
    let event = package_under(rotating_keys(), &[&clip], &to, |plan| {
        plan.segment_s = 2;
        plan.rotation = rotating(KeySignal::Periods);
    });
    for variant in &event.variants {
        check(&peers, &clip, variant, &parts(&to, variant, folder.path()));
    }
}
