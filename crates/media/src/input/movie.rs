//! A source as a whole: `moov`, its tracks, and the fragments behind it.

mod streamed;

pub(crate) use streamed::StreamedMovie;

use super::fault::{Fault, Malformed, Place, Unsupported, What};
use super::fragments::{self, Defaults};
use super::sample_table::MediaData;
use super::source::{Input, Located, Source, find, require};
use super::text_track::{self, TextTrack};
use super::track::{
    Edit, Family, Media, Track, check_declared, ms, read_edits, read_handler, read_media,
    read_timescale, read_tkhd,
};
use crate::bmff::{BoxError, Fields, FourCc};
use std::num::NonZeroU32;

/// Tracks of one source.
const MAX_TRACKS: usize = 64;
/// Boxes at the top of a file: a day of fragments of a quarter second, and their data.
const MAX_TOP_LEVEL: u32 = 1 << 20;
/// What a source holds.
#[derive(Clone, Debug)]
pub struct Movie {
    /// Video and audio, in the order of the source.
    pub tracks: Vec<Track>,
    /// Subtitles, in the order of the source.
    pub texts: Vec<TextTrack>,
    /// Handler types of tracks that are none of these and are left out: other text, time codes,
    /// hints.
    pub left_out: Vec<FourCc>,
}

/// Reads everything but the samples. Errors: [`Fault`].
pub fn read(input: &mut dyn Input) -> Result<Movie, Fault> {
    let mut source = Source::new(input);
    if source.len() == 0 {
        return Err(Place::File.fault(Malformed::Empty));
    }
    let mut reading = Reading::default();
    let mut offset = 0;
    for _ in 0..MAX_TOP_LEVEL {
        if offset == source.len() {
            return reading.finish();
        }
        let located = match source.box_at(offset, source.len()) {
            Ok(located) if offset > 0 || is_first(located.kind) => located,
            Err(fault) if offset > 0 || matches!(fault.what, What::Read(_)) => return Err(fault),
            Err(Fault { what: What::Malformed(Malformed::Box(error)), place }) if matches!(error, BoxError::TooLong { kind, .. } if is_first(kind)) =>
            {
                return Err(place.fault(error));
            }
            _ => return Err(Place::File.fault(Malformed::NotMp4)),
        };
        reading.top_level(&mut source, &located)?;
        offset = located.end;
    }
    let what = Unsupported::Limit { what: "boxes in a file", limit: u64::from(MAX_TOP_LEVEL) };
    Err(Place::Byte(offset).fault(what))
}

/// Boxes with which files of the family begin.
fn is_first(kind: FourCc) -> bool {
    matches!(
        &kind.0,
        b"ftyp"
            | b"styp"
            | b"moov"
            | b"mdat"
            | b"free"
            | b"skip"
            | b"wide"
            | b"pnot"
            | b"pdin"
            | b"uuid"
    )
}

#[derive(Default)]
struct Reading {
    family: Family,
    moov: Option<Moov>,
    /// Bodies of `mdat`, in order.
    media_data: Vec<MediaData>,
    has_fragments: bool,
}

struct Moov {
    family: Family,
    place: Place,
    movie: Movie,
    timescale: NonZeroU32,
    defaults: Vec<Defaults>,
    left_out_ids: Vec<u32>,
    /// `mehd`, in the movie's timescale.
    declared: Option<u64>,
}

