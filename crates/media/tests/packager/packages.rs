//! What the packager makes: every sample comes back, in every shape of source and layout.

use crate::clip::{Memory, Shape, Track, audio, file, keys, plan, run, video};
use keys::PackagingKeys;
use media::bmff::{Child, Fields, boxes};
use media::cenc::{SampleInfo, Tenc, TrackCipher};
use media::package::{Layout, package, probe};
use media::{Input, NamedInput};
use model::{PackagedEvent, PackagedVariant, Scheme, TrackClass};

/// The samples of one variant, decrypted by what its files say.
pub fn decrypted(memory: &Memory, keys: &PackagingKeys, variant: &PackagedVariant) -> Vec<Vec<u8>> {
    let (init, media) = bytes_of(memory, variant);
    let tenc = tenc_of(&init);
    assert_eq!(tenc.kid, variant.kid);
    let key = keys.find(variant.track_class, variant.scheme).unwrap();
    let iv = tenc.constant_iv.unwrap_or_default();
    let mut cipher = TrackCipher::new(&key.key, variant.scheme, iv);
    let mut samples = Vec::new();
    for moof in boxes(&media).map(Result::unwrap).filter(|child| child.kind.0 == *b"moof") {
        let traf = find(moof.body, b"traf").unwrap();
        let (data, sizes) = run_of(&traf);
        let mut senc = Fields::new(find(traf.body, b"senc").unwrap().body);
        let (_, flags) = senc.version_and_flags().unwrap();
        assert_eq!(senc.u32().unwrap() as usize, sizes.len());
        let mut at = moof.offset + data;
        for size in sizes {
            let mut sample = media[at..at + size].to_vec();
            let len = usize::from(tenc.iv_size)
                + if flags & 2 != 0 { 2 + runs_at(&senc, tenc.iv_size) * 6 } else { 0 };
            let mut map = Vec::new();
            let entry = senc.take(len).unwrap();
            let info = SampleInfo::read(entry, tenc.iv_size, flags & 2 != 0, &mut map).unwrap();
            cipher.decrypt(info.iv, info.subsamples, &mut sample).unwrap();
            samples.push(sample);
            at += size;
        }
    }
    samples
}

fn runs_at(senc: &Fields<'_>, iv_size: u8) -> usize {
    let at = usize::from(iv_size);
    usize::from(u16::from_be_bytes([senc.rest()[at], senc.rest()[at + 1]]))
}

pub fn find<'b>(siblings: &'b [u8], kind: &[u8; 4]) -> Option<Child<'b>> {
    boxes(siblings).flatten().find(|child| child.kind.0 == *kind)
}

/// Data offset and sizes of `trun`.
pub fn run_of(traf: &Child<'_>) -> (usize, Vec<usize>) {
    let mut trun = Fields::new(find(traf.body, b"trun").unwrap().body);
    let (_, flags) = trun.version_and_flags().unwrap();
    let count = trun.u32().unwrap();
    let data = trun.u32().unwrap() as usize;
    if flags & 4 != 0 {
        trun.u32().unwrap();
    }
    let size = |_| {
        let mut size = 0;
        for flag in [0x100, 0x200, 0x400, 0x800].into_iter().filter(|flag| flags & flag != 0) {
            let field = trun.u32().unwrap() as usize;
            size = if flag == 0x200 { field } else { size };
        }
        size
    };
    (data, (0..count).map(size).collect())
}

/// Init, and all that follows it, of a variant.
pub fn bytes_of(memory: &Memory, variant: &PackagedVariant) -> (Vec<u8>, Vec<u8>) {
    let stem = format!("{}/{}", variant.scheme, variant.name);
    if let Some(single) = memory.files.get(&format!("{stem}.mp4")) {
        return (single.clone(), single.clone());
    }
    let segments = (1..).map_while(|number| memory.files.get(&format!("{stem}/{number}.m4s")));
    (memory.files[&format!("{stem}/init.mp4")].clone(), segments.flatten().copied().collect())
}

fn tenc_of(init: &[u8]) -> Tenc {
    let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let stsd = path.iter().fold(init, |at, kind| find(at, kind).unwrap().body);
    let entry = boxes(&stsd[8..]).next().unwrap().unwrap();
    let fields = if entry.kind.0 == *b"encv" { 78 } else { 28 };
    let sinf = find(&entry.body[fields..], b"sinf").unwrap().body;
    Tenc::parse(find(find(sinf, b"schi").unwrap().body, b"tenc").unwrap().body).unwrap()
}

pub fn sources(track: &Track) -> Vec<Vec<u8>> {
    track.samples.iter().map(|sample| sample.bytes.clone()).collect()
}

fn variant<'e>(event: &'e PackagedEvent, name: &str, scheme: Scheme) -> &'e PackagedVariant {
    event.variants_of(scheme).find(|variant| variant.name == name).unwrap()
}

