//! Tracks of subtitles in an MP4 source, read whole: they are small.

use super::ttml::Ttml;
use super::webvtt::WebVtt;
use super::wvtt::{self, Joining};
use super::{Document, MAX_BYTES, Subtitles};
use crate::input::{Fault, Input, Place, Sample, TextTrack, Unsupported, What};

/// Latest time of a track, milliseconds: more than a year.
const MAX_MS: i128 = 1 << 36;

/// Reads a `wvtt` or `stpp` track up to its last cue.
///
/// Errors: [`Fault`] with the sample; in a document of TTML, what is wrong in it.
/// Limits: 8 MiB of samples.
pub(crate) fn read_track(input: &mut dyn Input, track: &TextTrack) -> Result<Subtitles, Fault> {
    if track.samples.total_bytes() > MAX_BYTES as u64 {
        let what = Unsupported::Limit { what: "bytes of subtitles", limit: MAX_BYTES as u64 };
        return Err(Place::Track(track.id).fault(what));
    }
    let whole = |what: What| Fault { place: Place::Track(track.id), what };
    if track.entry.0 == *b"wvtt" {
        let header = wvtt::header_of(&track.entry_body).map_err(|error| whole(error.into()))?;
        let mut joining = Joining::default();
        each_sample(input, track, |from_ms, to_ms, bytes| {
            joining.add(from_ms, to_ms, wvtt::read_sample(bytes)?)
        })?;
        let cues = joining.finish();
        return Ok(Subtitles::WebVtt(WebVtt { header, cues }));
    }
    super::stpp::check_entry(&track.entry_body).map_err(whole)?;
    let shift_ms = i64::try_from(shift(track)).unwrap_or(0);
    let mut documents: Vec<Document> = Vec::new();
    each_sample(input, track, |from_ms, to_ms, bytes| {
        // What is wrong in a document lies on a line of it; the sample says more.
        let ttml = Ttml::parse(bytes).map_err(|fault| fault.what)?;
        // One behind the other, whatever their composition times say.
        let from_ms = documents.last().map_or(0, |before| before.to_ms).max(from_ms);
        if from_ms < to_ms {
            documents.push(Document { from_ms, to_ms, shift_ms, ttml });
        }
        Ok(())
    })?;
    Ok(Subtitles::Ttml(documents))
}

/// What is added to the track's times, milliseconds.
fn shift(track: &TextTrack) -> i128 {
    to_ms(i128::from(track.edit.delay) - i128::from(track.edit.media_time), track)
}

/// Ticks as milliseconds, rounded, within what a title may last.
fn to_ms(ticks: i128, track: &TextTrack) -> i128 {
    let timescale = i128::from(track.timescale.get());
    (ticks * 1000 + timescale / 2).div_euclid(timescale).clamp(-MAX_MS, MAX_MS)
}

/// Reads each sample with the times from which and up to which it is shown.
fn each_sample(
    input: &mut dyn Input,
    track: &TextTrack,
    mut take: impl FnMut(u64, u64, &[u8]) -> Result<(), What>,
) -> Result<(), Fault> {
    let shift = i128::from(track.edit.delay) - i128::from(track.edit.media_time);
    let mut bytes = Vec::new();
    for sample in track.samples.iter() {
        let Sample { index, offset, size, decode_time, duration, composition, .. } = sample;
        let place = Place::Sample { track: track.id, number: index + 1, offset };
        bytes.resize(usize::try_from(size).unwrap_or_default(), 0);
        input.read_at(offset, &mut bytes).map_err(|error| place.fault(What::Read(error)))?;
        let from = i128::from(decode_time) + i128::from(composition) + shift;
        let to = from + i128::from(duration);
        let ms = |ticks| u64::try_from(to_ms(ticks, track)).unwrap_or(0);
        take(ms(from), ms(to), &bytes).map_err(|what| Fault { place, what })?;
    }
    Ok(())
}
