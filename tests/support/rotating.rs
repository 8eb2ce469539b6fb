//! A title whose keys change with every segment: a package that is written anew, sample by sample,
//! under the keys of periods, with the boxes that say so (ISO/IEC 23001-7:2016, 6).

use crate::binary::{done, strongroom};
use crate::clip::clip;
use crate::frames::decoded;
use crate::title::{content_key, key};
use keys::ContentKey;
use media::bmff::{Fields, boxes, full_box};
use media::cenc::{SampleInfo, Seig, TrackCipher};
use media::pssh;
use model::{KeyId, Scheme, TrackClass};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Periods that one batch has.
pub const BATCH: u32 = 10;

/// A title of pictures and sound whose keys change each second, in both schemes.
pub struct Rotating {
    /// `manifest.mpd` and what it names.
    pub package: PathBuf,
    /// The decoded frames of the clear source, as `play --frames` writes them.
    pub frames: String,
    /// Periods.
    pub periods: u32,
}

impl Rotating {
    /// Makes one; `None`, said loudly, where ffmpeg is missing.
    pub fn make(folder: &Path, seconds: u32) -> Option<Self> {
        let source = clip(folder, "160x90", seconds, "-g 25 -bf 2")?;
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let rows: Vec<_> = [TrackClass::Audio, TrackClass::Sd]
            .into_iter()
            .map(|class| {
                let (kid, key) = key(class);
                let (kid, key, label) = (kid.to_string(), hex(&key), class.name());
                serde_json::json!({"content_id": "film", "label": label, "kid": kid, "key": key})
            })
            .collect();
        let keys = folder.join("keys.json");
        std::fs::write(&keys, serde_json::to_vec(&rows).unwrap()).unwrap();
        let package = folder.join("package");
        let mut command = strongroom(&folder.join("packaging"));
        command.args([
            "package",
            "--content",
            "film",
            "--scheme",
            "dual",
            "--segment-seconds",
            "1",
        ]);
        command.arg("--keys").arg(&keys).arg("--out").arg(&package).arg(&source);
        done(&mut command);
        let periods = Scheme::ALL.map(|scheme| rotate(&package, scheme));
        assert_eq!(periods[0], periods[1]);
        let frames = decoded("video", &source, "0:v") + &decoded("audio", &source, "0:a");
        Some(Self { package, frames, periods: periods[0] })
    }
}

/// The key of a class in a period; of these tests only.
pub fn period_key(period: u32, class: TrackClass) -> (KeyId, ContentKey) {
    let [high, low] = u16::try_from(period).unwrap().to_be_bytes();
    let mut kid = [0xc0 + class as u8; 16];
    kid[14..].copy_from_slice(&[high, low]);
    let mut key = *b"\x77\x08\xe1\x5d\xb2\x90\x3a\x46\xcc\x1f\x65\xd8\x02\x00\x00\x00";
    key[13..].copy_from_slice(&[class as u8, high, low]);
    (KeyId::from_bytes(kid), ContentKey::from_bytes(key.into()))
}

/// The key of a name: that of a period, or that of a track.
pub fn named(kid: &KeyId, periods: u32) -> Option<(Option<u32>, ContentKey)> {
    for class in [TrackClass::Audio, TrackClass::Sd] {
        if key(class).0 == *kid {
            return Some((None, content_key(class)));
        }
        for period in 0..periods {
            let (own, key) = period_key(period, class);
            if own == *kid {
                return Some((Some(period), key));
            }
        }
    }
    None
}

