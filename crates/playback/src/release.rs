//! The release grant: front's word on who gives a license back. It names no title, no key and no
//! policy, so that nothing can be given under it; the license itself says what it was.

use crate::Trace;
use crate::grant::{GrantKey, GrantRefused, check_moment, seal_text, unseal};
use model::{AccountId, CorrelationId, DeviceId, Dialect, Entropy, GrantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Binds the ciphertext to its purpose: it opens as no license grant, nor one as it.
const PURPOSE: &[u8] = b"strongroom release grant v1";

/// Who gives a license back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTerms {
    /// This grant, used once.
    pub grant: GrantId,
    /// The account, whose license it must be.
    pub account: AccountId,
    /// The device that the message came from.
    pub device: DeviceId,
    /// The dialect the message speaks.
    pub dialect: Dialect,
    /// SHA-256 of the untouched message.
    pub challenge_sha256: [u8; 32],
    /// When front sealed it.
    pub issued: Timestamp,
    /// The viewer's request.
    pub correlation: CorrelationId,
    /// What front's rules said.
    pub trace: Trace,
}

/// Seals the terms for the vault. Shape: as [`crate::grant::seal`].
#[must_use]
pub fn seal_release(key: &GrantKey, terms: &ReleaseTerms, entropy: &mut dyn Entropy) -> Vec<u8> {
    seal_text(key, PURPOSE, terms, entropy)
}

/// Opens a sealed release grant for this message at this moment.
///
/// Errors: [`GrantRefused`].
pub fn open_release(
    key: &GrantKey,
    sealed: &[u8],
    challenge: &[u8],
    now: Timestamp,
) -> Result<ReleaseTerms, GrantRefused> {
    let terms: ReleaseTerms = unseal(key, PURPOSE, sealed).ok_or(GrantRefused::Invalid)?;
    check_moment(terms.issued, &terms.challenge_sha256, challenge, now)?;
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{GRANT_S, challenge_hash, open};

    struct Ones;

    impl Entropy for Ones {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(1);
        }
    }

    #[test]
    fn a_release_grant_opens_for_its_message_and_moment_and_as_nothing_else() {
        let (key, now) = (GrantKey::from_bytes(&[1; 32]), Timestamp(5000));
        let terms = ReleaseTerms {
            grant: GrantId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            device: DeviceId::from_bytes([3; 16]),
            dialect: Dialect::Widevine,
            challenge_sha256: challenge_hash(b"message"),
            issued: now,
            correlation: CorrelationId::from_bytes([4; 16]),
            trace: Trace::default(),
        };
        let sealed = seal_release(&key, &terms, &mut Ones);
        assert_eq!(open_release(&key, &sealed, b"message", now), Ok(terms));
        let refused =
            |key: &GrantKey, message: &[u8], now| open_release(key, &sealed, message, now);
        let other = GrantKey::from_bytes(&[2; 32]);
        assert_eq!(refused(&other, b"message", now), Err(GrantRefused::Invalid));
        assert_eq!(refused(&key, b"massage", now), Err(GrantRefused::OtherChallenge));
        for late in [now.plus_s(GRANT_S), Timestamp(4999)] {
            assert_eq!(refused(&key, b"message", late), Err(GrantRefused::Expired));
        }
        assert_eq!(open(&key, &sealed, b"message", now), Err(GrantRefused::Invalid));
    }
}
