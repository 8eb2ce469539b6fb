//! How a user names a source: a path, `-`, `http(s)://…` or `s3://BUCKET/KEY`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use store::remote::{Address, AddressError};

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file; one that is called `-` is written `./-`.
    File(PathBuf),
    /// `-`.
    StandardInput,
    /// A web server or a bucket.
    Remote(Address),
}

impl Location {
    /// Reads what stands on the command line. Errors: an address that is none.
    pub fn parse(text: OsString) -> Result<Self, AddressError> {
        match text.to_str() {
            Some("-") => Ok(Self::StandardInput),
            Some(plain) => match Address::parse(plain)? {
                Some(Address::S3 { key, .. }) if key.as_ref().is_empty() => {
                    Err(AddressError::Key("a bucket is no source".to_owned()))
                }
                Some(address) => Ok(Self::Remote(address)),
                None => Ok(Self::File(text.into())),
            },
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::StandardInput => write!(f, "standard input"),
            Self::Remote(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, AddressError> {
        Location::parse(text.into())
    }

    #[test]
    fn only_addresses_are_no_files() {
        for name in ["-i.mkv", "./-", "concat:a.ts|b.ts", "file:/etc/passwd", "a film.mp4"] {
            assert_eq!(parse(name), Ok(Location::File(name.into())));
        }
        assert_eq!(parse("-"), Ok(Location::StandardInput));
        assert!(matches!(parse("s3://films/a.mp4"), Ok(Location::Remote(_))));
        assert!(matches!(parse("https://cdn.example/a.mp4"), Ok(Location::Remote(_))));
        assert!(parse("s3://films").is_err() && parse("s3://films/").is_err());
        assert!(parse("https://").is_err());
    }
}
