//! A list of KIDs in a token: the 16-byte ids one after the other, base64url without padding.
//! Eight KIDs take 171 characters, where a JSON list of hex text takes 281.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::KeyId;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Most KIDs that a token or a grant may cover.
pub const MAX_KIDS: usize = 64;

pub(crate) fn serialize<S: Serializer>(kids: &[KeyId], out: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = kids.iter().flat_map(|kid| *kid.as_bytes()).collect();
    out.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<KeyId>, D::Error> {
    let text = String::deserialize(source)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| D::Error::custom("not base64url"))?;
    let (kids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() || kids.len() > MAX_KIDS {
        return Err(D::Error::custom("not a list of KIDs"));
    }
    Ok(kids.iter().copied().map(KeyId::from_bytes).collect())
}
