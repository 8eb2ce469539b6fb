//! One track: `trak` with its media, its codec, its edit list.

use super::fault::{Fault, Malformed, Place, Unsupported, What};
use super::sample_table::SampleTable;
use super::source::{Located, Source, find, require};
use super::{language, tables};
use crate::bmff::{BoxError, Fields, FourCc, boxes};
use crate::codec::{self, TrackCodec};
use std::num::NonZeroU32;

/// How much less than declared is rounding and not a loss.
const SLACK_MS: u64 = 1000;
/// How much of a track's end an edit list may hide: encoders hide the padding of the last
/// sound frames so, and players show it anyway.
const MAX_HIDDEN_END_MS: u64 = 500;

/// Which rules a file follows where QuickTime and its successor differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Family {
    /// ISO/IEC 14496-12.
    #[default]
    Iso,
    /// The QuickTime File Format: the major brand is `qt  `.
    QuickTime,
}

/// One track.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its id in the source.
    pub id: u32,
    /// What it is coded with.
    pub codec: TrackCodec,
    /// Ticks per second.
    pub timescale: NonZeroU32,
    /// RFC 5646 language, unless undetermined.
    pub language: Option<String>,
    /// The same as `mdhd` packs it.
    pub packed_language: u16,
    /// Type of the sample entry.
    pub entry: FourCc,
    /// Body of the sample entry, with its boxes.
    pub entry_body: Vec<u8>,
    /// How it is placed on the screen.
    pub frame: TrackFrame,
    /// Where it begins.
    pub edit: Edit,
    /// Its samples.
    pub samples: SampleTable,
}

/// Fields of `tkhd` that a player shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackFrame {
    /// Volume, 8.8.
    pub volume: u16,
    /// Transformation.
    pub matrix: [u8; 36],
    /// Width on the screen, 16.16.
    pub width: u32,
    /// Height on the screen, 16.16.
    pub height: u32,
}

/// An edit list of the only shape that fragmented files can keep (ISO/IEC 23000-19, 7.5.13):
/// an optional delay, then the media from some time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Ticks of nothing before the media.
    pub delay: u64,
    /// Composition time that is presented first, in ticks.
    pub media_time: u64,
}

impl Track {
    /// Length of all samples, milliseconds, rounded down.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        ms(self.samples.total_ticks(), self.timescale)
    }
}

