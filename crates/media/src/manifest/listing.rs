//! What a player fetches: the renditions of an MPD (ISO/IEC 23009-1, 5.3) or of HLS playlists with
//! the places of their segments.
//!
//! Read are pictures and sound in the two layouts that a package has, of titles that are whole and of
//! those that go on, whose manifests list what can be played now. Thumbnails, trick-play and text are
//! passed over. References are relative: a manifest that sends a player elsewhere is refused.

mod hls;
mod moments;

pub(super) use hls::kid_of_skd;
pub use hls::{Named, parse_multivariant};

use super::ByteSpan;
use super::xml::{self, Element, XmlError};
use crate::bmff::{BoxError, Fields, boxes};
use model::{KeyId, Scheme};
use serde::{Deserialize, Serialize};

/// Most CDNs of a manifest.
const MAX_PLACES: usize = 32;
/// Most renditions.
const MAX_RENDITIONS: usize = 1000;
/// Most segments of all renditions together.
const MAX_SEGMENTS: usize = 1_000_000;
/// How often a manifest is read anew at most, milliseconds.
const MIN_RELOAD_MS: u64 = 250;
/// How often, where it does not say.
const USUAL_RELOAD_MS: u64 = 2000;
/// Longest reference, bytes.
const MAX_PATH_BYTES: usize = 2048;

/// Why a manifest cannot be played from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Not XML that we read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Another document.
    #[error("neither an MPD nor a playlist")]
    OtherDocument,
    /// Something that a package never says, or says otherwise.
    #[error("the manifest is not one of a package: {0}")]
    Unsupported(&'static str),
    /// A reference that is absolute, or leaves the package.
    #[error("the manifest refers to something outside of its package")]
    Outside,
    /// More renditions or segments than we read.
    #[error("the manifest lists more than a title has")]
    TooLarge,
}

/// What a rendition is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Medium {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// What it is of.
    pub medium: Medium,
    /// Codecs.
    pub codecs: String,
    /// Columns; 0 for sound.
    pub width: u32,
    /// Rows; 0 for sound.
    pub height: u32,
    /// Bits per second.
    pub bandwidth: u64,
    /// Language.
    pub language: Option<String>,
    /// Whether it is what plays where nobody chose.
    pub is_main: bool,
    /// How it is encrypted; none: it is not.
    pub protection: Option<(Scheme, KeyId)>,
    /// Where its key is, as the line of a playlist says it (`EXT-X-KEY`, `URI`): to FairPlay it
    /// is what starts a session. An MPD has none.
    pub key_uri: Option<String>,
    /// Its initialization segment.
    pub init: Part,
    /// Its media.
    pub media: MediaParts,
    /// Where it goes on under another key, or with another initialization, as far as its manifest
    /// says so: keys may also change in its media alone.
    pub turns: Vec<ListedTurn>,
    /// How it goes on; none: it is whole.
    pub live: Option<Live>,
}

impl Listed {
    /// Every key that it names, with the line of a playlist that says where it is.
    pub fn keys(&self) -> impl Iterator<Item = (KeyId, Option<&str>)> {
        let first = self.protection.map(|(_, kid)| (kid, self.key_uri.as_deref()));
        let later = self.turns.iter().filter_map(|turn| Some((turn.kid?, turn.key_uri.as_deref())));
        first.into_iter().chain(later)
    }
}

/// Where a rendition goes on under another key, or with another initialization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTurn {
    /// The first segment, counted from 0.
    pub segment: usize,
    /// Its key; none: it is not encrypted.
    pub kid: Option<KeyId>,
    /// Where that is, as [`Listed::key_uri`].
    pub key_uri: Option<String>,
    /// Its initialization segment.
    pub init: Part,
}

/// How a title that goes on is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// When to read the manifest anew, milliseconds behind the last time.
    pub reload_ms: u64,
    /// How far behind the newest segment's end to begin, milliseconds.
    pub delay_ms: u64,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it lies.
    pub part: Part,
    /// What it is known by when the manifest is read anew; it grows from segment to segment.
    pub number: u64,
    /// When it begins, milliseconds: from the begin of the title, or as a playlist's dates say.
    pub begins_ms: u64,
    /// How long it is, milliseconds.
    pub duration_ms: u64,
}

/// Where media lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaParts {
    /// A file for each segment.
    Segments(Vec<Segment>),
    /// One file: the part is its index ([`subsegments`]).
    Indexed(Part),
}

/// A file of the package, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Relative to the manifest.
    pub path: String,
    /// Which bytes; none: all.
    pub span: Option<ByteSpan>,
}

