//! Small MP4 sources made in code: real headers, made-up picture and sound.

mod h264;
mod memory;

pub use memory::{Counter, Memory, keys, plan, run};

use media::bmff::{full_box, plain_box};

/// Ticks per second of every track.
pub const TIMESCALE: u32 = 12_800;

/// One sample of a source.
#[derive(Clone, Debug)]
pub struct Sample {
    pub bytes: Vec<u8>,
    pub duration: u32,
    pub composition: i32,
    pub is_sync: bool,
}

/// One track of a source.
#[derive(Clone, Debug)]
pub struct Track {
    pub is_video: bool,
    pub size: (u16, u16),
    pub language: [u8; 3],
    /// `(segment_duration, media_time)`, in ticks.
    pub edits: Vec<(u32, i32)>,
    pub samples: Vec<Sample>,
    /// Type of the sample entry.
    pub entry: [u8; 4],
    /// Its body, where it is not the usual one.
    pub entry_body: Option<Vec<u8>>,
    /// Duration in `mdhd`, where it is to lie.
    pub declared: Option<u32>,
    pub timescale: u32,
}

/// How a source lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    MoovFirst,
    MoovLast,
    /// One fragment for each run of so many samples of each track.
    Fragmented(usize),
}

/// Picture: `seconds` at 25 a second, a sync sample every `interval`, each third sample shown
/// late, the first of every GOP with a parameter set and several slices.
pub fn video(size: (u16, u16), seconds: usize, interval: usize) -> Track {
    let sample = |at: usize| {
        let is_sync = at.is_multiple_of(interval);
        let composition = if at % 3 == 1 && !is_sync { 1024 } else { 512 };
        let bytes = h264::picture(at, is_sync, size, 40 + at * 37 % 3000);
        Sample { bytes, duration: 512, composition, is_sync }
    };
    Track {
        is_video: true,
        size,
        language: *b"und",
        edits: vec![(u32::try_from(seconds).unwrap() * TIMESCALE, 512)],
        samples: (0..seconds * 25).map(sample).collect(),
        entry: *b"avc1",
        entry_body: None,
        declared: None,
        timescale: TIMESCALE,
    }
}

/// Sound: `seconds` of 12.5 frames a second, one of them priming.
pub fn audio(language: &[u8; 3], seconds: usize) -> Track {
    let sample = |at: usize| Sample {
        bytes: (0..5 + at * 29 % 400).map(|byte| (byte * 7 + at) as u8).collect(),
        duration: 1024,
        composition: 0,
        is_sync: true,
    };
    Track {
        is_video: false,
        size: (0, 0),
        language: *language,
        edits: vec![(u32::try_from(seconds).unwrap() * TIMESCALE, 1024)],
        samples: (0..=seconds * 25 / 2).map(sample).collect(),
        entry: *b"mp4a",
        entry_body: None,
        declared: None,
        timescale: TIMESCALE,
    }
}

impl Track {
    fn ticks(&self) -> u32 {
        self.samples.iter().map(|sample| sample.duration).sum()
    }
}

/// The file of these tracks.
pub fn file(tracks: &[Track], shape: Shape) -> Vec<u8> {
    let mut out = Vec::new();
    plain_box(&mut out, b"ftyp", |out| out.extend(b"isom\0\0\0\x01isomavc1"));
    match shape {
        Shape::MoovLast => {
            let offsets = media_data(tracks, &mut out);
            moov(tracks, Some(&offsets), &mut out);
        }
        Shape::MoovFirst => {
            // The offsets do not change the length of the tables.
            let mut probe = out.clone();
            moov(tracks, Some(&chunks(tracks, 0)), &mut probe);
            let offsets = chunks(tracks, probe.len() + 8);
            moov(tracks, Some(&offsets), &mut out);
            assert_eq!(media_data(tracks, &mut out), offsets);
        }
        Shape::Fragmented(per_fragment) => {
            moov(tracks, None, &mut out);
            fragments(tracks, per_fragment, &mut out);
        }
    }
    out
}

/// Samples of each chunk; tracks take turns.
const PER_CHUNK: usize = 7;

