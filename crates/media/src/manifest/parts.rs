//! A title in parts, as two other parsers read it.

use super::fixture::{in_segments, with_cue, with_images, with_texts, with_trick_tracks};
use super::{hls_media, mpd};
use dash_mpd_core as dash;
use std::collections::BTreeMap;

/// Numbers and times, in ticks, of the segments of a template.
fn listed(template: &dash::SegmentTemplate) -> (u64, Vec<(u64, u64)>) {
    let mut at = 0;
    let mut found = Vec::new();
    for run in &template.SegmentTimeline.as_ref().unwrap().segments {
        at = run.t.unwrap_or(at);
        for _ in 0..=run.r.unwrap_or(0) {
            found.push((at, run.d));
            at += run.d;
        }
    }
    (template.startNumber.unwrap(), found)
}

#[test]
fn periods_add_up_and_list_every_segment_once() {
    let presentation = with_cue(with_trick_tracks(with_texts(in_segments())));
    let read = dash::parse(&mpd(&presentation)).unwrap();
    let times: Vec<_> = read
        .periods
        .iter()
        .map(|one| (one.start.unwrap().as_micros(), one.duration.unwrap().as_micros()))
        .collect();
    assert_eq!(times, [(0, 4_004_000), (4_004_000, 4_071_000)]);
    assert_eq!(read.mediaPresentationDuration.unwrap().as_micros(), 8_075_000);
    let mut segments: BTreeMap<String, Vec<(u64, u64, u64)>> = BTreeMap::new();
    for (at, period) in read.periods.iter().enumerate() {
        assert_eq!(period.id.as_deref(), Some(at.to_string().as_str()));
        for (set, first) in period.adaptations.iter().zip(&read.periods[0].adaptations) {
            assert_eq!(set.id, first.id);
            assert_eq!(set.ContentProtection, first.ContentProtection);
            let goes_on: Vec<_> = set
                .supplemental_property
                .iter()
                .filter(|one| one.schemeIdUri == "urn:mpeg:dash:period-continuity:2015")
                .map(|one| one.value.as_deref())
                .collect();
            assert_eq!(goes_on, if at == 0 { vec![] } else { vec![Some("0")] });
            for one in &set.representations {
                let template = one.SegmentTemplate.as_ref().unwrap();
                let (number, times) = listed(template);
                let offset = template.presentationTimeOffset.unwrap_or(0);
                let timescale = template.timescale.unwrap();
                assert_eq!(offset, (4_004 * at as u64) * timescale / 1000);
                // Nothing begins before its period, or more than a sample behind it.
                assert!((offset..offset + timescale / 10).contains(&times[0].0));
                let found = segments.entry(one.id.clone().unwrap()).or_default();
                found.extend((number..).zip(times).map(|(number, (t, d))| (number, t, d)));
            }
        }
    }
    assert_eq!(segments.len(), presentation.tracks.len());
    for track in &presentation.tracks {
        let mut at = track.start_ts;
        let expected = (1..).zip(&track.segments).map(|(number, segment)| {
            at += segment.duration_ts;
            (number, at - segment.duration_ts, segment.duration_ts)
        });
        let found = &segments[&format!("{}-{}", track.folder(), track.name)];
        assert_eq!(*found, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_sheet_stands_in_every_part_that_it_shows() {
    let presentation = with_cue(with_images(in_segments()));
    let read = dash::parse(&mpd(&presentation)).unwrap();
    // Sheets of six seconds: the first one reaches from the first part into the second.
    let sheet = 6_000_000;
    let expected = [(0, 1, vec![(0, sheet)]), (4_004_000, 1, vec![(0, sheet), (sheet, sheet)])];
    for (period, (offset, number, times)) in read.periods.iter().zip(expected) {
        let set = period.adaptations.last().unwrap();
        let template = set.representations[0].SegmentTemplate.as_ref().unwrap();
        assert_eq!(template.presentationTimeOffset.unwrap(), offset);
        assert_eq!(listed(template), (number, times));
    }
}

#[test]
fn every_media_playlist_dates_the_cues() {
    let presentation = with_cue(with_texts(in_segments()));
    for track in &presentation.tracks {
        let text = hls_media(&presentation, track);
        let read = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
        assert_eq!(read.segments.len(), 3);
        let first = &read.segments[0];
        assert_eq!(first.program_date_time.unwrap().timestamp_millis(), 946_684_800_000);
        let range = first.daterange.as_ref().unwrap();
        assert_eq!(
            (range.id.as_str(), range.class.as_deref()),
            ("ad-cue-1", Some("strongroom.ad-cue"))
        );
        assert_eq!(range.start_date.timestamp_millis(), 946_684_804_004);
        assert_eq!(text.matches("#EXT-X-DATERANGE:").count(), 1);
    }
}
