//! How front asks the vault: a sealed grant, the untouched challenge, and the answer.
//!
//! In process now; where the two become two processes, only this file changes. Its types are
//! the whole language between the two sides, so nothing here can carry a content key except
//! the finished license.

use crate::clock::Clock;
use crate::entropy::EntropySource;
use crate::vault::Vault;
use model::{Dialect, SecurityLevel, Timestamp, TrackClasses};
use playback::grant::{GrantTerms, seal};
use playback::release::{ReleaseTerms, seal_release};
use playback::{GrantKey, OfflineDenied};
use std::num::NonZeroU32;
use std::sync::Arc;

pub use crate::vault::{ProvisionRefused, Provisioned};

/// A license and what may be said about it.
pub struct LicenseReply {
    /// The answer in the challenge's dialect: a license, or a service certificate.
    pub message: Vec<u8>,
    /// Its media type.
    pub content_type: &'static str,
    /// The license; absent where the answer is none.
    pub issued: Option<Issued>,
}

/// What may be said about a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The security level that was proved.
    pub level: SecurityLevel,
    /// The track classes whose keys it carries.
    pub classes: TrackClasses,
    /// Until when it may be used.
    pub expires: Timestamp,
    /// How long one period of the live event is whose keys it carries, seconds; absent where it is
    /// of no such title.
    pub event_period_s: Option<NonZeroU32>,
}

/// Why there is no license. Said to the viewer by [`crate::http::problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseRefused {
    /// The grant does not open, is not of this moment, or was used before.
    #[error("the grant was refused")]
    Grant,
    /// The challenge is not a message of its dialect.
    #[error("the challenge is malformed")]
    Malformed,
    /// The challenge is not one that an attested device made for this service: the dialect's own
    /// name for why. The client hears one outer reason.
    #[error("the challenge is refused: {0}")]
    Challenge(&'static str),
    /// The license that is to be renewed or given back is another session's or title's.
    #[error("the license to renew is another session's")]
    OtherSession,
    /// The license holds a key that its device may no longer have.
    #[error("the license holds a key that may no longer be had")]
    NotRenewed,
    /// The license to renew ended too long ago.
    #[error("the license ended too long ago to be renewed")]
    RenewedTooLate,
    /// The challenge wants a license to keep, and there is none.
    #[error("no license to keep: {}", .0.reason())]
    OfflineNotAllowed(OfflineDenied),
    /// No answer is spoken in this dialect.
    #[error("the dialect is not answered here")]
    DialectNotAnswered,
    /// The challenge names a key that is not the title's.
    #[error("a key of another title was asked for")]
    KidNotInContent,
    /// A key of the playback token was answered before, to another challenge; or the challenge
    /// came before, under another credential.
    #[error("the playback token or the challenge was used before")]
    TokenReplayed,
    /// A key's row is missing.
    #[error("a key row is missing")]
    CekNotFound,
    /// Every key that was asked for and may be had is compromised.
    #[error("the keys are compromised")]
    KeyCompromised,
    /// Every key that was asked for and may be had is of a period beyond the policy's horizon.
    #[error("the keys are asked for too early")]
    BeyondHorizon,
    /// The root key cannot be reached.
    #[error("the KMS is not available")]
    KmsUnavailable,
    /// The database cannot be reached, or the audit row could not be written.
    #[error("the store is not available")]
    StoreUnavailable,
    /// Too many licenses are in the making.
    #[error("the vault is overloaded")]
    Overloaded,
    /// A stored key does not open, or the answer did not pass its own check.
    #[error("an integrity check failed")]
    Integrity,
}

/// The front's end of the link.
pub struct VaultLink {
    key: Arc<GrantKey>,
    vault: Arc<Vault>,
}

impl VaultLink {
    /// A link to a vault in this process, which holds the same key.
    #[must_use]
    pub const fn in_process(key: Arc<GrantKey>, vault: Arc<Vault>) -> Self {
        Self { key, vault }
    }

    /// Has the vault look at its root key.
    pub async fn look_at_root_key(&self, now: Timestamp) {
        self.vault.look_at_root_key(now).await;
    }

    /// Has the vault look whether its credentials were changed.
    pub async fn look_at_credentials(&self, now: Timestamp) {
        self.vault.look_at_credentials(now).await;
    }

    /// Hands over a provisioning request.
    ///
    /// Errors: [`ProvisionRefused`].
    pub async fn provision(
        &self,
        question: &[u8],
        now: Timestamp,
    ) -> Result<Provisioned, ProvisionRefused> {
        self.vault.provision(question, now).await
    }

    /// Has the vault move keys to their newest KEK, until the process ends.
    pub async fn rewrap_for_ever(&self, keys_per_s: NonZeroU32, clock: &Clock) {
        self.vault.rewrap_for_ever(keys_per_s, clock).await;
    }

    /// The service certificate of a dialect, for players that load it beforehand; `None` where
    /// the dialect has none.
    ///
    /// Errors: [`LicenseRefused::DialectNotAnswered`].
    pub fn service_certificate(&self, dialect: Dialect) -> Result<Option<Vec<u8>>, LicenseRefused> {
        self.vault.service_certificate(dialect)
    }

    /// Whether license requests of the dialect are answered.
    #[must_use]
    pub fn answers(&self, dialect: Dialect) -> bool {
        self.vault.answers(dialect)
    }

    /// Whether a message says of itself that it gives a license back.
    #[must_use]
    pub fn is_release(&self, dialect: Dialect, challenge: &[u8]) -> bool {
        self.vault.is_release(dialect, challenge)
    }

    /// Hands over a license that is given back. The acknowledgement carries no key and allows
    /// nothing.
    ///
    /// Errors: [`LicenseRefused`].
    pub async fn release(
        &self,
        terms: &ReleaseTerms,
        challenge: &[u8],
        clock: &Clock,
        entropy: &EntropySource,
    ) -> Result<LicenseReply, LicenseRefused> {
        let sealed = entropy.with(|entropy| seal_release(&self.key, terms, entropy));
        self.vault.release(&sealed, challenge, clock.now()).await
    }

    /// Seals the terms and hands them over with the challenge they were made for.
    ///
    /// Errors: [`LicenseRefused`].
    pub async fn license(
        &self,
        terms: &GrantTerms,
        challenge: &[u8],
        clock: &Clock,
        entropy: &EntropySource,
    ) -> Result<LicenseReply, LicenseRefused> {
        let sealed = entropy.with(|entropy| seal(&self.key, terms, entropy));
        self.vault.license(&sealed, challenge, clock.now()).await
    }
}
