//! What a player fetches: the renditions of an MPD (ISO/IEC 23009-1, 5.3) or of HLS playlists with
//! the places of their segments.
//!
//! Read are pictures and sound of static presentations in the two layouts that a package has.
//! Thumbnails, trick-play and text are passed over. References are relative: a manifest that
//! sends a player elsewhere is refused.

mod hls;

pub(super) use hls::kid_of_skd;
pub use hls::{Named, parse_multivariant};

use super::ByteSpan;
use super::xml::{self, Element, XmlError};
use crate::bmff::{BoxError, Fields, boxes};
use model::{KeyId, Scheme};

/// Most renditions.
const MAX_RENDITIONS: usize = 1000;
/// Most segments of all renditions together.
const MAX_SEGMENTS: usize = 1_000_000;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Where a rendition goes on under another key, or with another initialization.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Where media lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaParts {
    /// A file for each segment.
    Segments(Vec<Part>),
    /// One file: the part is its index ([`subsegments`]).
    Indexed(Part),
}

/// A file of the package, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    if root.attribute("type").is_some_and(|kind| kind != "static") {
        return Err(ListingError::Unsupported("it is live"));
    }
    let mut reader = Reader { found: vec![], segments: 0 };
    let base = based("", &root)?;
    for period in root.named("Period") {
        let base = based(&base, period)?;
        for set in period.named("AdaptationSet") {
            let Some(medium) = medium(set) else { continue };
            let base = based(&base, set)?;
            for one in set.named("Representation") {
                reader.add(&base, medium, set, one)?;
            }
        }
    }
    Ok(reader.found)
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
}

impl Reader {
    /// Reads a representation; one of a later period continues that of its name.
    fn add(
        &mut self,
        base: &str,
        medium: Medium,
        set: &Element,
        one: &Element,
    ) -> Result<(), ListingError> {
        let id = one.attribute("id").unwrap_or_default();
        let (init, media) = self.parts(&based(base, one)?, set, one)?;
        if let Some(known) = self.found.iter_mut().find(|known| known.id == id) {
            let (MediaParts::Segments(parts), MediaParts::Segments(more)) =
                (&mut known.media, media)
            else {
                return Ok(());
            };
            let (scheme, kid) = protection(set, one)?.unzip();
            if scheme != known.protection.map(|(scheme, _)| scheme) {
                return Err(ListingError::Unsupported("a rendition in several schemes"));
            }
            let last = known.turns.last().map(|last| (last.kid, &last.init));
            let last = last.unwrap_or((known.protection.map(|(_, kid)| kid), &known.init));
            if last != (kid, &init) {
                known.turns.push(ListedTurn { segment: parts.len(), kid, key_uri: None, init });
            }
            parts.extend(more);
            return Ok(());
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
            protection: protection(set, one)?,
            key_uri: None,
            init,
            media,
            turns: vec![],
        });
        Ok(())
    }

    fn parts(
        &mut self,
        base: &str,
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
        for start_ts in self.timeline(template)? {
            media.push(names.fill(name("media"), number, start_ts)?);
            number = number.saturating_add(1);
        }
        Ok((init, MediaParts::Segments(media)))
    }

    /// When each segment begins.
    fn timeline(&mut self, template: &Element) -> Result<Vec<u64>, ListingError> {
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
                starts.push(at);
                at = at.saturating_add(duration);
            }
        }
        Ok(starts)
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

/// The parts of a file that its index lists (`sidx`, ISO/IEC 14496-12, 8.16.3).
///
/// Errors: [`BoxError`] for what is no index of media; an index of indexes is none.
pub fn subsegments(index: &Part, bytes: &[u8]) -> Result<Vec<Part>, BoxError> {
    let sidx = boxes(bytes).next().ok_or(BoxError::Truncated)??;
    if sidx.kind.0 != *b"sidx" {
        return Err(BoxError::Truncated);
    }
    let mut fields = Fields::new(sidx.body);
    let (version, _) = fields.version_and_flags()?;
    // Track and timescale; then the earliest time, and how far behind the index media begins.
    fields.take(8)?;
    fields.time(version)?;
    let gap = fields.time(version)?;
    fields.u16()?;
    let count = fields.u16()?;
    let length = u64::try_from(sidx.whole.len()).map_err(|_| BoxError::Truncated)?;
    let start = index.span.map_or(0, |span| span.start);
    let mut at = start.saturating_add(length).saturating_add(gap);
    let mut parts = vec![];
    for _ in 0..count {
        let size = fields.u32()?;
        fields.take(8)?;
        if size >> 31 != 0 {
            return Err(BoxError::Truncated);
        }
        let span = ByteSpan { start: at, len: size.into() };
        at = at.saturating_add(span.len);
        parts.push(Part { path: index.path.clone(), span: Some(span) });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
