//! Checks of written subtitles: every segment is read back by the parsers that read sources, and
//! must give the cues that went in, at their times.

use super::check::{Wrong, check_file, read_all, read_moof};
use super::cut::TextCut;
use super::error::PackageError;
use super::job::JobText;
use super::output::Output;
use super::text_writer::{moved, spans_of};
use super::track_writer::Written;
use crate::input::{Input, Source};
use crate::manifest::TrackLayout;
use crate::text::ttml::{NO_END, Shown, Ttml};
use crate::text::webvtt::{Cue, WebVtt};
use crate::text::wvtt::{Joining, read_sample};
use crate::text::{Document, Subtitles};

const LOST: Wrong = "the subtitles do not read back";

/// Checks a track; returns the bytes of the segments that HLS has besides.
pub(super) fn check(
    job: &JobText,
    cut: &TextCut,
    written: &Written,
    out: &mut dyn Output,
) -> Result<u64, PackageError> {
    match &job.content {
        Subtitles::WebVtt(file) => {
            let cues = moved(file, cut.shift_ms);
            check_wvtt(&cues, cut, written, out)?;
            check_plain(file, &cues, cut, written, out)
        }
        Subtitles::Ttml(documents) => {
            check_stpp(documents, cut, written, out)?;
            Ok(0)
        }
    }
}

/// Reads a segment: its samples with the ticks from which and up to which each is shown.
fn samples(
    written: &Written,
    number: usize,
    out: &mut dyn Output,
) -> Result<Vec<(u64, u64, Vec<u8>)>, PackageError> {
    let track = &written.track;
    let sizes = || track.segments.iter().map(|segment| segment.size_bytes);
    let start = match track.layout {
        TrackLayout::Segments => 0,
        TrackLayout::SingleFile { index, .. } => {
            index.end() + sizes().take(number - 1).sum::<u64>()
        }
    };
    let size = sizes().nth(number - 1).unwrap_or(0);
    check_file(&track.segment_path(number), out, |file| {
        read_samples(file, start, start + size).ok_or(LOST)
    })
}

fn read_samples(file: &mut dyn Input, start: u64, end: u64) -> Option<Vec<(u64, u64, Vec<u8>)>> {
    let mut at = start;
    while at < end {
        let head = Source::new(file).box_at(at, end).ok()?;
        if head.kind.0 == *b"moof" {
            let table = read_moof(file, at, end, 1)?;
            let mut found = Vec::new();
            for sample in table.iter() {
                let mut bytes = vec![0; usize::try_from(sample.size).ok()?];
                file.read_at(sample.offset, &mut bytes).ok()?;
                let begin = sample.decode_time;
                found.push((begin, begin + u64::from(sample.duration), bytes));
            }
            return Some(found);
        }
        at = head.end;
    }
    None
}

fn wrong(written: &Written, number: usize) -> PackageError {
    PackageError::Verification { path: written.track.segment_path(number), what: LOST }
}

/// The samples fill the segments without a gap, and their cues put together are the source's.
fn check_wvtt(
    cues: &[Cue],
    cut: &TextCut,
    written: &Written,
    out: &mut dyn Output,
) -> Result<(), PackageError> {
    let mut joining = Joining::strict();
    for (number, bounds) in (1..).zip(cut.bounds.windows(2)) {
        let &[from, to] = bounds else { continue };
        let mut at = from;
        for (begin, end, bytes) in samples(written, number, out)? {
            let read = read_sample(&bytes).map_err(|_| wrong(written, number))?;
            let start_ms = cut.to_ms(begin);
            let is_told = read.iter().all(|cue| cue.tells_time(start_ms));
            if begin != at || !is_told || joining.add(start_ms, cut.to_ms(end), read).is_err() {
                return Err(wrong(written, number));
            }
            at = end;
        }
        if at != to {
            return Err(wrong(written, number));
        }
    }
    let end_ms = cut.bounds.last().map_or(0, |end| cut.to_ms(*end));
    let meant = cues.iter().map(|cue| Cue { end_ms: cue.end_ms.min(end_ms), ..cue.clone() });
    let (mut meant, mut read) = (meant.collect::<Vec<_>>(), joining.finish());
    meant.sort_unstable();
    read.sort_unstable();
    if read == meant { Ok(()) } else { Err(wrong(written, 1)) }
}

/// Each segment of HLS has the whole header and just the cues that are shown in it.
fn check_plain(
    file: &WebVtt,
    cues: &[Cue],
    cut: &TextCut,
    written: &Written,
    out: &mut dyn Output,
) -> Result<u64, PackageError> {
    let mut total = 0;
    for (number, bounds) in (1..).zip(cut.bounds.windows(2)) {
        let &[from, to] = bounds else { continue };
        total += check_file(&written.track.hls_segment_path(number), out, |stored| {
            let bytes = read_all(stored).ok_or(LOST)?;
            let read = WebVtt::parse(&bytes).map_err(|_| LOST)?;
            let is_in =
                |cue: &&Cue| cut.to_ticks(cue.start_ms) < to && cut.to_ticks(cue.end_ms) > from;
            let is_same =
                read.header == file.header && read.cues.iter().eq(cues.iter().filter(is_in));
            // The line that ties the segment to the media's clock is none of the cues.
            let is_same = is_same && bytes == file.write_segment(read.cues.iter()).as_bytes();
            if is_same { Ok(bytes.len() as u64) } else { Err(LOST) }
        })?;
    }
    Ok(total)
}

/// Each sample is a document that shows what the source shows in its time, and nothing else.
fn check_stpp(
    documents: &[Document],
    cut: &TextCut,
    written: &Written,
    out: &mut dyn Output,
) -> Result<(), PackageError> {
    for (number, bounds) in (1..).zip(cut.bounds.windows(2)) {
        let &[from, to] = bounds else { continue };
        let meant = spans_of(documents, cut, from, to);
        let stored = samples(written, number, out)?;
        if stored.len() != meant.len() {
            return Err(wrong(written, number));
        }
        for ((begin, end, bytes), (from, to, document)) in stored.iter().zip(meant) {
            let read = Ttml::parse(bytes).map_err(|_| wrong(written, number))?;
            let shown = read.shown(0, NO_END);
            let (expected, whole) = expected(documents, document, cut, (from, to));
            let is_same = shown == expected && *bytes == whole.as_bytes();
            if (*begin, *end) != (from, to) || !is_same {
                return Err(wrong(written, number));
            }
        }
    }
    Ok(())
}

/// What a document shows from tick `from` to `to`, in the title's time, and all of its part.
fn expected(
    documents: &[Document],
    document: Option<&Document>,
    cut: &TextCut,
    (from, to): (u64, u64),
) -> (Vec<Shown>, String) {
    let Some(one) = document else {
        let head = documents.first().map(|one| one.ttml.write_part(0, 0, 0));
        return (Vec::new(), head.unwrap_or_default());
    };
    let own = |ticks| one.own_ms(cut.to_ms(ticks).saturating_add_signed(-cut.shift_ms));
    let shift = one.shift_ms.saturating_add(cut.shift_ms);
    let mut expected = one.ttml.shown(own(from), own(to));
    for shown in &mut expected {
        shown.begin_ms = shown.begin_ms.saturating_add_signed(shift);
        shown.end_ms = shown.end_ms.saturating_add_signed(shift);
    }
    // The times of the text are one thing; its styles, regions and language are in the rest.
    (expected, one.ttml.write_part(own(from), own(to), shift))
}
