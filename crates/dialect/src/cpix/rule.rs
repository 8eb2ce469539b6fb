//! Usage rules: which key encrypts which track (CPIX 2.4, `ContentKeyUsageRule`).
//!
//! CPIX calls a track that two keys fit an error. Encryptors do send such rules (an HD rule
//! without upper bound beside a UHD rule), so the most specific rule answers; only where two
//! keys fit equally well is there no answer.

use super::value::Text;
use model::KeyId;
use std::cmp::Reverse;
use std::num::NonZeroU32;

/// A range of numbers with both ends in it; an absent end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    min: Option<u64>,
    max: Option<u64>,
}

impl Range {
    /// Makes a range; `None` where it is empty.
    #[must_use]
    pub fn from_ends(min: Option<u64>, max: Option<u64>) -> Option<Self> {
        let is_empty = min.zip(max).is_some_and(|(min, max)| min > max);
        (!is_empty).then_some(Self { min, max })
    }

    /// Its lower end.
    #[must_use]
    pub const fn min(&self) -> Option<u64> {
        self.min
    }

    /// Its upper end.
    #[must_use]
    pub const fn max(&self) -> Option<u64> {
        self.max
    }

    /// Whether the number is in it.
    #[must_use]
    pub fn contains(&self, value: u64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }

    fn width(&self) -> u64 {
        self.max.unwrap_or(u64::MAX) - self.min.unwrap_or(0)
    }
}

/// Pictures per second, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Pictures.
    pub frames: u32,
    /// In this many seconds.
    pub seconds: NonZeroU32,
}

/// A range of frame rates: its lower end is outside of it, its upper end inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRange {
    above: Option<u32>,
    max: Option<u32>,
}

impl FrameRange {
    /// Makes a range; `None` where it is empty.
    #[must_use]
    pub fn from_ends(above: Option<u32>, max: Option<u32>) -> Option<Self> {
        let is_empty = above.zip(max).is_some_and(|(above, max)| above >= max);
        (!is_empty).then_some(Self { above, max })
    }

    /// Its lower end (`minFps`).
    #[must_use]
    pub const fn above(&self) -> Option<u32> {
        self.above
    }

    /// Its upper end (`maxFps`).
    #[must_use]
    pub const fn max(&self) -> Option<u32> {
        self.max
    }

    fn contains(&self, rate: FrameRate) -> bool {
        let whole = |end: u32| u64::from(end) * u64::from(rate.seconds.get());
        let frames = u64::from(rate.frames);
        self.above.is_none_or(|above| whole(above) < frames)
            && self.max.is_none_or(|max| frames <= whole(max))
    }
}

/// A filter for video tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// Pixels of a picture.
    pub pixels: Range,
    /// Pictures per second.
    pub frames: FrameRange,
    /// High dynamic range, or not.
    pub hdr: Option<bool>,
    /// Wide color gamut, or not.
    pub wcg: Option<bool>,
}

/// A filter for audio tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioFilter {
    /// Channels.
    pub channels: Range,
}

/// A filter for nominal bit rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BitrateFilter {
    /// Bits per second.
    pub bits_per_s: Range,
}

/// The filters of a rule, by type: those of one type are alternatives, all types must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFilters {
    /// Ids of key periods.
    pub periods: Vec<Text>,
    /// Labels, agreed upon by both sides.
    pub labels: Vec<Text>,
    /// Video.
    pub videos: Vec<VideoFilter>,
    /// Audio.
    pub audios: Vec<AudioFilter>,
    /// Bit rates.
    pub bitrates: Vec<BitrateFilter>,
}

/// What a rule asks of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filters {
    /// Filters that are understood.
    Known(KnownFilters),
    /// A filter, or an attribute of one, that is not understood: the rule fits nothing, and it
    /// is not written, since without that filter it would fit more than it should.
    Unknown,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRule {
    /// Name of the rule in its document.
    pub id: Option<Text>,
    /// The key.
    pub kid: KeyId,
    /// `intendedTrackType`.
    pub track_type: Option<Text>,
    /// The tracks.
    pub filters: Filters,
}

/// What a track is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// Pixels of a picture.
        pixels: u64,
        /// Pictures per second.
        rate: FrameRate,
        /// High dynamic range.
        hdr: bool,
        /// Wide color gamut.
        wcg: bool,
    },
    /// Sound.
    Audio {
        /// Channels.
        channels: u32,
    },
}

/// A track that needs a key.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// What it is made of.
    pub media: Media,
    /// Nominal bits per second.
    pub bits_per_s: u64,
    /// Its labels.
    pub labels: &'a [&'a str],
    /// Id of the key period.
    pub period: Option<&'a str>,
}

/// Why no key is given to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A rule has a filter that is not understood: it could be the one that fits.
    #[error("a usage rule of key {0} has a filter that is not understood")]
    UnknownFilter(KeyId),
    /// Two keys fit, none better than the other.
    #[error("the keys {0} and {1} fit the same track equally well")]
    TwoKeys(KeyId, KeyId),
}

