//! Segments as the packager writes them, decrypted by this reader of its own.

mod rotation;

use super::*;
use keys::SystemEntropy;
use media::bmff::{FourCc, plain_box};
use media::cenc::{SampleInfo, SampleIv, Subsample, Tenc};
use media::cmaf::{
    Entry, Fragment as Written, Init, InitProtection, MediaKind, SampleProtection, open_media_data,
    write_init,
};
use media::input::TrackFrame;
use proptest::prelude::*;
use std::num::NonZeroU32;

const KID: [u8; 16] = [7; 16];
const IV: [u8; 16] = [9; 16];

/// A track, its init, and a segment of one fragment.
struct Made {
    key: ContentKey,
    init: Vec<u8>,
    segment: Vec<u8>,
    clear: Vec<u8>,
}

/// How each sample is mapped: clear and protected lengths; none: the whole sample.
type Maps = Vec<Vec<(u16, u32)>>;

fn tenc(scheme: Scheme, is_whole: bool) -> Tenc {
    let is_cbcs = scheme == Scheme::Cbcs;
    Tenc {
        pattern: (is_cbcs && !is_whole).then_some((1, 9)),
        kid: KeyId::from_bytes(KID),
        iv_size: if is_cbcs { 0 } else { 8 },
        constant_iv: is_cbcs.then_some(IV),
    }
}

fn init(scheme: Scheme, is_whole: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let pssh = media::pssh::common(&[KeyId::from_bytes(KID)]);
    let (kind, entry, fields) =
        if is_whole { (MediaKind::Audio, *b"mp4a", 28) } else { (MediaKind::Video, *b"avc1", 78) };
    let mut entry_body = vec![0; fields];
    plain_box(&mut entry_body, b"free", |out| out.extend(b"x"));
    write_init(
        &Init {
            kind,
            timescale: NonZeroU32::new(1000).unwrap(),
            language: None,
            packed_language: 0x55c4,
            frame: TrackFrame { volume: 0, matrix: [0; 36], width: 0, height: 0 },
            media_time: 0,
            entry: FourCc(entry),
            entry_body: &entry_body,
            protection: Some(InitProtection {
                scheme,
                tenc: tenc(scheme, is_whole),
                pssh: &pssh,
                has_clear_entry: false,
            }),
            length: 1000,
        },
        &mut out,
    );
    out
}

fn made(scheme: Scheme, maps: &Maps) -> Made {
    let is_whole = maps.iter().all(Vec::is_empty);
    let key = ContentKey::generate(&mut SystemEntropy);
    let mut cipher = TrackCipher::new(&key, scheme, IV);
    let (mut entries, mut infos, mut sizes) = (vec![], vec![], vec![]);
    let (mut clear, mut protected) = (vec![], vec![]);
    for (number, map) in (0_u64..).zip(maps) {
        let map: Vec<Subsample> = map
            .iter()
            .map(|(clear, protected)| Subsample { clear: *clear, protected: *protected })
            .collect();
        let length: u32 = map.iter().map(|one| u32::from(one.clear) + one.protected).sum();
        let length = if map.is_empty() { 100 } else { length };
        let mut sample: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        clear.extend(&sample);
        let iv = (scheme == Scheme::Cenc).then_some(SampleIv::Short(number));
        cipher.encrypt(iv.map(SampleIv::counter_block), &map, &mut sample).unwrap();
        protected.extend(&sample);
        sizes.push(SampleInfo::write(iv, &map, &mut infos).unwrap());
        entries.push(Entry { duration: 40, size: length, composition: 0, is_sync: number == 0 });
    }
    let mut segment = Vec::new();
    let protection = SampleProtection { entries: &infos, sizes: &sizes, has_subsamples: !is_whole };
    Written {
        sequence: 1,
        decode_time: 0,
        samples: &entries,
        protection: Some(protection),
        description: 1,
        rotation: None,
    }
    .write(&mut segment);
    open_media_data(protected.len(), &mut segment);
    segment.extend(&protected);
    Made { key, init: init(scheme, is_whole), segment, clear }
}

