//! The filter over HLS playlists (RFC 8216bis, 4.4).

use super::{Filter, FilterError, check_playready};
use crate::manifest::attribute_list::AttributeList;
use crate::manifest::hls::dialect_of;
use crate::manifest::listing::kid_of_skd;
use crate::manifest::periods::CUE_CLASS;
use crate::pssh::{PlayReadyObject, PsshError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Dialect, KeyId, Scheme};
use std::collections::BTreeSet;

/// Longest playlist.
const MAX_BYTES: usize = 8 << 20;

/// Tags of both kinds that say nothing about keys and name no other document.
const COMMON_TAGS: [&str; 4] =
    ["EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START"];
/// The same for media playlists.
const MEDIA_TAGS: [&str; 14] = [
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-I-FRAMES-ONLY",
    "EXT-X-IMAGES-ONLY",
    "EXT-X-TILES",
    "EXTINF",
    "EXT-X-BYTERANGE",
    "EXT-X-DISCONTINUITY",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-GAP",
    "EXT-X-BITRATE",
    "EXT-X-ENDLIST",
];
/// The tag of playlists of key frames.
const I_FRAMES: &str = "EXT-X-I-FRAME-STREAM-INF";
/// What a key line may say.
const KEY_ATTRIBUTES: [&str; 6] =
    ["METHOD", "URI", "KEYID", "IV", "KEYFORMAT", "KEYFORMATVERSIONS"];

/// One line of a playlist.
enum Line<'a> {
    /// `#EXT…`, with what stands behind its colon.
    Tag(&'a str, &'a str),
    /// A URI.
    Uri(&'a str),
    /// Empty, or a comment.
    Nothing,
}

/// The lines with their numbers. Errors: [`FilterError::Kind`] unless the first is `#EXTM3U`.
fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str, Line<'_>)>, FilterError> {
    if text.len() > MAX_BYTES {
        return Err(FilterError::TooLong);
    }
    if text.lines().next().map(str::trim_end) != Some("#EXTM3U") {
        return Err(FilterError::Kind);
    }
    Ok(text.lines().enumerate().map(|(at, line)| {
        let line = line.trim_end();
        let kind = match line.strip_prefix('#') {
            Some(tag) if tag.starts_with("EXT") => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                Line::Tag(name, value)
            }
            None if !line.is_empty() => Line::Uri(line),
            _ => Line::Nothing,
        };
        (at + 1, line, kind)
    }))
}

/// Writes a media playlist as the session may see it.
///
/// Errors: [`FilterError`]; [`FilterError::NothingLeft`] when its key is not the session's,
/// [`FilterError::NotSignaled`] when no line is for the asking system.
pub fn hls_media(text: &str, filter: &Filter) -> Result<String, FilterError> {
    let mut out = String::with_capacity(text.len());
    let (mut key_lines, mut foreign) = (0, false);
    for (number, line, kind) in lines(text)? {
        let kept = match kind {
            // Segments lie beside their playlist; what names another host is not ours.
            Line::Uri(uri) if uri.contains(':') => return Err(FilterError::Line(number)),
            Line::Uri(_) => line.to_owned(),
            Line::Tag("EXT-X-KEY", value) => match key_line(value, filter, number)? {
                KeyLine::Kept(kept) => {
                    key_lines += 1;
                    format!("#EXT-X-KEY:{kept}")
                }
                KeyLine::Clear => "#EXT-X-KEY:METHOD=NONE".to_owned(),
                KeyLine::OtherKey => {
                    foreign = true;
                    continue;
                }
                KeyLine::OtherSystem => continue,
            },
            Line::Tag("EXT-X-MAP", value) => map_line(value, number)?,
            Line::Tag("EXT-X-DATERANGE", value) => match cue_line(value, number)? {
                Some(kept) => kept,
                None => continue,
            },
            Line::Tag("EXT-X-STREAM-INF", _) => return Err(FilterError::Kind),
            Line::Tag(tag, _) if COMMON_TAGS.contains(&tag) || MEDIA_TAGS.contains(&tag) => {
                line.to_owned()
            }
            Line::Tag(..) | Line::Nothing => continue,
        };
        push(&mut out, &kept);
    }
    match (foreign, key_lines) {
        (true, _) => Err(FilterError::NothingLeft),
        (false, 0) => Err(FilterError::NotSignaled),
        (false, _) => Ok(out),
    }
}