/// Offsets of every track's chunks if the media data begins at `start`.
fn chunks(tracks: &[Track], start: usize) -> Vec<Vec<usize>> {
    let mut offsets = vec![Vec::new(); tracks.len()];
    let mut at = start;
    let longest = tracks.iter().map(|track| track.samples.len()).max().unwrap_or(0);
    for chunk in 0..longest.div_ceil(PER_CHUNK) {
        for (track, offsets) in tracks.iter().zip(&mut offsets) {
            if let Some(samples) = track.samples.chunks(PER_CHUNK).nth(chunk) {
                offsets.push(at);
                at += samples.iter().map(|sample| sample.bytes.len()).sum::<usize>();
            }
        }
    }
    offsets
}

fn media_data(tracks: &[Track], out: &mut Vec<u8>) -> Vec<Vec<usize>> {
    let offsets = chunks(tracks, out.len() + 8);
    plain_box(out, b"mdat", |out| {
        let longest = tracks.iter().map(|track| track.samples.len()).max().unwrap_or(0);
        for chunk in 0..longest.div_ceil(PER_CHUNK) {
            for track in tracks {
                for sample in track.samples.chunks(PER_CHUNK).nth(chunk).into_iter().flatten() {
                    out.extend(&sample.bytes);
                }
            }
        }
    });
    offsets
}

fn moov(tracks: &[Track], offsets: Option<&[Vec<usize>]>, out: &mut Vec<u8>) {
    plain_box(out, b"moov", |out| {
        full_box(out, b"mvhd", 0, 0, |out| {
            out.extend([0; 8]);
            out.extend(TIMESCALE.to_be_bytes());
            out.extend([0; 84]);
        });
        for (at, track) in tracks.iter().enumerate() {
            let chunks = offsets.map(|offsets| offsets[at].as_slice());
            plain_box(out, b"trak", |out| trak(at as u32 + 1, track, chunks, out));
        }
        if offsets.is_none() {
            plain_box(out, b"mvex", |out| {
                for at in 0..tracks.len() {
                    full_box(out, b"trex", 0, 0, |out| words(out, &[at as u32 + 1, 1, 0, 0, 0]));
                }
            });
        }
    });
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend(word.to_be_bytes()));
}

