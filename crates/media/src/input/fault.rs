//! What is wrong with a source, and where.

use crate::bmff::{BoxError, FourCc};
use crate::codec::CodecError;
use crate::text::TextError;

/// What is wrong with a source, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

/// A place in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Place {
    /// The file as a whole.
    #[error("the file")]
    File,
    /// Bytes.
    #[error("byte {0}")]
    Byte(u64),
    /// A box.
    #[error("box '{kind}' at byte {offset}")]
    Box {
        /// Its type.
        kind: FourCc,
        /// Offset of its header in the file.
        offset: u64,
    },
    /// A line of a text, counted from 1.
    #[error("line {0}")]
    Line(u32),
    /// A track.
    #[error("track {0}")]
    Track(u32),
    /// A sample.
    #[error("track {track}, sample {number} at byte {offset}")]
    Sample {
        /// The track's id.
        track: u32,
        /// Counted from 1.
        number: u32,
        /// Offset of its first byte in the file.
        offset: u64,
    },
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// The source breaks the rules of its format.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The source is well formed and beyond what Strongroom packages.
    #[error("{0}")]
    Unsupported(#[from] Unsupported),
    /// The source could not be read.
    #[error("cannot read: {0}")]
    Read(std::io::Error),
}

/// How a source breaks the rules of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It does not begin with a box of the MP4 family, and is no subtitles either.
    #[error("this is not an MP4 file, nor WebVTT or TTML")]
    NotMp4,
    /// A box is broken or cut off.
    #[error("{0}")]
    Box(#[from] BoxError),
    /// A box is missing.
    #[error("the box '{0}' is missing")]
    Missing(FourCc),
    /// A table declares more entries than its box has room for.
    #[error("it declares {declared} entries and has room for {room}")]
    Count {
        /// What it says.
        declared: u64,
        /// What fits.
        room: u64,
    },
    /// Two tables of one track disagree on the number of samples.
    #[error("'{kind}' describes {told} samples, the sizes {expected}")]
    SampleCount {
        /// The table.
        kind: FourCc,
        /// What it describes.
        told: u64,
        /// What the size table describes.
        expected: u64,
    },
    /// A field has a value that makes no sense.
    #[error("{0} makes no sense")]
    Value(&'static str),
    /// There is less media than a header declares.
    #[error("it declares {declared_ms} ms and holds {found_ms} ms: the file is cut off or damaged")]
    ShorterThanDeclared {
        /// What the header says.
        declared_ms: u64,
        /// What the samples add up to.
        found_ms: u64,
    },
    /// Fragments do not follow each other in time.
    #[error("its decode time {told} lies before the end of the fragment before it, {reached}")]
    TimeGoesBack {
        /// What `tfdt` says.
        told: u64,
        /// The decode time of the last sample before it.
        reached: u64,
    },
    /// A track has no samples.
    #[error("it has no samples")]
    NoSamples,
    /// There is no track to package.
    #[error("it has no track of video, audio or subtitles")]
    NoTracks,
    /// The first sample of a track cannot be decoded on its own.
    #[error("the first sample is not a sync sample")]
    NoSyncAtStart,
    /// A sample lies outside the media data.
    #[error("its {size} bytes lie outside the media data: the file is cut off or damaged")]
    OutsideMediaData {
        /// Bytes of the sample.
        size: u32,
    },
    /// No fragment tells what lies in a part of the media data.
    #[error("no fragment describes all of this media data: the file is damaged")]
    UnusedMediaData,
    /// A sample has no bytes.
    #[error("the sample is empty")]
    EmptySample,
    /// The lengths of a sample's NAL units do not add up to the sample.
    #[error("its NAL units do not fill the sample: byte {at} of {size}")]
    NalLengths {
        /// Where in the sample the walk failed.
        at: usize,
        /// Bytes of the sample.
        size: usize,
    },
    /// The coded media is broken.
    #[error("{0}")]
    Codec(CodecError),
    /// The subtitles are broken.
    #[error("{0}")]
    Text(TextError),
}

/// What Strongroom does not package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// It is encrypted already.
    #[error("it is encrypted already")]
    Encrypted,
    /// A codec.
    #[error("the codec '{0}' is not supported")]
    Codec(FourCc),
    /// An MPEG-4 audio object type, or what else stands in an `esds`.
    #[error("MPEG-4 audio of object type {0} is not supported: AAC-LC, HE-AAC and HE-AAC v2 are")]
    AudioObject(u8),
    /// A feature, said in words.
    #[error("{0} is not supported")]
    Feature(&'static str),
    /// A named limit of this program.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl From<BoxError> for What {
    fn from(error: BoxError) -> Self {
        Self::Malformed(Malformed::Box(error))
    }
}

impl From<CodecError> for What {
    fn from(error: CodecError) -> Self {
        Self::Malformed(Malformed::Codec(error))
    }
}

impl From<TextError> for What {
    fn from(error: TextError) -> Self {
        Self::Malformed(Malformed::Text(error))
    }
}

impl Place {
    /// A fault here.
    pub(crate) fn fault(self, what: impl Into<What>) -> Fault {
        Fault { place: self, what: what.into() }
    }
}
