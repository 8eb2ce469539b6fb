//! What the packager knows once a title is packaged, and all that a manifest says.

use super::description::Description;
use super::live::{Live, LiveTrack};
use super::rotation::KeyRotation;
use crate::codec::ChannelLayout;
use crate::images::Tiles;
use model::{ContentId, KeyId, Scheme, TrackClass};

/// One packaged title: the source of every manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    /// The title.
    pub content_id: ContentId,
    /// Picture and sound once per scheme, then the subtitles, in the order in which manifests
    /// list them.
    pub tracks: Vec<TrackRendition>,
    /// Thumbnails, which every scheme shares.
    pub images: Option<ImageTrack>,
    /// Where advertisements may stand, nanoseconds from the begin, in order: each is the begin
    /// of a segment of the ladder, and none is 0.
    pub cues_ns: Vec<u64>,
    /// That it goes on, or did; absent where it was whole when it was packaged.
    pub live: Option<Live>,
    /// How keys change, where they do.
    pub rotation: Option<KeyRotation>,
}

/// Thumbnails on sheets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTrack {
    /// How they lie.
    pub tiles: Tiles,
    /// Bytes of each sheet.
    pub sheet_bytes: Vec<u64>,
}

/// One track in one scheme, or one track that is not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRendition {
    /// Its name, which is also its folder or file stem: `video-720p`, `audio-en`, `text-en`.
    pub name: String,
    /// The name of the track whose key frames it is: for fast play, and never a variant.
    pub trick_of: Option<String>,
    /// How it is encrypted; none for subtitles, which every scheme shares.
    pub protection: Option<TrackProtection>,
    /// RFC 6381 codecs string.
    pub codecs: String,
    /// What it shows or plays.
    pub media: TrackMedia,
    /// What it is for; says nothing of a picture.
    pub description: Description,
    /// Ticks per second of [`SegmentEntry::duration_ts`].
    pub timescale: u32,
    /// Presentation time of the first segment in ticks, after the edit list; 0 in most titles.
    pub start_ts: u64,
    /// Where its bytes are.
    pub layout: TrackLayout,
    /// Its segments, in order, without gaps in time but for those that `live` names.
    pub segments: Vec<SegmentEntry>,
    /// So many segments, from the first on, are not encrypted: a clear lead.
    pub clear_segments: usize,
    /// Key frames of a picture that can be fetched alone, in order; none in sound and text.
    pub key_frames: Vec<KeyFrame>,
    /// What is known of it where the title goes on.
    pub live: Option<LiveTrack>,
}

/// How a track is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackProtection {
    /// The scheme.
    pub scheme: Scheme,
    /// The track's class.
    pub class: TrackClass,
    /// The key that encrypts it, or where keys change the one that names it.
    pub kid: KeyId,
    /// `ContentKey::playready_checksum` of that key; a PlayReady header 4.0 (`cenc`) carries it.
    pub playready_checksum: Option<[u8; 8]>,
}

/// What a track shows or plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackMedia {
    /// Moving picture.
    Video {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pictures per second, unless unknown.
        frame_rate: Option<FrameRate>,
    },
    /// Sound.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Loudspeaker channels.
        channels: u16,
        /// Which loudspeakers they are.
        layout: ChannelLayout,
        /// RFC 5646 language, unless undetermined.
        language: Option<String>,
    },
    /// Subtitles.
    Text {
        /// Their format.
        format: TextFormat,
        /// RFC 5646 language, unless undetermined.
        language: Option<String>,
    },
}

/// Format of subtitles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// WebVTT: for DASH in MP4 (`wvtt`, ISO/IEC 14496-30, 7), for HLS as text.
    WebVtt,
    /// TTML (IMSC): in MP4 (`stpp`, ISO/IEC 14496-30, 5) for both.
    Ttml,
}

/// Pictures per second as a fraction: 30000/1001, 25/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Pictures …
    pub frames: u32,
    /// … in this many seconds; never 0.
    pub seconds: std::num::NonZeroU32,
}

/// How a track's bytes lie in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackLayout {
    /// `FOLDER/NAME/init.mp4`, `1.m4s`, `2.m4s` …; the folder is the scheme, or `text`.
    Segments,
    /// `FOLDER/NAME.mp4`: init, then one `sidx`, then the segments without a gap.
    SingleFile {
        /// `ftyp` and `moov`.
        init: ByteSpan,
        /// The `sidx`.
        index: ByteSpan,
    },
}

/// A run of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ByteSpan {
    /// Offset of the first byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

/// One media segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Length in the track's timescale.
    pub duration_ts: u64,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Whether a player may start here (stream access point of type 1 or 2).
    pub starts_with_sap: bool,
}