fn trak(id: u32, track: &Track, chunks: Option<&[usize]>, out: &mut Vec<u8>) {
    full_box(out, b"tkhd", 0, 3, |out| {
        words(out, &[0, 0, id, 0, track.ticks(), 0, 0, 0, 0]);
        words(out, &[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
        words(out, &[u32::from(track.size.0) << 16, u32::from(track.size.1) << 16]);
    });
    if !track.edits.is_empty() {
        plain_box(out, b"edts", |out| {
            full_box(out, b"elst", 0, 0, |out| {
                words(out, &[track.edits.len() as u32]);
                for (duration, media_time) in &track.edits {
                    words(out, &[*duration, media_time.cast_unsigned(), 0x1_0000]);
                }
            });
        });
    }
    plain_box(out, b"mdia", |out| {
        full_box(out, b"mdhd", 0, 0, |out| {
            let ticks = if chunks.is_some() { track.ticks() } else { 0 };
            words(out, &[0, 0, track.timescale, track.declared.unwrap_or(ticks)]);
            let packed = track.language.iter().fold(0, |sum, c| sum << 5 | u16::from(c - 0x60));
            out.extend(packed.to_be_bytes());
            out.extend([0; 2]);
        });
        full_box(out, b"hdlr", 0, 0, |out| {
            out.extend([0; 4]);
            out.extend(if track.is_video { b"vide" } else { b"soun" });
            out.extend([0; 13]);
        });
        plain_box(out, b"minf", |out| {
            plain_box(out, b"dinf", |out| {
                full_box(out, b"dref", 0, 0, |out| {
                    words(out, &[1]);
                    full_box(out, b"url ", 0, 1, |_| {});
                });
            });
            plain_box(out, b"stbl", |out| stbl(track, chunks, out));
        });
    });
}

fn stbl(track: &Track, chunks: Option<&[usize]>, out: &mut Vec<u8>) {
    full_box(out, b"stsd", 0, 0, |out| {
        words(out, &[1]);
        plain_box(out, &track.entry, |out| match (&track.entry_body, track.is_video) {
            (Some(body), _) => out.extend(body),
            (None, true) => h264::sample_entry(track.size, out),
            (None, false) => mp4a(out),
        });
    });
    let samples = if chunks.is_some() { track.samples.as_slice() } else { &[] };
    full_box(out, b"stts", 0, 0, |out| {
        words(out, &[samples.len() as u32]);
        samples.iter().for_each(|sample| words(out, &[1, sample.duration]));
    });
    if samples.iter().any(|sample| sample.composition != 0) {
        full_box(out, b"ctts", 0, 0, |out| {
            words(out, &[samples.len() as u32]);
            samples.iter().for_each(|s| words(out, &[1, s.composition.cast_unsigned()]));
        });
    }
    if samples.iter().any(|sample| !sample.is_sync) {
        let sync = samples.iter().zip(1..).filter(|(sample, _)| sample.is_sync);
        let numbers: Vec<u32> = sync.map(|(_, number)| number).collect();
        full_box(out, b"stss", 0, 0, |out| {
            words(out, &[numbers.len() as u32]);
            words(out, &numbers);
        });
    }
    full_box(out, b"stsz", 0, 0, |out| {
        words(out, &[0, samples.len() as u32]);
        samples.iter().for_each(|sample| words(out, &[sample.bytes.len() as u32]));
    });
    let chunks = chunks.unwrap_or_default();
    let (whole, rest) = (samples.len() / PER_CHUNK, samples.len() % PER_CHUNK);
    full_box(out, b"stsc", 0, 0, |out| {
        let runs = [(1, PER_CHUNK, whole), (whole + 1, rest, rest)];
        let runs: Vec<_> = runs.iter().filter(|(_, _, count)| *count > 0).collect();
        words(out, &[runs.len() as u32]);
        runs.iter().for_each(|(first, per, _)| words(out, &[*first as u32, *per as u32, 1]));
    });
    full_box(out, b"stco", 0, 0, |out| {
        words(out, &[chunks.len() as u32]);
        chunks.iter().for_each(|offset| words(out, &[*offset as u32]));
    });
}

fn mp4a(out: &mut Vec<u8>) {
    words(out, &[0, 1, 0, 0, 0x2_0010, 0, TIMESCALE << 16]);
    full_box(out, b"esds", 0, 0, |out| {
        // ES 3 { decoder 4 { MPEG-4 audio, AAC-LC 48 kHz stereo 5 }, SL 6 }
        out.extend([3, 25, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend([5, 2, 0x11, 0x90, 6, 1, 2]);
    });
}

fn fragments(tracks: &[Track], per_fragment: usize, out: &mut Vec<u8>) {
    let longest = tracks.iter().map(|track| track.samples.len()).max().unwrap_or(0);
    for number in 0..longest.div_ceil(per_fragment) {
        let runs: Vec<_> =
            tracks.iter().map(|track| track.samples.chunks(per_fragment).nth(number)).collect();
        let mut probe = Vec::new();
        moof(tracks, number * per_fragment, &runs, 0, &mut probe);
        let data = probe.len() + 8;
        moof(tracks, number * per_fragment, &runs, data, out);
        plain_box(out, b"mdat", |out| {
            runs.iter().flatten().flat_map(|run| run.iter()).for_each(|s| out.extend(&s.bytes));
        });
    }
}

fn moof(
    tracks: &[Track],
    first: usize,
    runs: &[Option<&[Sample]>],
    data: usize,
    out: &mut Vec<u8>,
) {
    let mut at = data;
    plain_box(out, b"moof", |out| {
        full_box(out, b"mfhd", 0, 0, |out| words(out, &[1]));
        for (id, (track, run)) in (1..).zip(tracks.iter().zip(runs)) {
            let Some(run) = run else { continue };
            let time: u32 = track.samples[..first].iter().map(|sample| sample.duration).sum();
            plain_box(out, b"traf", |out| {
                full_box(out, b"tfhd", 0, 0x2_0000, |out| words(out, &[id]));
                full_box(out, b"tfdt", 0, 0, |out| words(out, &[time]));
                full_box(out, b"trun", 1, 0xf01, |out| {
                    words(out, &[run.len() as u32, at as u32]);
                    for sample in *run {
                        let flags = if sample.is_sync { 0x0200_0000 } else { 0x0101_0000 };
                        let size = sample.bytes.len() as u32;
                        words(
                            out,
                            &[sample.duration, size, flags, sample.composition.cast_unsigned()],
                        );
                    }
                });
            });
            at += run.iter().map(|sample| sample.bytes.len()).sum::<usize>();
        }
    });
}