/// Writes a media playlist of subtitles or thumbnails, which are not encrypted, as any session
/// may see it.
///
/// Errors: [`FilterError`]; [`FilterError::NothingLeft`] where it is a playlist of encrypted
/// media after all.
pub fn hls_text(text: &str) -> Result<String, FilterError> {
    let mut out = String::with_capacity(text.len());
    for (number, line, kind) in lines(text)? {
        match kind {
            Line::Uri(uri) if uri.contains(':') => return Err(FilterError::Line(number)),
            Line::Tag("EXT-X-KEY", _) => return Err(FilterError::NothingLeft),
            Line::Tag("EXT-X-STREAM-INF", _) => return Err(FilterError::Kind),
            Line::Tag("EXT-X-MAP", value) => push(&mut out, &map_line(value, number)?),
            Line::Tag("EXT-X-DATERANGE", value) => {
                cue_line(value, number)?.iter().for_each(|kept| push(&mut out, kept));
            }
            Line::Tag(tag, _) if COMMON_TAGS.contains(&tag) || MEDIA_TAGS.contains(&tag) => {
                push(&mut out, line);
            }
            Line::Uri(_) => push(&mut out, line),
            Line::Tag(..) | Line::Nothing => {}
        }
    }
    Ok(out)
}

/// The init lies beside its playlist, as segments do.
fn map_line(value: &str, number: usize) -> Result<String, FilterError> {
    let map = AttributeList::parse(value).ok_or(FilterError::Line(number))?;
    if map.value("URI").is_none_or(|uri| uri.contains(':')) {
        return Err(FilterError::Line(number));
    }
    Ok(format!("#EXT-X-MAP:{}", map.with_only(&["URI", "BYTERANGE"])))
}

/// A date range that the packager wrote: others may name documents elsewhere.
fn cue_line(value: &str, number: usize) -> Result<Option<String>, FilterError> {
    let range = AttributeList::parse(value).ok_or(FilterError::Line(number))?;
    let is_cue = range.value("CLASS") == Some(CUE_CLASS);
    let kept = || format!("#EXT-X-DATERANGE:{}", range.with_only(&["ID", "CLASS", "START-DATE"]));
    Ok(is_cue.then(kept))
}

/// Writes a multivariant playlist as the session may see it.
///
/// Errors: [`FilterError`]; [`FilterError::NothingLeft`] when no variant is left.
pub fn hls_master(text: &str, filter: &Filter) -> Result<String, FilterError> {
    let groups = kept_groups(text, filter)?;
    let mut out = String::with_capacity(text.len());
    let mut variants = 0_usize;
    let mut lines = lines(text)?;
    while let Some((number, line, kind)) = lines.next() {
        let Line::Tag(tag, value) = kind else { continue };
        let attributes = || AttributeList::parse(value).ok_or(FilterError::Line(number));
        match tag {
            "EXT-X-SESSION-KEY" => {
                if let KeyLine::Kept(kept) = key_line(value, filter, number)? {
                    push(&mut out, &format!("#EXT-X-SESSION-KEY:{kept}"));
                }
            }
            "EXT-X-MEDIA" if is_kept_media(&attributes()?, filter) => match &filter.steering {
                None => push(&mut out, line),
                Some(steering) => steering.put_rendition(&mut out, &attributes()?),
            },
            I_FRAMES | "EXT-X-IMAGE-STREAM-INF" => {
                let uri = attributes()?.value("URI").ok_or(FilterError::Line(number))?;
                let steering = filter.steering.as_ref().filter(|_| tag == I_FRAMES);
                match steering {
                    _ if !filter.trick_playlists.contains(uri) => {}
                    None => push(&mut out, line),
                    Some(steering) => steering.put_variant(&mut out, tag, &attributes()?, None),
                }
            }
            "EXT-X-STREAM-INF" => {
                let (_, _, next) = lines.next().ok_or(FilterError::Line(number))?;
                let Line::Uri(uri) = next else { return Err(FilterError::Line(number + 1)) };
                let attributes = attributes()?;
                let has_its_groups = ["AUDIO", "SUBTITLES"].iter().all(|kind| {
                    attributes
                        .value(kind)
                        .is_none_or(|id| groups.contains(&((*kind).to_owned(), id.to_owned())))
                });
                if filter.playlists.contains(uri) && has_its_groups {
                    variants += 1;
                    if let Some(steering) = &filter.steering {
                        steering.put_variant(&mut out, tag, &attributes, Some(uri));
                        continue;
                    }
                    push(&mut out, line);
                    push(&mut out, uri);
                }
            }
            _ if MEDIA_TAGS.contains(&tag) => return Err(FilterError::Kind),
            _ if COMMON_TAGS.contains(&tag) => push(&mut out, line),
            _ => {}
        }
        if let Some(steering) = filter.steering.as_ref().filter(|_| tag == "EXTM3U") {
            push(&mut out, &steering.line());
        }
    }
    if variants == 0 { Err(FilterError::NothingLeft) } else { Ok(out) }
}

