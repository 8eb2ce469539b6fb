//! Writing a track of subtitles: one fragment for each segment of the ladder, in the clear, and
//! for HLS each segment of WebVTT as text besides.

use super::Layout;
use super::cut::TextCut;
use super::error::PackageError;
use super::job::JobText;
use super::output::{FileId, Output};
use super::track_writer::{Written, WrittenInit, create, references};
use crate::bmff::{FourCc, plain_box};
use crate::cmaf::{
    self, Entry, Fragment, Init, MediaKind, TRACK_ID, open_media_data, write_index, write_init,
};
use crate::input::{Place, TrackFrame, Unsupported, language};
use crate::manifest::{ByteSpan, SegmentEntry, TrackLayout, TrackMedia, TrackRendition};
use crate::text::webvtt::{Cue, WebVtt};
use crate::text::{Document, Stretch, Subtitles, Sweep, TextError, stpp, wvtt};
use std::io::IoSlice;

/// The cues of a WebVTT track as the title has them: moved, none before its begin.
pub(super) fn moved(file: &WebVtt, shift_ms: i64) -> Vec<Cue> {
    file.cues.iter().filter_map(|cue| cue.moved(shift_ms)).collect()
}

/// Writes a track and what HLS needs of it.
///
/// Errors: a cue that begins behind the end of the ladder; a segment too long for its fields.
pub(super) fn write(
    job: &JobText,
    cut: &TextCut,
    layout: Layout,
    out: &mut dyn Output,
) -> Result<Written, PackageError> {
    check_end(job, cut)?;
    let mut track = describe(job, cut, layout);
    let init = init_bytes(job, cut);
    let path = track.init_path();
    let failed = |source| PackageError::Write { path: path.clone(), source };
    let file = create(out, &path)?;
    out.append(file, &mut [IoSlice::new(&init)]).map_err(failed)?;
    if let TrackLayout::SingleFile { init: span, index } = &mut track.layout {
        let room = vec![0; cmaf::index_len(cut.bounds.len().saturating_sub(1))];
        out.append(file, &mut [IoSlice::new(&room)]).map_err(failed)?;
        *span = ByteSpan { start: 0, len: init.len() as u64 };
        *index = ByteSpan { start: span.len, len: room.len() as u64 };
    } else {
        out.close(file).map_err(failed)?;
    }
    let mut counts = Vec::new();
    let mut source = Source::new(job, cut);
    for (number, bounds) in (1..).zip(cut.bounds.windows(2)) {
        let &[from, to] = bounds else { continue };
        let segment = source.segment(from, to);
        let size_bytes = write_segment(job, &track, (number, from), &segment, (file, layout), out)?;
        counts.push(u32::try_from(segment.entries.len()).unwrap_or(u32::MAX));
        track.segments.push(SegmentEntry {
            duration_ts: to - from,
            size_bytes,
            starts_with_sap: true,
        });
        if let Some(text) = &segment.plain {
            super::write_file(&track.hls_segment_path(number as usize), text.as_bytes(), out)?;
        }
    }
    if let TrackLayout::SingleFile { index, .. } = track.layout {
        let mut bytes = Vec::new();
        write_index(track.timescale, track.start_ts, &references(&track)?, &mut bytes);
        out.overwrite(file, index.start, &bytes).map_err(failed)?;
        out.close(file).map_err(failed)?;
    }
    let inits = vec![WrittenInit { path: track.init_path(), bytes: init, kid: None }];
    Ok(Written { track, counts, inits, turns: Vec::new() })
}

/// Subtitles for which there is no picture belong to another cut of the film.
fn check_end(job: &JobText, cut: &TextCut) -> Result<(), PackageError> {
    let end_ms = cut.bounds.last().map_or(0, |end| cut.to_ms(*end));
    let last = job.content.last_begin().unwrap_or(0);
    let cue_ms = last.saturating_add_signed(cut.shift_ms);
    let longest =
        cut.bounds.windows(2).filter_map(|two| two.last()?.checked_sub(*two.first()?)).max();
    let what = if cue_ms >= end_ms {
        TextError::BehindEnd { cue_ms, end_ms }.into()
    } else if longest.is_some_and(|longest| u32::try_from(longest).is_err()) {
        Unsupported::Feature("a segment of more than 2^32 ticks with subtitles").into()
    } else {
        return Ok(());
    };
    let fault = crate::input::Fault { place: Place::File, what };
    Err(PackageError::Input { file: job.file.clone(), fault })
}