/// How narrow a fitting rule is; smaller is narrower.
type Width = (u64, u64, Reverse<usize>);

/// The key of a track, by the most specific rule; `None` where no rule fits.
pub(super) fn key_of(
    rules: &[UsageRule],
    track: &Track<'_>,
) -> Result<Option<KeyId>, MappingError> {
    let mut best: Option<(Width, KeyId)> = None;
    let mut twin = None;
    for rule in rules {
        let Filters::Known(filters) = &rule.filters else {
            return Err(MappingError::UnknownFilter(rule.kid));
        };
        let Some(width) = filters.fit(track) else { continue };
        match best {
            Some((narrowest, kid)) if narrowest == width => {
                twin = twin.or((kid != rule.kid).then_some((kid, rule.kid)));
            }
            Some((narrowest, _)) if narrowest < width => {}
            _ => (best, twin) = (Some((width, rule.kid)), None),
        }
    }
    match twin {
        Some((first, second)) => Err(MappingError::TwoKeys(first, second)),
        None => Ok(best.map(|(_, kid)| kid)),
    }
}

impl KnownFilters {
    /// How many filters there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let media = self.videos.len() + self.audios.len() + self.bitrates.len();
        self.periods.len() + self.labels.len() + media
    }

    /// Whether the rule fits, and how narrowly.
    fn fit(&self, track: &Track<'_>) -> Option<Width> {
        let has_period = |id: &Text| track.period == Some(id.as_str());
        let has_label = |label: &Text| track.labels.contains(&label.as_str());
        if !fits_any(&self.periods, has_period) || !fits_any(&self.labels, has_label) {
            return None;
        }
        let bits = |filter: &BitrateFilter| {
            filter.bits_per_s.contains(track.bits_per_s).then(|| filter.bits_per_s.width())
        };
        let bits = match self.bitrates.iter().filter_map(bits).min() {
            None if !self.bitrates.is_empty() => return None,
            width => width.unwrap_or(u64::MAX),
        };
        let (media, traits) = self.fit_media(track.media)?;
        let types = usize::from(!self.labels.is_empty()) + usize::from(!self.periods.is_empty());
        Some((media, bits, Reverse(types + traits)))
    }

    /// No track is video and audio at once: a rule with filters for both fits either, and a
    /// rule with filters for one does not fit the other.
    fn fit_media(&self, media: Media) -> Option<(u64, usize)> {
        if self.videos.is_empty() && self.audios.is_empty() {
            return Some((u64::MAX, 0));
        }
        match media {
            Media::Video { pixels, rate, hdr, wcg } => {
                let fits = |filter: &&VideoFilter| {
                    filter.pixels.contains(pixels)
                        && filter.frames.contains(rate)
                        && filter.hdr.is_none_or(|wanted| wanted == hdr)
                        && filter.wcg.is_none_or(|wanted| wanted == wcg)
                };
                let traits = |filter: &VideoFilter| {
                    let ends = usize::from(filter.frames.above.is_some())
                        + usize::from(filter.frames.max.is_some());
                    ends + usize::from(filter.hdr.is_some()) + usize::from(filter.wcg.is_some())
                };
                let width = |filter: &VideoFilter| (filter.pixels.width(), Reverse(traits(filter)));
                let narrowest = self.videos.iter().filter(fits).map(width).min()?;
                Some((narrowest.0, narrowest.1.0))
            }
            Media::Audio { channels } => {
                let fits = |filter: &&AudioFilter| filter.channels.contains(u64::from(channels));
                let width = |filter: &AudioFilter| filter.channels.width();
                self.audios.iter().filter(fits).map(width).min().map(|width| (width, 0))
            }
        }
    }
}

