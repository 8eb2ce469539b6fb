//! Live: a stream torn at any byte, its segments, a channel that is killed and goes on.

use super::clip::{Counter, Memory, Shape, audio, file, video};
use keys::{ContentKey, PackagingKey, PackagingKeys};
use media::input::{Fault, Malformed, Track, Unsupported, What};
use media::live::{CutFault, Event, Reader, Segment, SegmentRules, Segmenter, TrackSamples};
use media::package::channel::{Channel, ChannelSettings, ChannelState, ChannelTracks, StateError};
use media::package::{KeyFault, PackageError, PlanError};
use model::{ContentId, KeyId, PackageId, Rotation, Scheme, Timestamp, TrackClass};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// What a stream says, its pieces given one by one.
fn read<'p>(
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Result<(Vec<Track>, Vec<Vec<TrackSamples>>), Fault> {
    let mut reader = Reader::default();
    let (mut found, mut fragments) = (Vec::new(), Vec::new());
    for piece in pieces {
        reader.push(piece);
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Movie { tracks, .. } => found = tracks,
                Event::Fragment(samples) => fragments.push(samples),
            }
        }
    }
    reader.finish().map(|()| (found, fragments))
}

fn whole(bytes: &[u8]) -> Result<(Vec<Track>, Vec<Vec<TrackSamples>>), Fault> {
    read(std::iter::once(bytes))
}

fn stream(seconds: usize) -> Vec<u8> {
    let tracks = [video((64, 48), seconds, 25), audio(b"eng", seconds)];
    file(&tracks, Shape::Fragmented(25))
}

fn malformed(bytes: &[u8]) -> Malformed {
    match whole(bytes).map(drop).unwrap_err().what {
        What::Malformed(malformed) => malformed,
        other => panic!("{other}"),
    }
}

