//! Keys that change: every sample comes back under the key of its period and under no other, and
//! every fragment says which that is.

use crate::clip::{Memory, Sample, Shape, TIMESCALE, Track, audio, file, keys, plan, run, video};
use crate::packages::{find, run_of, sources};
use keys::{ContentKey, PackagingKey, PackagingKeys};
use media::bmff::{Fields, boxes};
use media::cenc::{SampleInfo, Seig, Tenc, TrackCipher};
use media::package::{KeyFault, KeySignal, Layout, PackageError, Plan, PlanError, RotationPlan};
use media::pssh;
use model::{KeyId, PackagedEvent, PackagedVariant, Rotation, Scheme, TrackClass};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Periods of four seconds, two in a batch.
fn rotating(signal: KeySignal, layout: Layout, schemes: &[Scheme]) -> Plan {
    let number = |n| NonZeroU32::new(n).unwrap();
    let of = Rotation { period_s: number(4), batch_periods: number(2) };
    Plan { rotation: Some(RotationPlan { of, signal }), ..plan(layout, schemes) }
}

fn key_of(period: u32, class: TrackClass, scheme: Scheme) -> PackagingKey {
    let mut kid = [class as u8 * 16 + scheme as u8; 16];
    kid[..4].copy_from_slice(&(period + 1).to_be_bytes());
    let mut key = [class as u8 * 2 + scheme as u8 + 100; 16];
    key[..4].copy_from_slice(&(period + 1).to_be_bytes());
    PackagingKey {
        kid: KeyId::from_bytes(kid),
        key: ContentKey::from_bytes(Zeroizing::new(key)),
        iv: None,
        track_class: Some(class),
        scheme: Some(scheme),
        period: Some(period),
    }
}

/// The keys of the tracks, and of so many periods.
fn period_keys(periods: u32) -> PackagingKeys {
    let mut all = keys();
    let of = |period| {
        let both = TrackClass::ALL.into_iter().flat_map(|class| Scheme::ALL.map(|s| (class, s)));
        both.map(move |(class, scheme)| key_of(period, class, scheme))
    };
    all.extend(PackagingKeys::new((0..periods).flat_map(of).collect()));
    all
}

/// One fragment as a player meets it.
struct Met {
    seig: Option<Seig>,
    pssh: Vec<u8>,
    ivs: Vec<[u8; 16]>,
    stored: Vec<Vec<u8>>,
    /// Decrypted by the key that it names, and by that of the next period.
    decrypted: Vec<Vec<u8>>,
    by_next: Vec<Vec<u8>>,
    is_clear: bool,
}

/// The entry that `sbgp` leads every sample of a fragment to.
fn group(traf: &[u8], samples: usize) -> Option<Seig> {
    let (sgpd, sbgp) = (find(traf, b"sgpd")?.body, find(traf, b"sbgp")?.body);
    assert_eq!(sgpd[..8], *b"\x01\0\0\0seig");
    let len = u32::from_be_bytes(sgpd[8..12].try_into().unwrap()) as usize;
    assert_eq!((sgpd[12..16].to_vec(), sgpd.len()), (vec![0, 0, 0, 1], 16 + len));
    let runs = [1, samples as u32, 0x1_0001].map(u32::to_be_bytes).concat();
    assert_eq!(*sbgp, [&b"\0\0\0\0seig"[..], &runs].concat());
    Some(Seig::parse(&sgpd[16..]).unwrap())
}

fn tenc_of(init: &[u8]) -> Tenc {
    let at = init.windows(4).position(|kind| kind == b"tenc").unwrap();
    Tenc::parse(&init[at + 4..]).unwrap()
}

