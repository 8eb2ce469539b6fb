//! What a track of sound or subtitles is for: `Role`, `Accessibility` and `Label` of DASH
//! (ISO/IEC 23009-1:2022, 5.8.4.3, 5.8.4.2 and 5.3.7.2).

use super::presentation::{TrackMedia, TrackRendition};
use super::xml::Element;
use model::TrackRole;

const ROLE: &str = "urn:mpeg:dash:role:2011";
/// Purposes of TV-Anytime (ETSI TS 102 822-3-1), by which DASH-IF IOP and DVB-DASH tell players
/// what is for whom.
const PURPOSE: &str = "urn:tva:metadata:cs:AudioPurposeCS:2007";

/// What is said of a track beyond its media and language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// What it is for.
    pub role: Option<TrackRole>,
    /// What a menu calls it.
    pub label: Option<String>,
    /// Whether players begin with it; the packager decides unless it is said.
    pub is_default: Option<bool>,
    /// Whether subtitles are shown even to viewers who turned them off.
    pub is_forced: bool,
}

impl Description {
    /// Whether it can be said of sound, or of subtitles.
    pub(crate) const fn fits(&self, is_sound: bool) -> bool {
        match self.role {
            Some(
                TrackRole::Caption
                | TrackRole::Subtitle
                | TrackRole::ForcedSubtitle
                | TrackRole::Easyreader,
            ) => !is_sound,
            Some(TrackRole::Dub) => is_sound && !self.is_forced,
            _ => !(is_sound && self.is_forced),
        }
    }

    /// Whether it says that subtitles are forced, in either way.
    pub(super) const fn is_forced(&self) -> bool {
        self.is_forced || matches!(self.role, Some(TrackRole::ForcedSubtitle))
    }

    /// Whether a viewer who asked for nothing gets such a track.
    pub(super) const fn is_for_all(&self) -> bool {
        matches!(self.role, None | Some(TrackRole::Main | TrackRole::Dub | TrackRole::Subtitle))
    }
}

/// The track among those of one kind with which players begin: the first one of which it is said,
/// else the first one that is for all.
pub(super) fn default_of(tracks: &[&TrackRendition]) -> Option<usize> {
    let is_default = |track: &&TrackRendition| track.description.is_default == Some(true);
    let may_be = |track: &&TrackRendition| track.description.is_default.is_none();
    let is_for_all = |track: &&TrackRendition| may_be(track) && track.description.is_for_all();
    let position = |of: &dyn Fn(&&TrackRendition) -> bool| tracks.iter().position(of);
    position(&is_default).or_else(|| position(&is_for_all)).or_else(|| position(&may_be))
}

/// `Label`, `Accessibility` and `Role`, in the order of the schema.
pub(super) fn elements(track: &TrackRendition, is_main: bool) -> Vec<Element> {
    let Description { role, label, is_default, .. } = &track.description;
    let descriptor = |name: &str, scheme: &str, value: &str| {
        Element::new(name).with("schemeIdUri", scheme).with("value", value)
    };
    let mut found: Vec<Element> =
        label.iter().map(|label| Element::new("Label").text(label.clone())).collect();
    let purpose = match (&track.media, role) {
        (TrackMedia::Audio { .. }, Some(TrackRole::Description)) => Some("1"),
        (TrackMedia::Text { .. }, Some(TrackRole::Caption)) => Some("2"),
        _ => None,
    };
    found.extend(purpose.map(|value| descriptor("Accessibility", PURPOSE, value)));
    let mut roles: Vec<TrackRole> = role.iter().copied().collect();
    if matches!(track.media, TrackMedia::Text { .. }) {
        if track.description.is_forced() && !roles.contains(&TrackRole::ForcedSubtitle) {
            roles.push(TrackRole::ForcedSubtitle);
        }
        if roles.is_empty() {
            roles.push(TrackRole::Subtitle);
        }
    }
    if (is_main || *is_default == Some(true)) && !roles.contains(&TrackRole::Main) {
        roles.push(TrackRole::Main);
    }
    found.extend(roles.iter().map(|role| descriptor("Role", ROLE, role.name())));
    found
}
