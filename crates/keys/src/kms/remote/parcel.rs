//! What a KMS over HTTP is given to keep: a KEK with a check of its own.
//!
//! Such a KMS answers with bytes, and a proxy, a cache or a fault between may answer with others.
//! New content keys under a wrong KEK would be lost with it, so the check travels inside the
//! ciphertext: a KEK that comes back is the one that was sent, for the context it was sent for.

use crate::context::KekContext;
use crate::kek::{KEK_BYTES, Kek};
use crate::kms::KmsError;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const CHECK_BYTES: usize = 16;
const PARCEL_BYTES: usize = KEK_BYTES + CHECK_BYTES;
const LABEL: &[u8] = b"strongroom parcel 1";

/// A KEK and its check, wiped on drop.
///
/// Shape: KEK (32 bytes), then the first 16 bytes of SHA-256 over a label, the KEK and the AAD of
/// its context.
pub(in crate::kms) struct Parcel(Zeroizing<[u8; PARCEL_BYTES]>);

impl Parcel {
    /// Packs a KEK.
    pub(in crate::kms) fn pack(kek: &Kek, context: &KekContext<'_>) -> Self {
        let mut bytes = Zeroizing::new([0; PARCEL_BYTES]);
        let (key, check) = bytes.split_at_mut(KEK_BYTES);
        key.copy_from_slice(kek.bytes());
        check.copy_from_slice(&check_of(kek.bytes(), context));
        Self(bytes)
    }

    /// The parcel, for a checksum.
    #[cfg(feature = "google-kms")]
    pub(in crate::kms) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The parcel as JSON carries it.
    pub(in crate::kms) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Opens a parcel that came back.
    ///
    /// Errors: [`KmsError::Integrity`] unless it is one that was packed for this context.
    pub(in crate::kms) fn unpack(text: &str, context: &KekContext<'_>) -> Result<Kek, KmsError> {
        let mut bytes = Zeroizing::new([0; PARCEL_BYTES + 2]);
        let length = STANDARD.decode_slice(text, bytes.as_mut_slice());
        if length != Ok(PARCEL_BYTES) {
            return Err(KmsError::Integrity);
        }
        let (key, rest) = bytes.split_first_chunk::<KEK_BYTES>().ok_or(KmsError::Integrity)?;
        let check = rest.first_chunk::<CHECK_BYTES>().ok_or(KmsError::Integrity)?;
        verify_slices_are_equal(check, &check_of(key, context)).map_err(|_| KmsError::Integrity)?;
        Ok(Kek::of(Box::new(Zeroizing::new(*key))))
    }
}

fn check_of(key: &[u8; KEK_BYTES], context: &KekContext<'_>) -> [u8; CHECK_BYTES] {
    let mut digest = Context::new(&SHA256);
    digest.update(LABEL);
    digest.update(key);
    digest.update(&context.aad());
    let digest = digest.finish();
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use model::{CategoryName, KekVersion};

    #[test]
    fn a_parcel_opens_in_its_own_context_and_no_byte_of_it_may_change() {
        let film = CategoryName::parse("film").unwrap();
        let context = KekContext { tenant: "a", category: &film, version: KekVersion(1) };
        let kek = Kek::generate(&mut SystemEntropy);
        let parcel = Parcel::pack(&kek, &context);
        let opened = Parcel::unpack(&parcel.to_base64(), &context).unwrap();
        assert_eq!(opened.bytes(), kek.bytes());
        let other = KekContext { version: KekVersion(2), ..context };
        assert_eq!(Parcel::unpack(&parcel.to_base64(), &other).unwrap_err(), KmsError::Integrity);
        for at in 0..PARCEL_BYTES {
            let mut changed = Parcel::pack(&kek, &context);
            changed.0[at] ^= 1;
            let text = changed.to_base64();
            assert!(Parcel::unpack(&text, &context).is_err(), "byte {at}");
        }
        for text in ["", "AAAA", "no base64", &"A".repeat(66), &"A".repeat(4096)] {
            assert_eq!(Parcel::unpack(text, &context).unwrap_err(), KmsError::Integrity, "{text}");
        }
    }
}
