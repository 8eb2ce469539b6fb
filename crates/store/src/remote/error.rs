//! What can go wrong with an object at another place, in words that hold no credentials.

use super::Address;
use std::error::Error as _;
use std::io;

/// Letters of a server's own words that are passed on.
const MAX_WORDS: usize = 300;

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no such object.
    #[error("not found")]
    NotFound,
    /// The server wants other credentials, or none at all have been given.
    #[error("access denied (for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")]
    Denied,
    /// The server sends whole resources only.
    #[error(
        "the server does not answer range requests; fetch the file and package it, or pipe it in"
    )]
    NoRanges,
    /// It is no longer what it was when the job began.
    #[error("it changed while it was being read")]
    Changed,
    /// The server sent fewer bytes than it announced.
    #[error("the server sent {got} of {wanted} bytes")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes of the range.
        wanted: u64,
    },
    /// No answer within the deadline, retries included.
    #[error("no answer within {0} seconds")]
    Deadline(u64),
    /// The place of a new package holds objects.
    #[error(
        "objects are there already; name an empty prefix (media without a manifest is what a \
         killed upload left: delete it)"
    )]
    Taken,
    /// Anything else, in the words of the system or the server.
    #[error("{0}")]
    Other(String),
}

impl RemoteError {
    /// From the client's error, without what must not be printed.
    pub(super) fn new(error: &object_store::Error, address: &Address) -> Self {
        use object_store::Error;
        match error {
            Error::NotFound { .. } => Self::NotFound,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied,
            Error::Precondition { .. } | Error::NotModified { .. } => Self::Changed,
            Error::AlreadyExists { .. } => Self::Taken,
            Error::NotSupported { .. } => Self::NoRanges,
            other => match words(other, address) {
                // The answer to a listing, which the client does not tell apart.
                words if says(&words, "401") || says(&words, "403") => Self::Denied,
                words if says(&words, "404") => Self::NotFound,
                words => Self::Other(words),
            },
        }
    }
}

impl From<RemoteError> for io::Error {
    fn from(error: RemoteError) -> Self {
        Self::other(error)
    }
}

fn says(words: &str, status: &str) -> bool {
    words.split_once("status code: ").is_some_and(|(_, behind)| behind.starts_with(status))
}

/// The innermost cause: what the system or the server said.
fn words(error: &object_store::Error, address: &Address) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let mut words = cause.to_string();
    if words.is_empty() {
        words = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    }
    for secret in address.secrets() {
        words = words.replace(secret, "…");
    }
    words.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}
