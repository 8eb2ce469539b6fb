//! Manifests: DASH (ISO/IEC 23009-1) and HLS (RFC 8216bis), and what a session may see of them.

pub(crate) mod attribute_list;
mod dash;
mod description;
pub mod filter;
mod hls;
mod i_frames;
mod images;
mod key_lines;
pub mod listing;
mod live;
mod periods;
mod presentation;
mod renditions;
mod rotation;
pub(crate) mod xml;

pub use dash::mpd;
pub use description::Description;
pub use hls::{hls_master, hls_media};
pub use i_frames::hls_i_frames;
pub use images::hls_images;
pub(crate) use live::DELAY_SEGMENTS;
pub use live::{Live, LiveTrack};
pub(crate) use presentation::bits_per_second;
pub use presentation::{
    ByteSpan, FrameRate, ImageTrack, KeyFrame, Presentation, SegmentEntry, TextFormat, TrackLayout,
    TrackMedia, TrackProtection, TrackRendition,
};
pub use rotation::{KeyRotation, KeySignal, Turn};
pub use xml::XmlError;

/// Where the DASH manifest lies in a package.
pub const DASH_PATH: &str = "manifest.mpd";

/// Where the HLS multivariant playlist of a scheme lies in a package.
#[must_use]
pub const fn hls_path(scheme: model::Scheme) -> &'static str {
    match scheme {
        model::Scheme::Cbcs => "master.m3u8",
        model::Scheme::Cenc => "master_cenc.m3u8",
    }
}

#[cfg(test)]
mod described;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod reread;
#[cfg(test)]
mod rotating;
#[cfg(test)]
mod tests;
