//! Why there is no package.

use crate::cenc::SampleInfoError;
use crate::input::{Fault, Place};
use model::{Scheme, TrackClass};

/// Why there is no package. Each says where and what; none carries payload or keys.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A source is damaged, of another kind, or beyond what Strongroom packages.
    #[error("{file}: {fault}")]
    Input {
        /// The source, as the user named it.
        file: String,
        /// Where and what.
        fault: Fault,
    },
    /// A sample cannot be described in the format.
    #[error("{file}: {place}: {what}")]
    Sample {
        /// The source.
        file: String,
        /// Which sample.
        place: Place,
        /// Why.
        what: SampleInfoError,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// The keys do not fit the tracks.
    #[error("{0}")]
    Keys(#[from] KeyFault),
    /// The renditions of the ladder cannot be switched between.
    #[error("{0}")]
    Ladder(#[from] LadderFault),
    /// The ladder cannot be cut at a cue.
    #[error("{0}")]
    Cue(#[from] CueFault),
    /// The package could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file in the package.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// What was written is not what was meant: our fault, and the reason why nothing of it may
    /// be published.
    #[error("the package failed its verification: {path}: {what}")]
    Verification {
        /// The file in the package.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// What is wrong with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No source.
    #[error("there is nothing to package")]
    NoInput,
    /// Subtitles without picture or sound: nothing says where to cut them.
    #[error("there are subtitles and neither picture nor sound for them")]
    OnlyText,
    /// No scheme, or one twice.
    #[error("a package needs each of its schemes once")]
    Schemes,
    /// A segment length of 0 or beyond [`super::MAX_SEGMENT_S`].
    #[error("segments last between 1 and {} seconds", super::MAX_SEGMENT_S)]
    SegmentLength,
    /// More tracks than [`super::MAX_TRACKS`].
    #[error("more than {} tracks", super::MAX_TRACKS)]
    TooManyTracks,
    /// A clear lead beyond [`super::MAX_CLEAR_LEAD_S`].
    #[error("a clear lead lasts at most {} seconds", super::MAX_CLEAR_LEAD_S)]
    ClearLead,
    /// No picture, or one whose key frames are too far apart.
    #[error("there is no picture whose key frames could be a track of their own")]
    NoTrickTrack,
    /// Cues with single files: each period of a file would need an index of its own.
    #[error(
        "ad cues need a file for each segment: a single file has one index, and each period would need its own"
    )]
    CuesInOneFile,
    /// More cues than [`super::MAX_AD_CUES`].
    #[error("more than {} ad cues", super::MAX_AD_CUES)]
    TooManyCues,
    /// A key period that is shorter than a segment.
    #[error("a key serves at least one segment, which lasts {segment_s} seconds")]
    KeyPeriod {
        /// What was asked for.
        segment_s: u32,
    },
    /// More key periods than [`super::MAX_KEY_PERIODS`].
    #[error("the title has more than {} key periods", super::MAX_KEY_PERIODS)]
    TooManyKeyPeriods,
    /// Key periods that manifests tell with single files.
    #[error(
        "key periods in manifests need a file for each segment: a single file has one init, and \
         each key would need its own"
    )]
    KeyPeriodsInOneFile,
    /// A manifest that nobody could be served.
    #[error(
        "with so many key periods a manifest would be longer than 8 MiB: longer periods, or keys \
         that change in band, are needed"
    )]
    ManifestTooLong,
    /// A source is described twice.
    #[error("source {input} is described twice")]
    DescribedTwice {
        /// Which, counted from 1.
        input: usize,
    },
    /// A description that fits nothing in its source.
    #[error("there is neither sound nor subtitles in source {input} that the description fits")]
    NothingDescribed {
        /// Which, counted from 1.
        input: usize,
    },
    /// A language that is no tag.
    #[error("a language is a tag such as de, en-GB or zh-Hant")]
    Language,
    /// A label that is empty, too long or cannot stand in a playlist.
    #[error(
        "a label has 1 to {} characters, and no quotation mark or control character",
        super::MAX_LABEL
    )]
    Label,
    /// A window that holds no three segments, or is beyond [`super::channel::MAX_WINDOW_S`].
    #[error(
        "the window of a live channel lasts between {shortest} seconds, which are three segments, \
         and {} seconds",
        super::channel::MAX_WINDOW_S
    )]
    Window {
        /// The shortest.
        shortest: u32,
    },
    /// A batch of more periods than [`super::channel::MAX_BATCH`]: nobody knows how long an event is.
    #[error("a batch of a live channel has at most {} periods", super::channel::MAX_BATCH)]
    Batch,
    /// A stream that does not go on where another one ended.
    #[error(
        "the stream has other tracks, codec settings or keys than the channel began with: players \
         could not go on; begin another channel, or send what it began with"
    )]
    OtherStream,
    /// More segments than one index holds.
    #[error("a single file holds at most 65535 segments: longer segments are needed")]
    TooManySegments,
}

