//! Fragmented MP4 box by box (ISO/IEC 14496-12:2022, 4.2 and 8.8): bytes go in as they come, the
//! movie and then the samples of each fragment come out.

use crate::bmff::{BoxError, BoxHead, FourCc};
use crate::input::{Fault, Input, Malformed, Place, StreamedMovie, Track, Unsupported};
use std::io;

/// Bytes of `ftyp`.
const MAX_FILE_TYPE: u64 = 64 << 10;
/// Bytes of `moov`.
const MAX_MOVIE: u64 = 16 << 20;
/// Bytes of one `moof`.
const MAX_FRAGMENT: u64 = 4 << 20;
/// Bytes of one `mdat`: ten seconds of the best picture there is.
const MAX_MEDIA_DATA: u64 = 64 << 20;

/// What comes out of a stream.
#[derive(Debug)]
pub enum Event {
    /// Its tracks, before any sample. Once.
    Movie {
        /// Video and audio; their sample tables are empty.
        tracks: Vec<Track>,
        /// Handler types of tracks that are neither.
        left_out: Vec<FourCc>,
    },
    /// The samples of one fragment.
    Fragment(Vec<TrackSamples>),
}

/// What one fragment has of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSamples {
    /// Index of the track.
    pub track: usize,
    /// Its samples, in decode order.
    pub samples: Vec<StreamSample>,
    /// Their bytes, one behind the other.
    pub bytes: Vec<u8>,
}

/// One sample of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSample {
    /// Decode time in ticks, as the stream says it.
    pub decode_time: u64,
    /// Ticks to the next decode time.
    pub duration: u32,
    /// Composition time less decode time, in ticks.
    pub composition: i32,
    /// Whether decoding can begin here.
    pub is_sync: bool,
    /// Bytes.
    pub size: u32,
}

/// Reads a stream.
#[derive(Default)]
pub struct Reader {
    /// What was not used yet.
    buffer: Vec<u8>,
    /// Where in the stream it begins.
    start: u64,
    /// Bytes of a box that nobody needs, still to come.
    skip: u64,
    /// `ftyp`, until `moov` is there.
    file_type: Vec<u8>,
    movie: Option<StreamedMovie>,
}

/// Bytes somewhere in the stream.
struct Window<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl Input for Window<'_> {
    fn len(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = offset.checked_sub(self.start).ok_or(io::ErrorKind::UnexpectedEof)?;
        (&mut &*self.bytes).read_at(from, out)
    }
}