impl Reading {
    fn top_level(&mut self, source: &mut Source<'_>, located: &Located) -> Result<(), Fault> {
        match &located.kind.0 {
            b"ftyp" => {
                let mut brand = [0; 4];
                if located.end - located.body >= 4 {
                    source.read(located.body, &mut brand)?;
                }
                if brand == *b"qt  " {
                    self.family = Family::QuickTime;
                }
            }
            b"mdat" => {
                let (start, end) = (located.body, located.end);
                self.media_data.push(MediaData { start, end, used: 0 });
            }
            b"moov" if self.moov.is_some() => {
                return Err(located.place().fault(Malformed::Value("a second movie")));
            }
            b"moov" => self.moov = Some(read_moov(source, located, self.family)?),
            b"moof" => {
                self.has_fragments = true;
                let missing = Malformed::Missing(FourCc(*b"moov"));
                let moov = self.moov.as_mut().ok_or_else(|| located.place().fault(missing))?;
                let kept = moov.movie.tracks.iter_mut().map(|t| (t.id, Some(&mut t.samples)));
                let texts = moov.movie.texts.iter_mut().map(|t| (t.id, Some(&mut t.samples)));
                let left_out = moov.left_out_ids.iter().map(|id| (*id, None));
                let mut tables: Vec<_> = kept.chain(texts).chain(left_out).collect();
                let room = source.len();
                fragments::read(source, located, room, &moov.defaults, &mut tables)?;
            }
            b"sidx" => check_index(source, located)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Movie, Fault> {
        let moov =
            self.moov.ok_or_else(|| Place::File.fault(Malformed::Missing(FourCc(*b"moov"))))?;
        if moov.movie.tracks.is_empty() && moov.movie.texts.is_empty() {
            return Err(moov.place.fault(Malformed::NoTracks));
        }
        for track in &moov.movie.tracks {
            track.samples.check(track.id, &mut self.media_data)?;
        }
        for text in &moov.movie.texts {
            text.samples.check(text.id, &mut self.media_data)?;
        }
        // A fragment that was lost leaves media data behind.
        let orphan = self.media_data.iter().find(|data| data.used < data.end - data.start);
        if let Some(orphan) = orphan.filter(|_| self.has_fragments && moov.left_out_ids.is_empty())
        {
            return Err(Place::Byte(orphan.start).fault(Malformed::UnusedMediaData));
        }
        if let Some(declared) = moov.declared {
            let tracks = moov.movie.tracks.iter().map(Track::length_ms);
            let texts = moov.movie.texts.iter().map(TextTrack::length_ms);
            let found = tracks.chain(texts).max().unwrap_or(0);
            check_declared(moov.place, ms(declared, moov.timescale), found)?;
        }
        Ok(moov.movie)
    }
}

/// A segment index must not name bytes behind the end of the file.
fn check_index(source: &mut Source<'_>, located: &Located) -> Result<(), Fault> {
    let body = source.body(located)?;
    let sum = (|| {
        let mut fields = Fields::new(&body);
        let (version, _) = fields.version_and_flags()?;
        fields.take(8)?;
        fields.time(version)?;
        let mut end = located.end.saturating_add(fields.time(version)?);
        fields.u16()?;
        for _ in 0..fields.u16()? {
            end = end.saturating_add(u64::from(fields.u32()? & 0x7fff_ffff));
            fields.take(8)?;
        }
        Ok::<_, BoxError>(end)
    })();
    let end = sum.map_err(|error| located.place().fault(error))?;
    if end > source.len() {
        let what = BoxError::TooLong { kind: located.kind, claimed: end, room: source.len() };
        return Err(located.place().fault(what));
    }
    Ok(())
}

fn read_moov(source: &mut Source<'_>, moov: &Located, family: Family) -> Result<Moov, Fault> {
    let children = source.children_of(moov)?;
    if let Some(pssh) = find(&children, b"pssh") {
        return Err(pssh.place().fault(Unsupported::Encrypted));
    }
    let mvhd = require(&children, b"mvhd", moov)?;
    let body = source.body(&mvhd)?;
    let timescale = read_timescale(&body).map_err(|what| Fault { place: mvhd.place(), what })?.0;
    let mut read = Moov {
        family,
        place: moov.place(),
        movie: Movie { tracks: Vec::new(), texts: Vec::new(), left_out: Vec::new() },
        timescale,
        defaults: Vec::new(),
        left_out_ids: Vec::new(),
        declared: None,
    };
    for trak in children.iter().filter(|child| child.kind.0 == *b"trak") {
        let Movie { tracks, texts, .. } = &read.movie;
        if tracks.len() + texts.len() + read.left_out_ids.len() == MAX_TRACKS {
            let what = Unsupported::Limit { what: "tracks", limit: MAX_TRACKS as u64 };
            return Err(trak.place().fault(what));
        }
        read.add_track(source, trak, find(&children, b"mvex").is_some())?;
    }
    if let Some(mvex) = find(&children, b"mvex") {
        read.read_mvex(source, mvex)?;
    }
    Ok(read)
}

impl Moov {
    fn read_mvex(&mut self, source: &mut Source<'_>, mvex: &Located) -> Result<(), Fault> {
        for child in source.children_of(mvex)? {
            let at = |what: What| Fault { place: child.place(), what };
            match &child.kind.0 {
                b"trex" => {
                    let body = source.body(&child)?;
                    self.defaults.push(Defaults::parse(&body).map_err(at)?);
                }
                b"mehd" => {
                    let body = source.body(&child)?;
                    let mut fields = Fields::new(&body);
                    let declared =
                        fields.version_and_flags().and_then(|(version, _)| fields.time(version));
                    self.declared = Some(declared.map_err(|error| at(error.into()))?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_track(
        &mut self,
        source: &mut Source<'_>,
        trak: &Located,
        is_fragmented: bool,
    ) -> Result<(), Fault> {
        let children = source.children_of(trak)?;
        let tkhd = require(&children, b"tkhd", trak)?;
        let (id, frame) = read_tkhd(&source.body(&tkhd)?)
            .map_err(|error| Fault { place: tkhd.place(), what: error.into() })?;
        let mdia = require(&children, b"mdia", trak)?;
        let media = source.children_of(&mdia)?;
        let handler = read_handler(source, &require(&media, b"hdlr", &mdia)?)?;
        if id == 0 || self.knows(id) {
            return Err(tkhd.place().fault(Malformed::Value("a track id")));
        }
        let is_text = text_track::is_subtitles(source, handler, &media)?;
        if !is_text && !matches!(&handler.0, b"vide" | b"soun") {
            self.movie.left_out.push(handler);
            self.left_out_ids.push(id);
            return Ok(());
        }
        let read = read_media(source, &mdia, &media, handler, self.family)?;
        let edit = self.read_edit(source, &children, &read, is_fragmented)?;
        if is_text {
            self.movie.texts.push(TextTrack::new(id, read, edit));
        } else {
            let track = read.into_track(handler, id, frame)?;
            self.movie.tracks.push(Track { edit, ..track });
        }
        Ok(())
    }

    fn knows(&self, id: u32) -> bool {
        let Movie { tracks, texts, .. } = &self.movie;
        self.left_out_ids.contains(&id)
            || tracks.iter().any(|track| track.id == id)
            || texts.iter().any(|text| text.id == id)
    }

    fn read_edit(
        &self,
        source: &mut Source<'_>,
        trak: &[Located],
        media: &Media,
        is_fragmented: bool,
    ) -> Result<Edit, Fault> {
        let Some(edts) = find(trak, b"edts") else { return Ok(Edit::default()) };
        let edit = source.children_of(edts)?;
        let Some(elst) = find(&edit, b"elst") else { return Ok(Edit::default()) };
        let body = source.body(elst)?;
        let edits = read_edits(&body, self.timescale, media, is_fragmented);
        edits.map_err(|what| Fault { place: elst.place(), what })
    }
}
