//! The renditions of HLS playlists (RFC 8216bis, 4.4): those that a multivariant playlist names,
//! then of each the segments that its media playlist does.

use super::moments::{date_ms, seconds_ms};
use super::{
    Listed, ListedTurn, ListingError, Live, MAX_RENDITIONS, MAX_SEGMENTS, MIN_RELOAD_MS,
    MediaParts, Medium, Part, Segment, USUAL_RELOAD_MS, joined, number,
};
use crate::manifest::ByteSpan;
use crate::manifest::attribute_list::AttributeList;
use model::{ContentId, Dialect, KeyId, Scheme};

/// Longest playlist, bytes.
const MAX_BYTES: usize = 8 << 20;

/// A rendition that a multivariant playlist names; its media playlist says the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where its media playlist lies, relative to the multivariant one.
    pub playlist: String,
    /// What it is of.
    pub medium: Medium,
    /// Codecs.
    pub codecs: String,
    /// Columns; 0 for sound.
    pub width: u32,
    /// Rows; 0 for sound.
    pub height: u32,
    /// Bits per second, of pictures together with their sound; 0 where nothing is said.
    pub bandwidth: u64,
    /// Language.
    pub language: Option<String>,
    /// Whether it is what plays where nobody chose.
    pub is_main: bool,
    /// The group that its sound is in.
    group: Option<String>,
}

/// A tag with what stands behind its colon, or a URI.
enum Line<'a> {
    Tag(&'a str, &'a str),
    Uri(&'a str),
}

fn lines(text: &str) -> Result<impl Iterator<Item = Line<'_>>, ListingError> {
    if text.len() > MAX_BYTES {
        return Err(ListingError::TooLarge);
    }
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("#EXTM3U") {
        return Err(ListingError::OtherDocument);
    }
    Ok(lines.filter_map(|line| match line.strip_prefix('#') {
        Some(tag) if tag.starts_with("EXT") => {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            Some(Line::Tag(name, value))
        }
        None if !line.is_empty() => Some(Line::Uri(line)),
        _ => None,
    }))
}

fn attributes(value: &str) -> Result<AttributeList<'_>, ListingError> {
    AttributeList::parse(value).ok_or(ListingError::Unsupported("a list of attributes"))
}

/// Reads a multivariant playlist: pictures and sound, each once. Key frames, thumbnails and
/// subtitles are passed over.
///
/// Errors: [`ListingError`]. Limits: 1000 renditions.
pub fn parse_multivariant(text: &str) -> Result<Vec<Named>, ListingError> {
    let mut found: Vec<Named> = vec![];
    let mut sounds: Vec<(String, String)> = vec![];
    let mut lines = lines(text)?;
    while let Some(line) = lines.next() {
        let named = match line {
            Line::Tag("EXT-X-MEDIA", value) => sound(&attributes(value)?)?,
            Line::Tag("EXT-X-STREAM-INF", value) => {
                let Some(Line::Uri(uri)) = lines.next() else {
                    return Err(ListingError::Unsupported("a variant without a playlist"));
                };
                let list = attributes(value)?;
                if let Some(group) = list.value("AUDIO") {
                    sounds.push((group.to_owned(), codecs(&list, Medium::Audio)));
                }
                Some(variant(&list, uri)?)
            }
            Line::Tag("EXTINF" | "EXT-X-TARGETDURATION", _) => {
                return Err(ListingError::Unsupported("it is a media playlist"));
            }
            _ => None,
        };
        // With several groups of sound a picture stands there as often.
        let Some(named) = named.filter(|one| found.iter().all(|two| two.playlist != one.playlist))
        else {
            continue;
        };
        if found.len() == MAX_RENDITIONS {
            return Err(ListingError::TooLarge);
        }
        found.push(named);
    }
    for one in &mut found {
        let own = sounds.iter().find(|(group, _)| one.group.as_ref() == Some(group));
        if let Some((_, codecs)) = own {
            one.codecs.clone_from(codecs);
        }
    }
    Ok(found)
}

/// A variant with a resolution is pictures; one without is the sound of a title that has none.
fn variant(list: &AttributeList<'_>, uri: &str) -> Result<Named, ListingError> {
    let size = list.value("RESOLUTION").map(|size| {
        let (width, height) = size.split_once('x').ok_or(ListingError::Unsupported("a size"))?;
        Ok::<_, ListingError>((number(Some(width), 0)?, number(Some(height), 0)?))
    });
    let medium = if size.is_some() { Medium::Video } else { Medium::Audio };
    let (width, height) = size.transpose()?.unwrap_or_default();
    Ok(Named {
        playlist: joined("", uri)?,
        medium,
        codecs: codecs(list, medium),
        width,
        height,
        bandwidth: number(list.value("BANDWIDTH"), 0)?,
        language: None,
        is_main: medium == Medium::Video,
        group: None,
    })
}