/// Type and id of every group that keeps a member.
fn kept_groups(text: &str, filter: &Filter) -> Result<BTreeSet<(String, String)>, FilterError> {
    let mut groups = BTreeSet::new();
    for (number, _, kind) in lines(text)? {
        if let Line::Tag("EXT-X-MEDIA", value) = kind {
            let media = AttributeList::parse(value).ok_or(FilterError::Line(number))?;
            if let (true, Some(kind), Some(id)) =
                (is_kept_media(&media, filter), media.value("TYPE"), media.value("GROUP-ID"))
            {
                groups.insert((kind.to_owned(), id.to_owned()));
            }
        }
    }
    Ok(groups)
}

/// A rendition without a playlist of its own lies in its variant and goes with it.
fn is_kept_media(media: &AttributeList<'_>, filter: &Filter) -> bool {
    media.value("URI").is_none_or(|uri| filter.playlists.contains(uri))
}

/// What becomes of a key line.
enum KeyLine {
    /// It stays, with these attributes.
    Kept(String),
    /// It ends encryption.
    Clear,
    /// It is for the asking system, and for a key or scheme that the session may not get.
    OtherKey,
    /// It is not for the asking system, or would tell the player a license URL.
    OtherSystem,
}

fn key_line(value: &str, filter: &Filter, number: usize) -> Result<KeyLine, FilterError> {
    let list = AttributeList::parse(value).ok_or(FilterError::Line(number))?;
    let method = list.value("METHOD").ok_or(FilterError::Line(number))?;
    if method == "NONE" {
        return Ok(KeyLine::Clear);
    }
    // Without KEYFORMAT it is `identity`: a URL that gives the key itself.
    let dialect = list.value("KEYFORMAT").and_then(dialect_of);
    let uri = list.value("URI").unwrap_or_default();
    if dialect != Some(filter.dialect) || !is_local(filter.dialect, uri)? {
        return Ok(KeyLine::OtherSystem);
    }
    let scheme = match method {
        "SAMPLE-AES" => Scheme::Cbcs,
        "SAMPLE-AES-CTR" => Scheme::Cenc,
        _ => return Ok(KeyLine::OtherKey),
    };
    let named = list.value("KEYID").and_then(|kid| kid.strip_prefix("0x"));
    let kid = named.map_or_else(|| kid_of_skd(uri), |kid| KeyId::parse(kid).ok());
    let is_allowed = kid.is_some_and(|kid| scheme == filter.scheme && filter.kids.contains(&kid));
    let kept = || KeyLine::Kept(list.with_only(&KEY_ATTRIBUTES));
    Ok(if is_allowed { kept() } else { KeyLine::OtherKey })
}

/// Whether the URI carries its content in itself and leads nowhere.
///
/// Errors: a PlayReady object that is malformed or carries a license URL.
fn is_local(dialect: Dialect, uri: &str) -> Result<bool, FilterError> {
    let data = uri.strip_prefix("data:").and_then(|data| data.split_once("base64,"));
    match dialect {
        Dialect::FairPlay => Ok(kid_of_skd(uri).is_some()),
        Dialect::ClearKey | Dialect::Widevine => Ok(data.is_some()),
        Dialect::PlayReady => {
            let Some((_, object)) = data else { return Ok(false) };
            let bytes = STANDARD.decode(object).map_err(|_| PsshError::PlayReady)?;
            check_playready(&PlayReadyObject::parse(&bytes)?)?;
            Ok(true)
        }
    }
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}