#[test]
fn every_sample_comes_back_from_every_shape() {
    let tracks = [video((640, 360), 9, 25), audio(b"deu", 9), audio(b"eng", 9)];
    for shape in [Shape::MoovFirst, Shape::MoovLast, Shape::Fragmented(40)] {
        let source = file(&tracks, shape);
        for layout in [Layout::Segments, Layout::SingleFile] {
            let (mut memory, keys) = (Memory::default(), keys());
            let event = run(&[&source], &plan(layout, &Scheme::ALL), &keys, &mut memory).unwrap();
            assert_eq!(event.variants.len(), 6);
            for scheme in Scheme::ALL {
                for (name, track) in ["video-360p", "audio-de", "audio-en"].iter().zip(&tracks) {
                    let variant = variant(&event, name, scheme);
                    let samples = decrypted(&memory, &keys, variant);
                    assert!(samples == sources(track), "{shape:?} {layout:?} {scheme} {name}");
                }
            }
        }
    }
}

#[test]
fn the_document_and_the_manifests_agree_with_the_files() {
    let source = file(&[video((640, 360), 9, 25), audio(b"eng", 9)], Shape::MoovFirst);
    for layout in [Layout::Segments, Layout::SingleFile] {
        let mut memory = Memory::default();
        let event = run(&[&source], &plan(layout, &Scheme::ALL), &keys(), &mut memory).unwrap();
        let document = String::from_utf8(memory.files.remove("package.json").unwrap()).unwrap();
        let total: usize = memory.files.values().map(Vec::len).sum();
        assert_eq!(event.size_bytes, total as u64);
        assert_eq!(serde_json::from_str::<PackagedEvent>(&document).unwrap(), event);
        assert_eq!(event.hls, ["master.m3u8", "master_cenc.m3u8"]);
        assert_eq!(event.duration_ms, 9_000);
        for variant in &event.variants {
            let stem = format!("{}/{}", variant.scheme, variant.name);
            let own = memory
                .files
                .iter()
                .filter(|(path, _)| path.starts_with(&stem) && !path.ends_with(".m3u8"));
            let media: usize = own.map(|(_, bytes)| bytes.len()).sum();
            assert!(variant.size_bytes <= media as u64 && variant.size_bytes > 10_000);
            assert!(memory.files.contains_key(&variant.playlist));
        }
        let mpd = String::from_utf8(memory.files["manifest.mpd"].clone()).unwrap();
        assert!(mpd.contains("cbcs/video-360p") && mpd.contains("cenc/audio-en"));
    }
}

#[test]
fn segments_begin_at_the_first_sync_sample_after_their_length() {
    // Sync samples at 0, 1.2, 2.4 … seconds; segments of 2 seconds.
    let source = file(&[video((640, 360), 12, 30), audio(b"eng", 12)], Shape::MoovFirst);
    let mut memory = Memory::default();
    let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
    run(&[&source], &plan, &keys(), &mut memory).unwrap();
    let playlist =
        String::from_utf8(memory.files["cbcs/video-360p/playlist.m3u8"].clone()).unwrap();
    let lasts: Vec<_> = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:")).collect();
    assert_eq!(lasts, ["2.400000,"; 5]);
    let playlist = String::from_utf8(memory.files["cbcs/audio-en/playlist.m3u8"].clone()).unwrap();
    assert_eq!(playlist.matches("#EXTINF").count(), 5);
    assert!(!memory.files.keys().any(|path| path.contains("cenc")));
}

#[test]
fn a_ladder_is_cut_at_common_sync_samples() {
    // One rendition could be cut every second, the other every two.
    let low = file(&[video((640, 360), 8, 25), audio(b"eng", 8)], Shape::MoovFirst);
    let high = file(&[video((1920, 1080), 8, 50)], Shape::Fragmented(25));
    let (mut memory, keys) = (Memory::default(), keys());
    let plan = plan(Layout::Segments, &[Scheme::Cenc]);
    let event = run(&[&low, &high], &plan, &keys, &mut memory).unwrap();
    let names: Vec<_> = event.variants.iter().map(|v| (v.name.as_str(), v.track_class)).collect();
    let expected = [
        ("video-360p", TrackClass::Sd),
        ("audio-en", TrackClass::Audio),
        ("video-1080p", TrackClass::Hd),
    ];
    assert_eq!(names, expected);
    let segments = |name: &str| {
        memory.files.keys().filter(|path| path.starts_with(name) && path.ends_with("m4s")).count()
    };
    assert_eq!((segments("cenc/video-360p"), segments("cenc/video-1080p")), (4, 4));
    assert_eq!(event.hls, ["master_cenc.m3u8"]);
}

