//! Common Media Client Data (CTA-5004): what a player says of itself beside a request for media, in
//! the query argument `CMCD` or in four headers.
//!
//! It is hearsay for figures and logs: it decides nothing, is part of no signature and of no cache
//! key, and what cannot be read is as if it were not there. What names a viewer or a title (`sid`,
//! `cid`, `nor`, `nrr`, keys of one's own) is read over and not kept.

/// The query argument.
pub const ARGUMENT: &str = "CMCD";

/// The headers, by how often they change (CTA-5004, 2.1).
pub const HEADERS: [&str; 4] = ["cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"];

/// Longest text that is read, after percent-decoding: of the query, or of one header.
const MAX_TEXT: usize = 2048;
/// Most pairs in one text.
const MAX_PAIRS: usize = 64;
/// Longest name of a pair.
const MAX_KEY: usize = 64;

/// The kind of object that is asked for (`ot`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// A manifest or playlist.
    Manifest,
    /// Audio alone.
    Audio,
    /// Video alone.
    Video,
    /// Audio and video.
    Both,
    /// An init segment.
    Init,
    /// Captions or subtitles.
    Text,
    /// Text in ISO-BMFF.
    TimedText,
    /// A key or a license.
    Key,
    /// Anything else.
    Other,
}

impl ObjectType {
    /// The name in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Both => "audio_video",
            Self::Init => "init",
            Self::Text => "text",
            Self::TimedText => "timed_text",
            Self::Key => "key",
            Self::Other => "other",
        }
    }

    fn of(token: &str) -> Option<Self> {
        Some(match token {
            "m" => Self::Manifest,
            "a" => Self::Audio,
            "v" => Self::Video,
            "av" => Self::Both,
            "i" => Self::Init,
            "c" => Self::Text,
            "tt" => Self::TimedText,
            "k" => Self::Key,
            "o" => Self::Other,
            _ => return None,
        })
    }
}

/// What is kept of it. Absent: the player did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cmcd {
    /// `ot`: what kind of object is asked for.
    pub object: Option<ObjectType>,
    /// `br`: bit rate of the object, kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// `bl`: what is buffered, milliseconds.
    pub buffer_ms: Option<u32>,
    /// `dl`: when the buffer runs dry without this object, milliseconds.
    pub deadline_ms: Option<u32>,
    /// `d`: how long the object plays, milliseconds.
    pub duration_ms: Option<u32>,
    /// `mtp`: throughput as the player measured it, kbit/s.
    pub throughput_kbps: Option<u32>,
    /// `rtp`: throughput it asks for, kbit/s.
    pub asked_kbps: Option<u32>,
    /// `tb`: the highest bit rate it could play, kbit/s.
    pub top_kbps: Option<u32>,
    /// `bs`: whether the buffer has run dry since the request before.
    pub has_starved: bool,
    /// `su`: whether it needs the object at once: start, seek or an empty buffer.
    pub is_urgent: bool,
}

impl Cmcd {
    /// Reads the value of the query argument, percent-encoded.
    ///
    /// None: malformed. Limits: 2 KiB, 64 pairs.
    #[must_use]
    pub fn parse_argument(value: &str) -> Option<Self> {
        let text = percent_decoded(value)?;
        Self::default().read(&text)
    }

    /// Reads what the headers say. One that is malformed is left out. Limits: 2 KiB and 64 pairs
    /// each.
    #[must_use]
    pub fn parse_headers<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let read = |said: Self, text| said.read(text).unwrap_or(said);
        values.into_iter().take(HEADERS.len()).fold(Self::default(), read)
    }

    /// A list of pairs, separated by commas: `name`, which stands for true, or `name=value`.
    fn read(mut self, text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT || !text.bytes().all(|c| (0x20..0x7f).contains(&c)) {
            return None;
        }
        let mut rest = text;
        for _ in 0..MAX_PAIRS {
            let (name, after) = take_name(rest)?;
            let value;
            (value, rest) = match after.strip_prefix('=') {
                None => (Value::True, after),
                Some(after) => take_value(after)?,
            };
            self.put(name, value)?;
            if rest.is_empty() {
                return Some(self);
            }
            rest = rest.strip_prefix(',')?.trim_start_matches(' ');
        }
        None
    }

    /// Takes a pair. None: a known name with a value that it cannot have.
    fn put(&mut self, name: &str, value: Value) -> Option<()> {
        match name {
            "ot" => self.object = Some(ObjectType::of(value.token()?)?),
            "br" => self.bitrate_kbps = Some(value.number()?),
            "bl" => self.buffer_ms = Some(value.number()?),
            "dl" => self.deadline_ms = Some(value.number()?),
            "d" => self.duration_ms = Some(value.number()?),
            "mtp" => self.throughput_kbps = Some(value.number()?),
            "rtp" => self.asked_kbps = Some(value.number()?),
            "tb" => self.top_kbps = Some(value.number()?),
            "bs" => self.has_starved = value.flag()?,
            "su" => self.is_urgent = value.flag()?,
            _ => {}
        }
        Some(())
    }
}