fn fits_any(filters: &[Text], fits: impl Fn(&Text) -> bool) -> bool {
    filters.is_empty() || filters.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kid: u8, filters: KnownFilters) -> UsageRule {
        let kid = KeyId::from_bytes([kid; 16]);
        UsageRule { id: None, kid, track_type: None, filters: Filters::Known(filters) }
    }

    fn video(min: Option<u64>, max: Option<u64>) -> KnownFilters {
        let pixels = Range::from_ends(min, max).unwrap();
        let videos = vec![VideoFilter { pixels, ..VideoFilter::default() }];
        KnownFilters { videos, ..KnownFilters::default() }
    }

    fn audio(min: Option<u64>, max: Option<u64>) -> KnownFilters {
        let channels = Range::from_ends(min, max).unwrap();
        KnownFilters { audios: vec![AudioFilter { channels }], ..KnownFilters::default() }
    }

    fn rate(frames: u32, seconds: u32) -> FrameRate {
        FrameRate { frames, seconds: NonZeroU32::new(seconds).unwrap() }
    }

    fn track(media: Media) -> Track<'static> {
        Track { media, bits_per_s: 1_000_000, labels: &["main"], period: Some("p1") }
    }

    fn picture(pixels: u64) -> Track<'static> {
        track(Media::Video { pixels, rate: rate(25, 1), hdr: false, wcg: false })
    }

    fn found(rules: &[UsageRule], track: &Track<'_>) -> Option<u8> {
        key_of(rules, track).unwrap().map(|kid| kid.as_bytes()[0])
    }

    #[test]
    fn ends_of_pixel_ranges_are_inside() {
        let rules =
            [rule(1, video(None, Some(589_824))), rule(2, video(Some(589_825), Some(2_073_600)))];
        for (pixels, expected) in [
            (0, Some(1)),
            (589_824, Some(1)),
            (589_825, Some(2)),
            (2_073_600, Some(2)),
            (2_073_601, None),
        ] {
            assert_eq!(found(&rules, &picture(pixels)), expected, "{pixels}");
        }
        assert_eq!(found(&rules, &track(Media::Audio { channels: 2 })), None);
    }

    #[test]
    fn of_overlapping_ranges_the_most_specific_answers() {
        let rules = [rule(2, video(Some(589_825), None)), rule(3, video(Some(2_073_601), None))];
        assert_eq!(found(&rules, &picture(2_073_600)), Some(2));
        assert_eq!(found(&rules, &picture(8_294_400)), Some(3));
        let wide = [rule(1, KnownFilters::default()), rule(2, audio(None, Some(2)))];
        assert_eq!(found(&wide, &track(Media::Audio { channels: 2 })), Some(2));
        assert_eq!(found(&wide, &track(Media::Audio { channels: 6 })), Some(1));
    }

    #[test]
    fn two_keys_that_fit_equally_are_no_answer() {
        let rules = [rule(1, video(None, Some(9))), rule(2, video(None, Some(9)))];
        assert!(matches!(key_of(&rules, &picture(5)), Err(MappingError::TwoKeys(..))));
        let narrower = rule(3, video(Some(4), Some(6)));
        let rules = [rules[0].clone(), rules[1].clone(), narrower];
        assert_eq!(found(&rules, &picture(5)), Some(3));
        let twice = [rule(1, video(None, Some(9))), rule(1, video(None, Some(9)))];
        assert_eq!(found(&twice, &picture(5)), Some(1));
    }

    #[test]
    fn frame_rates_exclude_their_lower_end() {
        let frames = FrameRange::from_ends(Some(30), Some(60)).unwrap();
        let videos = vec![VideoFilter { frames, ..VideoFilter::default() }];
        let rules = [rule(1, KnownFilters { videos, ..KnownFilters::default() })];
        let at = |rate| track(Media::Video { pixels: 1, rate, hdr: true, wcg: false });
        for (frames, seconds, fits) in [
            (30, 1, false),
            (30_000, 1001, false),
            (30_001, 1000, true),
            (60_000, 1001, true),
            (60, 1, true),
            (61, 1, false),
        ] {
            assert_eq!(
                found(&rules, &at(rate(frames, seconds))).is_some(),
                fits,
                "{frames}/{seconds}"
            );
        }
        assert!(FrameRange::from_ends(Some(30), Some(30)).is_none());
        assert!(Range::from_ends(Some(2), Some(1)).is_none());
    }

    #[test]
    fn filters_of_one_type_are_alternatives_and_all_types_must_fit() {
        let text = |text| Text::parse(text).unwrap();
        let mut filters = video(None, Some(9));
        filters.videos.extend(video(Some(100), None).videos);
        filters.labels = vec![text("other"), text("main")];
        filters.periods = vec![text("p1")];
        let rules = [rule(1, filters)];
        assert_eq!(found(&rules, &picture(5)), Some(1));
        assert_eq!(found(&rules, &picture(50)), None);
        assert_eq!(found(&rules, &picture(500)), Some(1));
        assert_eq!(found(&rules, &Track { labels: &[], ..picture(5) }), None);
        assert_eq!(found(&rules, &Track { period: Some("p2"), ..picture(5) }), None);
        assert_eq!(found(&rules, &Track { period: None, ..picture(5) }), None);
    }

    #[test]
    fn a_rule_for_both_kinds_fits_either() {
        let both = KnownFilters { audios: vec![AudioFilter::default()], ..video(None, None) };
        let rules = [rule(1, both)];
        assert_eq!(found(&rules, &picture(5)), Some(1));
        assert_eq!(found(&rules, &track(Media::Audio { channels: 2 })), Some(1));
    }

    #[test]
    fn an_unknown_filter_stops_the_mapping() {
        let mut rules = vec![rule(1, video(None, None)), rule(2, audio(None, None))];
        rules[1].filters = Filters::Unknown;
        assert!(matches!(key_of(&rules, &picture(5)), Err(MappingError::UnknownFilter(_))));
    }
}