impl Reader {
    /// Takes the next bytes. Call [`Self::next`] until it has nothing before giving more: then no
    /// more is kept than one fragment.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next thing that is whole; `None` where more bytes are needed.
    ///
    /// Errors: [`Fault`], by offsets in the stream; the stream cannot be read on.
    /// Limits: [`MAX_MOVIE`], [`MAX_FRAGMENT`], [`MAX_MEDIA_DATA`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            self.pass_by();
            if self.skip > 0 {
                return Ok(None);
            }
            let Some(head) = self.head(0)? else { return Ok(None) };
            if self.start == 0 && !matches!(&head.kind.0, b"ftyp" | b"styp" | b"moov" | b"free") {
                return Err(Place::File.fault(Malformed::NotMp4));
            }
            let step = match &head.kind.0 {
                b"ftyp" | b"moov" => self.begin(&head)?,
                b"moof" => self.fragment(&head)?,
                b"mdat" => {
                    return Err(Place::Byte(self.start).fault(Malformed::UnusedMediaData));
                }
                _ => {
                    self.skip = head.len;
                    Step::On
                }
            };
            match step {
                Step::On => {}
                Step::Wait => return Ok(None),
                Step::Event(event) => return Ok(Some(event)),
            }
        }
    }

    /// Says that the stream is at its end.
    ///
    /// Errors: it ended inside a box, or before anything could be packaged.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.start == 0 && self.buffer.is_empty() {
            return Err(Place::File.fault(Malformed::Empty));
        }
        if self.skip > 0 || !self.buffer.is_empty() {
            let end = self.start.saturating_add(self.buffer.len() as u64);
            return Err(Place::Byte(end).fault(BoxError::Truncated));
        }
        match self.movie {
            Some(_) => Ok(()),
            None => Err(Place::File.fault(Malformed::Missing(FourCc(*b"moov")))),
        }
    }

    /// `ftyp` and `moov`.
    fn begin(&mut self, head: &BoxHead) -> Result<Step, Fault> {
        let is_movie = head.kind.0 == *b"moov";
        let limit = if is_movie { MAX_MOVIE } else { MAX_FILE_TYPE };
        let Some(end) = self.whole(head, 0, limit)? else { return Ok(Step::Wait) };
        if self.movie.is_some() {
            return Err(self.place(head).fault(Malformed::Value("a second movie")));
        }
        let whole = self.buffer.get(..end).unwrap_or_default();
        if !is_movie {
            self.file_type = whole.to_vec();
            self.consume(end);
            return Ok(Step::On);
        }
        let bytes = [self.file_type.as_slice(), whole].concat();
        let movie = StreamedMovie::read(&mut bytes.as_slice())?;
        let (tracks, left_out) = (movie.tracks().to_vec(), movie.left_out());
        self.movie = Some(movie);
        self.file_type = Vec::new();
        self.consume(end);
        Ok(Step::Event(Event::Movie { tracks, left_out }))
    }

    /// `moof`, and the `mdat` right behind it.
    fn fragment(&mut self, head: &BoxHead) -> Result<Step, Fault> {
        let place = self.place(head);
        if self.movie.is_none() {
            return Err(place.fault(Malformed::Missing(FourCc(*b"moov"))));
        }
        let Some(moof) = self.whole(head, 0, MAX_FRAGMENT)? else { return Ok(Step::Wait) };
        let Some(data) = self.head(moof)? else { return Ok(Step::Wait) };
        if data.kind.0 != *b"mdat" {
            return Err(place.fault(Malformed::Missing(FourCc(*b"mdat"))));
        }
        let Some(end) = self.whole(&data, moof, MAX_MEDIA_DATA)? else { return Ok(Step::Wait) };
        let bytes = self.buffer.get(..end).unwrap_or_default();
        let Some(movie) = &mut self.movie else { return Ok(Step::Wait) };
        let read = movie.fragment(&mut Window { start: self.start, bytes }, self.start)?;
        let mut found = Vec::with_capacity(read.len());
        for fragment in read {
            let mut samples = Vec::with_capacity(fragment.samples.len());
            let mut kept = Vec::new();
            for sample in &fragment.samples {
                let bytes = usize::try_from(sample.offset.saturating_sub(self.start))
                    .ok()
                    .and_then(|from| bytes.get(from..)?.get(..sample.size as usize));
                let missing = Malformed::OutsideMediaData { size: sample.size };
                kept.extend_from_slice(bytes.ok_or_else(|| place.fault(missing))?);
                samples.push(StreamSample {
                    decode_time: sample.decode_time,
                    duration: sample.duration,
                    composition: sample.composition,
                    is_sync: sample.is_sync,
                    size: sample.size,
                });
            }
            found.push(TrackSamples { track: fragment.track, samples, bytes: kept });
        }
        self.consume(end);
        Ok(Step::Event(Event::Fragment(found)))
    }

    /// The header `at` bytes into the buffer; `None` where it is not whole.
    fn head(&self, at: usize) -> Result<Option<BoxHead>, Fault> {
        let bytes = self.buffer.get(at..).unwrap_or_default();
        let place = || Place::Byte(self.start.saturating_add(at as u64));
        match BoxHead::parse(bytes, u64::MAX) {
            Ok(head) if head.len == u64::MAX => {
                let what = Unsupported::Feature("a box without a length in a stream");
                Err(place().fault(what))
            }
            Ok(head) => Ok(Some(head)),
            Err(BoxError::Truncated) => Ok(None),
            Err(error) => Err(place().fault(error)),
        }
    }

    /// Where the box that begins `at` bytes into the buffer ends; `None` until all of it is there.
    fn whole(&self, head: &BoxHead, at: usize, limit: u64) -> Result<Option<usize>, Fault> {
        if head.len > limit {
            let what = Unsupported::Limit { what: "bytes in this box", limit };
            let offset = self.start.saturating_add(at as u64);
            return Err(Place::Box { kind: head.kind, offset }.fault(what));
        }
        let end = usize::try_from(head.len).ok().and_then(|len| at.checked_add(len));
        Ok(end.filter(|end| *end <= self.buffer.len()))
    }

    const fn place(&self, head: &BoxHead) -> Place {
        Place::Box { kind: head.kind, offset: self.start }
    }

    fn pass_by(&mut self) {
        let there = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffer.len());
        self.consume(there);
        self.skip = self.skip.saturating_sub(there as u64);
    }

    fn consume(&mut self, len: usize) {
        self.buffer.drain(..len.min(self.buffer.len()));
        self.start = self.start.saturating_add(len as u64);
    }
}

/// What became of a box.
enum Step {
    /// It is done with.
    On,
    /// It is not whole.
    Wait,
    /// It said this.
    Event(Event),
}
