//! What we encrypt under keys that change, Shaka Packager decrypts by the keys' ids alone; ffmpeg,
//! which knows one key for a track, decrypts each part that has an init of its own.

use crate::h264_clips::h264_clips;
use crate::keys::{hex, keys};
use crate::packaged::{joined, package_under, stream_of};
use crate::peers::Peers;
use ::keys::{ContentKey, PackagingKey, PackagingKeys};
use media::package::{KeySignal, Layout, RotationPlan};
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

#[test]
fn another_decryptor_follows_keys_that_change_in_band() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in h264_clips(&peers, folder.path()).iter().take(2) {
        for (number, layout) in [Layout::Segments, Layout::SingleFile].into_iter().enumerate() {
            let to = clip.with_extension(format!("package-{number}"));
            let event = package_under(rotating_keys(), &[clip], &to, |plan| {
                (plan.layout, plan.segment_s) = (layout, 2);
                plan.rotation = rotating(KeySignal::InBand);
            });
            assert_eq!(event.variants.len(), 4);
            for (at, variant) in event.variants.iter().enumerate() {
                assert_eq!(variant.period_kids.len(), 3);
                let source = peers.coded_samples(clip, stream_of(variant.track_class).0, &[]);
                let encrypted = joined(&to, &event, at, folder.path());
                let what = format!("{} {} {layout:?}", variant.scheme, variant.name);
                let decrypted = by_packager(&peers, &encrypted, variant);
                assert!(decrypted == source, "{what}: a sample does not come back");
            }
        }
    }
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
        let source = peers.coded_samples(&clip, stream_of(variant.track_class).0, &[]);
        let parts = parts(&to, variant, folder.path());
        assert_eq!(parts.last().unwrap().0, PERIODS - 1);
        let what = format!("{} {}", variant.scheme, variant.name);
        let decrypted = parts.iter().flat_map(|(_, part)| by_packager(&peers, part, variant));
        let decrypted: Vec<_> = decrypted.collect();
        assert!(decrypted == source, "{what}: a sample does not come back from Shaka Packager");
        let by_ffmpeg = parts.iter().flat_map(|(period, part)| {
            let key = hex(&kid_and_key(*period, variant.track_class).1);
            peers.coded_samples(part, "0:0", &["-decryption_key", &key])
        });
        let by_ffmpeg: Vec<_> = by_ffmpeg.collect();
        assert!(by_ffmpeg == source, "{what}: a sample does not come back from ffmpeg");
    }
}