fn met(media: &[u8], init: &[u8], variant: &PackagedVariant) -> Vec<Met> {
    let is_moof = |child: &media::bmff::Child<'_>| child.kind.0 == *b"moof";
    let read = |moof: media::bmff::Child<'_>| {
        let traf = find(moof.body, b"traf").unwrap();
        let (offset, sizes) = run_of(&traf);
        let seig = group(traf.body, sizes.len());
        let pssh = boxes(moof.body).flatten().filter(|one| one.kind.0 == *b"pssh");
        let pssh = pssh.flat_map(|one| one.whole.to_vec()).collect();
        let senc = find(traf.body, b"senc").map(|senc| senc.body);
        let settings = seig.unwrap_or_else(|| tenc_of(init).into());
        let mut found = Met {
            seig,
            pssh,
            ivs: vec![],
            stored: vec![],
            decrypted: vec![],
            by_next: vec![],
            is_clear: senc.is_none(),
        };
        let period = u32::from_be_bytes(settings.kid.as_bytes()[..4].try_into().unwrap());
        let cipher = |period: u32| {
            let key = key_of(period, variant.track_class, variant.scheme).key;
            TrackCipher::new(&key, variant.scheme, settings.constant_iv.unwrap_or_default())
        };
        let mut ciphers = [cipher(period.wrapping_sub(1)), cipher(period)];
        let mut senc = senc.map(Fields::new);
        let flags = senc.as_mut().map_or(0, |senc| senc.version_and_flags().unwrap().1);
        senc.as_mut().map(|senc| senc.u32().unwrap());
        let mut at = moof.offset + offset;
        for size in sizes {
            let stored = media[at..at + size].to_vec();
            at += size;
            if let Some(senc) = &mut senc {
                let iv = usize::from(settings.iv_size);
                let rest = senc.rest();
                let runs = if flags & 2 == 0 { 0 } else { usize::from(rest[iv + 1]) * 6 + 2 };
                let entry = senc.take(iv + runs).unwrap();
                let mut map = Vec::new();
                let info = SampleInfo::read(entry, settings.iv_size, flags & 2 != 0, &mut map);
                let info = info.unwrap();
                found.ivs.extend(info.iv);
                let [own, next] = ciphers.each_mut().map(|cipher| {
                    let mut sample = stored.clone();
                    cipher.decrypt(info.iv, info.subsamples, &mut sample).unwrap();
                    sample
                });
                found.decrypted.push(own);
                found.by_next.push(next);
            }
            found.stored.push(stored);
        }
        found
    };
    boxes(media).map(Result::unwrap).filter(is_moof).map(read).collect()
}

/// The fragments of each segment of a variant, each with the init that it goes with.
fn segments(memory: &Memory, variant: &PackagedVariant, has_inits: bool) -> Vec<Vec<Met>> {
    let stem = format!("{}/{}", variant.scheme, variant.name);
    if let Some(single) = memory.files.get(&format!("{stem}.mp4")) {
        return vec![met(single, single, variant)];
    }
    let found = (1..).map_while(|number| memory.files.get(&format!("{stem}/{number}.m4s")));
    let init = |at: usize| match has_inits {
        true => format!("{stem}/init-{}.mp4", at / 2),
        false => format!("{stem}/init.mp4"),
    };
    found.enumerate().map(|(at, one)| met(one, &memory.files[&init(at)], variant)).collect()
}

/// Every sample comes back, and none by the key of the next period. Returns the KIDs in order.
fn check(segments: &[Vec<Met>], source: &Track) -> Vec<KeyId> {
    let expected = sources(source);
    let all: Vec<&Met> = segments.iter().flatten().collect();
    let back = all.iter().flat_map(|one| if one.is_clear { &one.stored } else { &one.decrypted });
    assert!(back.eq(&expected), "a sample does not come back");
    for one in all.iter().filter(|one| !one.is_clear) {
        for ((next, own), stored) in one.by_next.iter().zip(&one.decrypted).zip(&one.stored) {
            // What has no whole protected block is clear.
            assert!(stored == own || next != own, "the key of another period opens a sample");
        }
        assert!(one.stored.iter().zip(&one.decrypted).any(|(a, b)| a != b));
    }
    let mut kids: Vec<KeyId> = all.iter().filter_map(|one| one.seig).map(|seig| seig.kid).collect();
    kids.dedup();
    kids
}

fn find_variant<'e>(event: &'e PackagedEvent, name: &str, scheme: Scheme) -> &'e PackagedVariant {
    event.variants_of(scheme).find(|variant| variant.name == name).unwrap()
}

