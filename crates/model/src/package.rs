//! `media.drm.packaged` v1: what a finished package says about itself.
//!
//! The same JSON document is the package's `package.json` and the event. It names keys by
//! their KID and never carries one.

use crate::{ContentId, KeyId, PackageId, Rotation, Scheme, Timestamp, TrackClass, TrackRole};
use serde::{Deserialize, Serialize};

/// One packaged title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedEvent {
    /// Always `media.drm.packaged`.
    pub event: String,
    /// Always 1.
    pub version: u32,
    /// The title.
    pub content_id: ContentId,
    /// This package of it.
    pub package_id: PackageId,
    /// Schemes in it, in order of preference.
    pub schemes: Vec<Scheme>,
    /// Every track of picture and sound, once per scheme.
    pub variants: Vec<PackagedVariant>,
    /// Every track of subtitles; they are not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<PackagedText>,
    /// Thumbnails; they are not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PackagedImages>,
    /// The DASH manifest, relative to the package.
    pub dash: String,
    /// The HLS multivariant playlists, relative to the package, one per scheme.
    pub hls: Vec<String>,
    /// Whether it grows: a live event, whose length and sizes nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// How its keys change, where they do. The KIDs of its variants are then those that name the
    /// tracks; the keys of the periods stand in the media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Length, milliseconds.
    pub duration_ms: u64,
    /// All bytes of the package but this document.
    pub size_bytes: u64,
    /// Version of the packager.
    pub packager: String,
    /// When it was packaged.
    pub packaged_at: Timestamp,
}

/// One media track in one scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedVariant {
    /// Its name, which is also its folder or file stem: `video-720p`, `audio-en`.
    pub name: String,
    /// The track whose key frames it is: for fast play, and never offered as a variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trick_of: Option<String>,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its class.
    pub track_class: TrackClass,
    /// The key that encrypts it, or where keys change the one that names it.
    pub kid: KeyId,
    /// The keys that encrypt it where keys change, in the order of their periods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub period_kids: Vec<KeyId>,
    /// RFC 6381 codecs string.
    pub codecs: String,
    /// Average bits per second.
    pub bandwidth: u64,
    /// Picture width, pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Picture height, pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// RFC 5646 language; audio only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What it is for, where that was said; audio only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<TrackRole>,
    /// Milliseconds from the start that are not encrypted: a clear lead.
    #[serde(default, skip_serializing_if = "is_none")]
    pub clear_lead_ms: u64,
    /// Its HLS media playlist, relative to the package.
    pub playlist: String,
    /// The HLS playlist of its key frames alone, relative to the package; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iframe_playlist: Option<String>,
    /// Bytes of its init and media.
    pub size_bytes: u64,
}

/// Whether there is no clear lead: by far the most documents then do not speak of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_none(clear_lead_ms: &u64) -> bool {
    *clear_lead_ms == 0
}

/// One track of subtitles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedText {
    /// Its name, which is also its folder or file stem: `text-en`.
    pub name: String,
    /// RFC 6381 codecs string.
    pub codecs: String,
    /// RFC 5646 language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What they are for, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<TrackRole>,
    /// Its HLS media playlist, relative to the package.
    pub playlist: String,
    /// Bytes of its init and media.
    pub size_bytes: u64,
}

/// One set of thumbnails: sheets of tiles, and a BIF of the same pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedImages {
    /// Its name, which is also its folder: `thumbs-320`.
    pub name: String,
    /// Pixels across of one thumbnail.
    pub width: u32,
    /// Pixels down of one thumbnail.
    pub height: u32,
    /// Thumbnails in a row of a sheet.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// Seconds between two thumbnails.
    pub interval_s: u32,
    /// Thumbnails in all.
    pub count: u32,
    /// Sheets in all.
    pub sheets: u32,
    /// Its HLS image playlist, relative to the package.
    pub playlist: String,
    /// Its Roku BIF, relative to the package.
    pub bif: String,
    /// Bytes of sheets and BIF.
    pub size_bytes: u64,
}

impl PackagedEvent {
    /// The event's name, which is also the Kafka topic.
    pub const EVENT: &'static str = "media.drm.packaged";
    /// The version this code writes and reads.
    pub const VERSION: u32 = 1;

    /// The variants of one scheme.
    pub fn variants_of(&self, scheme: Scheme) -> impl Iterator<Item = &PackagedVariant> {
        self.variants.iter().filter(move |variant| variant.scheme == scheme)
    }
}
