//! What a plan says of the sound and the subtitles of a source.

use super::error::PlanError;
use super::job::Opened;
use crate::input::language;
use crate::manifest::Description;

/// Longest label, characters.
pub const MAX_LABEL: usize = 100;

/// What is said of the sound tracks and the subtitles of one source, as far as it fits them: a
/// role that only subtitles have is not said of sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackDescription {
    /// Index of the source.
    pub input: usize,
    /// RFC 5646 language, in place of what the source says.
    pub language: Option<String>,
    /// Role, label and whether players begin with it.
    pub description: Description,
}

/// What is said of the sound (`is_sound`) or the subtitles of a source.
pub(super) fn find(
    all: &[TrackDescription],
    input: usize,
    is_sound: bool,
) -> Option<&TrackDescription> {
    all.iter().find(|one| one.input == input && one.description.fits(is_sound))
}

/// Each source is described once, and each description is of something.
pub(super) fn check(all: &[TrackDescription], opened: &Opened) -> Result<(), PlanError> {
    for (at, one) in all.iter().enumerate() {
        let input = one.input.saturating_add(1);
        if all.iter().skip(at + 1).any(|other| other.input == one.input) {
            return Err(PlanError::DescribedTwice { input });
        }
        let is_tag = |tag: &String| language::of_tag(tag).as_ref() == Some(tag);
        if !one.language.as_ref().is_none_or(is_tag) {
            return Err(PlanError::Language);
        }
        let is_label = |label: &String| {
            let len = label.chars().count();
            (1..=MAX_LABEL).contains(&len) && !label.chars().any(|c| c.is_control() || c == '"')
        };
        if !one.description.label.as_ref().is_none_or(is_label) {
            return Err(PlanError::Label);
        }
        let fits = |is_sound| one.description.fits(is_sound);
        let is_heard = opened.tracks.iter().any(|job| job.input == one.input && !job.is_video());
        let is_read = opened.texts.iter().any(|job| job.input == one.input);
        if !(is_heard && fits(true) || is_read && fits(false)) {
            return Err(PlanError::NothingDescribed { input });
        }
    }
    Ok(())
}