#[test]
fn every_sample_comes_back_under_the_key_of_its_period_and_no_other() {
    let tracks = [video((640, 360), 12, 25), audio(b"eng", 12)];
    let source = file(&tracks, Shape::MoovFirst);
    for layout in [Layout::Segments, Layout::SingleFile] {
        let (mut memory, keys) = (Memory::default(), period_keys(3));
        let plan = rotating(KeySignal::InBand, layout, &Scheme::ALL);
        let event = run(&[&source], &plan, &keys, &mut memory).unwrap();
        assert_eq!(event.rotation.unwrap().batch_periods.get(), 2);
        for scheme in Scheme::ALL {
            let mut ivs = BTreeSet::new();
            let mut batches: BTreeMap<usize, BTreeSet<Vec<u8>>> = BTreeMap::new();
            for (name, track) in ["video-360p", "audio-en"].iter().zip(&tracks) {
                let variant = find_variant(&event, name, scheme);
                let segments = segments(&memory, variant, false);
                let kids = check(&segments, track);
                let own = (0..3).map(|at| key_of(at, variant.track_class, scheme).kid);
                assert_eq!(kids, own.collect::<Vec<_>>());
                assert_eq!(variant.period_kids, kids);
                assert!(!kids.contains(&variant.kid));
                for one in segments.iter().flatten() {
                    let at = kids.iter().position(|kid| *kid == one.seig.unwrap().kid).unwrap();
                    batches.entry(at / 2).or_default().insert(one.pssh.clone());
                    let fresh = one.ivs.iter().all(|iv| ivs.insert(*iv));
                    assert!(fresh, "an IV meets two samples");
                }
            }
            // The same bytes in every track of the scheme.
            assert!(batches.len() == 2 && batches.values().all(|boxes| boxes.len() == 1));
            for (batch, pssh) in batches {
                check_boxes(pssh.first().unwrap(), scheme, if batch == 0 { 0..3 } else { 2..3 });
            }
        }
        check_inits(&memory, &event, layout);
    }
}

/// The boxes of all systems name the keys of the tracks, then those of these periods.
fn check_boxes(pssh: &[u8], scheme: Scheme, periods: std::ops::Range<u32>) {
    let classes = [TrackClass::Audio, TrackClass::Sd];
    let keys = keys();
    let tracks = classes.map(|class| keys.find(class, scheme).unwrap().kid);
    let of_periods = periods.flat_map(|at| classes.map(|class| key_of(at, class, scheme).kid));
    let named: Vec<KeyId> = tracks.into_iter().chain(of_periods).collect();
    let read = pssh::parse_all(pssh).unwrap();
    let read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
    let systems: Vec<_> = read.iter().map(|one| one.system.name().unwrap()).collect();
    assert_eq!(systems, ["common", "Widevine", "PlayReady"]);
    for one in &read {
        let all: BTreeSet<_> = one.all_kids().into_iter().collect();
        assert_eq!(all, named.iter().copied().collect());
    }
    assert_eq!(read[1].all_kids(), named);
}

fn check_inits(memory: &Memory, event: &PackagedEvent, layout: Layout) {
    for variant in &event.variants {
        let stem = format!("{}/{}", variant.scheme, variant.name);
        let init = match layout {
            Layout::Segments => &memory.files[&format!("{stem}/init.mp4")],
            Layout::SingleFile => &memory.files[&format!("{stem}.mp4")],
        };
        assert_eq!(tenc_of(init).kid, variant.kid);
        let moov = find(init, b"moov").unwrap();
        let pssh = boxes(moov.body).flatten().filter(|one| one.kind.0 == *b"pssh");
        let pssh: Vec<u8> = pssh.flat_map(|one| one.whole.to_vec()).collect();
        check_boxes(&pssh, variant.scheme, 0..0);
    }
}

#[test]
fn a_title_of_one_batch_names_the_same_in_its_init() {
    let source = file(&[video((640, 360), 12, 25)], Shape::MoovFirst);
    let mut plan = rotating(KeySignal::InBand, Layout::Segments, &[Scheme::Cbcs]);
    plan.rotation.as_mut().unwrap().of.batch_periods = NonZeroU32::MAX;
    let mut memory = Memory::default();
    let event = run(&[&source], &plan, &period_keys(3), &mut memory).unwrap();
    assert_eq!(event.rotation.unwrap().batch_periods.get(), 3);
    let init = &memory.files["cbcs/video-360p/init.mp4"];
    let moov = find(init, b"moov").unwrap();
    let in_init = boxes(moov.body).flatten().filter(|one| one.kind.0 == *b"pssh");
    let in_init: Vec<u8> = in_init.flat_map(|one| one.whole.to_vec()).collect();
    let fragments = segments(&memory, &event.variants[0], false);
    assert!(fragments.iter().flatten().all(|one| one.pssh == in_init));
}