/// Reads an MPD.
///
/// Errors: [`ListingError`]. Limits: 1000 renditions, a million segments.
pub fn parse_mpd(text: &str) -> Result<Vec<Listed>, ListingError> {
    let root = xml::parse(text)?;
    if !root.is("MPD") {
        return Err(ListingError::OtherDocument);
    }
    let live = dynamic(&root)?;
    let mut reader = Reader { found: vec![], segments: 0, live };
    // Each of several CDNs has the whole package: which one is the caller's choice.
    let base = if has_places(&root) { String::new() } else { based("", &root)? };
    let mut begins_ms = 0;
    for period in root.named("Period") {
        begins_ms = milliseconds(period.attribute("start"))?.unwrap_or(begins_ms);
        let base = based(&base, period)?;
        for set in period.named("AdaptationSet") {
            let Some(medium) = medium(set) else { continue };
            let base = based(&base, set)?;
            for one in set.named("Representation") {
                reader.add((&base, begins_ms), medium, set, one)?;
            }
        }
        let length_ms = milliseconds(period.attribute("duration"))?.unwrap_or(0);
        begins_ms = begins_ms.saturating_add(length_ms);
    }
    Ok(reader.found)
}

/// The URLs of the CDNs that have the package of an MPD, in the order in which they are to be tried:
/// the one to begin with, then the others (ETSI TS 103 998, clause 6). None where the package lies
/// beside its manifest alone.
///
/// Errors: [`ListingError`]. Limits: the first 32.
pub fn mpd_places(text: &str) -> Result<Vec<String>, ListingError> {
    let root = xml::parse(text)?;
    let steering = root.named("ContentSteering").next();
    let first = steering.and_then(|steering| steering.attribute("defaultServiceLocation"));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '?' | '#');
    let mut places = vec![];
    for base in root.named("BaseURL").take(MAX_PLACES) {
        let Some(name) = base.attribute("serviceLocation") else { continue };
        let url = base.own_text().trim().to_owned();
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !is_web || !url.ends_with('/') || !url.chars().all(is_plain) {
            return Err(ListingError::Unsupported("the URL of a CDN"));
        }
        places.push((Some(name) != first, url));
    }
    places.sort_by_key(|(is_fallback, _)| *is_fallback);
    Ok(places.into_iter().map(|(_, url)| url).collect())
}

fn has_places(root: &Element) -> bool {
    root.named("BaseURL").any(|base| base.attribute("serviceLocation").is_some())
}

/// How a dynamic MPD is followed (5.3.1.2); none: it is static.
fn dynamic(root: &Element) -> Result<Option<Live>, ListingError> {
    if root.attribute("type").is_none_or(|kind| kind == "static") {
        return Ok(None);
    }
    let reload_ms = milliseconds(root.attribute("minimumUpdatePeriod"))?.unwrap_or(USUAL_RELOAD_MS);
    let reload_ms = reload_ms.max(MIN_RELOAD_MS);
    let told = milliseconds(root.attribute("suggestedPresentationDelay"))?;
    Ok(Some(Live { reload_ms, delay_ms: told.unwrap_or(reload_ms.saturating_mul(3)) }))
}

/// An attribute that is a duration.
fn milliseconds(text: Option<&str>) -> Result<Option<u64>, ListingError> {
    let read = |text| moments::duration_ms(text).ok_or(ListingError::Unsupported("a duration"));
    text.map(read).transpose()
}

/// Pictures and sound; none: anything else, or what only a special player shows.
fn medium(set: &Element) -> Option<Medium> {
    if set.named("EssentialProperty").next().is_some() {
        return None;
    }
    let kind = set.attribute("contentType").or_else(|| set.attribute("mimeType"))?;
    match kind.split('/').next()? {
        "video" => Some(Medium::Video),
        "audio" => Some(Medium::Audio),
        _ => None,
    }
}

struct Reader {
    found: Vec<Listed>,
    segments: usize,
    live: Option<Live>,
}

impl Reader {
    /// Reads a representation of a period with this base and begin; one of a later period
    /// continues that of its name.
    fn add(
        &mut self,
        (base, begins_ms): (&str, u64),
        medium: Medium,
        set: &Element,
        one: &Element,
    ) -> Result<(), ListingError> {
        let id = one.attribute("id").unwrap_or_default();
        let (init, media) = self.parts((&based(base, one)?, begins_ms), set, one)?;
        let protection = protection(set, one)?;
        if let Some(known) = self.found.iter_mut().find(|known| known.id == id) {
            return known.go_on(init, protection, media);
        }
        if self.found.len() == MAX_RENDITIONS {
            return Err(ListingError::TooLarge);
        }
        let attribute = |name| one.attribute(name).or_else(|| set.attribute(name));
        let text = |name| attribute(name).map(str::to_owned);
        self.found.push(Listed {
            id: id.to_owned(),
            medium,
            codecs: text("codecs").unwrap_or_default(),
            width: number(attribute("width"), 0)?,
            height: number(attribute("height"), 0)?,
            bandwidth: number(attribute("bandwidth"), 0)?,
            language: text("lang"),
            is_main: set.named("Role").any(|role| role.attribute("value") == Some("main")),
            protection,
            key_uri: None,
            init,
            media,
            turns: vec![],
            live: self.live,
        });
        Ok(())
    }