fn describe(job: &JobText, cut: &TextCut, layout: Layout) -> TrackRendition {
    let none = ByteSpan { start: 0, len: 0 };
    TrackRendition {
        name: job.name.clone(),
        protection: None,
        codecs: job.codecs().to_owned(),
        media: TrackMedia::Text { format: job.format(), language: job.language.clone() },
        description: job.description.clone(),
        timescale: cut.timescale.get(),
        start_ts: 0,
        layout: match layout {
            Layout::Segments => TrackLayout::Segments,
            Layout::SingleFile => TrackLayout::SingleFile { init: none, index: none },
        },
        segments: Vec::new(),
        clear_segments: 0,
        key_frames: Vec::new(),
        trick_of: None,
        live: None,
    }
}

/// The unit matrix of `tkhd`.
const UNIT_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn init_bytes(job: &JobText, cut: &TextCut) -> Vec<u8> {
    let mut matrix = [0; 36];
    for (place, value) in matrix.chunks_exact_mut(4).zip(UNIT_MATRIX) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    let (kind, entry, entry_body) = match &job.content {
        Subtitles::WebVtt(file) => (MediaKind::Text, *b"wvtt", wvtt::sample_entry(&file.header)),
        Subtitles::Ttml(_) => (MediaKind::Subtitle, *b"stpp", stpp::sample_entry()),
    };
    let init = Init {
        kind,
        timescale: cut.timescale,
        language: job.language.as_deref(),
        packed_language: language::pack(job.language.as_deref()),
        frame: TrackFrame { volume: 0, matrix, width: 0, height: 0 },
        media_time: 0,
        entry: FourCc(entry),
        entry_body: &entry_body,
        protection: None,
        length: cut.bounds.last().copied().unwrap_or(0),
    };
    let mut bytes = Vec::new();
    write_init(&init, &mut bytes);
    bytes
}

/// One segment before it is written.
#[derive(Default)]
struct Segment {
    entries: Vec<Entry>,
    payload: Vec<u8>,
    /// The same for HLS, where it is text there.
    plain: Option<String>,
}

impl Segment {
    /// Whether it is beyond what is written: nothing is added to it then.
    fn is_full(&self) -> bool {
        self.payload.len() >= MAX_SEGMENT_BYTES
    }

    /// Adds what `write` appends as a sample of `ticks`.
    fn add(&mut self, ticks: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.payload.len();
        write(&mut self.payload);
        let size = u32::try_from(self.payload.len() - before).unwrap_or(u32::MAX);
        let duration = u32::try_from(ticks).unwrap_or(u32::MAX);
        self.entries.push(Entry { duration, size, composition: 0, is_sync: true });
    }
}

/// What the segments are made of, in order.
enum Source<'a> {
    WebVtt {
        file: &'a WebVtt,
        cues: Vec<Cue>,
        spans: Vec<(u64, u64)>,
        sweep: Sweep,
        cut: &'a TextCut,
    },
    Ttml {
        documents: &'a [Document],
        cut: &'a TextCut,
    },
}

impl<'a> Source<'a> {
    fn new(job: &'a JobText, cut: &'a TextCut) -> Self {
        match &job.content {
            Subtitles::WebVtt(file) => {
                let cues = moved(file, cut.shift_ms);
                let end = cut.bounds.last().copied().unwrap_or(0);
                let span =
                    |cue: &Cue| (cut.to_ticks(cue.start_ms), cut.to_ticks(cue.end_ms).min(end));
                let spans: Vec<_> = cues.iter().map(span).collect();
                Self::WebVtt { file, cues, sweep: Sweep::new(spans.clone()), spans, cut }
            }
            Subtitles::Ttml(documents) => Self::Ttml { documents, cut },
        }
    }

