//! The device ticket: account and device, sealed for the service and opaque to everybody else
//! (R065).
//!
//! It counts only beside a proof of the device's key, for the account that is signed in: stolen
//! alone it is worth nothing.

use crate::seal::{ENVELOPE_BYTES, Seal};
use aws_lc_rs::aead::AES_256_GCM_SIV;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{AccountId, DeviceId, Entropy, Timestamp};
use subtle::ConstantTimeEq as _;

/// Binds the ciphertext to its purpose.
const PURPOSE: &[u8] = b"strongroom device ticket v1";

const PLAIN_BYTES: usize = 16 + 16 + 32 + 8 + 8;

/// A ticket, bytes before base64: it has one length.
const SEALED_BYTES: usize = PLAIN_BYTES + ENVELOPE_BYTES;

/// Longest ticket that is looked at: as long as each one is.
pub const TICKET_CHARS: usize = (SEALED_BYTES * 4).div_ceil(3);

/// The key that seals tickets.
///
/// AES-GCM-SIV (RFC 8452): each renewal of each device draws a random nonce, for years, and two of
/// them may meet.
pub struct TicketKey(Seal);

impl TicketKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Seal::new(&AES_256_GCM_SIV, bytes))
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub account: AccountId,
    /// Thumbprint of the device's key.
    pub key: [u8; 32],
    /// The ticket's number among those of the device.
    pub epoch: u64,
    /// When it ends.
    pub expires: Timestamp,
}

/// The ticket is not ours, or not for this account and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ticket does not open")]
pub struct TicketRefused;

impl Ticket {
    /// Seals the ticket.
    ///
    /// Shape: base64url of version 1 ‖ nonce 12 ‖ AES-256-GCM-SIV of device 16 ‖ account 16 ‖
    /// key 32 ‖ epoch 8 ‖ expires 8 ‖ tag 16, numbers big-endian.
    #[must_use]
    pub fn seal(&self, key: &TicketKey, entropy: &mut dyn Entropy) -> String {
        let text = [
            &self.device.as_bytes()[..],
            self.account.as_bytes(),
            &self.key,
            &self.epoch.to_be_bytes(),
            &self.expires.0.to_be_bytes(),
        ]
        .concat();
        URL_SAFE_NO_PAD.encode(key.0.seal(PURPOSE, text, entropy))
    }

    /// Opens a ticket that was sealed here. Whether it has ended, and whether it is the caller's,
    /// is not asked.
    ///
    /// Errors: [`TicketRefused`]. Limits: [`TICKET_CHARS`].
    pub fn open(key: &TicketKey, text: &str) -> Result<Self, TicketRefused> {
        if text.len() != TICKET_CHARS {
            return Err(TicketRefused);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketRefused)?;
        Self::unseal(key, &sealed).ok_or(TicketRefused)
    }

    fn unseal(key: &TicketKey, sealed: &[u8]) -> Option<Self> {
        let text = key.0.open(PURPOSE, sealed)?;
        let (device, rest) = text.split_first_chunk()?;
        let (account, rest) = rest.split_first_chunk()?;
        let (thumbprint, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        rest.is_empty().then_some(Self {
            device: DeviceId::from_bytes(*device),
            account: AccountId::from_bytes(*account),
            key: *thumbprint,
            epoch: u64::from_be_bytes(*epoch),
            expires: Timestamp(u64::from_be_bytes(*expires)),
        })
    }

    /// Whether it is for this account, and for the key that was proved.
    ///
    /// Errors: [`TicketRefused`], in the same time whatever differs.
    pub fn check(&self, account: AccountId, key: &[u8; 32]) -> Result<(), TicketRefused> {
        let is_account = self.account.as_bytes().ct_eq(account.as_bytes());
        if bool::from(is_account & self.key.ct_eq(key)) { Ok(()) } else { Err(TicketRefused) }
    }
}