/// Decrypts with the one key that there is.
fn open(track: &Track, key: &ContentKey, segment: &mut [u8]) -> Result<(), SegmentError> {
    decrypt(track, &BTreeMap::from([(KeyId::from_bytes(KID), key)]), segment)
}

fn payload(segment: &[u8]) -> &[u8] {
    let top = children(segment, 0..segment.len()).unwrap();
    &segment[find(&top, b"mdat").unwrap().body.clone()]
}

fn maps() -> Maps {
    vec![vec![(10, 320), (5, 17)], vec![(0, 16)], vec![(900, 0)], vec![(3, 1600)]]
}

#[test]
fn samples_come_back_where_they_lie() {
    for scheme in Scheme::ALL {
        for maps in [maps(), vec![vec![], vec![], vec![]]] {
            let made = made(scheme, &maps);
            let track = Track::parse(&made.init).unwrap();
            assert_eq!(track.kid(), Some(KeyId::from_bytes(KID)));
            let mut segment = made.segment.clone();
            assert_ne!(payload(&segment), made.clear);
            open(&track, &made.key, &mut segment).unwrap();
            assert_eq!(payload(&segment), made.clear, "{scheme}");
            assert_eq!(segment.len(), made.segment.len());
            for gone in [&b"senc"[..], b"saiz", b"saio"] {
                assert!(!segment.windows(4).any(|four| four == gone), "the decoder sees none");
            }
        }
    }
}

#[test]
fn the_decoder_gets_an_init_without_protection() {
    for is_whole in [false, true] {
        let init = init(Scheme::Cbcs, is_whole);
        let track = Track::parse(&init).unwrap();
        assert_eq!(track.clear_init.len(), init.len());
        for gone in [&b"encv"[..], b"enca", b"sinf", b"pssh"] {
            assert!(!track.clear_init.windows(4).any(|four| four == gone));
        }
        let entry: &[u8] = if is_whole { b"mp4a" } else { b"avc1" };
        assert!(track.clear_init.windows(4).any(|four| four == entry));
        assert_eq!(track.init_data, media::pssh::common(&[KeyId::from_bytes(KID)]));
        let again = Track::parse(&track.clear_init).unwrap();
        assert_eq!((again.protection, again.init_data), (None, vec![]));
    }
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let made = made(Scheme::Cenc, &maps());
    let track = Track::parse(&made.init).unwrap();
    let senc = made.segment.windows(4).position(|four| four == b"senc").unwrap();
    for (at, what) in [(senc + 11, "count"), (senc + 12 + 8 + 1, "subsample count")] {
        let mut segment = made.segment.clone();
        segment[at] ^= 1;
        assert!(open(&track, &made.key, &mut segment).is_err(), "{what}");
    }
    for end in 0..made.segment.len() - 1 {
        let mut cut = made.segment[..end].to_vec();
        // A cut between two boxes leaves a whole `moof` without its samples, or nothing.
        assert!(open(&track, &made.key, &mut cut).is_err() || end == 0, "{end}");
    }
}

#[test]
fn schemes_and_patterns_of_others_are_refused() {
    let init = init(Scheme::Cbcs, false);
    let schm = init.windows(4).position(|four| four == b"schm").unwrap();
    let tenc = init.windows(4).position(|four| four == b"tenc").unwrap();
    for (at, with) in [(schm + 8, b's'), (tenc + 9, 0x55)] {
        let mut other = init.clone();
        other[at] = with;
        assert!(Track::parse(&other).is_err());
    }
    assert_eq!(Track::parse(&vec![0; crate::MAX_INIT_BYTES + 1]), Err(crate::InitError::TooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        at in 0_usize..4000,
        with: u8,
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let made = made(Scheme::Cenc, &maps());
        let track = Track::parse(&made.init).unwrap();
        let mut segment = made.segment.clone();
        if let Some(byte) = segment.get_mut(at) { *byte = with; }
        let _ = open(&track, &made.key, &mut segment);
        let mut init = made.init.clone();
        if let Some(byte) = init.get_mut(at % made.init.len()) { *byte = with; }
        let _ = Track::parse(&init);
        let _ = Track::parse(&noise);
    }
}