    fn parts(
        &mut self,
        (base, begins_ms): (&str, u64),
        set: &Element,
        one: &Element,
    ) -> Result<(Part, MediaParts), ListingError> {
        if let Some(single) = one.named("SegmentBase").next() {
            let init = single.named("Initialization").next();
            let part = |range: Option<&str>| {
                let span = range.and_then(span).ok_or(ListingError::Unsupported("a range"))?;
                Ok::<_, ListingError>(Part { path: base.to_owned(), span: Some(span) })
            };
            let init = part(init.and_then(|init| init.attribute("range")))?;
            return Ok((init, MediaParts::Indexed(part(single.attribute("indexRange"))?)));
        }
        let template = one.named("SegmentTemplate").next();
        let template = template.or_else(|| set.named("SegmentTemplate").next());
        let template = template.ok_or(ListingError::Unsupported("it names no segments"))?;
        let names = Names {
            base,
            id: one.attribute("id").unwrap_or_default(),
            bandwidth: one.attribute("bandwidth").unwrap_or_default(),
        };
        let name = |attribute| template.attribute(attribute).unwrap_or_default();
        let init = names.fill(name("initialization"), 0, 0)?;
        let mut number = number(template.attribute("startNumber"), 1)?;
        let mut media = vec![];
        let timescale: u64 = self::number(template.attribute("timescale"), 1)?;
        let offset_ts: u64 = self::number(template.attribute("presentationTimeOffset"), 0)?;
        let to_ms = |ts: u64| {
            let ms = u128::from(ts) * 1000 / u128::from(timescale.max(1));
            u64::try_from(ms).unwrap_or(u64::MAX)
        };
        for (start_ts, duration_ts) in self.timeline(template)? {
            let begins_ms = begins_ms.saturating_add(to_ms(start_ts.saturating_sub(offset_ts)));
            media.push(Segment {
                part: names.fill(name("media"), number, start_ts)?,
                number: begins_ms,
                begins_ms,
                duration_ms: to_ms(duration_ts),
            });
            number = number.saturating_add(1);
        }
        Ok((init, MediaParts::Segments(media)))
    }

    /// When each segment begins, and how long it is.
    fn timeline(&mut self, template: &Element) -> Result<Vec<(u64, u64)>, ListingError> {
        let timeline = template.named("SegmentTimeline").next();
        let timeline = timeline.ok_or(ListingError::Unsupported("it has no timeline"))?;
        let (mut starts, mut at) = (vec![], 0_u64);
        for run in timeline.named("S") {
            at = number(run.attribute("t"), at)?;
            let duration: u64 = number(run.attribute("d"), 0)?;
            let repeats: usize = number(run.attribute("r"), 0)?;
            self.segments = self.segments.saturating_add(repeats).saturating_add(1);
            if self.segments > MAX_SEGMENTS {
                return Err(ListingError::TooLarge);
            }
            for _ in 0..=repeats {
                starts.push((at, duration));
                at = at.saturating_add(duration);
            }
        }
        Ok(starts)
    }
}

impl Listed {
    /// Goes on with what a later period has of it.
    fn go_on(
        &mut self,
        init: Part,
        protection: Option<(Scheme, KeyId)>,
        media: MediaParts,
    ) -> Result<(), ListingError> {
        let (MediaParts::Segments(known), MediaParts::Segments(more)) = (&mut self.media, media)
        else {
            return Ok(());
        };
        let (scheme, kid) = protection.unzip();
        let (own, first) = self.protection.unzip();
        if scheme != own {
            return Err(ListingError::Unsupported("a rendition in several schemes"));
        }
        let last = self.turns.last().map(|turn| (turn.kid, &turn.init));
        if last.unwrap_or((first, &self.init)) != (kid, &init) {
            self.turns.push(ListedTurn { segment: known.len(), kid, key_uri: None, init });
        }
        known.extend(more);
        Ok(())
    }
}

/// What fills a template (5.3.9.4.4).
struct Names<'a> {
    base: &'a str,
    id: &'a str,
    bandwidth: &'a str,
}

