//! Segments whose samples are under several keys: what says so, read, torn and made up.

use super::*;
use keys::ContentKey;
use media::bmff::full_box;
use zeroize::Zeroizing;

/// A group by the number of its key; 0: in the clear.
type Name = u8;

fn kid(name: Name) -> KeyId {
    KeyId::from_bytes([0xa0 + name; 16])
}

fn key(name: Name) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([name ^ 0x5a; 16]))
}

fn iv(name: Name) -> [u8; 16] {
    [0x30 + name; 16]
}

/// The entry of `sgpd`: reserved, pattern, whether protected, IV size, KID, constant IV.
fn entry(scheme: Scheme, name: Name) -> Vec<u8> {
    let kid = *kid(name).as_bytes();
    match (scheme, name) {
        (_, 0) => [&[0, 0, 0, 0][..], &[0; 16]].concat(),
        (Scheme::Cbcs, _) => [&[0, 0x19, 1, 0][..], &kid, &[16], &iv(name)].concat(),
        (Scheme::Cenc, _) => [&[0, 0, 1, 8][..], &kid].concat(),
    }
}

/// `sgpd`, version 1, with a length before each entry.
fn sgpd(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![];
    full_box(&mut out, b"sgpd", 1, 0, |out| {
        out.extend(b"seig");
        out.extend([0; 4]);
        out.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        for entry in entries {
            out.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
            out.extend(entry);
        }
    });
    out
}

/// `sbgp` of runs: samples and index.
fn sbgp(runs: &[(u32, u32)]) -> Vec<u8> {
    let mut out = vec![];
    full_box(&mut out, b"sbgp", 0, 0, |out| {
        out.extend(b"seig");
        out.extend(u32::try_from(runs.len()).unwrap().to_be_bytes());
        for (samples, index) in runs {
            out.extend(samples.to_be_bytes());
            out.extend(index.to_be_bytes());
        }
    });
    out
}

/// Puts boxes at the end of the one that a path leads to; every size on the way grows.
fn insert(bytes: &[u8], path: &[&[u8; 4]], boxes: &[u8]) -> Vec<u8> {
    let grown = u32::try_from(boxes.len()).unwrap();
    let (mut out, mut range) = (bytes.to_vec(), 0..bytes.len());
    for kind in path {
        let siblings = children(bytes, range).unwrap();
        let found = find(&siblings, kind).unwrap();
        let size = &mut out[found.whole.start..][..4];
        let old = u32::from_be_bytes(size.try_into().unwrap());
        size.copy_from_slice(&(old + grown).to_be_bytes());
        range = found.body.clone();
    }
    out.splice(range.end..range.end, boxes.iter().copied());
    out
}

/// The same in a fragment, whose samples then lie further behind.
fn into_traf(segment: &[u8], boxes: &[u8]) -> Vec<u8> {
    let mut out = insert(segment, &[b"moof", b"traf"], boxes);
    let trun = out.windows(4).position(|four| four == b"trun").unwrap();
    let offset = &mut out[trun + 12..][..4];
    let old = u32::from_be_bytes(offset.try_into().unwrap());
    offset.copy_from_slice(&(old + u32::try_from(boxes.len()).unwrap()).to_be_bytes());
    out
}

/// A fragment of samples, each under the key of its name; no groups yet.
fn fragment(scheme: Scheme, names: &[Name]) -> (Vec<u8>, Vec<u8>) {
    let (mut entries, mut infos, mut sizes) = (vec![], vec![], vec![]);
    let (mut clear, mut protected) = (vec![], vec![]);
    for (number, name) in (0_u64..).zip(names) {
        let mut sample: Vec<u8> = (0..333).map(|at| u8::try_from(at % 251).unwrap()).collect();
        clear.extend(&sample);
        let map = [Subsample { clear: 10, protected: 323 }];
        if *name == 0 {
            sizes.push(0);
        } else {
            let iv_of = (scheme == Scheme::Cenc).then_some(SampleIv::Short(number));
            let mut cipher = TrackCipher::new(&key(*name), scheme, iv(*name));
            cipher.encrypt(iv_of.map(SampleIv::counter_block), &map, &mut sample).unwrap();
            sizes.push(SampleInfo::write(iv_of, &map, &mut infos).unwrap());
        }
        protected.extend(&sample);
        entries.push(Entry { duration: 40, size: 333, composition: 0, is_sync: number == 0 });
    }
    let mut segment = vec![];
    let protection = SampleProtection { entries: &infos, sizes: &sizes, has_subsamples: true };
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
    (segment, clear)
}