/// Writes every segment of a package anew. The number of periods, which is that of its segments.
fn rotate(package: &Path, scheme: Scheme) -> u32 {
    let tracks: Vec<_> = std::fs::read_dir(package.join(scheme.to_string()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("init.mp4").is_file())
        .collect();
    let count = |path: &Path| (1..).take_while(|n| path.join(format!("{n}.m4s")).is_file()).count();
    let periods = tracks.iter().map(|path| count(path)).max().unwrap();
    let periods = u32::try_from(periods).unwrap();
    for track in &tracks {
        let is_sound = track.file_name().unwrap().to_str().unwrap().starts_with("audio");
        let class = if is_sound { TrackClass::Audio } else { TrackClass::Sd };
        let init = std::fs::read(track.join("init.mp4")).unwrap();
        let tenc = cdm::Track::parse(&init).unwrap().protection.unwrap().tenc;
        for period in 0..u32::try_from(count(track)).unwrap() {
            let file = track.join(format!("{}.m4s", period + 1));
            let segment = std::fs::read(&file).unwrap();
            let written = rekeyed(segment, scheme, tenc.into(), (period, periods, class));
            std::fs::write(&file, written).unwrap();
        }
    }
    periods
}

/// What the fragments of a period name: the keys of the tracks, of its batch, and of the next one.
fn batch_pssh(period: u32, periods: u32, scheme: Scheme) -> Vec<u8> {
    let classes = [TrackClass::Audio, TrackClass::Sd];
    let mut kids: Vec<KeyId> = classes.iter().map(|class| key(*class).0).collect();
    let first = period / BATCH * BATCH;
    for period in first..(first + 2 * BATCH).min(periods) {
        kids.extend(classes.iter().map(|class| period_key(period, *class).0));
    }
    [pssh::common(&kids), pssh::widevine(&kids, scheme)].concat()
}

fn rekeyed(
    mut segment: Vec<u8>,
    scheme: Scheme,
    track: Seig,
    (period, periods, class): (u32, u32, TrackClass),
) -> Vec<u8> {
    let (kid, new) = period_key(period, class);
    // Under a constant IV of its own, where IVs are constant.
    let constant_iv =
        track.constant_iv.map(|iv| iv.map(|byte| byte ^ (period.to_be_bytes()[3] | 0x80)));
    let seig = Seig { kid, constant_iv, ..track };
    let mut from =
        TrackCipher::new(&content_key(class), scheme, track.constant_iv.unwrap_or_default());
    let mut to = TrackCipher::new(&new, scheme, constant_iv.unwrap_or_default());
    let samples = samples(&segment);
    let senc = place(&segment, &[b"moof", b"traf", b"senc"]).map(|at| segment[at].to_vec());
    let senc = senc.unwrap();
    let mut fields = Fields::new(&senc);
    let (_, flags) = fields.version_and_flags().unwrap();
    fields.u32().unwrap();
    let mut map = vec![];
    for sample in &samples {
        let mut length = usize::from(track.iv_size);
        if flags & 2 != 0 {
            let mut ahead = fields.clone();
            ahead.take(length).unwrap();
            length += 2 + 6 * usize::from(ahead.u16().unwrap());
        }
        let entry = fields.take(length).unwrap();
        let info = SampleInfo::read(entry, track.iv_size, flags & 2 != 0, &mut map).unwrap();
        let bytes = &mut segment[sample.clone()];
        from.decrypt(info.iv, info.subsamples, bytes).unwrap();
        to.encrypt(info.iv, info.subsamples, bytes).unwrap();
    }
    let mut groups = vec![];
    full_box(&mut groups, b"sgpd", 1, 0, |out| {
        let mut entry = vec![];
        seig.write(&mut entry);
        out.extend(b"seig");
        out.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
        out.extend(1_u32.to_be_bytes());
        out.extend(entry);
    });
    full_box(&mut groups, b"sbgp", 0, 0, |out| {
        out.extend(b"seig");
        out.extend(1_u32.to_be_bytes());
        out.extend(u32::try_from(samples.len()).unwrap().to_be_bytes());
        out.extend(0x1_0001_u32.to_be_bytes());
    });
    let pssh = batch_pssh(period, periods, scheme);
    let added = u32::try_from(groups.len() + pssh.len()).unwrap();
    let trun = place(&segment, &[b"moof", b"traf", b"trun"]).unwrap();
    grow(&mut segment[trun.start + 8..], added);
    let moof = place(&segment, &[b"moof"]).unwrap();
    let traf = place(&segment, &[b"moof", b"traf"]).unwrap();
    grow(&mut segment[moof.start - 8..], added);
    grow(&mut segment[traf.start - 8..], u32::try_from(groups.len()).unwrap());
    segment.splice(moof.end..moof.end, pssh);
    segment.splice(traf.end..traf.end, groups);
    segment
}

fn grow(field: &mut [u8], by: u32) {
    let old = u32::from_be_bytes(field[..4].try_into().unwrap());
    field[..4].copy_from_slice(&(old + by).to_be_bytes());
}

/// Where the body of a box lies.
fn place(bytes: &[u8], path: &[&[u8; 4]]) -> Option<Range<usize>> {
    let mut range = 0..bytes.len();
    for kind in path {
        let start = range.start;
        let found = boxes(&bytes[range]).map(Result::unwrap).find(|one| one.kind.0 == **kind)?;
        let end = start + found.offset + found.whole.len();
        range = end - found.body.len()..end;
    }
    Some(range)
}

/// Where the samples of a segment of one run lie.
fn samples(segment: &[u8]) -> Vec<Range<usize>> {
    let moof = place(segment, &[b"moof"]).unwrap().start - 8;
    let run = place(segment, &[b"moof", b"traf", b"trun"]).unwrap();
    let mut fields = Fields::new(&segment[run]);
    let (_, flags) = fields.version_and_flags().unwrap();
    let count = fields.u32().unwrap();
    let mut at = moof + fields.u32().unwrap() as usize;
    if flags & 4 != 0 {
        fields.u32().unwrap();
    }
    (0..count)
        .map(|_| {
            let mut size = 0;
            for flag in [0x100, 0x200, 0x400, 0x800] {
                if flags & flag != 0 {
                    let value = fields.u32().unwrap();
                    size = if flag == 0x200 { value as usize } else { size };
                }
            }
            at += size;
            at - size..at
        })
        .collect()
}
