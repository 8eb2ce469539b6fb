//! Where an object lies inside a package.

use crate::id::IdError;

/// Longest path.
const MAX_PATH: usize = 256;
/// Most parts of a path.
const MAX_PARTS: usize = 8;

/// Path of an object inside its package: `cbcs/video-720p/3.m4s`.
///
/// Shape: 1 to 8 parts joined by `/`, at most 256 characters; a part is of `A-Z a-z 0-9 . _ -`
/// and begins with a letter or digit. So it is the same in a URL, a file system and an object
/// store, and no path leaves its package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(String);

impl ObjectPath {
    /// Reads a path as it stands in a URL; nothing in it is decoded.
    ///
    /// Errors: [`IdError`] on another length or character.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() > MAX_PATH || text.split('/').count() > MAX_PARTS {
            return Err(IdError::Length);
        }
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_part = |part: &str| {
            part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && part.bytes().all(is_plain)
        };
        if text.split('/').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Characters)
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packages_hold_is_read() {
        for text in ["manifest.mpd", "cbcs/video-720p/init.mp4", "cenc/audio-pt-BR/12.m4s", "a/b"] {
            assert_eq!(ObjectPath::parse(text).map(|path| path.to_string()), Ok(text.to_owned()));
        }
        assert!(ObjectPath::parse(&"a".repeat(256)).is_ok());
    }

    #[test]
    fn no_path_leaves_its_package() {
        for text in [
            "",
            "/",
            "//",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "...",
            ".a",
            "a/.b",
            "~a",
            "a b",
            "a\0",
            "a\0.mp4",
            "a\n",
            "a\\b",
            "..\\a",
            "C:\\a",
            "C:a",
            "a?b",
            "a#b",
            "a%2e",
            "%2e%2e/a",
            "%252e%252e",
            "a%2fb",
            "a%5cb",
            "a%00",
            "%c0%ae/a",
            "ä",
            "．．/a",
            "a;b",
            "a:b",
            "a*b",
            "a|b",
            "-rf",
            "_a",
            "a/-b",
        ] {
            assert!(ObjectPath::parse(text).is_err(), "{text:?}");
        }
        assert!(ObjectPath::parse(&"a".repeat(257)).is_err());
        assert!(ObjectPath::parse(&["a"; 9].join("/")).is_err());
        assert!(ObjectPath::parse(&"a/".repeat(1 << 20)).is_err());
    }
}