fn track(scheme: Scheme) -> Track {
    Track::parse(&init(scheme, false)).unwrap()
}

/// Decrypts with the keys of these names.
fn open_with(track: &Track, names: &[Name], segment: &mut [u8]) -> Result<(), SegmentError> {
    let keys: Vec<(KeyId, ContentKey)> = names.iter().map(|one| (kid(*one), key(*one))).collect();
    let keys = keys.iter().map(|(kid, key)| (*kid, key)).collect();
    decrypt(track, &keys, segment)
}

/// Samples of three keys and in the clear, whose groups the fragment describes.
fn several(scheme: Scheme) -> (Vec<u8>, Vec<u8>) {
    let (segment, clear) = fragment(scheme, &[1, 1, 2, 0, 0, 3, 1]);
    let groups = [1, 2, 0, 3].map(|name| entry(scheme, name));
    let own = |number: u32| 0x1_0000 + number;
    let runs = [(2, own(1)), (1, own(2)), (2, own(3)), (1, own(4)), (1, own(1))];
    (into_traf(&segment, &[sgpd(&groups), sbgp(&runs)].concat()), clear)
}

#[test]
fn each_sample_is_opened_with_the_key_of_its_group() {
    for scheme in Scheme::ALL {
        let (segment, clear) = several(scheme);
        let track = track(scheme);
        assert_eq!(kids(&track, &segment), Ok(vec![kid(1), kid(2), kid(3)]), "in their order");
        let mut opened = segment.clone();
        open_with(&track, &[1, 2, 3], &mut opened).unwrap();
        assert_eq!(payload(&opened), clear, "{scheme}");
        assert_eq!(opened.len(), segment.len());
        for gone in [&b"senc"[..], b"saiz", b"saio", b"sgpd", b"sbgp"] {
            assert!(!opened.windows(4).any(|four| four == gone), "the decoder sees none");
        }
        // One that is missing opens nothing, and no other stands in for it.
        for held in [&[1, 2][..], &[2, 3], &[]] {
            assert!(open_with(&track, held, &mut segment.clone()).is_err(), "{held:?}");
        }
    }
}

#[test]
fn a_period_s_key_opens_no_other_period() {
    for scheme in Scheme::ALL {
        let groups = sgpd(&[entry(scheme, 2)]);
        let (segment, clear) = fragment(scheme, &[2, 2]);
        let segment = into_traf(&segment, &[groups, sbgp(&[(2, 0x1_0001)])].concat());
        let track = track(scheme);
        assert_eq!(kids(&track, &segment), Ok(vec![kid(2)]));
        // As if the key of the period before were that of this one.
        let (mut opened, earlier) = (segment.clone(), key(1));
        decrypt(&track, &BTreeMap::from([(kid(2), &earlier)]), &mut opened).unwrap();
        assert_ne!(payload(&opened), clear, "{scheme}");
        open_with(&track, &[2], &mut segment.clone()).unwrap();
    }
}

#[test]
fn groups_of_the_track_and_samples_in_none_are_opened_too() {
    for scheme in Scheme::ALL {
        let groups = sgpd(&[entry(scheme, 5), entry(scheme, 6)]);
        let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
        let track = Track::parse(&insert(&init(scheme, false), &path, &groups)).unwrap();
        assert!(!track.clear_init.windows(4).any(|four| four == b"sgpd"));
        let (segment, _) = fragment(scheme, &[6, 5, 5]);
        // The last sample is in no group: it is under the track's own key.
        let segment = into_traf(&segment, &sbgp(&[(1, 2), (1, 1)]));
        let own = KeyId::from_bytes(KID);
        assert_eq!(kids(&track, &segment), Ok(vec![kid(6), kid(5), own]));
        let ungrouped = into_traf(&fragment(scheme, &[6, 5, 5]).0, &sbgp(&[(1, 2), (2, 0)]));
        assert_eq!(kids(&track, &ungrouped), Ok(vec![kid(6), own]));
        let (segment, clear) = fragment(scheme, &[6, 5, 5]);
        let mut opened = into_traf(&segment, &sbgp(&[(1, 2), (2, 1)]));
        open_with(&track, &[5, 6], &mut opened).unwrap();
        assert_eq!(payload(&opened), clear, "{scheme}");
    }
}

