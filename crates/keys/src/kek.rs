//! KEKs: the keys of content categories, which wrap content keys.

use crate::content_key::ContentKey;
use crate::context::{KeyContext, SecretContext};
use crate::seal::{OVERHEAD_BYTES, SealingKey};
use model::Entropy;
use zeroize::Zeroizing;

/// Length of a KEK, bytes: AES-256.
pub(crate) const KEK_BYTES: usize = 32;

/// A key encryption key in the clear, wiped on drop. It leaves this room only wrapped, through
/// a [`crate::kms::Kms`].
///
/// ```
/// let kek = keys::Kek::generate(&mut keys::SystemEntropy);
/// assert_eq!(format!("{kek:?}"), "Kek(..)");
/// ```
/// ```compile_fail,E0599
/// let kek = keys::Kek::generate(&mut keys::SystemEntropy);
/// let copied = kek.clone();
/// ```
pub struct Kek {
    bytes: Box<Zeroizing<[u8; KEK_BYTES]>>,
    sealing: SealingKey,
}

impl Kek {
    /// Draws a fresh key.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; KEK_BYTES]));
        entropy.fill(bytes.as_mut_slice());
        Self::of(bytes)
    }

    pub(crate) fn of(bytes: Box<Zeroizing<[u8; KEK_BYTES]>>) -> Self {
        let sealing = SealingKey::new(&bytes);
        Self { bytes, sealing }
    }

    pub(crate) fn bytes(&self) -> &[u8; KEK_BYTES] {
        &self.bytes
    }

    /// Wraps a content key for rest, bound to `context`.
    ///
    /// Shape: `v1 ‖ nonce 12 ‖ ciphertext 16 ‖ tag 16`, AES-256-GCM.
    #[must_use]
    pub fn wrap(
        &self,
        key: &ContentKey,
        context: &KeyContext<'_>,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        self.sealing.seal(key.bytes(), &context.aad(), entropy)
    }

    /// Opens a wrapped content key.
    ///
    /// Errors: [`UnwrapError`] where the bytes, the context or the KEK is not the one of
    /// [`Self::wrap`]; it does not tell which.
    pub fn unwrap(
        &self,
        wrapped: &[u8],
        context: &KeyContext<'_>,
    ) -> Result<ContentKey, UnwrapError> {
        let mut is_open = Err(UnwrapError);
        let key = ContentKey::build(|bytes| {
            is_open = self
                .sealing
                .open(wrapped, &context.aad(), bytes)
                .map_err(|crate::seal::NotOurs| UnwrapError);
        });
        is_open.map(|()| key)
    }

    /// Seals a secret of another kind for rest, or nothing but what is public of it: bound to
    /// `context` all the same.
    ///
    /// Shape: as that of [`Self::wrap`], of any length.
    #[must_use]
    pub fn seal_secret(
        &self,
        secret: &[u8],
        context: &SecretContext<'_>,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        self.sealing.seal(secret, &context.aad(), entropy)
    }

    /// Opens what [`Self::seal_secret`] sealed.
    ///
    /// Errors: [`UnwrapError`], as [`Self::unwrap`].
    pub fn open_secret(
        &self,
        sealed: &[u8],
        context: &SecretContext<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let length = sealed.len().checked_sub(OVERHEAD_BYTES).ok_or(UnwrapError)?;
        let mut secret = Zeroizing::new(vec![0; length]);
        self.sealing
            .open(sealed, &context.aad(), &mut secret)
            .map_err(|crate::seal::NotOurs| UnwrapError)?;
        Ok(secret)
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kek(..)")
    }
}

