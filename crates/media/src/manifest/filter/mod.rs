//! What one session may see of a manifest, made at delivery from the packaged text.
//!
//! Kept: renditions of one scheme whose key the session may get, with the lines of the asking
//! system alone. Never delivered: a license URL in any spelling; the player gets its own, signed
//! and short-lived, from the playback token. What the filter does not know it leaves out, so a
//! text that our packager did not write gets poorer, not more dangerous.

mod dash;
mod hls;
mod steering;

pub use dash::mpd;
pub use hls::{hls_master, hls_media, hls_text};
pub use steering::{Steering, hls_signed};

use super::xml::XmlError;
use crate::pssh::{PlayReadyObject, PsshError};
use model::{Dialect, KeyId, PackagedEvent, Scheme, TrackClasses};
use std::collections::BTreeSet;

/// What the session may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The system that asks.
    pub dialect: Dialect,
    /// The one scheme that is delivered.
    pub scheme: Scheme,
    /// The keys that the session may get.
    pub kids: BTreeSet<KeyId>,
    /// The media playlists that the session may see, as the multivariant playlist names them:
    /// those encrypted with these keys, and those of subtitles.
    pub playlists: BTreeSet<String>,
    /// The playlists of key frames and of thumbnails that the session may see; never variants.
    pub trick_playlists: BTreeSet<String>,
    /// Where a player asks what time it is, for a title that goes on.
    pub clock_url: Option<String>,
    /// The CDNs that have the media, where there are several.
    pub steering: Option<Steering>,
}

impl Filter {
    /// The filter for a session that may get these classes of a package.
    #[must_use]
    pub fn new(
        package: &PackagedEvent,
        scheme: Scheme,
        classes: TrackClasses,
        dialect: Dialect,
    ) -> Self {
        let allowed =
            || package.variants_of(scheme).filter(|variant| classes.contains(variant.track_class));
        Self {
            dialect,
            scheme,
            kids: allowed()
                .flat_map(|variant| variant.period_kids.iter().chain([&variant.kid]))
                .copied()
                .collect(),
            playlists: allowed()
                .filter(|variant| variant.trick_of.is_none())
                .map(|variant| variant.playlist.clone())
                .chain(package.texts.iter().map(|text| text.playlist.clone()))
                .collect(),
            trick_playlists: allowed()
                .filter_map(|variant| variant.iframe_playlist.clone())
                .chain(package.images.iter().map(|images| images.playlist.clone()))
                .collect(),
            clock_url: None,
            steering: None,
        }
    }
}

/// Why nothing is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not an MPD, not a playlist, or a playlist of the other kind.
    #[error("not the kind of manifest that was expected")]
    Kind,
    /// An MPD that is not well-formed.
    #[error("the MPD is {0}")]
    Xml(#[from] XmlError),
    /// A playlist that is longer than 8 MiB.
    #[error("the playlist is longer than 8 MiB")]
    TooLong,
    /// A line of a playlist, counted from 1.
    #[error("line {0} of the playlist is malformed")]
    Line(usize),
    /// A `pssh` or PlayReady object that cannot be read.
    #[error("{0}")]
    Pssh(#[from] PsshError),
    /// A PlayReady header with a license URL, which cannot be taken out of it.
    #[error("a PlayReady header carries a license URL")]
    LicenseUrl,
    /// The playlist has no key line for the asking system.
    #[error("the playlist has no key line for this system")]
    NotSignaled,
    /// No rendition is left.
    #[error("the session may see no rendition of this manifest")]
    NothingLeft,
}

/// Refuses a header that tells the player where to get a license.
fn check_playready(object: &PlayReadyObject) -> Result<(), FilterError> {
    // In any place and case: a header may carry custom attributes.
    let header = object.header.to_ascii_uppercase();
    let is_url = ["LA_URL", "LUI_URL", "LAURL"].iter().any(|name| header.contains(name));
    if is_url { Err(FilterError::LicenseUrl) } else { Ok(()) }
}

#[cfg(test)]
mod steering_tests;
#[cfg(test)]
mod tests;