/// A rendition of sound with a playlist of its own.
fn sound(list: &AttributeList<'_>) -> Result<Option<Named>, ListingError> {
    let Some(uri) = list.value("URI").filter(|_| list.value("TYPE") == Some("AUDIO")) else {
        return Ok(None);
    };
    Ok(Some(Named {
        playlist: joined("", uri)?,
        medium: Medium::Audio,
        codecs: String::new(),
        width: 0,
        height: 0,
        bandwidth: 0,
        language: list.value("LANGUAGE").map(str::to_owned),
        is_main: list.value("DEFAULT") == Some("YES"),
        group: list.value("GROUP-ID").map(str::to_owned),
    }))
}

/// The codecs of a medium among those that a variant names.
fn codecs(list: &AttributeList<'_>, medium: Medium) -> String {
    const PICTURES: [&str; 10] =
        ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "dva1", "dvav", "av01", "vp09"];
    let is_of = |codec: &&str| {
        let is_picture = PICTURES.iter().any(|known| codec.starts_with(known));
        is_picture == (medium == Medium::Video)
    };
    let all = list.value("CODECS").unwrap_or_default().split(',').map(str::trim);
    all.filter(is_of).collect::<Vec<_>>().join(",")
}

impl Named {
    /// Reads its media playlist, for a client of a system.
    ///
    /// Errors: [`ListingError`]. Limits: a million segments.
    pub fn list(self, text: &str, dialect: Dialect) -> Result<Listed, ListingError> {
        let mut media = Media {
            playlist: &self.playlist,
            dialect,
            first: State::default(),
            current: State::default(),
            turns: vec![],
            segments: vec![],
            clock: Clock::default(),
        };
        media.read(text)?;
        let live = media.clock.live();
        let (protection, key_uri) = media.first.key.unzip();
        // As the MPD names it: a playlist lies beside its segments, or beside its file.
        let id = self.playlist.trim_end_matches(".m3u8").trim_end_matches("/playlist");
        Ok(Listed {
            id: id.replace('/', "-"),
            medium: self.medium,
            codecs: self.codecs,
            width: self.width,
            height: self.height,
            bandwidth: self.bandwidth,
            language: self.language,
            is_main: self.is_main,
            protection,
            key_uri,
            init: media.first.init.ok_or(ListingError::Unsupported("it has no EXT-X-MAP"))?,
            media: MediaParts::Segments(media.segments),
            turns: media.turns,
            live,
        })
    }
}

/// Scheme and id of a key, and where it is.
type Key = ((Scheme, KeyId), String);

/// A media playlist on its way.
struct Media<'a> {
    playlist: &'a str,
    dialect: Dialect,
    /// The first key and initialization of all.
    first: State,
    /// Those of what follows.
    current: State,
    turns: Vec<ListedTurn>,
    segments: Vec<Segment>,
    clock: Clock,
}

/// What the tags above a segment say of it.
#[derive(Clone, Default, PartialEq, Eq)]
struct State {
    key: Option<Key>,
    init: Option<Part>,
}

/// Times and numbers of segments.
#[derive(Default)]
struct Clock {
    number: u64,
    begins_ms: u64,
    duration_ms: u64,
    target_ms: Option<u64>,
    is_whole: bool,
    /// The next segment is not there (`EXT-X-GAP`).
    is_gap: bool,
}

impl Clock {
    /// Reads a tag about times, if it is one.
    fn read(&mut self, name: &str, value: &str) -> Result<(), ListingError> {
        const TIME: ListingError = ListingError::Unsupported("a time");
        match name {
            "EXT-X-TARGETDURATION" => self.target_ms = Some(seconds_ms(value).ok_or(TIME)?),
            "EXT-X-MEDIA-SEQUENCE" => self.number = number(Some(value), 0)?,
            "EXT-X-PROGRAM-DATE-TIME" => self.begins_ms = date_ms(value).ok_or(TIME)?,
            "EXTINF" => {
                let length = value.split(',').next().unwrap_or_default();
                self.duration_ms = seconds_ms(length.trim()).ok_or(TIME)?;
            }
            "EXT-X-GAP" => self.is_gap = true,
            "EXT-X-ENDLIST" => self.is_whole = true,
            _ => {}
        }
        Ok(())
    }

    /// A segment stood here.
    fn pass(&mut self) {
        self.number = self.number.saturating_add(1);
        self.begins_ms = self.begins_ms.saturating_add(self.duration_ms);
        (self.duration_ms, self.is_gap) = (0, false);
    }

    /// A playlist that goes on is read anew about as often as it grows, and played from three
    /// target durations before its end (RFC 8216bis, 6.3.3 and 6.3.4).
    fn live(&self) -> Option<Live> {
        let target_ms = self.target_ms.unwrap_or(USUAL_RELOAD_MS);
        let live = Live {
            reload_ms: (target_ms / 2).max(MIN_RELOAD_MS),
            delay_ms: target_ms.saturating_mul(3),
        };
        (!self.is_whole).then_some(live)
    }
}

