//! The asset id: which key a client asks for. It is what our playlists write,
//! `skd://CONTENT?kid=KID`, the same without `skd://`, or the key id alone.

use super::ChallengeError;
use model::{ContentId, KeyId};

/// Longest asset id.
pub const MAX_ASSET_ID_BYTES: usize = 200;
const MIN_ASSET_ID_BYTES: usize = 2;
const KID_DIGITS: usize = 32;

/// What an asset id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asset {
    pub(super) content: Option<ContentId>,
    pub(super) kid: KeyId,
}

impl Asset {
    /// Errors: [`ChallengeError::BlockLength`], [`ChallengeError::AssetId`].
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ChallengeError> {
        if !(MIN_ASSET_ID_BYTES..=MAX_ASSET_ID_BYTES).contains(&bytes.len()) {
            return Err(ChallengeError::BlockLength);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ChallengeError::AssetId)?;
        let text = text.strip_prefix("skd://").unwrap_or(text);
        let (content, kid) = match text.split_once("?kid=") {
            Some((content, kid)) => {
                let content = ContentId::parse(content).map_err(|_| ChallengeError::AssetId)?;
                (Some(content), kid)
            }
            None => (None, text),
        };
        if kid.len() != KID_DIGITS {
            return Err(ChallengeError::AssetId);
        }
        let kid = KeyId::parse(kid).map_err(|_| ChallengeError::AssetId)?;
        Ok(Self { content, kid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_name_a_key() {
        let kid = KeyId::from_bytes([0x2a; 16]);
        let content = Some(ContentId::parse("Film_1.v2-x").unwrap());
        for (text, content) in [
            (format!("skd://Film_1.v2-x?kid={kid}"), content.clone()),
            (format!("Film_1.v2-x?kid={}", kid.to_string().to_uppercase()), content),
            (format!("skd://{kid}"), None),
            (kid.to_string(), None),
        ] {
            assert_eq!(Asset::read(text.as_bytes()), Ok(Asset { content, kid }), "{text}");
        }
    }

    #[test]
    fn what_names_no_key_is_refused() {
        let kid = "2a".repeat(16);
        for text in [
            "skd://film".to_owned(),
            format!("skd://film?kid={kid}0"),
            format!("skd://film?kid={kid}&kid={kid}"),
            format!("skd://?kid={kid}"),
            format!("skd://a/b?kid={kid}"),
            format!("SKD://film?kid={kid}"),
            format!("skd://skd://film?kid={kid}"),
            format!("film?KID={kid}"),
            KeyId::from_bytes([1; 16]).to_uuid(),
            "é".repeat(16),
        ] {
            assert_eq!(Asset::read(text.as_bytes()), Err(ChallengeError::AssetId), "{text}");
        }
        for bytes in [&[][..], b"a", &[b'a'; 201]] {
            assert_eq!(Asset::read(bytes), Err(ChallengeError::BlockLength));
        }
        assert_eq!(Asset::read(&[0xff; 32]), Err(ChallengeError::AssetId));
    }
}