/// A wrapped content key does not open: another KEK, another row's facts, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wrapped key is not bound to this row and KEK")]
pub struct UnwrapError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use model::{
        CategoryName, ContentId, KekVersion, KeyId, KeyPeriod, PeriodSpan, Scheme, Timestamp,
        TrackClass,
    };

    struct Names {
        category: CategoryName,
        content_id: ContentId,
    }

    fn names(category: &str, content_id: &str) -> Names {
        Names {
            category: CategoryName::parse(category).unwrap(),
            content_id: ContentId::parse(content_id).unwrap(),
        }
    }

    fn context(names: &Names) -> KeyContext<'_> {
        KeyContext {
            tenant: "default",
            category: &names.category,
            content_id: &names.content_id,
            kid: KeyId::from_bytes([1; 16]),
            scheme: Some(Scheme::Cbcs),
            track_class: Some(TrackClass::Hd),
            period: None,
            kek_version: KekVersion(1),
            first_kek_version: KekVersion(1),
            iv: Some(&[3; 16]),
            created: Timestamp(1),
        }
    }

    #[test]
    fn a_wrapped_key_opens_in_its_own_context() {
        let (names, kek) = (names("film", "a"), Kek::generate(&mut SystemEntropy));
        let key = ContentKey::generate(&mut SystemEntropy);
        let wrapped = kek.wrap(&key, &context(&names), &mut SystemEntropy);
        assert_eq!((wrapped.len(), wrapped[0]), (1 + 12 + 16 + 16, 1));
        assert!(!wrapped.windows(16).any(|window| window == key.bytes()));
        let opened = kek.unwrap(&wrapped, &context(&names)).unwrap();
        assert_eq!(opened.bytes(), key.bytes());
        assert_ne!(wrapped, kek.wrap(&key, &context(&names), &mut SystemEntropy), "fresh nonce");
    }

    #[test]
    fn any_other_fact_refuses() {
        let own = names("film", "a");
        let (other_title, other_category) = (names("film", "b"), names("sport", "a"));
        let kek = Kek::generate(&mut SystemEntropy);
        let key = ContentKey::generate(&mut SystemEntropy);
        let wrapped = kek.wrap(&key, &context(&own), &mut SystemEntropy);
        let span = PeriodSpan { begins: Timestamp(1), ends: Timestamp(2) };
        let period = KeyPeriod { index: 0, span: Some(span) };
        let others = [
            KeyContext { tenant: "other", ..context(&own) },
            context(&other_category),
            context(&other_title),
            KeyContext { kid: KeyId::from_bytes([2; 16]), ..context(&own) },
            KeyContext { scheme: Some(Scheme::Cenc), ..context(&own) },
            KeyContext { scheme: None, ..context(&own) },
            KeyContext { track_class: Some(TrackClass::Sd), ..context(&own) },
            KeyContext { track_class: None, ..context(&own) },
            KeyContext { period: Some(period), ..context(&own) },
            KeyContext { period: Some(KeyPeriod { span: None, ..period }), ..context(&own) },
            KeyContext { kek_version: KekVersion(2), ..context(&own) },
            KeyContext { first_kek_version: KekVersion(2), ..context(&own) },
            KeyContext { iv: Some(&[4; 16]), ..context(&own) },
            KeyContext { iv: None, ..context(&own) },
            KeyContext { created: Timestamp(2), ..context(&own) },
        ];
        for other in others {
            assert_eq!(kek.unwrap(&wrapped, &other).unwrap_err(), UnwrapError, "{other:?}");
        }
        let stranger = Kek::generate(&mut SystemEntropy);
        assert!(stranger.unwrap(&wrapped, &context(&own)).is_err());
    }

    #[test]
    fn any_changed_or_missing_byte_refuses() {
        let (names, kek) = (names("film", "a"), Kek::generate(&mut SystemEntropy));
        let key = ContentKey::generate(&mut SystemEntropy);
        let wrapped = kek.wrap(&key, &context(&names), &mut SystemEntropy);
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(kek.unwrap(&changed, &context(&names)).is_err(), "byte {at}");
            assert!(kek.unwrap(&wrapped[..at], &context(&names)).is_err(), "{at} bytes");
        }
        assert!(kek.unwrap(&[wrapped.as_slice(), &[0]].concat(), &context(&names)).is_err());
    }

    fn secret_context() -> SecretContext<'static> {
        SecretContext {
            tenant: "default",
            dialect: "widevine",
            kind: "service",
            name: "0a",
            seq: 7,
            public: b"certificate",
        }
    }

    #[test]
    fn a_sealed_secret_opens_in_its_own_context_only() {
        let kek = Kek::generate(&mut SystemEntropy);
        let own = secret_context();
        let sealed = kek.seal_secret(b"a private key", &own, &mut SystemEntropy);
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_eq!(kek.open_secret(&sealed, &own).unwrap().as_slice(), b"a private key");
        let others = [
            SecretContext { tenant: "other", ..own },
            SecretContext { dialect: "playready", ..own },
            SecretContext { kind: "devices", ..own },
            SecretContext { name: "0b", ..own },
            SecretContext { seq: 8, ..own },
            SecretContext { public: b"certificatf", ..own },
            SecretContext { kind: "service0", name: "a", ..own },
        ];
        for other in others {
            assert_eq!(kek.open_secret(&sealed, &other).unwrap_err(), UnwrapError, "{other:?}");
        }
        let stranger = Kek::generate(&mut SystemEntropy);
        assert!(stranger.open_secret(&sealed, &own).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(kek.open_secret(&changed, &own).is_err(), "byte {at}");
            assert!(kek.open_secret(&sealed[..at], &own).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn nothing_is_sealed_too_and_binds_what_is_public() {
        let kek = Kek::generate(&mut SystemEntropy);
        let sealed = kek.seal_secret(&[], &secret_context(), &mut SystemEntropy);
        assert!(kek.open_secret(&sealed, &secret_context()).unwrap().is_empty());
        let changed = SecretContext { public: b"", ..secret_context() };
        assert!(kek.open_secret(&sealed, &changed).is_err());
    }
}
