//! Ids, each its own type.

use crate::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};

/// Why text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Too short or too long.
    #[error("wrong length")]
    Length,
    /// A character that the id may not have.
    #[error("a character that is not allowed here")]
    Characters,
}

/// Longest chosen name.
const MAX_NAME: usize = 64;

/// Checks a chosen name: 1 to 64 of `A-Z a-z 0-9 . _ -`, first one a letter or digit, so that
/// it can stand in a path, a URL and a log line as it is.
pub(crate) fn check_name(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Err(IdError::Length);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && text.bytes().all(is_plain) { Ok(()) } else { Err(IdError::Characters) }
}

/// Writes 32 lower-case hex digits at once: a license shows two dozen ids.
pub(crate) fn write_hex(bytes: [u8; 16], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    let mut text = [0; 32];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

macro_rules! chosen_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Shape: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads a name. Errors: [`IdError`] on another length or character.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check_name(text).map(|()| Self(text.to_owned()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Shape: 128 random bits; as text 32 lower-case hex digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws a fresh id.
            pub fn random(entropy: &mut (impl crate::Entropy + ?Sized)) -> Self {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes);
                Self(bytes)
            }

            /// Reads the text form. Errors: [`IdError`] on anything but 32 hex digits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if text.len() != 32 {
                    return Err(IdError::Length);
                }
                crate::KeyId::parse(text).map(|id| Self(*id.as_bytes()))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Makes an id of its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                crate::id::write_hex(self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

chosen_name! {
    /// A title's id, chosen by the operator; part of URLs and paths.
    ContentId
}
chosen_name! {
    /// A content category: titles that share a KEK.
    CategoryName
}
chosen_name! {
    /// A policy, which any number of titles may have.
    PolicyName
}
random_id! {
    /// An account.
    AccountId
}
random_id! {
    /// One sign-in of an account; ends with sign-out.
    SignInId
}
random_id! {
    /// A device; for a browser that registered none, its sign-in.
    DeviceId
}
random_id! {
    /// One playback of one title by one account on one device.
    PlaybackSessionId
}
random_id! {
    /// A playback token.
    TokenId
}
random_id! {
    /// A license grant, used once.
    GrantId
}
random_id! {
    /// One decision; links token, license and audit rows (R087).
    DecisionId
}
random_id! {
    /// One request, in its answer, its header and the log.
    CorrelationId
}
random_id! {
    /// One package of a title.
    PackageId
}

impl CorrelationId {
    /// Draws the id of a request that arrives now.
    ///
    /// Shape: the time in milliseconds (48 bits), then 80 random bits, so that what is kept in
    /// the order of time is found by a request's id without an index over ids.
    pub fn arriving(now: Timestamp, entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let Self(mut bytes) = Self::random(entropy);
        let [_, _, time @ ..] = now.0.to_be_bytes();
        for (byte, of_time) in bytes.iter_mut().zip(time) {
            *byte = of_time;
        }
        Self(bytes)
    }

    /// When the request arrived.
    #[must_use]
    pub const fn arrived(self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = self.0;
        Timestamp(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

impl DeviceId {
    /// The device that stands for a sign-in in a browser that registered none.
    #[must_use]
    pub const fn of_sign_in(sign_in: SignInId) -> Self {
        Self(sign_in.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_when_it_arrived() {
        struct Sevens;
        impl Entropy for Sevens {
            fn fill(&mut self, out: &mut [u8]) {
                out.fill(0x77);
            }
        }
        let now = Timestamp(1_800_000_000_123);
        let id = CorrelationId::arriving(now, &mut Sevens);
        assert_eq!(id.arrived(), now);
        assert_eq!(id.to_string(), "01a3185c507b77777777777777777777");
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\0", "ä", "~x", "a%2e"] {
            assert!(ContentId::parse(text).is_err(), "{text:?}");
        }
        assert!(ContentId::parse(&"a".repeat(64)).is_ok());
        assert!(ContentId::parse(&"a".repeat(65)).is_err());
        assert!(ContentId::parse("Film_1.v2-x").is_ok());
    }
}