#[test]
fn by_periods_every_key_has_an_init_and_fragments_say_nothing() {
    let tracks = [video((640, 360), 12, 25), audio(b"eng", 12)];
    let source = file(&tracks, Shape::Fragmented(30));
    let mut memory = Memory::default();
    let plan = rotating(KeySignal::Periods, Layout::Segments, &Scheme::ALL);
    let event = run(&[&source], &plan, &period_keys(3), &mut memory).unwrap();
    for variant in &event.variants {
        let stem = format!("{}/{}", variant.scheme, variant.name);
        assert!(!memory.files.contains_key(&format!("{stem}/init.mp4")));
        for period in 0..3 {
            let init = &memory.files[&format!("{stem}/init-{period}.mp4")];
            let key = key_of(period, variant.track_class, variant.scheme);
            assert_eq!(tenc_of(init).kid, key.kid);
        }
        let segments = segments(&memory, variant, true);
        let said = |one: &Met| one.seig.is_some() || !one.pssh.is_empty();
        assert!(!segments.iter().flatten().any(said));
        check(&segments, &tracks[usize::from(variant.name.starts_with("audio"))]);
        let total: usize = memory
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(&format!("{stem}/")) && !path.ends_with("m3u8"))
            .map(|(_, bytes)| bytes.len())
            .sum();
        assert_eq!(variant.size_bytes, total as u64);
    }
}

#[test]
fn a_clear_lead_and_a_track_for_fast_play_go_with_it() {
    let source = video((640, 360), 12, 25);
    let bytes = file(std::slice::from_ref(&source), Shape::MoovFirst);
    for signal in [KeySignal::InBand, KeySignal::Periods] {
        let mut plan = rotating(signal, Layout::Segments, &Scheme::ALL);
        (plan.clear_lead_s, plan.has_trick_track, plan.ad_cues_ms) = (6, true, vec![5_000]);
        let mut memory = Memory::default();
        let event = run(&[&bytes], &plan, &period_keys(3), &mut memory).unwrap();
        for variant in &event.variants {
            assert_eq!(variant.period_kids.len(), 3);
        }
        if signal == KeySignal::Periods {
            continue;
        }
        for scheme in Scheme::ALL {
            let variant = find_variant(&event, "video-360p", scheme);
            let segments = segments(&memory, variant, false);
            let kids = check(&segments, &source);
            // The lead ends within the second period.
            assert_eq!(kids, variant.period_kids[1..]);
            let lead: Vec<_> = segments.iter().flatten().filter(|one| one.is_clear).collect();
            assert!(!lead.is_empty());
            // The lead tells its batch, so that the keys are there when it ends.
            assert!(lead.iter().all(|one| one.seig.is_none() && !one.pssh.is_empty()));
        }
    }
}

#[test]
fn what_cannot_rotate_is_refused() {
    let source = file(&[video((640, 360), 12, 25)], Shape::MoovFirst);
    let refused = |keys: &PackagingKeys, plan: &Plan| {
        run(&[&source], plan, keys, &mut Memory::default()).unwrap_err()
    };
    let plan = || rotating(KeySignal::InBand, Layout::Segments, &[Scheme::Cbcs]);
    let (class, scheme) = (TrackClass::Sd, Scheme::Cbcs);
    let missing = KeyFault::MissingInPeriod { class, scheme, period: 2 };
    assert!(
        matches!(refused(&period_keys(2), &plan()), PackageError::Keys(found) if found == missing)
    );
    // Without a key that names the track nothing can be signaled.
    let without_tracks: Vec<_> = (0..3).map(|period| key_of(period, class, scheme)).collect();
    let found = refused(&PackagingKeys::new(without_tracks), &plan());
    assert!(matches!(found, PackageError::Keys(KeyFault::Missing { .. })), "{found}");
    let mut plan_of = plan();
    plan_of.rotation.as_mut().unwrap().of.period_s = NonZeroU32::MIN;
    let found = refused(&period_keys(12), &plan_of);
    assert!(matches!(found, PackageError::Plan(PlanError::KeyPeriod { segment_s: 2 })));
    let single = Plan {
        layout: Layout::SingleFile,
        ..rotating(KeySignal::Periods, Layout::Segments, &[scheme])
    };
    let found = refused(&period_keys(3), &single);
    assert!(matches!(found, PackageError::Plan(PlanError::KeyPeriodsInOneFile)));
}