/// A key frame that begins a fragment, so that a player can fetch and show it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFrame {
    /// Number of its segment, counted from 1.
    pub segment: usize,
    /// From the `moof` to the last byte of the picture, in the segment's file.
    pub span: ByteSpan,
    /// Presentation time in ticks.
    pub presentation_ts: u64,
}

impl Presentation {
    /// A title without tracks.
    #[must_use]
    pub const fn new(content_id: ContentId) -> Self {
        Self {
            content_id,
            tracks: Vec::new(),
            images: None,
            cues_ns: Vec::new(),
            live: None,
            rotation: None,
        }
    }

    /// Picture and sound of one scheme.
    pub fn tracks_of(&self, scheme: Scheme) -> impl Iterator<Item = &TrackRendition> {
        self.tracks.iter().filter(move |track| track.scheme() == Some(scheme))
    }

    /// The tracks that are not encrypted: subtitles.
    pub fn texts(&self) -> impl Iterator<Item = &TrackRendition> {
        self.tracks.iter().filter(|track| track.protection.is_none())
    }

    /// Length of the longest track, milliseconds, rounded up.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.tracks.iter().map(TrackRendition::duration_ms).max().unwrap_or(0)
    }
}

/// Folder of what every scheme shares.
pub const TEXT_FOLDER: &str = "text";

impl TrackRendition {
    /// Its scheme; none where it is not encrypted.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.protection.map(|protection| protection.scheme)
    }

    /// The folder of its files in the package.
    #[must_use]
    pub fn folder(&self) -> &'static str {
        self.scheme().map_or(TEXT_FOLDER, Scheme::name)
    }

    /// Length in ticks.
    #[must_use]
    pub fn duration_ts(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.duration_ts))
    }

    /// Length of the clear lead in milliseconds, rounded up.
    #[must_use]
    pub fn clear_lead_ms(&self) -> u64 {
        let lead = self.segments.iter().take(self.clear_segments);
        let ticks = lead.fold(0, |sum: u64, segment| sum.saturating_add(segment.duration_ts));
        to_ms(ticks, self.timescale)
    }

    /// Length in milliseconds, rounded up.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        to_ms(self.duration_ts(), self.timescale)
    }

    /// Bytes of all media segments, without the init.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.size_bytes))
    }

    /// Average bits per second.
    #[must_use]
    pub fn average_bandwidth(&self) -> u64 {
        let average = || average_of(&self.segments, self.timescale);
        self.live.as_ref().map_or_else(average, |live| live.average)
    }

    /// Peak bits per second as RFC 8216bis (4.4.6.2) defines it: the highest rate of any run of
    /// segments that lasts between half and one and a half target durations, so that a short
    /// last segment does not count alone.
    #[must_use]
    pub fn peak_bandwidth(&self) -> u64 {
        let peak = || peak_of(&self.segments, self.timescale);
        self.live.as_ref().map_or_else(peak, |live| live.peak)
    }

    /// The key frames as segments of an I-frame playlist, each lasting until the next one; the
    /// first one stands for what comes before it.
    #[must_use]
    pub fn key_frame_entries(&self) -> Vec<SegmentEntry> {
        let end = self.start_ts.saturating_add(self.duration_ts());
        let begins = self.key_frames.iter().skip(1).map(|frame| frame.presentation_ts);
        let mut from = self.start_ts;
        let entry = |(frame, until): (&KeyFrame, u64)| {
            let duration_ts = until.saturating_sub(from);
            from = from.max(until);
            SegmentEntry { duration_ts, size_bytes: frame.span.len, starts_with_sap: true }
        };
        self.key_frames.iter().zip(begins.chain([end])).map(entry).collect()
    }

    /// The language, `und` when undetermined; `None` for video.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        match &self.media {
            TrackMedia::Video { .. } => None,
            TrackMedia::Audio { language, .. } | TrackMedia::Text { language, .. } => {
                Some(language.as_deref().unwrap_or("und"))
            }
        }
    }

    /// Whether a menu needs one entry for both: the same language, and the same said of them.
    pub(super) fn is_described_as(&self, other: &Self) -> bool {
        self.language() == other.language() && self.description == other.description
    }

    /// Whether a viewer takes this track for the other in another quality: the same codec, and
    /// for sound the same loudspeakers.
    pub(super) fn is_quality_of(&self, other: &Self) -> bool {
        let speakers = |track: &Self| match track.media {
            TrackMedia::Video { .. } | TrackMedia::Text { .. } => None,
            TrackMedia::Audio { channels, layout, .. } => Some((channels, layout)),
        };
        self.codec() == other.codec() && speakers(self) == speakers(other)
    }

    /// The codec without its profile: `avc1`, `ec-3`; of `mp4a` also the object type indication,
    /// which tells AAC from MP3.
    fn codec(&self) -> &str {
        let parts = if self.codecs.starts_with("mp4a.") { 2 } else { 1 };
        let end = self.codecs.match_indices('.').nth(parts - 1).map(|(at, _)| at);
        end.and_then(|end| self.codecs.get(..end)).unwrap_or(&self.codecs)
    }

    /// Path of the init segment, or of the single file, in the package.
    #[must_use]
    pub fn init_path(&self) -> String {
        match self.layout {
            TrackLayout::Segments => format!("{}/{}/init.mp4", self.folder(), self.name),
            TrackLayout::SingleFile { .. } => format!("{}/{}.mp4", self.folder(), self.name),
        }
    }

    /// Path of the init of a key period, where each has its own.
    #[must_use]
    pub fn init_path_in(&self, period: u32) -> String {
        format!("{}/{}/init-{period}.mp4", self.folder(), self.name)
    }

    /// Path of the segment `number`, counted from 1; in one file it is that file.
    #[must_use]
    pub fn segment_path(&self, number: usize) -> String {
        match self.layout {
            TrackLayout::Segments => format!("{}/{}/{number}.m4s", self.folder(), self.name),
            TrackLayout::SingleFile { .. } => self.init_path(),
        }
    }

    /// Path of the segment `number` as HLS plays it: WebVTT is text there.
    #[must_use]
    pub fn hls_segment_path(&self, number: usize) -> String {
        if self.is_plain_text_in_hls() {
            format!("{}/{}/{number}.vtt", self.folder(), self.name)
        } else {
            self.segment_path(number)
        }
    }

    /// Whether HLS plays it from segments of its own, which are no MP4.
    #[must_use]
    pub const fn is_plain_text_in_hls(&self) -> bool {
        matches!(self.media, TrackMedia::Text { format: TextFormat::WebVtt, .. })
    }

    /// Path of the HLS I-frame playlist in the package, where there is one.
    #[must_use]
    pub fn iframe_playlist_path(&self) -> Option<String> {
        self.key_frames.first()?;
        Some(match self.layout {
            TrackLayout::Segments => format!("{}/{}/iframes.m3u8", self.folder(), self.name),
            TrackLayout::SingleFile { .. } => {
                format!("{}/{}-iframes.m3u8", self.folder(), self.name)
            }
        })
    }

    /// Path of the HLS media playlist in the package.
    #[must_use]
    pub fn playlist_path(&self) -> String {
        match self.layout {
            TrackLayout::Segments => format!("{}/{}/playlist.m3u8", self.folder(), self.name),
            TrackLayout::SingleFile { .. } => format!("{}/{}.m3u8", self.folder(), self.name),
        }
    }
}