    fn segment(&mut self, from: u64, to: u64) -> Segment {
        let mut segment = Segment::default();
        match self {
            Self::WebVtt { file, cues, spans, sweep, cut } => {
                let stretches = sweep.until(from, to);
                for stretch in &stretches {
                    if segment.is_full() {
                        break;
                    }
                    let shown: Vec<_> = numbered(stretch, cues, spans).collect();
                    let start_ms = cut.to_ms(stretch.from);
                    let ticks = stretch.to - stretch.from;
                    segment.add(ticks, |out| wvtt::write_sample(&shown, start_ms, out));
                }
                let mut shown: Vec<_> =
                    stretches.iter().flat_map(|one| one.active.iter()).collect();
                shown.sort_unstable();
                shown.dedup();
                let shown = shown.into_iter().filter_map(|number| cues.get(*number));
                segment.plain = Some(file.write_segment(shown));
            }
            Self::Ttml { documents, cut } => {
                for (from, to, document) in spans_of(documents, cut, from, to) {
                    let (own_from, own_to) = match document {
                        Some(one) => {
                            let own = |ticks| {
                                let title_ms =
                                    cut.to_ms(ticks).saturating_add_signed(-cut.shift_ms);
                                one.own_ms(title_ms)
                            };
                            (own(from), own(to))
                        }
                        None => (0, 0),
                    };
                    // Between two documents, the head of one stands for none.
                    let Some(one) = document.or(documents.first()) else { continue };
                    let shift_ms = one.shift_ms.saturating_add(cut.shift_ms);
                    let text = one.ttml.write_part(own_from, own_to, shift_ms);
                    segment.add(to - from, |out| out.extend(text.bytes()));
                }
            }
        }
        segment
    }
}

/// The cues of a stretch, those that other stretches hold too with a number of their own.
fn numbered<'c>(
    stretch: &'c Stretch,
    cues: &'c [Cue],
    spans: &'c [(u64, u64)],
) -> impl Iterator<Item = (&'c Cue, Option<u32>)> {
    stretch.active.iter().filter_map(|number| {
        let is_whole = spans.get(*number) == Some(&(stretch.from, stretch.to));
        let source = u32::try_from(*number).ok().filter(|_| !is_whole);
        Some((cues.get(*number)?, source))
    })
}

/// The ticks from `from` to `to` as the documents divide them; gaps have none.
pub(super) fn spans_of<'d>(
    documents: &'d [Document],
    cut: &TextCut,
    from: u64,
    to: u64,
) -> Vec<(u64, u64, Option<&'d Document>)> {
    let ticks = |title_ms: u64| match title_ms.checked_add_signed(cut.shift_ms) {
        _ if title_ms == u64::MAX => u64::MAX,
        Some(ms) => cut.to_ticks(ms),
        None => 0,
    };
    let mut spans = Vec::new();
    let mut at = from;
    for document in documents {
        let (begin, end) = (ticks(document.from_ms).max(at), ticks(document.to_ms).min(to));
        if begin < end {
            if at < begin {
                spans.push((at, begin, None));
            }
            spans.push((begin, end, Some(document)));
            at = end;
        }
    }
    if at < to {
        spans.push((at, to, None));
    }
    spans
}

/// Writes a segment's fragment; returns its bytes.
fn write_segment(
    job: &JobText,
    track: &TrackRendition,
    (number, decode_time): (u32, u64),
    segment: &Segment,
    (file, layout): (FileId, Layout),
    out: &mut dyn Output,
) -> Result<u64, PackageError> {
    let path = track.segment_path(number as usize);
    let mut head = Vec::new();
    let file = match layout {
        Layout::Segments => {
            plain_box(&mut head, b"styp", |out| out.extend(b"mp41\0\0\0\0iso8isommp41dashcmfs"));
            create(out, &path)?
        }
        Layout::SingleFile => file,
    };
    let Segment { entries: samples, payload, .. } = segment;
    if !segment.is_full() {
        let fragment = Fragment {
            sequence: number,
            decode_time,
            description: 1,
            samples,
            protection: None,
            rotation: None,
        };
        let begin = head.len();
        fragment.write(&mut head);
        open_media_data(payload.len(), &mut head);
        let written = head.get(begin..).unwrap_or_default();
        super::check::fragment(written, &fragment, payload.len())
            .map_err(|what| PackageError::Verification { path: path.clone(), what })?;
    } else {
        let limit = MAX_SEGMENT_BYTES as u64;
        let what = Unsupported::Limit { what: "bytes of subtitles in a segment", limit };
        let fault = Place::Track(TRACK_ID).fault(what);
        return Err(PackageError::Input { file: job.file.clone(), fault });
    }
    let failed = |source| PackageError::Write { path: path.clone(), source };
    out.append(file, &mut [IoSlice::new(&head), IoSlice::new(payload)]).map_err(failed)?;
    if layout == Layout::Segments {
        out.close(file).map_err(failed)?;
    }
    Ok((head.len() + payload.len()) as u64)
}

/// Bytes of subtitles in one segment.
const MAX_SEGMENT_BYTES: usize = 64 << 20;