/// Ticks as milliseconds, rounded down.
pub(super) fn ms(ticks: u64, timescale: NonZeroU32) -> u64 {
    let ms = u128::from(ticks) * 1000 / u128::from(timescale.get());
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// Refuses media that is shorter than a header declares.
pub(super) fn check_declared(place: Place, declared_ms: u64, found_ms: u64) -> Result<(), Fault> {
    if declared_ms > found_ms.saturating_add(SLACK_MS) {
        Err(place.fault(Malformed::ShorterThanDeclared { declared_ms, found_ms }))
    } else {
        Ok(())
    }
}

/// Timescale and duration of `mvhd` or `mdhd`, and what follows.
pub(super) fn read_timescale(body: &[u8]) -> Result<(NonZeroU32, Option<u64>, Fields<'_>), What> {
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    fields.time(version)?;
    fields.time(version)?;
    let timescale = NonZeroU32::new(fields.u32()?).ok_or(Malformed::Value("a timescale of 0"))?;
    let duration = fields.time(version)?;
    let is_unknown = duration == if version == 1 { u64::MAX } else { u64::from(u32::MAX) };
    Ok((timescale, Some(duration).filter(|_| !is_unknown), fields))
}

pub(super) fn read_tkhd(body: &[u8]) -> Result<(u32, TrackFrame), BoxError> {
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    fields.time(version)?;
    fields.time(version)?;
    let id = fields.u32()?;
    fields.take(4)?;
    fields.time(version)?;
    fields.take(12)?;
    let volume = fields.u16()?;
    fields.take(2)?;
    let matrix = fields.array()?;
    Ok((id, TrackFrame { volume, matrix, width: fields.u32()?, height: fields.u32()? }))
}

pub(super) fn read_handler(source: &mut Source<'_>, hdlr: &Located) -> Result<FourCc, Fault> {
    let body = source.body(hdlr)?;
    let mut fields = Fields::new(&body);
    let handler = fields.take(8).and_then(|_| fields.four_cc());
    handler.map_err(|error| hdlr.place().fault(error))
}

/// What `mdia` says of any track.
pub(super) struct Media {
    pub timescale: NonZeroU32,
    pub language: Option<String>,
    pub packed_language: u16,
    pub entry: FourCc,
    pub entry_body: Vec<u8>,
    pub samples: SampleTable,
    /// The sample description.
    pub stsd: Place,
}

pub(super) fn read_media(
    source: &mut Source<'_>,
    mdia: &Located,
    media: &[Located],
    handler: FourCc,
    family: Family,
) -> Result<Media, Fault> {
    let mdhd = require(media, b"mdhd", mdia)?;
    let mdhd_body = source.body(&mdhd)?;
    let (timescale, declared, mut rest) =
        read_timescale(&mdhd_body).map_err(|what| Fault { place: mdhd.place(), what })?;
    let mut packed_language = rest.u16().map_err(|error| mdhd.place().fault(error))?;
    if family == Family::QuickTime {
        packed_language = language::of_macintosh(packed_language);
    }
    let language = match find(media, b"elng") {
        Some(elng) => language::extended(&source.body(elng)?),
        None => language::packed(packed_language),
    };
    let minf = require(media, b"minf", mdia)?;
    let information = source.children_of(&minf)?;
    let stbl = require(&information, b"stbl", &minf)?;
    let children = source.children_of(&stbl)?;
    check_data_reference(source, &require(&information, b"dinf", &minf)?)?;
    let stsd = require(&children, b"stsd", &stbl)?;
    let (entry, entry_body) = read_sample_entry(source, &stsd, handler)?;
    let stsd = stsd.place();
    let samples = tables::read(source, &stbl, &children)?;
    if samples.count() > 0 {
        let found = ms(samples.total_ticks(), timescale);
        check_declared(mdhd.place(), ms(declared.unwrap_or(0), timescale), found)?;
    }
    let packed_language = language::repacked(packed_language);
    Ok(Media { timescale, language, packed_language, entry, entry_body, samples, stsd })
}

impl Media {
    /// As a track of picture or sound.
    pub fn into_track(self, handler: FourCc, id: u32, frame: TrackFrame) -> Result<Track, Fault> {
        let Self { timescale, language, packed_language, entry, entry_body, samples, stsd } = self;
        let codec =
            TrackCodec::parse(entry, &entry_body).map_err(|what| Fault { place: stsd, what })?;
        let is_video = matches!(codec, TrackCodec::Video(_));
        if is_video != (handler.0 == *b"vide") {
            return Err(stsd.fault(Unsupported::Codec(entry)));
        }
        Ok(Track {
            id,
            codec,
            timescale,
            language,
            packed_language,
            entry,
            entry_body,
            frame,
            edit: Edit::default(),
            samples,
        })
    }
}

/// The media must lie in the same file (8.7.2: flag 1).
fn check_data_reference(source: &mut Source<'_>, dinf: &Located) -> Result<(), Fault> {
    let children = source.children_of(dinf)?;
    let dref = require(&children, b"dref", dinf)?;
    let body = source.body(&dref)?;
    let is_here = (|| {
        let mut fields = Fields::new(&body);
        fields.take(8)?;
        for entry in boxes(fields.rest()) {
            let (_, flags) = Fields::new(entry?.body).version_and_flags()?;
            if flags & 1 == 0 {
                return Ok(false);
            }
        }
        Ok::<_, BoxError>(true)
    })();
    if is_here.map_err(|error| dref.place().fault(error))? {
        Ok(())
    } else {
        Err(dref.place().fault(Unsupported::Feature("media in another file")))
    }
}

/// The one entry of `stsd` (8.5.2), its body as it is written again.
fn read_sample_entry(
    source: &mut Source<'_>,
    stsd: &Located,
    handler: FourCc,
) -> Result<(FourCc, Vec<u8>), Fault> {
    let body = source.body(stsd)?;
    let read = (|| {
        let mut fields = Fields::new(&body);
        let (version, _) = fields.version_and_flags()?;
        let count = fields.u32()?;
        let entry = boxes(fields.rest()).next().ok_or(BoxError::Truncated)??;
        fields.take(entry.whole.len())?;
        // QuickTime may end a table with zeros.
        if count > 1 || fields.rest().iter().any(|byte| *byte != 0) {
            return Err(Unsupported::Feature("a second sample description").into());
        }
        Ok::<_, What>((entry.kind, codec::entry_body(handler, entry.kind, version, entry.body)?))
    })();
    read.map_err(|what| Fault { place: stsd.place(), what })
}

/// `elst` (8.6.6).
pub(super) fn read_edits(
    body: &[u8],
    movie: NonZeroU32,
    media: &Media,
    is_fragmented: bool,
) -> Result<Edit, What> {
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    let count = fields.u32()?;
    let mut edit = Edit::default();
    let other = What::Unsupported(Unsupported::Feature("an edit list beyond delay and start"));
    let mut has_media = count == 0;
    for number in 0..count {
        let duration = fields.time(version)?;
        let media_time =
            if version == 1 { fields.u64()?.cast_signed() } else { i64::from(fields.i32()?) };
        let is_normal_speed = fields.u32()? == 0x1_0000;
        match (u64::try_from(media_time), has_media) {
            (Err(_), false) if number == 0 => {
                edit.delay = rescale(duration, movie, media.timescale)
            }
            (Ok(start), false) if is_normal_speed => {
                has_media = true;
                edit.media_time = start;
                check_edit_end(duration, movie, media, start, is_fragmented)?;
            }
            _ => return Err(other),
        }
    }
    if has_media { Ok(edit) } else { Err(other) }
}

/// An edit that ends early would hide media; the fragmented form cannot say so.
fn check_edit_end(
    duration: u64,
    movie: NonZeroU32,
    track: &Media,
    start: u64,
    is_fragmented: bool,
) -> Result<(), What> {
    let media = track.samples.total_ticks();
    if media == 0 || (is_fragmented && duration == 0) {
        return Ok(());
    }
    let left = media.checked_sub(start).ok_or(Malformed::Value("the start of the edit list"))?;
    let (told_ms, left_ms) = (ms(duration, movie), ms(left, track.timescale));
    if told_ms > left_ms.saturating_add(SLACK_MS) {
        let fault = Malformed::ShorterThanDeclared { declared_ms: told_ms, found_ms: left_ms };
        return Err(fault.into());
    }
    if !is_fragmented && left_ms > told_ms.saturating_add(MAX_HIDDEN_END_MS) {
        return Err(Unsupported::Feature("an edit list that hides the end of the media").into());
    }
    Ok(())
}

fn rescale(ticks: u64, from: NonZeroU32, to: NonZeroU32) -> u64 {
    let scaled = u128::from(ticks) * u128::from(to.get()) / u128::from(from.get());
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