#[test]
fn a_delay_moves_the_media_and_the_earliest_track_begins_at_zero() {
    let mut late = audio(b"eng", 8);
    late.edits.insert(0, (crate::clip::TIMESCALE / 2, -1));
    let source = file(&[video((640, 360), 8, 25), late], Shape::MoovFirst);
    let mut memory = Memory::default();
    let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
    run(&[&source], &plan, &keys(), &mut memory).unwrap();
    let decode_time = |path: &str| {
        let segment = &memory.files[path];
        let traf = find(find(segment, b"moof").unwrap().body, b"traf").unwrap();
        let mut tfdt = Fields::new(find(traf.body, b"tfdt").unwrap().body);
        tfdt.version_and_flags().unwrap();
        tfdt.u64().unwrap()
    };
    assert_eq!(decode_time("cbcs/video-360p/1.m4s"), 0);
    assert_eq!(decode_time("cbcs/audio-en/1.m4s"), u64::from(crate::clip::TIMESCALE / 2));
}

#[test]
fn an_offset_edit_is_kept() {
    let source = file(&[video((640, 360), 4, 25)], Shape::MoovFirst);
    let mut memory = Memory::default();
    run(&[&source], &plan(Layout::Segments, &[Scheme::Cbcs]), &keys(), &mut memory).unwrap();
    let init = &memory.files["cbcs/video-360p/init.mp4"];
    let path = [b"moov", b"trak", b"edts", b"elst"];
    let elst = path.iter().fold(init.as_slice(), |at, kind| find(at, kind).unwrap().body);
    let mut fields = Fields::new(elst);
    assert_eq!(fields.version_and_flags(), Ok((1, 0)));
    let edit = (fields.u32(), fields.u64(), fields.u64(), fields.u32());
    assert_eq!(edit, (Ok(1), Ok(0), Ok(512), Ok(0x1_0000)));
}

/// Counts how often each byte is asked for.
struct Counting<'a> {
    bytes: &'a [u8],
    reads: Vec<u8>,
}

impl Input for Counting<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.reads[offset as usize..][..out.len()].iter_mut().for_each(|reads| *reads += 1);
        (&mut { self.bytes }).read_at(offset, out)
    }
}

#[test]
fn both_schemes_in_one_run_read_each_byte_of_media_once() {
    let source = file(&[video((640, 360), 6, 25), audio(b"eng", 6)], Shape::MoovLast);
    let media = boxes(&source).flatten().find(|child| child.kind.0 == *b"mdat").unwrap();
    let media = media.offset + 8..media.offset + media.whole.len();
    let mut input = Counting { bytes: &source, reads: vec![0; source.len()] };
    let mut inputs = [NamedInput { name: "once".into(), input: &mut input }];
    let plan = plan(Layout::Segments, &Scheme::ALL);
    let (mut memory, mut entropy) = (Memory::default(), crate::clip::Counter(3));
    package(&mut inputs, &plan, &keys(), &mut memory, &mut entropy, &mut |_| ()).unwrap();
    // The first bytes are read once more, as the large size that the header might have had.
    assert!(input.reads[media.start + 8..media.end].iter().all(|reads| *reads == 1));
}

#[test]
fn names_are_told_apart() {
    let one = file(&[video((640, 360), 4, 25), audio(b"und", 4)], Shape::MoovFirst);
    let (mut first, mut second) = (one.as_slice(), one.as_slice());
    let mut inputs = [
        NamedInput { name: "a".into(), input: &mut first },
        NamedInput { name: "b".into(), input: &mut second },
    ];
    let probed = probe(&mut inputs).unwrap();
    let names: Vec<_> = probed.tracks.iter().map(|track| track.name.as_str()).collect();
    assert_eq!(names, ["video-360p", "audio-und", "video-360p-2", "audio-und-2"]);
    assert_eq!(probed.tracks[2].input, 1);
    assert_eq!(probed.tracks[0].codecs, "avc1.4D0028");
    assert_eq!(probed.tracks[1].codecs, "mp4a.40.2");
}

#[test]
fn cenc_ivs_never_meet_within_a_run() {
    let source =
        file(&[video((640, 360), 6, 25), audio(b"eng", 6), audio(b"deu", 6)], Shape::MoovFirst);
    let (mut memory, keys) = (Memory::default(), keys());
    let plan = plan(Layout::Segments, &[Scheme::Cenc]);
    let event = run(&[&source], &plan, &keys, &mut memory).unwrap();
    let mut ivs = std::collections::BTreeSet::new();
    let mut samples = 0;
    for variant in &event.variants {
        let (_, media) = bytes_of(&memory, variant);
        for moof in boxes(&media).flatten().filter(|child| child.kind.0 == *b"moof") {
            let traf = find(moof.body, b"traf").unwrap();
            let mut senc = Fields::new(find(traf.body, b"senc").unwrap().body);
            let (_, flags) = senc.version_and_flags().unwrap();
            for _ in 0..senc.u32().unwrap() {
                let runs = if flags & 2 != 0 { runs_at(&senc, 8) * 6 + 2 } else { 0 };
                ivs.insert(senc.take(8 + runs).unwrap()[..8].to_vec());
                samples += 1;
            }
        }
    }
    assert_eq!(ivs.len(), samples);
}