/// Why the ladder cannot be cut at a cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CueFault {
    /// At the begin or behind the end.
    #[error("the cue at {cue_ms} ms is not within the title, which lasts {end_ms} ms")]
    Outside {
        /// The cue.
        cue_ms: u64,
        /// Length of the title.
        end_ms: u64,
    },
    /// Two cues before one key frame.
    #[error("the cues at {first_ms} ms and {second_ms} ms lie in one segment")]
    SameSegment {
        /// A cue.
        first_ms: u64,
        /// The next.
        second_ms: u64,
    },
    /// No common key frame soon enough.
    #[error("no key frame that all renditions share follows the cue at {cue_ms} ms soon enough")]
    NoSync {
        /// The cue.
        cue_ms: u64,
    },
}

/// How keys and tracks do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// No key for a track.
    #[error("there is no key for {class} tracks under {scheme}")]
    Missing {
        /// The class.
        class: TrackClass,
        /// The scheme.
        scheme: Scheme,
    },
    /// No key for a track in a period.
    #[error("there is no key for {class} tracks under {scheme} in the key period {period}")]
    MissingInPeriod {
        /// The class.
        class: TrackClass,
        /// The scheme.
        scheme: Scheme,
        /// The period, counted from 0.
        period: u32,
    },
    /// A live channel goes on, and a key that names its tracks is another one.
    #[error(
        "the key of {class} tracks under {scheme} is not the one that the channel began with: \
         players could not go on; begin another channel, or give it the keys that it began with"
    )]
    Changed {
        /// The class.
        class: TrackClass,
        /// The scheme.
        scheme: Scheme,
    },
    /// A live channel goes on, and a key of a period is another one than players were told.
    #[error(
        "the key of {class} tracks under {scheme} in the key period {period} is not the one that \
         the channel has told of: players could not go on; give it the same keys, or begin again \
         when the period is over"
    )]
    ChangedInPeriod {
        /// The class.
        class: TrackClass,
        /// The scheme.
        scheme: Scheme,
        /// The period, counted from 0.
        period: u32,
    },
    /// The key of a period serves another period too, or names the track.
    #[error("the key period {period} has a key or a key id that serves elsewhere too")]
    PeriodsShareKey {
        /// The later one of them, counted from 0.
        period: u32,
    },
    /// A batch that no PlayReady header holds.
    #[error(
        "a batch of {batch_periods} key periods names more keys than a PlayReady header holds: \
         fewer periods in a batch, or longer ones, are needed"
    )]
    BatchTooLarge {
        /// Periods of a batch.
        batch_periods: u32,
    },
    /// A first sample IV serves several tracks: their key streams would be the same.
    #[error("a key with an IV of its own serves more than one cenc track; leave the iv out")]
    IvServesSeveralTracks,
    /// Two key ids with the same key: their IVs could meet.
    #[error("two key ids have the same key")]
    SameKey,
    /// One key id with two keys.
    #[error("one key id has two different keys")]
    SameKid,
    /// A key of a live channel with an IV under `cenc`, or without one under `cbcs`.
    #[error(
        "a live channel needs the iv of each cbcs key, to find it again, and none of a cenc key: \
         it counts those itself"
    )]
    LiveIv,
    /// No fresh IVs.
    #[error("{0}")]
    Iv(#[from] crate::cenc::IvError),
}

/// Why renditions do not belong to one ladder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderFault {
    /// No common place to cut for too long.
    #[error(
        "{first} and {second} have no sync samples at the same time between {from_ms} ms and \
         {to_ms} ms, so a player could not switch between them: encode both with the same \
         key frame interval"
    )]
    NoCommonSync {
        /// A rendition.
        first: String,
        /// Another.
        second: String,
        /// From here …
        from_ms: u64,
        /// … to here.
        to_ms: u64,
    },
    /// Renditions of different length.
    #[error("{first} lasts {first_ms} ms and {second} {second_ms} ms: not the same picture")]
    Lengths {
        /// A rendition.
        first: String,
        /// Its length.
        first_ms: u64,
        /// Another.
        second: String,
        /// Its length.
        second_ms: u64,
    },
}
