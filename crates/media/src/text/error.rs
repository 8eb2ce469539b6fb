//! What is wrong inside subtitles.

use crate::manifest::XmlError;

/// Why subtitles cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Bytes that are no UTF-8, which both formats want.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// Something behind `WEBVTT` on its line without a space.
    #[error("the first line is not 'WEBVTT'")]
    Signature,
    /// A line with an arrow that is not the times of a cue.
    #[error("the times of a cue are wrong: they are written 00:00:00.000 --> 00:00:01.000")]
    CueTimes,
    /// A cue that is never shown.
    #[error("the cue does not end after its begin")]
    CueEnd,
    /// Text that belongs to no cue: a viewer would never see it.
    #[error("these lines are no cue, NOTE, STYLE or REGION, and a player would drop them")]
    StrayBlock,
    /// Not well-formed XML, or beyond its limits.
    #[error("{0}")]
    Xml(#[from] XmlError),
    /// XML that is not TTML.
    #[error("the root is not 'tt' of the namespace {}", super::ttml::NAMESPACE)]
    NotTtml,
    /// A time that TTML does not know.
    #[error("'{0}' is not a time of TTML")]
    Time(&'static str),
    /// A parameter of TTML.
    #[error("'{0}' makes no sense")]
    Parameter(&'static str),
    /// A sample of an MP4 track that does not hold what its type says.
    #[error("the sample holds no {0}")]
    Sample(&'static str),
    /// No cue at all.
    #[error("there are no subtitles in it")]
    NoCues,
    /// A cue that no picture goes with.
    #[error("the cue at {cue_ms} ms begins behind the end of the media, {end_ms} ms")]
    BehindEnd {
        /// Where it begins.
        cue_ms: u64,
        /// Where picture or sound ends.
        end_ms: u64,
    },
}
