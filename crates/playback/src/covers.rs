//! Which keys a token or a grant covers: a list of KIDs, or the keys of a title that rotates.
//!
//! On the wire the 16-byte ids stand one after the other, in base64url without padding: eight KIDs
//! take 171 characters, where a JSON list of hex text takes 281.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::KeyId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Most KIDs that a token or a grant may name.
pub const MAX_KIDS: usize = 64;

/// The keys that may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// These, and no others.
    Kids(Vec<KeyId>),
    /// The title's keys by their periods: far more than a token could name, and some of them are
    /// made after it. Whether a KID is one of them is said by its row.
    Periods,
}

/// A list that is empty covers nothing, so that on the wire it is free to say
/// [`Covers::Periods`]. Of a title that has no row at all, either covers nothing.
impl Serialize for Covers {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let kids = match self {
            Self::Kids(kids) => kids.as_slice(),
            Self::Periods => &[],
        };
        let bytes: Vec<u8> = kids.iter().flat_map(|kid| *kid.as_bytes()).collect();
        out.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Covers {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| D::Error::custom("not base64url"))?;
        let (kids, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() || kids.len() > MAX_KIDS {
            return Err(D::Error::custom("not a list of KIDs"));
        }
        Ok(match kids {
            [] => Self::Periods,
            kids => Self::Kids(kids.iter().copied().map(KeyId::from_bytes).collect()),
        })
    }
}