impl ByteSpan {
    /// Offset of the first byte behind the run.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// [`TrackRendition::average_bandwidth`] of any run of segments.
pub(super) fn average_of(segments: &[SegmentEntry], timescale: u32) -> u64 {
    let sum = |of: fn(&SegmentEntry) -> u64| segments.iter().map(of).fold(0, u64::saturating_add);
    bits_per_second(sum(|one| one.size_bytes), sum(|one| one.duration_ts), timescale)
}

/// [`TrackRendition::peak_bandwidth`] of any run of segments.
pub(super) fn peak_of(segments: &[SegmentEntry], timescale: u32) -> u64 {
    let target = segments.iter().map(|segment| segment.duration_ts).max().unwrap_or(0);
    let mut peak = average_of(segments, timescale);
    for first in 0..segments.len() {
        let (mut size, mut lasts) = (0_u64, 0_u64);
        for segment in segments.iter().skip(first) {
            size = size.saturating_add(segment.size_bytes);
            lasts = lasts.saturating_add(segment.duration_ts);
            if lasts > target.saturating_add(target / 2) {
                break;
            }
            if lasts >= target.div_ceil(2) {
                peak = peak.max(bits_per_second(size, lasts, timescale));
            }
        }
    }
    peak
}

/// Ticks to milliseconds, rounded up.
pub(super) fn to_ms(ticks: u64, timescale: u32) -> u64 {
    let ms = (u128::from(ticks) * 1000).div_ceil(u128::from(timescale.max(1)));
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// Rounded up, so that a player that trusts the figure never starves.
pub(crate) fn bits_per_second(size_bytes: u64, lasts_ts: u64, timescale: u32) -> u64 {
    let bits = u128::from(size_bytes) * 8 * u128::from(timescale);
    u64::try_from(bits.div_ceil(u128::from(lasts_ts.max(1)))).unwrap_or(u64::MAX)
}