#[test]
fn two_periods_never_share_a_key_or_a_key_id() {
    let source = file(&[video((640, 360), 12, 25)], Shape::MoovFirst);
    let plan = rotating(KeySignal::InBand, Layout::Segments, &[Scheme::Cenc]);
    let (class, scheme) = (TrackClass::Sd, Scheme::Cenc);
    let with = |edit: &dyn Fn(PackagingKey) -> PackagingKey| {
        let mut all = keys();
        let of = (0..3).map(|period| key_of(period, class, scheme));
        let of = of.map(|key| if key.period == Some(2) { edit(key) } else { key });
        all.extend(PackagingKeys::new(of.collect()));
        run(&[&source], &plan, &all, &mut Memory::default()).map(drop)
    };
    assert!(with(&|key| key).is_ok());
    let own = key_of(0, class, scheme);
    let track = || keys().find(class, scheme).unwrap().kid;
    let edits: [&dyn Fn(PackagingKey) -> PackagingKey; 3] = [
        &|key| PackagingKey { kid: own.kid, ..key },
        &|key| PackagingKey { key: key_of(0, class, scheme).key, ..key },
        &|key| PackagingKey { kid: track(), ..key },
    ];
    for edit in edits {
        let found = with(edit);
        let expected = KeyFault::PeriodsShareKey { period: 2 };
        assert!(matches!(found, Err(PackageError::Keys(fault)) if fault == expected), "{found:?}");
    }
    // An IV that came with a key serves one track of one period.
    assert!(with(&|key| PackagingKey { iv: Some([7; 16]), ..key }).is_ok());
}

#[test]
fn a_batch_that_no_playready_header_holds_is_refused() {
    let source = file(&[seconds(200)], Shape::MoovFirst);
    let number = |n| NonZeroU32::new(n).unwrap();
    let mut plan = rotating(KeySignal::InBand, Layout::Segments, &[Scheme::Cbcs]);
    plan.segment_s = 1;
    let mut with = |batch: u32| {
        let of = Rotation { period_s: number(1), batch_periods: number(batch) };
        plan.rotation = Some(RotationPlan { of, signal: KeySignal::InBand });
        run(&[&source], &plan, &period_keys(200), &mut Memory::default()).map(drop)
    };
    assert!(with(60).is_ok());
    let found = with(200);
    let expected = KeyFault::BatchTooLarge { batch_periods: 200 };
    assert!(matches!(found, Err(PackageError::Keys(fault)) if fault == expected), "{found:?}");
}

/// Sound whose samples last a second each.
fn seconds(count: usize) -> Track {
    let sample = |at: usize| Sample {
        bytes: (0..48).map(|byte| (byte * 7 + at) as u8).collect(),
        duration: TIMESCALE,
        composition: 0,
        is_sync: true,
    };
    Track { samples: (0..count).map(sample).collect(), edits: vec![], ..audio(b"eng", 1) }
}

#[test]
fn ten_thousand_periods_have_ten_thousand_keys() {
    const PERIODS: u32 = 10_000;
    let track = seconds(PERIODS as usize);
    let source = file(std::slice::from_ref(&track), Shape::MoovFirst);
    let mut plan = rotating(KeySignal::InBand, Layout::Segments, &[Scheme::Cenc]);
    plan.segment_s = 1;
    plan.rotation.as_mut().unwrap().of =
        Rotation { period_s: NonZeroU32::MIN, batch_periods: NonZeroU32::new(20).unwrap() };
    let (mut memory, keys) = (Memory::default(), period_keys(PERIODS));
    let event = run(&[&source], &plan, &keys, &mut memory).unwrap();
    let variant = &event.variants[0];
    let segments = segments(&memory, variant, false);
    assert_eq!(segments.len(), PERIODS as usize);
    let kids = check(&segments, &track);
    assert_eq!(kids, variant.period_kids);
    assert_eq!(kids.iter().collect::<BTreeSet<_>>().len(), PERIODS as usize);
    let ivs: BTreeSet<_> = segments.iter().flatten().flat_map(|one| &one.ivs).collect();
    assert_eq!(ivs.len(), PERIODS as usize);
}
