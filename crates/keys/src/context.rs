//! What a wrapped key is bound to: the AAD of its AES-GCM seal (R035).
//!
//! The store is not trusted. A row whose facts were changed, or whose ciphertext was taken
//! from another row, no longer opens. Of a row's facts two are left out: the fingerprint, which
//! is recomputed when the key is opened, and the state, which must change while the KMS is away;
//! whoever can write the state back can put back the whole old row, which no seal prevents.

use model::{
    CategoryName, ContentId, KekVersion, KeyId, KeyPeriod, Scheme, Timestamp, TrackClass,
    WrappedKey,
};

/// The facts a wrapped CEK is bound to.
#[derive(Clone, Copy, Debug)]
pub struct KeyContext<'a> {
    /// The service the key belongs to.
    pub tenant: &'a str,
    /// Content category: names the KEK.
    pub category: &'a CategoryName,
    /// The title.
    pub content_id: &'a ContentId,
    /// The key's public name.
    pub kid: KeyId,
    /// The scheme; absent: both.
    pub scheme: Option<Scheme>,
    /// The track class; absent: all.
    pub track_class: Option<TrackClass>,
    /// The key period; absent: the key does not rotate.
    pub period: Option<KeyPeriod>,
    /// Version of the KEK.
    pub kek_version: KekVersion,
    /// Version of the KEK that wrapped it first.
    pub first_kek_version: KekVersion,
    /// The IV that belongs to the key.
    pub iv: Option<&'a [u8; 16]>,
    /// When the key was made.
    pub created: Timestamp,
}

impl<'a> KeyContext<'a> {
    /// The facts that a row states about itself.
    #[must_use]
    pub fn of_row(tenant: &'a str, row: &'a WrappedKey) -> Self {
        Self {
            tenant,
            category: &row.category,
            content_id: &row.content_id,
            kid: row.kid,
            scheme: row.scheme,
            track_class: row.track_class,
            period: row.period,
            kek_version: row.kek_version,
            first_kek_version: row.first_kek_version,
            iv: row.iv.as_ref(),
            created: row.created,
        }
    }

    /// Shape: a label, then each field in the order above as presence byte, length (4 bytes,
    /// big-endian) and bytes, of a period its number; last, where a period has a time, its begin
    /// and its end in the same form. So no two contexts have the same bytes.
    pub(crate) fn aad(&self) -> Vec<u8> {
        let mut aad = b"strongroom cek 2".to_vec();
        let period = self.period.map(|period| period.index.to_be_bytes());
        put(&mut aad, Some(self.tenant.as_bytes()));
        put(&mut aad, Some(self.category.as_str().as_bytes()));
        put(&mut aad, Some(self.content_id.as_str().as_bytes()));
        put(&mut aad, Some(self.kid.as_bytes()));
        put(&mut aad, self.scheme.map(|scheme| scheme.name().as_bytes()));
        put(&mut aad, self.track_class.map(|class| class.name().as_bytes()));
        put(&mut aad, period.as_ref().map(|period| period.as_slice()));
        put(&mut aad, Some(&self.kek_version.0.to_be_bytes()));
        put(&mut aad, Some(&self.first_kek_version.0.to_be_bytes()));
        put(&mut aad, self.iv.map(|iv| iv.as_slice()));
        put(&mut aad, Some(&self.created.0.to_be_bytes()));
        if let Some(span) = self.period.and_then(|period| period.span) {
            put(&mut aad, Some(&span.begins.0.to_be_bytes()));
            put(&mut aad, Some(&span.ends.0.to_be_bytes()));
        }
        aad
    }
}

/// The facts a wrapped KEK is bound to.
#[derive(Clone, Copy, Debug)]
pub struct KekContext<'a> {
    /// The service the key belongs to.
    pub tenant: &'a str,
    /// Content category.
    pub category: &'a CategoryName,
    /// Version within the category.
    pub version: KekVersion,
}

impl KekContext<'_> {
    /// Shape: as that of [`KeyContext`], under its own label.
    pub(crate) fn aad(&self) -> Vec<u8> {
        let mut aad = b"strongroom kek 1".to_vec();
        put(&mut aad, Some(self.tenant.as_bytes()));
        put(&mut aad, Some(self.category.as_str().as_bytes()));
        put(&mut aad, Some(&self.version.0.to_be_bytes()));
        aad
    }
}

/// The facts that a secret of an imported credential is bound to.
#[derive(Clone, Copy, Debug)]
pub struct SecretContext<'a> {
    /// The service the secret belongs to.
    pub tenant: &'a str,
    /// The DRM system.
    pub dialect: &'a str,
    /// What it is for.
    pub kind: &'a str,
    /// Its name among those of its kind.
    pub name: &'a str,
    /// Its place in the order of imports.
    pub seq: u64,
    /// What is public of it, and must not be changed either: a certificate, a list.
    pub public: &'a [u8],
}

impl SecretContext<'_> {
    /// Shape: as that of [`KeyContext`], under its own label; of the public part its SHA-256.
    pub(crate) fn aad(&self) -> Vec<u8> {
        let mut aad = b"strongroom credential 1".to_vec();
        put(&mut aad, Some(self.tenant.as_bytes()));
        put(&mut aad, Some(self.dialect.as_bytes()));
        put(&mut aad, Some(self.kind.as_bytes()));
        put(&mut aad, Some(self.name.as_bytes()));
        put(&mut aad, Some(&self.seq.to_be_bytes()));
        put(&mut aad, Some(&crate::sha256(self.public)));
        aad
    }
}

fn put(aad: &mut Vec<u8>, field: Option<&[u8]>) {
    let Some(bytes) = field else {
        aad.push(0);
        return;
    };
    let length = u32::try_from(bytes.len()).expect("names and ids are short");
    aad.push(1);
    aad.extend(length.to_be_bytes());
    aad.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_move_between_fields_change_the_bytes() {
        let aad = |tenant: &str, category: &str| {
            let category = CategoryName::parse(category).unwrap();
            KekContext { tenant, category: &category, version: KekVersion(1) }.aad()
        };
        assert_ne!(aad("ab", "c"), aad("a", "bc"));
        assert_eq!(aad("a", "bc"), aad("a", "bc"));
    }
}
