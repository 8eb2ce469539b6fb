//! A clear lead: whole segments at the start, and not one sample behind them.

use crate::clip::{Memory, Shape, Track, audio, file, keys, plan, run, video};
use crate::packages::{find, run_of};
use media::bmff::{Child, Fields, boxes};
use media::package::{Layout, PackageError, Plan, PlanError};
use model::{PackagedVariant, Scheme};

fn with_lead(layout: Layout, clear_lead_s: u32) -> Plan {
    Plan { clear_lead_s, ..plan(layout, &Scheme::ALL) }
}

/// One fragment as a player meets it.
struct Met {
    /// Sample description, counted from 1.
    description: u32,
    has_senc: bool,
    samples: Vec<Vec<u8>>,
}

fn met(media: &[u8]) -> Vec<Met> {
    let is_moof = |child: &Child<'_>| child.kind.0 == *b"moof";
    let read = |moof: Child<'_>| {
        let traf = find(moof.body, b"traf").unwrap();
        let mut tfhd = Fields::new(find(traf.body, b"tfhd").unwrap().body);
        let (_, flags) = tfhd.version_and_flags().unwrap();
        tfhd.u32().unwrap();
        let description = if flags & 2 != 0 { tfhd.u32().unwrap() } else { 1 };
        let (offset, sizes) = run_of(&traf);
        let mut at = moof.offset + offset;
        let take = |size: usize| {
            at += size;
            media[at - size..at].to_vec()
        };
        let samples = sizes.into_iter().map(take).collect();
        Met { description, has_senc: find(traf.body, b"senc").is_some(), samples }
    };
    boxes(media).map(Result::unwrap).filter(is_moof).map(read).collect()
}

/// How many of the first samples are clear; the others must not be.
fn clear_samples(memory: &Memory, variant: &PackagedVariant, source: &Track) -> usize {
    let stem = format!("{}/{}", variant.scheme, variant.name);
    let segments = || (1..).map_while(|number| memory.files.get(&format!("{stem}/{number}.m4s")));
    let single = memory.files.get(&format!("{stem}.mp4")).cloned();
    let media = single.unwrap_or_else(|| segments().flatten().copied().collect());
    let fragments = met(&media);
    let is_lead = |one: &Met| one.description == 2;
    let lead = fragments.iter().take_while(|one| is_lead(one)).count();
    let mut sources = source.samples.iter();
    for (at, fragment) in fragments.iter().enumerate() {
        assert_eq!(is_lead(fragment), at < lead, "the lead is one run");
        assert_eq!(fragment.has_senc, at >= lead);
        for sample in &fragment.samples {
            let source = &sources.next().unwrap().bytes;
            // Very short samples have no whole block that could be encrypted.
            assert!((sample == source) == (at < lead) || source.len() < 100);
        }
    }
    assert!(sources.next().is_none());
    fragments.iter().take(lead).map(|one| one.samples.len()).sum()
}

#[test]
fn whole_segments_are_clear_and_every_one_behind_them_is_not() {
    let (picture, sound) = (video((640, 360), 12, 25), audio(b"eng", 12));
    let source = file(&[picture.clone(), sound.clone()], Shape::MoovFirst);
    // Segments of two seconds: a lead of five holds two of them.
    for (lead_s, seconds) in [(0, 0), (1, 0), (2, 2), (5, 4), (60, 10)] {
        for layout in [Layout::Segments, Layout::SingleFile] {
            let mut memory = Memory::default();
            let event = run(&[&source], &with_lead(layout, lead_s), &keys(), &mut memory).unwrap();
            for variant in &event.variants {
                let is_picture = variant.name.starts_with("video");
                let track = if is_picture { &picture } else { &sound };
                let clear = clear_samples(&memory, variant, track);
                if is_picture {
                    assert_eq!(clear, seconds * 25, "{lead_s} {layout:?}");
                    assert_eq!(variant.clear_lead_ms, seconds as u64 * 1000);
                } else {
                    assert!(clear.abs_diff(seconds * 25 / 2) <= 2, "{clear} {lead_s}");
                }
                let text = String::from_utf8(memory.files[&variant.playlist].clone()).unwrap();
                let (before, behind) = text.split_once("#EXT-X-KEY").unwrap();
                assert_eq!(before.matches("#EXTINF").count(), seconds / 2);
                assert_eq!(behind.matches("#EXTINF").count(), 6 - seconds / 2);
                if let Some(playlist) = &variant.iframe_playlist {
                    let text = String::from_utf8(memory.files[playlist].clone()).unwrap();
                    let (before, _) = text.split_once("#EXT-X-KEY").unwrap();
                    assert_eq!(before.matches("#EXTINF").count(), seconds);
                }
            }
        }
    }
}

#[test]
fn a_lead_has_a_limit() {
    let source = file(&[video((640, 360), 4, 25)], Shape::MoovFirst);
    let plan = with_lead(Layout::Segments, 61);
    let error = run(&[&source], &plan, &keys(), &mut Memory::default()).unwrap_err();
    assert!(matches!(error, PackageError::Plan(PlanError::ClearLead)), "{error}");
}