impl Names<'_> {
    fn fill(&self, template: &str, number: u64, time: u64) -> Result<Part, ListingError> {
        let mut name = String::new();
        for (at, piece) in template.split('$').enumerate() {
            match (at % 2, piece) {
                (0, text) => name += text,
                (_, "") => name.push('$'),
                (_, "RepresentationID") => name += self.id,
                (_, "Bandwidth") => name += self.bandwidth,
                (_, "Number") => name += &number.to_string(),
                (_, "Time") => name += &time.to_string(),
                _ => return Err(ListingError::Unsupported("a template")),
            }
        }
        Ok(Part { path: joined(self.base, &name)?, span: None })
    }
}

/// The base that an element's own `BaseURL` makes of the one above it (5.6).
fn based(base: &str, element: &Element) -> Result<String, ListingError> {
    match element.named("BaseURL").next() {
        Some(own) => joined(base, &own.own_text()),
        None => Ok(base.to_owned()),
    }
}

/// A relative reference behind the last folder of a base.
fn joined(base: &str, name: &str) -> Result<String, ListingError> {
    let folder = base.rfind('/').and_then(|slash| base.get(..=slash)).unwrap_or_default();
    let path = format!("{folder}{name}");
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\\' | '?' | '#' | ':');
    let stays = |part: &str| part != ".." && part != ".";
    let is_inside = !name.is_empty()
        && path.len() <= MAX_PATH_BYTES
        && !name.starts_with('/')
        && !path.starts_with('/')
        && path.chars().all(is_plain)
        && path.split('/').all(stays);
    if is_inside { Ok(path) } else { Err(ListingError::Outside) }
}

/// What a representation says of its protection goes before what its set says.
fn protection(set: &Element, one: &Element) -> Result<Option<(Scheme, KeyId)>, ListingError> {
    let common = |element: &Element| {
        let mut found = element.named("ContentProtection").filter(|descriptor| {
            let uri = descriptor.attribute("schemeIdUri").unwrap_or_default();
            uri.eq_ignore_ascii_case("urn:mpeg:dash:mp4protection:2011")
        });
        found.next().map(|found| {
            let scheme = found.attribute("value").and_then(Scheme::parse);
            let kid = found.attribute("default_KID").and_then(|kid| KeyId::parse(kid).ok());
            scheme.zip(kid).ok_or(ListingError::Unsupported("a protection"))
        })
    };
    common(one).or_else(|| common(set)).transpose()
}

fn number<T: std::str::FromStr>(text: Option<&str>, absent: T) -> Result<T, ListingError> {
    text.map_or(Ok(absent), |text| text.parse().map_err(|_| ListingError::Unsupported("a number")))
}

/// `FIRST-LAST`, both included.
fn span(range: &str) -> Option<ByteSpan> {
    let (first, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some(ByteSpan { start, len: last.checked_add(1)?.checked_sub(start)? })
}

/// The segments of a file that its index lists (`sidx`, ISO/IEC 14496-12, 8.16.3).
///
/// Errors: [`BoxError`] for what is no index of media; an index of indexes is none.
pub fn subsegments(index: &Part, bytes: &[u8]) -> Result<Vec<Segment>, BoxError> {
    let sidx = boxes(bytes).next().ok_or(BoxError::Truncated)??;
    if sidx.kind.0 != *b"sidx" {
        return Err(BoxError::Truncated);
    }
    let mut fields = Fields::new(sidx.body);
    let (version, _) = fields.version_and_flags()?;
    // The track; timescale and earliest time; then how far behind the index media begins.
    fields.u32()?;
    let timescale = fields.u32()?;
    let mut at_ts = fields.time(version)?;
    let gap = fields.time(version)?;
    fields.u16()?;
    let count = fields.u16()?;
    let to_ms = |ts: u64| {
        let ms = u128::from(ts) * 1000 / u128::from(timescale.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    };
    let length = u64::try_from(sidx.whole.len()).map_err(|_| BoxError::Truncated)?;
    let start = index.span.map_or(0, |span| span.start);
    let mut at = start.saturating_add(length).saturating_add(gap);
    let mut segments = vec![];
    for number in 0..count {
        let (size, duration) = (fields.u32()?, fields.u32()?);
        fields.u32()?;
        if size >> 31 != 0 {
            return Err(BoxError::Truncated);
        }
        let span = ByteSpan { start: at, len: size.into() };
        at = at.saturating_add(span.len);
        segments.push(Segment {
            part: Part { path: index.path.clone(), span: Some(span) },
            number: number.into(),
            begins_ms: to_ms(at_ts),
            duration_ms: to_ms(duration.into()),
        });
        at_ts = at_ts.saturating_add(duration.into());
    }
    Ok(segments)
}

#[cfg(test)]
mod tests;