impl Media<'_> {
    fn read(&mut self, text: &str) -> Result<(), ListingError> {
        let mut range = None;
        for line in lines(text)? {
            match line {
                Line::Tag("EXT-X-STREAM-INF", _) => {
                    return Err(ListingError::Unsupported("it is a multivariant playlist"));
                }
                Line::Tag("EXT-X-KEY", value) => self.key_line(value)?,
                Line::Tag("EXT-X-MAP", value) => self.map_line(value)?,
                Line::Tag("EXT-X-BYTERANGE", value) => range = Some(value),
                Line::Tag(name, value) => self.clock.read(name, value)?,
                Line::Uri(uri) => self.segment(uri, range.take())?,
            }
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str, range: Option<&str>) -> Result<(), ListingError> {
        if self.segments.len() == MAX_SEGMENTS {
            return Err(ListingError::TooLarge);
        }
        let path = joined(self.playlist, uri)?;
        let span = range.map(|range| self.span(range, &path)).transpose()?;
        if !self.clock.is_gap {
            self.turn()?;
            let Clock { number, begins_ms, duration_ms, .. } = self.clock;
            self.segments.push(Segment {
                part: Part { path, span },
                number,
                begins_ms,
                duration_ms,
            });
        }
        self.clock.pass();
        Ok(())
    }

    /// Notes where key or initialization are others than those of the segments before. The first
    /// key of all is no turn, also behind a clear lead.
    fn turn(&mut self) -> Result<(), ListingError> {
        let State { key, init } = self.current.clone();
        let init = init.ok_or(ListingError::Unsupported("it has no EXT-X-MAP"))?;
        let (key, key_uri) = key.unzip();
        let kid = key.map(|(_, kid)| kid);
        let first = self.first.key.as_ref().map(|((_, kid), _)| *kid);
        let last = self.turns.last().map(|turn| (turn.kid, Some(&turn.init)));
        let is_new = last.unwrap_or((first, self.first.init.as_ref())) != (kid, Some(&init));
        let is_clear_lead = kid.is_none() && self.turns.is_empty();
        if is_new && !is_clear_lead {
            self.turns.push(ListedTurn { segment: self.segments.len(), kid, key_uri, init });
        }
        Ok(())
    }

    /// The line of the client's own system: what comes is under this key.
    fn key_line(&mut self, value: &str) -> Result<(), ListingError> {
        let list = attributes(value)?;
        let format = list.value("KEYFORMAT").unwrap_or("identity");
        if super::super::hls::dialect_of(format) != Some(self.dialect) {
            return Ok(());
        }
        let scheme = match list.value("METHOD") {
            Some("SAMPLE-AES") => Scheme::Cbcs,
            Some("SAMPLE-AES-CTR") => Scheme::Cenc,
            _ => return Err(ListingError::Unsupported("a method of encryption")),
        };
        let uri = list.value("URI").ok_or(ListingError::Unsupported("a key"))?;
        let named = list.value("KEYID").and_then(|kid| kid.strip_prefix("0x"));
        let kid = named.map_or_else(|| kid_of_skd(uri), |kid| KeyId::parse(kid).ok());
        let kid = kid.ok_or(ListingError::Unsupported("a key"))?;
        let key = ((scheme, kid), uri.to_owned());
        if self.first.key.get_or_insert_with(|| key.clone()).0.0 != scheme {
            return Err(ListingError::Unsupported("a rendition in several schemes"));
        }
        self.current.key = Some(key);
        Ok(())
    }

    fn map_line(&mut self, value: &str) -> Result<(), ListingError> {
        let list = attributes(value)?;
        let path = joined(self.playlist, list.value("URI").unwrap_or_default())?;
        let span = list.value("BYTERANGE").map(|range| self.span(range, &path)).transpose()?;
        let init = Part { path, span };
        self.first.init.get_or_insert_with(|| init.clone());
        self.current.init = Some(init);
        Ok(())
    }

    /// `LENGTH@START`; without a start it goes on where the last part of the file ended.
    fn span(&self, range: &str, path: &str) -> Result<ByteSpan, ListingError> {
        let (len, start) = match range.split_once('@') {
            Some((len, start)) => (len, Some(start)),
            None => (range, None),
        };
        let last = self.segments.last().map(|last| &last.part).filter(|last| last.path == path);
        let behind = last.and_then(|last| last.span).map(|span| span.end());
        let start = start.map(|start| number(Some(start), 0)).transpose()?.or(behind);
        let start = start.ok_or(ListingError::Unsupported("a range"))?;
        Ok(ByteSpan { start, len: number(Some(len), 0)? })
    }
}

/// The key of `skd://CONTENT?kid=KID`.
pub fn kid_of_skd(uri: &str) -> Option<KeyId> {
    let (content, kid) = uri.strip_prefix("skd://")?.split_once("?kid=")?;
    ContentId::parse(content).ok()?;
    KeyId::parse(kid).ok()
}

#[cfg(test)]
mod tests;