#[test]
fn samples_in_the_clear_may_have_a_map_all_the_same() {
    let groups = sgpd(&[entry(Scheme::Cenc, 0)]);
    let (segment, clear) = fragment(Scheme::Cenc, &[0, 0]);
    let boxes = [groups, sbgp(&[(2, 0x1_0001)])].concat();
    let track = track(Scheme::Cenc);
    let mut opened = into_traf(&segment, &boxes);
    assert_eq!(kids(&track, &opened), Ok(vec![]), "it needs no key");
    decrypt(&track, &BTreeMap::new(), &mut opened).unwrap();
    assert_eq!(payload(&opened), clear);
    let mut told = into_traf(&segment, &boxes);
    let mut mapped = vec![];
    full_box(&mut mapped, b"senc", 0, 2, |out| out.extend([0, 0, 0, 2, 0, 0, 0, 0]));
    let senc = told.windows(4).position(|four| four == b"senc").unwrap();
    told[senc..senc + 4].copy_from_slice(b"free");
    let mut told = into_traf(&told, &mapped);
    decrypt(&track, &BTreeMap::new(), &mut told).unwrap();
    assert_eq!(payload(&told), clear);
    // Where another sample has a map, `saiz` alone says that this one has none.
    let (segment, _) = fragment(Scheme::Cenc, &[0, 1]);
    let groups = sgpd(&[entry(Scheme::Cenc, 0), entry(Scheme::Cenc, 1)]);
    let boxes = [groups, sbgp(&[(1, 0x1_0001), (1, 0x1_0002)])].concat();
    let mut mixed = into_traf(&segment, &boxes);
    open_with(&track, &[1], &mut mixed.clone()).unwrap();
    let saiz = mixed.windows(4).position(|four| four == b"saiz").unwrap();
    mixed[saiz..saiz + 4].copy_from_slice(b"free");
    assert!(open_with(&track, &[1], &mut mixed).is_err());
}