#[test]
fn a_stream_says_the_same_wherever_it_is_torn() {
    let bytes = stream(2);
    let (tracks, expected) = whole(&bytes).unwrap();
    assert_eq!((tracks.len(), expected.len()), (2, 2));
    let source = video((64, 48), 2, 25);
    let pictures: Vec<u8> = source.samples.iter().flat_map(|one| one.bytes.clone()).collect();
    let read_back = expected.iter().flat_map(|fragment| fragment[0].bytes.clone());
    assert_eq!(read_back.collect::<Vec<u8>>(), pictures);
    for at in 0..bytes.len() {
        let (one, other) = bytes.split_at(at);
        let (_, found) = read([one, other].into_iter()).unwrap();
        assert_eq!(found, expected, "torn at {at}");
    }
    let (_, found) = read(bytes.chunks(1)).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn a_stream_that_is_cut_off_is_no_end() {
    let bytes = stream(1);
    let after_head = bytes.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    for len in 0..bytes.len() {
        let is_end = len == after_head;
        assert_eq!(whole(&bytes[..len]).is_ok(), is_end, "{len}");
    }
    assert!(matches!(malformed(b""), Malformed::Empty));
    assert!(matches!(malformed(b"G\x40\x11\x10 no MP4 at all"), Malformed::NotMp4));
}

#[test]
fn what_no_channel_can_be_made_of_is_refused() {
    let unsupported = |bytes: &[u8]| match whole(bytes).map(drop).unwrap_err().what {
        What::Unsupported(what) => what,
        other => panic!("{other}"),
    };
    let progressive = file(&[video((64, 48), 1, 25)], Shape::MoovFirst);
    assert!(
        matches!(unsupported(&progressive), Unsupported::Feature(what) if what.contains("fragments"))
    );
    let mut encrypted = video((64, 48), 1, 25);
    encrypted.entry = *b"encv";
    let encrypted = file(&[encrypted], Shape::Fragmented(25));
    assert!(matches!(unsupported(&encrypted), Unsupported::Encrypted));
    assert!(matches!(malformed(&file(&[], Shape::Fragmented(25))), Malformed::NoTracks));
    // The fragments come twice: time goes back.
    let bytes = stream(2);
    let moof = bytes.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let (_, fragments) = whole(&[&bytes[..], &bytes[moof..]].concat()).unwrap();
    let (tracks, _) = whole(&bytes).unwrap();
    let mut segmenter = Segmenter::new(&tracks, &[512, 1024], rules(2, 0));
    let mut pushed = fragments.into_iter().map(|samples| segmenter.push(samples, 0));
    assert!(pushed.any(|pushed| matches!(pushed, Err(CutFault::TimeGoesBack { track: 1, .. }))));
    // Boxes longer than any that is needed are not waited for.
    for kind in [b"moov", b"ftyp"] {
        let claim = [&0x7fff_ffff_u32.to_be_bytes()[..], kind].concat();
        assert!(matches!(unsupported(&claim), Unsupported::Limit { .. }));
    }
    let claim = [&bytes[..moof], &0x7fff_ffff_u32.to_be_bytes()[..], b"moof"].concat();
    assert!(matches!(unsupported(&claim), Unsupported::Limit { .. }));
    let endless = [&bytes[..moof], &0_u32.to_be_bytes()[..], b"mdat"].concat();
    assert!(matches!(unsupported(&endless), Unsupported::Feature(_)));
}

fn rules(segment_s: u32, not_before_ns: u64) -> SegmentRules {
    SegmentRules { segment_s, period_s: None, not_before_ns }
}

/// Cuts a stream whose fragments come each second.
fn cut(bytes: &[u8], rules: SegmentRules) -> Vec<Segment> {
    let (tracks, fragments) = whole(bytes).unwrap();
    let times: Vec<u64> = tracks.iter().map(|track| track.edit.media_time).collect();
    let mut segmenter = Segmenter::new(&tracks, &times, rules);
    let mut found = Vec::new();
    for (fragment, second) in fragments.into_iter().zip(10..) {
        segmenter.push(fragment, second * 1_000_000_000).unwrap();
        while let Some(segment) = segmenter.next_segment().unwrap() {
            found.push(segment);
        }
    }
    found.extend(segmenter.finish());
    found
}

#[test]
fn tracks_are_cut_together_and_lose_nothing() {
    let segments = cut(&stream(9), rules(2, 0));
    let begins: Vec<u64> = segments.iter().map(|segment| segment.begin_ms).collect();
    assert_eq!(begins, [10_000, 12_000, 14_000, 16_000, 18_000]);
    let pictures: usize = segments.iter().map(|segment| segment.tracks[0].samples.len()).sum();
    assert_eq!(pictures, 225);
    for (one, next) in segments.iter().zip(&segments[1..]) {
        for (part, behind) in one.tracks.iter().zip(&next.tracks) {
            assert_eq!(part.begin_ts + part.duration_ts, behind.begin_ts);
            let lasts: u64 = part.samples.iter().map(|sample| u64::from(sample.duration)).sum();
            assert_eq!(part.decode_time + lasts, behind.decode_time);
        }
        assert!(one.tracks[0].samples[0].is_sync);
        // The priming of the sound is before the begin.
        assert!(one.tracks[1].begin_ts.abs_diff(one.tracks[0].begin_ts) <= 1024);
    }
}

#[test]
fn a_key_period_ends_a_segment_early() {
    let period_s = NonZeroU32::new(5);
    let segments = cut(&stream(12), SegmentRules { period_s, ..rules(4, 0) });
    let begins: Vec<u64> = segments.iter().map(|segment| segment.begin_ms).collect();
    assert_eq!(begins, [10_000, 14_000, 15_000, 19_000, 20_000]);
}

#[test]
fn a_stream_begins_behind_what_there_is() {
    let segments = cut(&stream(3), rules(1, 11_250_000_000));
    assert_eq!(segments[0].begin_ms, 11_250);
}

#[test]
fn renditions_that_share_no_key_frames_are_refused() {
    // A key frame each second, and one each 1.2 seconds: they meet each six.
    let tracks = [video((64, 48), 13, 25), video((32, 24), 13, 30)];
    let segments = cut(&file(&tracks, Shape::Fragmented(25)), rules(2, 0));
    assert_eq!(segments.iter().map(|s| s.begin_ms).collect::<Vec<_>>(), [10_000, 16_000, 22_000]);
    let (tracks, fragments) =
        whole(&file(&[video((64, 48), 95, 9999)], Shape::Fragmented(25))).unwrap();
    let mut segmenter = Segmenter::new(&tracks, &[512], rules(2, 0));
    let refused = fragments.into_iter().find_map(|fragment| {
        segmenter.push(fragment, 0).unwrap();
        segmenter.next_segment().err()
    });
    assert!(matches!(refused, Some(CutFault::NoKeyFrame { .. })), "{refused:?}");
}

fn settings(rotation: Option<Rotation>) -> ChannelSettings {
    ChannelSettings {
        content_id: ContentId::parse("channel").unwrap(),
        schemes: Scheme::ALL.into_iter().collect(),
        segment_s: 1,
        window_s: 3,
        rotation,
    }
}

/// Keys of the tracks, and those of so many periods.
fn keys(periods: u32) -> PackagingKeys {
    PackagingKeys::new(key_list(periods))
}

fn key_list(periods: u32) -> Vec<PackagingKey> {
    let key = |period: Option<u32>, class: TrackClass, scheme: Scheme| {
        let number = period.map_or(0, |period| period as u8 + 1);
        let id = [class as u8 * 16 + scheme as u8, number];
        PackagingKey {
            kid: KeyId::from_bytes([id; 8].concat().try_into().unwrap()),
            key: ContentKey::from_bytes(Zeroizing::new([id[0] ^ 0x55 ^ (number << 1); 16])),
            iv: (scheme == Scheme::Cbcs).then_some([number; 16]),
            track_class: Some(class),
            scheme: Some(scheme),
            period,
        }
    };
    let all = std::iter::once(None).chain((0..periods).map(Some));
    let classes = [TrackClass::Audio, TrackClass::Sd];
    let all = all.flat_map(|period| classes.map(|class| (period, class)));
    let all = all.flat_map(|(period, class)| Scheme::ALL.map(|scheme| key(period, class, scheme)));
    all.collect()
}

fn begin(settings: ChannelSettings) -> ChannelState {
    ChannelState::begin(settings, PackageId::from_bytes([9; 16]), Timestamp(0), &mut Counter(5))
}

fn open(state: ChannelState, keys: &PackagingKeys, bytes: &[u8]) -> Result<Channel, PackageError> {
    let tracks = ChannelTracks::new(whole(bytes).unwrap().0)?;
    Channel::open("stream".to_owned(), tracks, state, keys)
}

/// Takes a stream in, from a moment on; returns what is there at its end.
fn run(channel: &mut Channel, bytes: &[u8], keys: &PackagingKeys, out: &mut Memory) {
    let not_before = channel.state().end_ms() * 1_000_000 + 1_000_000_000;
    for segment in cut(bytes, rules(1, not_before)) {
        channel.segment(&segment, keys, out).unwrap();
        for path in channel.stale() {
            out.files.remove(&path).unwrap();
        }
        channel.forget_stale();
    }
}

fn go_on(channel: &Channel, rotation: Option<Rotation>) -> ChannelState {
    ChannelState::go_on(channel.state().write().as_bytes(), &settings(rotation)).unwrap()
}

/// IVs in the `senc` boxes of `cenc` sound, 8 bytes for a sample.
fn sound_ivs(out: &Memory) -> Vec<Vec<u8>> {
    let of_sound = out
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("cenc/audio-eng/") && path.ends_with("m4s"));
    let ivs = |(_, bytes): (&String, &Vec<u8>)| {
        let at = bytes.windows(4).position(|kind| kind == b"senc").unwrap();
        let count = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        bytes[at + 12..at + 12 + count * 8].chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    of_sound.flat_map(ivs).collect()
}

#[test]
fn a_channel_whose_window_holds_few_segments_can_be_joined_too() {
    let (keys, bytes) = (keys(0), stream(8));
    let mut channel = open(begin(settings(None)), &keys, &bytes).unwrap();
    let mut out = Memory::default();
    let mut seen = vec![];
    // A source whose key frames are rare: of segments of two seconds a window of three holds two.
    for segment in cut(&bytes, rules(2, 1_000_000_000)) {
        channel.segment(&segment, &keys, &mut out).unwrap();
        seen.push((channel.state().listed_count(), channel.state().can_be_joined()));
    }
    assert_eq!(seen[..4], [(1, false), (2, false), (2, true), (2, true)]);
}

#[test]
fn a_killed_channel_goes_on_without_giving_a_number_or_an_iv_twice() {
    let (bytes, keys, mut out) = (stream(2), keys(0), Memory::default());
    let mut channel = open(begin(settings(None)), &keys, &bytes).unwrap();
    channel.write_inits(&mut out).unwrap();
    run(&mut channel, &bytes, &keys, &mut out);
    assert_eq!(channel.state().next_number, 3);
    // Killed with a segment written and not noted: its number is given to another.
    let noted = go_on(&channel, None);
    run(&mut channel, &bytes, &keys, &mut out);
    let lost: BTreeSet<_> = sound_ivs(&out).into_iter().collect();
    out.files.retain(|path, _| !path.ends_with("/3.m4s") && !path.ends_with("/4.m4s"));
    let kept = sound_ivs(&out).len();
    let mut channel = open(noted, &keys, &bytes).unwrap();
    channel.check_inits(&mut out).unwrap();
    run(&mut channel, &bytes, &keys, &mut out);
    assert_eq!(channel.state().next_number, 5);
    let all: Vec<_> = sound_ivs(&out);
    let again = all.iter().filter(|iv| lost.contains(*iv)).count();
    assert_eq!(again, kept, "only what was kept is there again");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let manifests = channel.manifests(Timestamp(9)).unwrap();
    let (_, media) =
        manifests.iter().find(|(path, _)| path == "cbcs/video-48p/playlist.m3u8").unwrap();
    assert_eq!(media.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{media}");
}

#[test]
fn every_manifest_is_read_by_another_parser_and_only_grows_at_its_end() {
    let (bytes, keys, mut out) = (stream(12), keys(0), Memory::default());
    let mut channel = open(begin(settings(None)), &keys, &bytes).unwrap();
    channel.write_inits(&mut out).unwrap();
    let mut last = 0;
    for segment in cut(&bytes, rules(1, 0)) {
        channel.segment(&segment, &keys, &mut out).unwrap();
        let manifests = channel.manifests(Timestamp(segment.begin_ms)).unwrap();
        for (path, text) in &manifests {
            if path.ends_with(".mpd") {
                let mpd = dash_mpd_core::parse(text).unwrap();
                assert_eq!(mpd.mpdtype.as_deref(), Some("dynamic"));
                assert!(
                    mpd.availabilityStartTime.is_some() && mpd.mediaPresentationDuration.is_none()
                );
                continue;
            }
            let (_, list) = m3u8_rs::parse_playlist(text.as_bytes()).unwrap();
            let m3u8_rs::Playlist::MediaPlaylist(list) = list else { continue };
            assert!(!list.end_list && list.playlist_type.is_none() && list.target_duration == 1);
            assert!(list.segments[0].program_date_time.is_some());
            assert!(list.media_sequence >= last && list.segments.len() <= 4);
            for (number, segment) in (list.media_sequence..).zip(&list.segments) {
                assert_eq!(segment.uri, format!("{number}.m4s"));
                let folder = path.rsplit_once('/').unwrap().0;
                assert!(out.files.contains_key(&format!("{folder}/{number}.m4s")));
            }
            last = list.media_sequence;
        }
        for path in channel.stale() {
            out.files.remove(&path).unwrap();
        }
        channel.forget_stale();
    }
    assert_eq!(last, 10);
    // A window that is seen and one of grace.
    let there = out.files.keys().filter(|path| path.starts_with("cbcs/video")).count();
    assert!((6..=8).contains(&there), "{there}");
    channel.end();
    let manifests = channel.manifests(Timestamp(0)).unwrap();
    for (path, text) in manifests {
        let is_closed = if path.ends_with(".mpd") {
            text.contains("type=\"static\"") && text.contains("mediaPresentationDuration=\"PT22")
        } else {
            path.starts_with("master") || text.ends_with("#EXT-X-ENDLIST\n")
        };
        assert!(is_closed, "{path}: {text}");
    }
    let over = ChannelState::go_on(channel.state().write().as_bytes(), &settings(None));
    assert!(matches!(over, Err(StateError::Over)));
}

#[test]
fn another_stream_and_other_settings_are_refused() {
    let (bytes, keys, mut out) = (stream(2), keys(0), Memory::default());
    let mut channel = open(begin(settings(None)), &keys, &bytes).unwrap();
    channel.write_inits(&mut out).unwrap();
    run(&mut channel, &bytes, &keys, &mut out);
    let other = file(&[video((80, 48), 2, 25), audio(b"eng", 2)], Shape::Fragmented(25));
    let opened = open(go_on(&channel, None), &keys, &other).unwrap();
    let refused = opened.check_inits(&mut out).unwrap_err();
    assert!(matches!(refused, PackageError::Plan(PlanError::OtherStream)), "{refused}");
    let alone = file(&[video((64, 48), 2, 25)], Shape::Fragmented(25));
    let refused = open(go_on(&channel, None), &keys, &alone).map(drop).unwrap_err();
    assert!(matches!(refused, PackageError::Plan(PlanError::OtherStream)), "{refused}");
    let document = channel.state().write();
    let slower = ChannelSettings { segment_s: 2, ..settings(None) };
    assert!(matches!(ChannelState::go_on(document.as_bytes(), &slower), Err(StateError::Other(_))));
    for torn in [&document[..document.len() / 2], "", "{}", "null"] {
        let read = ChannelState::go_on(torn.as_bytes(), &settings(None));
        assert!(matches!(read, Err(StateError::Unreadable(_))), "{torn}");
    }
    let renumbered = document.replace("\"next_number\":3", "\"next_number\":9");
    assert_ne!(renumbered, document);
    assert!(ChannelState::go_on(renumbered.as_bytes(), &settings(None)).is_err());
}

#[test]
fn keys_change_in_band_and_without_its_key_there_is_no_segment() {
    let number = |n| NonZeroU32::new(n).unwrap();
    let rotation = Some(Rotation { period_s: number(2), batch_periods: number(1) });
    let (bytes, mut out) = (stream(6), Memory::default());
    // From second 10 on: periods 5 to 7, and the batch behind.
    let all = keys(9);
    let mut channel = open(begin(settings(rotation)), &all, &bytes).unwrap();
    channel.write_inits(&mut out).unwrap();
    for segment in cut(&bytes, SegmentRules { period_s: Some(number(2)), ..rules(1, 0) }) {
        channel.segment(&segment, &all, &mut out).unwrap();
    }
    let kid = |number: usize| {
        let bytes = &out.files[&format!("cbcs/video-48p/{number}.m4s")];
        let at = bytes.windows(4).position(|kind| kind == b"sgpd").unwrap();
        bytes[at..at + 48]
            .windows(2)
            .find(|pair| pair[0] == 0x10 * (TrackClass::Sd as u8) + Scheme::Cbcs as u8)
            .map(|pair| pair[1])
    };
    assert_eq!([1, 2, 3, 4, 5].map(kid), [6, 6, 7, 7, 8].map(Some));
    let few = keys(6);
    let mut channel = open(begin(settings(rotation)), &few, &bytes).unwrap();
    let mut segments = cut(&bytes, rules(1, 0)).into_iter();
    let refused =
        segments.find_map(|segment| channel.segment(&segment, &few, &mut Memory::default()).err());
    assert!(matches!(refused, Some(PackageError::Keys(KeyFault::Missing { .. }))), "{refused:?}");
}

/// The keys, those of some periods changed.
fn changed(
    periods: u32,
    is_other: impl Fn(Option<u32>) -> bool,
    change: impl Fn(&mut PackagingKey),
) -> PackagingKeys {
    let mut all = key_list(periods);
    all.iter_mut().filter(|key| is_other(key.period)).for_each(change);
    PackagingKeys::new(all)
}

fn other_value(key: &mut PackagingKey) {
    let seed = key.period.map_or(0xe0, |period| 0x80 + period as u8);
    let of_class = key.track_class.map_or(0, |class| class as u8 * 2);
    let of_scheme = key.scheme.map_or(0, |scheme| scheme as u8);
    key.key = ContentKey::from_bytes(Zeroizing::new(
        [seed, of_class, of_scheme, 7].repeat(4).try_into().unwrap(),
    ));
}

fn other_name(key: &mut PackagingKey) {
    key.kid = KeyId::from_bytes(key.kid.as_bytes().map(|byte| byte ^ 0x80));
    other_value(key);
}

#[test]
fn a_channel_that_goes_on_under_other_keys_is_refused() {
    let (bytes, mut out) = (stream(2), Memory::default());
    let mut channel = open(begin(settings(None)), &keys(0), &bytes).unwrap();
    channel.write_inits(&mut out).unwrap();
    run(&mut channel, &bytes, &keys(0), &mut out);
    for change in [other_value, other_name] {
        let others = changed(0, |_| true, change);
        let refused = open(go_on(&channel, None), &others, &bytes).map(drop).unwrap_err();
        assert!(matches!(refused, PackageError::Keys(KeyFault::Changed { .. })), "{refused}");
    }
    open(go_on(&channel, None), &keys(0), &bytes).unwrap();
}

#[test]
fn keys_of_periods_that_players_were_told_of_stay_the_same() {
    let number = |n| NonZeroU32::new(n).unwrap();
    let rotation = Some(Rotation { period_s: number(2), batch_periods: number(4) });
    let rules = SegmentRules { period_s: Some(number(2)), ..rules(1, 0) };
    let (bytes, all) = (stream(6), keys(16));
    // Seconds 10 to 16: the periods 5, 6 and 7; killed in 6, the second of them.
    let segments = cut(&bytes, rules);
    let mut channel = open(begin(settings(rotation)), &all, &bytes).unwrap();
    for segment in &segments[..3] {
        channel.segment(segment, &all, &mut Memory::default()).unwrap();
    }
    let next = |keys: &PackagingKeys| {
        let mut channel = open(go_on(&channel, rotation), keys, &bytes).unwrap();
        channel.segment(&segments[3], keys, &mut Memory::default()).map(|()| channel)
    };
    next(&all).unwrap();
    // A name never gets another key: of what was, of what is, and of what is to come.
    for period in [5, 6, 7, 11] {
        let refused = next(&changed(16, |own| own == Some(period), other_value)).map(drop);
        let is_refused = matches!(
            refused,
            Err(PackageError::Keys(KeyFault::ChangedInPeriod { period: of, .. })) if of == period
        );
        assert!(is_refused, "{period}: {refused:?}");
    }
    // Of the period that is under way there are segments, and a playlist names one key for it.
    let refused = next(&changed(16, |own| own == Some(6), other_name)).map(drop);
    let is_refused =
        matches!(refused, Err(PackageError::Keys(KeyFault::ChangedInPeriod { period: 6, .. })));
    assert!(is_refused, "{refused:?}");
    // What is over keeps its names, and what has no segment may get others.
    let lines = |channel: &Channel| {
        let manifests = channel.manifests(Timestamp(9)).unwrap();
        let (_, list) =
            manifests.into_iter().find(|(path, _)| path == "cbcs/video-48p/playlist.m3u8").unwrap();
        let keys = list.lines().filter(|line| line.contains("org.w3.clearkey"));
        keys.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = lines(&channel);
    let others = changed(16, |own| own.is_some_and(|own| own != 6), other_name);
    let mut later = next(&others).unwrap();
    assert!(before.len() == 2 && lines(&later) == before, "{before:?}");
    later.segment(&segments[4], &others, &mut Memory::default()).unwrap();
    let after = lines(&later);
    let new = others.find_in(Some(7), TrackClass::Sd, Scheme::Cbcs).unwrap().kid;
    // By now the window begins in period 6.
    assert!(after.len() == 2 && after.first() == before.last(), "{after:?}");
    assert!(after[1].contains(&format!("KEYID=0x{new}")), "{after:?}");
}