/// The value of a pair (RFC 8941, 3.3, as far as CTA-5004 uses it).
#[derive(Clone, Copy)]
enum Value<'a> {
    True,
    /// A string, whose text nothing here needs.
    Text,
    /// A token or a number.
    Bare(&'a str),
}

impl<'a> Value<'a> {
    const fn token(self) -> Option<&'a str> {
        if let Value::Bare(text) = self { Some(text) } else { None }
    }

    /// A whole number of 32 bits.
    fn number(self) -> Option<u32> {
        let text = self.token()?;
        if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
    }

    fn flag(self) -> Option<bool> {
        match self {
            Value::True | Value::Bare("true" | "?1") => Some(true),
            Value::Bare("false" | "?0") => Some(false),
            Value::Text | Value::Bare(_) => None,
        }
    }
}

fn take_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (1..=MAX_KEY).contains(&name.len()).then_some((name, rest))
}

fn take_value(text: &str) -> Option<(Value<'_>, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut is_escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                _ if is_escaped && !matches!(c, '"' | '\\') => return None,
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => return Some((Value::Text, quoted.get(at + 1..)?)),
                _ => {}
            }
        }
        return None;
    }
    let end = text.find([',', '"', '=', ' ']).unwrap_or(text.len());
    let (bare, rest) = text.split_at_checked(end)?;
    (!bare.is_empty()).then_some((Value::Bare(bare), rest))
}

/// Text of a URL's query with its `%XX` resolved.
fn percent_decoded(text: &str) -> Option<String> {
    if text.len() > 3 * MAX_TEXT {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            decoded.push((high << 4) | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Shaka Player and dash.js send it.
    const QUERY: &str = "br%3D3200%2Cbl%3D21300%2Cd%3D4004%2Cmtp%3D25400%2Cot%3Dv%2Csf%3Dd%2C\
        sid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2Cst%3Dv%2Cbs%2Csu%2Ctb%3D6000";

    fn expected() -> Cmcd {
        Cmcd {
            object: Some(ObjectType::Video),
            bitrate_kbps: Some(3200),
            buffer_ms: Some(21_300),
            duration_ms: Some(4004),
            throughput_kbps: Some(25_400),
            top_kbps: Some(6000),
            has_starved: true,
            is_urgent: true,
            ..Cmcd::default()
        }
    }

    #[test]
    fn the_query_and_the_headers_say_the_same() {
        assert_eq!(Cmcd::parse_argument(QUERY), Some(expected()));
        let headers = [
            "br=3200,d=4004,ot=v,tb=6000",
            "bl=21300,mtp=25400,su",
            "sf=d,sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",st=v",
            "bs",
        ];
        assert_eq!(Cmcd::parse_headers(headers), expected());
    }

    #[test]
    fn strings_may_hold_what_separates() {
        let said = Cmcd::parse_headers(["cid=\"a,b=\\\"c\\\\\",br=7", "com.example-x=\"\",bl=1"]);
        assert_eq!((said.bitrate_kbps, said.buffer_ms), (Some(7), Some(1)));
    }

    #[test]
    fn flags_have_an_explicit_form() {
        for (text, starved) in
            [("bs", true), ("bs=true", true), ("bs=?1", true), ("bs=false", false)]
        {
            assert_eq!(Cmcd::parse_argument(text).unwrap().has_starved, starved, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        let long = format!("cid=\"{}\"", "a".repeat(MAX_TEXT));
        let many = vec!["nor=a"; MAX_PAIRS + 1].join(",");
        let named = "n".repeat(MAX_KEY + 1);
        for text in [
            "",
            ",",
            "br",
            "br=",
            "br=-1",
            "br=1.5",
            "br=4294967296",
            "br=\"1\"",
            "br=1,",
            "br=1,,bl=2",
            "br=1 bl=2",
            "ot=x",
            "ot=\"v\"",
            "ot",
            "bs=maybe",
            "bs=\"true\"",
            "=1",
            "cid=\"open",
            "cid=\"a\\b\"",
            "br=1=2",
            "br%",
            "br%3",
            "br%3g",
            "%00",
            "br=%ff",
            "ü",
            &long,
            &many,
            &named,
        ] {
            assert_eq!(Cmcd::parse_argument(text), None, "{text}");
            let header = Cmcd::parse_headers([text, "br=5"]);
            assert_eq!(header, Cmcd { bitrate_kbps: Some(5), ..Cmcd::default() }, "{text}");
        }
        assert_eq!(Cmcd::parse_argument(&"%41".repeat(MAX_TEXT + 1)), None);
        let most = vec!["nor=a"; MAX_PAIRS].join(",");
        assert_eq!(Cmcd::parse_argument(&most), Some(Cmcd::default()));
        assert_eq!(Cmcd::parse_headers(["br=1"; 5].into_iter().chain(["bl=9"])).buffer_ms, None);
    }
}
