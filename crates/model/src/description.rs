//! What viewers read of a title beside its name, and its pictures.

use serde::{Deserialize, Serialize};

/// Longest synopsis, characters.
const MAX_SYNOPSIS: usize = 4000;
/// Most people of a cast.
const MAX_CAST: usize = 100;
/// Longest name of a person, characters.
const MAX_NAME: usize = 200;
/// Years that films are from.
const YEARS: std::ops::RangeInclusive<u16> = 1870..=2200;

/// What viewers read of a title.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TitleDescription {
    /// What it is about.
    pub synopsis: String,
    /// Who is in it, in the order of a poster.
    pub cast: Vec<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<u16>,
    /// How long it is, where its package does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u32>,
}

/// Why a description is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Not JSON, or with members that no description has.
    #[error("not a description: {0}")]
    Json(String),
    /// The synopsis.
    #[error("a synopsis has at most {MAX_SYNOPSIS} characters and no control characters")]
    Synopsis,
    /// The cast.
    #[error(
        "a cast has at most {MAX_CAST} people, with names of 1 to {MAX_NAME} characters in one line"
    )]
    Cast,
    /// The year.
    #[error("a year is one of {first} to {last}", first = YEARS.start(), last = YEARS.end())]
    Year,
}

impl TitleDescription {
    /// Longest document, bytes.
    pub const MAX_BYTES: usize = 128 * 1024;

    /// Reads the JSON document.
    ///
    /// Errors: [`DescriptionError`]. Limits: those of [`Self::check`].
    pub fn parse(json: &str) -> Result<Self, DescriptionError> {
        let malformed = |error: serde_json::Error| DescriptionError::Json(error.to_string());
        // An object: the members of a list have no names.
        let object: serde_json::Map<_, _> = serde_json::from_str(json).map_err(malformed)?;
        let read: Self = serde_json::from_value(object.into()).map_err(malformed)?;
        read.check()?;
        Ok(read)
    }

    /// Whether it keeps the limits: a synopsis of 4000 characters, a cast of 100 people with
    /// names of 200 characters, a year in which there were films.
    ///
    /// Errors: [`DescriptionError`].
    pub fn check(&self) -> Result<(), DescriptionError> {
        let is_odd = |c: char| c.is_control() && c != '\n';
        if self.synopsis.chars().count() > MAX_SYNOPSIS || self.synopsis.contains(is_odd) {
            return Err(DescriptionError::Synopsis);
        }
        let is_name = |name: &String| {
            !name.trim().is_empty()
                && name.chars().count() <= MAX_NAME
                && !name.contains(char::is_control)
        };
        if self.cast.len() > MAX_CAST || !self.cast.iter().all(is_name) {
            return Err(DescriptionError::Cast);
        }
        if self.year.is_some_and(|year| !YEARS.contains(&year)) {
            return Err(DescriptionError::Year);
        }
        Ok(())
    }
}

/// What a picture of a title is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtKind {
    /// Upright, for a shelf.
    Poster,
    /// Wide, behind a page.
    Backdrop,
}

impl ArtKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Poster, Self::Backdrop];

    /// The name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poster => "poster",
            Self::Backdrop => "backdrop",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

/// The formats of pictures that are served. No SVG: it can hold scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
}

impl ImageFormat {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::WebP];

    /// The format that the first bytes of a file tell, whatever the file is called.
    #[must_use]
    pub fn of_magic(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    /// The ending of a file's name.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// Reads the ending.
    #[must_use]
    pub fn parse(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// A picture by what it is: its digest is its name, so what stands under a name never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtFile {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Its format.
    pub format: ImageFormat,
}

impl ArtFile {
    /// Largest picture, bytes: high definition and some.
    pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

    /// Reads a name: 64 lower-case hex digits, a dot and the format's ending.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, extension) = name.split_once('.')?;
        let is_plain = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if digits.len() != 64 || !digits.bytes().all(is_plain) {
            return None;
        }
        let mut sha256 = [0; 32];
        for (byte, pair) in sha256.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self { sha256, format: ImageFormat::parse(extension)? })
    }
}

impl std::fmt::Display for ArtFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.sha256 {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ".{}", self.format.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_reads_back_and_says_what_is_wrong() {
        let text = r#"{"synopsis":"A ship.\nA storm.","cast":["A. B."],"year":1920}"#;
        let read = TitleDescription::parse(text).unwrap();
        assert_eq!((read.year, read.cast.len(), read.duration_s), (Some(1920), 1, None));
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(TitleDescription::parse(&again).unwrap(), read);
        assert_eq!(TitleDescription::parse("{}").unwrap(), TitleDescription::default());
        let of = |description: TitleDescription| description.check();
        let empty = TitleDescription::default;
        let long = |synopsis: &str| TitleDescription { synopsis: synopsis.into(), ..empty() };
        assert_eq!(of(long(&"ü".repeat(4000))), Ok(()));
        assert_eq!(of(long(&"ü".repeat(4001))), Err(DescriptionError::Synopsis));
        assert_eq!(of(long("a\0b")), Err(DescriptionError::Synopsis));
        let cast = |cast: Vec<String>| TitleDescription { cast, ..empty() };
        assert_eq!(of(cast(vec!["x".into(); 100])), Ok(()));
        for wrong in
            [vec!["x".to_owned(); 101], vec![" ".into()], vec!["x\n".into()], vec!["x".repeat(201)]]
        {
            assert_eq!(of(cast(wrong)), Err(DescriptionError::Cast));
        }
        for year in [0, 1869, 2201, u16::MAX] {
            let wrong = TitleDescription { year: Some(year), ..empty() };
            assert_eq!(of(wrong), Err(DescriptionError::Year));
        }
        for wrong in ["", "[]", r#"{"plot":""}"#, r#"{"year":70000}"#, r#"{"year":-1}"#] {
            let read = TitleDescription::parse(wrong);
            assert!(matches!(read, Err(DescriptionError::Json(_))), "{wrong}");
        }
    }

    #[test]
    fn a_format_is_told_by_the_first_bytes() {
        let webp = b"RIFF\x10\0\0\0WEBPVP8 ";
        assert_eq!(ImageFormat::of_magic(b"\xff\xd8\xff\xe0"), Some(ImageFormat::Jpeg));
        assert_eq!(ImageFormat::of_magic(b"\x89PNG\r\n\x1a\n"), Some(ImageFormat::Png));
        assert_eq!(ImageFormat::of_magic(webp), Some(ImageFormat::WebP));
        for other in [&b""[..], b"\xff\xd8", b"<svg>", b"GIF89a", b"RIFF\0\0\0\0WAVE", b"\x89PNG"] {
            assert_eq!(ImageFormat::of_magic(other), None);
        }
    }

    #[test]
    fn the_name_of_a_picture_has_one_spelling() {
        for format in ImageFormat::ALL {
            let file = ArtFile { sha256: [0xa7; 32], format };
            let name = file.to_string();
            assert_eq!(ArtFile::parse(&name), Some(file));
            assert_eq!(ArtFile::parse(&name.to_uppercase()), None);
            assert_eq!(ArtFile::parse(&name[1..]), None);
            assert_eq!(ArtFile::parse(&format!("{name}.jpg")), None);
        }
        for other in ["", ".jpg", "../x.jpg", &"ä".repeat(32), &format!("{}.svg", "a".repeat(64))]
        {
            assert_eq!(ArtFile::parse(other), None, "{other}");
        }
    }
}
