//! Where an object is: `http://…`, `https://…` (RFC 3986) or `s3://BUCKET/KEY`.

use object_store::path::Path;
use std::fmt;
use url::Url;

/// The address of an object, or in S3 of the objects below a prefix.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A resource of a web server.
    Http(Url),
    /// An object or a prefix of a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// Its key; a prefix is written without the slash at its end.
        key: Path,
    },
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of a web server.
    #[error("not a URL with a host: {0}")]
    Url(String),
    /// No bucket, or a name that no bucket has.
    #[error("no bucket: write s3://BUCKET/KEY")]
    Bucket,
    /// A key with an empty part, a `.` or a `..`.
    #[error("not a key of an object: {0}")]
    Key(String),
}

impl Address {
    /// Reads an address; `None` for a text that begins like no address.
    ///
    /// Errors: [`AddressError`] for one that begins like an address and is none.
    pub fn parse(text: &str) -> Result<Option<Self>, AddressError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest).map(Some);
        }
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|error| AddressError::Url(error.to_string()))?;
        Ok(Some(Self::Http(url)))
    }

    /// What of it must not be printed: the query of a URL may be a signature.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let Self::Http(url) = self else { return Vec::new() };
        let parts = [url.query(), url.password(), Some(url.username())];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect()
    }
}

fn s3(rest: &str) -> Result<Address, AddressError> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    if bucket.len() < 3 || bucket.len() > 63 || !bucket.bytes().all(is_name) {
        return Err(AddressError::Bucket);
    }
    let key = Path::parse(key).map_err(|error| AddressError::Key(error.to_string()))?;
    Ok(Address::S3 { bucket: bucket.to_owned(), key })
}

/// Fit for messages: without user, password, query and fragment.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Http(url) => {
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                write!(f, "{}", url.path())
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names_of_files() {
        for text in ["film.mp4", "-", "s3:film", "concat:a|b", "httpx://a", "./http://a/b", ""] {
            assert_eq!(Address::parse(text), Ok(None), "{text}");
        }
        for (text, shown) in [
            ("s3://films/2026/a film.mp4", "s3://films/2026/a film.mp4"),
            ("s3://films/2026/", "s3://films/2026"),
            ("s3://films", "s3://films/"),
            ("https://cdn.example:8443/a/b.mp4", "https://cdn.example:8443/a/b.mp4"),
        ] {
            assert_eq!(Address::parse(text).unwrap().unwrap().to_string(), shown);
        }
        for text in
            ["s3://", "s3://a/b", "s3:///b", "s3://films/a//b", "s3://films/../b", "http://"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_signs_a_url_is_not_shown() {
        let text = "https://user:word@cdn.example/a.mp4?X-Amz-Signature=0123#x";
        let address = Address::parse(text).unwrap().unwrap();
        assert_eq!(format!("{address} {address:?}"), ["https://cdn.example/a.mp4"; 2].join(" "));
        assert_eq!(address.secrets(), ["X-Amz-Signature=0123", "word", "user"]);
    }
}