#[test]
fn groups_that_say_what_cannot_be_are_refused() {
    let scheme = Scheme::Cbcs;
    let own = || sgpd(&[entry(scheme, 1)]);
    let (segment, _) = fragment(scheme, &[1, 1]);
    let with = |byte: usize, value: u8| {
        let mut entry = entry(scheme, 1);
        entry[byte] = value;
        [sgpd(&[entry]), sbgp(&[(2, 0x1_0001)])].concat()
    };
    let versioned = |mut one: Vec<u8>, version: u8| {
        one[8] = version;
        one
    };
    let mut counted = own();
    counted[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut longer = own();
    longer.extend(b"x");
    longer[3] += 1;
    let mut compact = sbgp(&[]);
    compact[4..8].copy_from_slice(b"csgp");
    let many = vec![entry(scheme, 1); MAX_GROUPS_AND_ONE];
    let map = |index| sbgp(&[(2, index)]);
    for (boxes, what) in [
        (map(0x1_0001), "nothing is described"),
        ([own(), map(0x1_0002)].concat(), "another index"),
        ([own(), map(0x1_0000)].concat(), "no index"),
        ([own(), map(1)].concat(), "an index of the track"),
        ([own(), map(u32::MAX)].concat(), "an index beyond all"),
        ([own(), sbgp(&[(3, 0x1_0001)])].concat(), "more samples than there are"),
        ([own(), sbgp(&[(1, 0x1_0001), (u32::MAX, 0x1_0001)])].concat(), "far more"),
        ([own(), own(), map(0x1_0001)].concat(), "two descriptions"),
        ([own(), map(0x1_0001), map(0x1_0001)].concat(), "two maps"),
        ([own(), compact].concat(), "a compact map"),
        ([versioned(own(), 2), map(0x1_0001)].concat(), "a version of descriptions"),
        ([own(), versioned(map(0x1_0001), 2)].concat(), "a version of maps"),
        ([counted, map(0x1_0001)].concat(), "more entries than there are"),
        ([longer, map(0x1_0001)].concat(), "something behind the entries"),
        ([sgpd(&many), map(0x1_0001)].concat(), "too many groups"),
        (with(1, 0x55), "another pattern"),
        (with(2, 2), "protected in another way"),
        (with(3, 8), "an IV for each sample"),
        (with(20, 8), "a short constant IV"),
        (with(2, 0), "clear, with an IV"),
    ] {
        let mut segment = into_traf(&segment, &boxes);
        assert!(kids(&track(scheme), &segment).is_err(), "{what}");
        assert!(open_with(&track(scheme), &[1], &mut segment).is_err(), "{what}");
    }
    // Protected, and nothing says how.
    let mut bare = into_traf(&segment, &[own(), map(0x1_0001)].concat());
    let senc = bare.windows(4).position(|four| four == b"senc").unwrap();
    bare[senc..senc + 4].copy_from_slice(b"free");
    assert!(open_with(&track(scheme), &[1], &mut bare).is_err());
    let broken = sgpd(&[vec![0; 3]]);
    let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
    let refused = Track::parse(&insert(&init(scheme, false), &path, &broken));
    assert!(matches!(refused, Err(crate::InitError::Groups(_))), "{refused:?}");
}

/// One more than a box may describe.
const MAX_GROUPS_AND_ONE: usize = 1025;

#[test]
fn more_samples_than_a_fragment_may_have_are_refused_before_they_are_counted() {
    let mut run = vec![];
    full_box(&mut run, b"trun", 0, 1, |out| {
        out.extend(40_000_u32.to_be_bytes());
        out.extend(0_u32.to_be_bytes());
    });
    let mut samples = vec![];
    read_run(&run[8..], 0, 0, &mut samples).unwrap();
    assert_eq!(read_run(&run[8..], 0, 0, &mut samples), Err(SegmentError::TooLarge));
    assert_eq!(samples.len(), 40_000);
}

#[test]
fn the_boxes_of_the_fragments_start_a_session_each_once() {
    let pssh = |name| media::pssh::common(&[kid(name)]);
    let (segment, clear) = several(Scheme::Cbcs);
    let path: [&[u8; 4]; 1] = [b"moof"];
    let boxes = [pssh(1), pssh(2), pssh(1)].concat();
    let mut segment = insert(&segment, &path, &boxes);
    let trun = segment.windows(4).position(|four| four == b"trun").unwrap();
    let offset = &mut segment[trun + 12..][..4];
    let old = u32::from_be_bytes(offset.try_into().unwrap());
    offset.copy_from_slice(&(old + u32::try_from(boxes.len()).unwrap()).to_be_bytes());
    assert_eq!(
        init_data(&[segment.clone(), segment.clone()].concat()),
        [pssh(1), pssh(2)].concat()
    );
    open_with(&track(Scheme::Cbcs), &[1, 2, 3], &mut segment).unwrap();
    assert_eq!(payload(&segment), clear);
    assert_eq!(init_data(&segment), b"", "the decoder sees none");
    assert_eq!(init_data(b""), b"");
    assert_eq!(init_data(b"no segment"), b"");
}

proptest! {
    #[test]
    fn no_torn_groups_make_it_panic(
        flips in proptest::collection::vec((0_usize..600, any::<u8>()), 1..6),
        end in 0_usize..600,
        is_cenc: bool,
    ) {
        let scheme = if is_cenc { Scheme::Cenc } else { Scheme::Cbcs };
        let (segment, _) = several(scheme);
        let mut torn = segment.clone();
        for (at, with) in flips {
            torn[at] = with;
        }
        let track = track(scheme);
        let length = torn.len();
        let _ = open_with(&track, &[1, 2, 3], &mut torn);
        prop_assert_eq!(torn.len(), length);
        prop_assert!(kids(&track, &segment[..end]).is_err() || end == 0);
        let _ = init_data(&segment[..end]);
        let mut described = sgpd(&[entry(scheme, 1)]);
        described.truncate(end.min(described.len()));
        let _ = kids(&track, &into_traf(&segment, &described).split_off(end));
    }
}
