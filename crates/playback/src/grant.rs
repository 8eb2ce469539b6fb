//! The license grant: a sealed yes from front to vault, used once.
//!
//! Front and vault share one [`GrantKey`]. Front writes what it has checked into
//! [`GrantTerms`] and seals them; on the vault's side only [`open`] makes a [`LicenseGrant`],
//! and it refuses another key, another challenge and another moment. The vault burns the
//! grant's id, so that a sealed grant makes one license at most.

use crate::seal::Seal;
use crate::{Covers, Trace};
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::digest::{SHA256, digest};
use model::{
    AccountId, ContentId, CorrelationId, DecisionId, DeviceId, Dialect, Entropy, GrantId,
    PlaybackSessionId, Timestamp, TitlePolicy, TokenId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// How long a grant may travel from front to vault.
pub const GRANT_S: u64 = 5;

/// Longest sealed grant: [`crate::MAX_KIDS`] ids, the longest policy and the longest trace take
/// under 12 KiB.
const MAX_SEALED_BYTES: usize = 16_384;

/// Binds the ciphertext to its purpose.
const PURPOSE: &[u8] = b"strongroom license grant v1";

/// The key that front and vault share.
///
/// Limits: random 96-bit nonces allow it 2^32 grants (NIST SP 800-38D, 8.3): 50 days of a
/// thousand licenses a second, after which it is to be changed.
pub struct GrantKey(Seal);

impl GrantKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Seal::new(&AES_256_GCM, bytes))
    }
}

impl std::fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrantKey(..)")
    }
}

/// What front has checked and allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantTerms {
    /// This grant, used once.
    pub grant: GrantId,
    /// The playback token whose KIDs are answered once each. Absent: the viewer's own session
    /// is the credential (renewal, rotation), and KIDs may be asked for again.
    pub token: Option<TokenId>,
    /// The playback session.
    pub session: PlaybackSessionId,
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The title.
    pub content_id: ContentId,
    /// The keys of the title that may be asked for; which of them the answer carries is the
    /// vault's decision by level.
    pub covers: Covers,
    /// The dialect the challenge speaks.
    pub dialect: Dialect,
    /// The title's policy.
    pub policy: TitlePolicy,
    /// How many licenses the account's devices may keep.
    pub max_offline: u32,
    /// Until when the credential stands; how long an answered KID must be remembered.
    pub credential_expires: Timestamp,
    /// SHA-256 of the untouched challenge.
    pub challenge_sha256: [u8; 32],
    /// When front sealed it.
    pub issued: Timestamp,
    /// The decision behind it.
    pub decision: DecisionId,
    /// The viewer's request.
    pub correlation: CorrelationId,
    /// What front's rules said, for the audit row of the license.
    pub trace: Trace,
}

/// A grant as the vault may act on it. Only [`open`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct LicenseGrant(GrantTerms);

impl LicenseGrant {
    /// What the grant allows.
    #[must_use]
    pub const fn terms(&self) -> &GrantTerms {
        &self.0
    }
}

/// Why a sealed grant is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefused {
    /// Not sealed under this key, or not a grant at all.
    #[error("the grant does not open")]
    Invalid,
    /// Older than [`GRANT_S`], or from the future.
    #[error("the grant is not of this moment")]
    Expired,
    /// Sealed for another challenge.
    #[error("the grant is for another challenge")]
    OtherChallenge,
}

/// SHA-256 of a challenge, as a grant carries it.
#[must_use]
pub fn challenge_hash(challenge: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, challenge).as_ref());
    hash
}

/// Seals the terms for the vault.
///
/// Shape: version 1 ‖ nonce 12 ‖ AES-256-GCM of the terms as JSON ‖ tag 16.
#[must_use]
pub fn seal(key: &GrantKey, terms: &GrantTerms, entropy: &mut dyn Entropy) -> Vec<u8> {
    seal_text(key, PURPOSE, terms, entropy)
}

/// Seals what front says under the purpose that it says it for.
pub(crate) fn seal_text(
    key: &GrantKey,
    purpose: &[u8],
    terms: &impl Serialize,
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let text = serde_json::to_vec(terms).expect("terms are plain values with text keys");
    key.0.seal(purpose, text, entropy)
}

/// Opens a sealed grant for this challenge at this moment.
///
/// Errors: [`GrantRefused`]. Limits: 8 KiB.
pub fn open(
    key: &GrantKey,
    sealed: &[u8],
    challenge: &[u8],
    now: Timestamp,
) -> Result<LicenseGrant, GrantRefused> {
    let terms: GrantTerms = unseal(key, PURPOSE, sealed).ok_or(GrantRefused::Invalid)?;
    check_moment(terms.issued, &terms.challenge_sha256, challenge, now)?;
    Ok(LicenseGrant(terms))
}

/// A grant is for one challenge and one moment.
pub(crate) fn check_moment(
    issued: Timestamp,
    challenge_sha256: &[u8; 32],
    challenge: &[u8],
    now: Timestamp,
) -> Result<(), GrantRefused> {
    if issued > now || issued.plus_s(GRANT_S) <= now {
        return Err(GrantRefused::Expired);
    }
    if !bool::from(challenge_sha256.ct_eq(&challenge_hash(challenge))) {
        return Err(GrantRefused::OtherChallenge);
    }
    Ok(())
}

pub(crate) fn unseal<T: DeserializeOwned>(
    key: &GrantKey,
    purpose: &[u8],
    sealed: &[u8],
) -> Option<T> {
    if sealed.len() > MAX_SEALED_BYTES {
        return None;
    }
    serde_json::from_slice(&key.0.open(purpose, sealed)?).ok()
}
