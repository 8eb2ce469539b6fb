//! Credentials at rest: one KEK a DRM system, which the KMS wraps, and rows sealed under it.

use super::held::Unusable;
use crate::vault::key_service::{KeyService, KeyServiceError, TENANT, within};
use keys::{Kek, KekContext, SecretContext};
use model::{CategoryName, Dialect, Entropy, KekVersion};
use store::{CredentialKind, StoredCredential};
use zeroize::Zeroizing;

/// Whom the KMS keeps these KEKs for: no category of content can have one of them.
const KEK_TENANT: &str = "default-credentials";

/// The name of the only row of a kind.
pub(super) const ONLY: &str = "only";

fn category(dialect: Dialect) -> CategoryName {
    CategoryName::parse(dialect.name()).expect("a dialect's name is a plain name")
}

/// Wraps a KEK of credentials.
pub(in crate::vault) async fn wrap_kek(
    keys: &KeyService,
    dialect: Dialect,
    kek: &Kek,
) -> Result<Vec<u8>, KeyServiceError> {
    let category = category(dialect);
    let context = KekContext { tenant: KEK_TENANT, category: &category, version: KekVersion(1) };
    within(keys.kms.wrap(kek, &context)).await
}

/// Opens a KEK of credentials.
pub(in crate::vault) async fn open_kek(
    keys: &KeyService,
    dialect: Dialect,
    wrapped: &[u8],
) -> Result<Kek, KeyServiceError> {
    let category = category(dialect);
    let context = KekContext { tenant: KEK_TENANT, category: &category, version: KekVersion(1) };
    #[expect(clippy::disallowed_methods, reason = "credentials are opened to serve")]
    let opening = keys.kms.unwrap(wrapped, &context);
    within(opening).await
}

fn context(dialect: Dialect, row: &StoredCredential) -> SecretContext<'_> {
    SecretContext {
        tenant: TENANT,
        dialect: dialect.name(),
        kind: row.kind.name(),
        name: &row.name,
        seq: row.seq,
        public: &row.public,
    }
}

/// Seals what is secret of a row, bound to all that the row says.
pub(super) fn seal(
    dialect: Dialect,
    row: StoredCredential,
    secret: &[u8],
    kek: &Kek,
    entropy: &mut dyn Entropy,
) -> StoredCredential {
    let sealed = kek.seal_secret(secret, &context(dialect, &row), entropy);
    StoredCredential { sealed, ..row }
}

/// What is public of a row, and what is secret of it.
pub(super) type OpenedRow<'a> = (&'a [u8], Zeroizing<Vec<u8>>);

/// Rows and the KEK that opens them.
pub(super) struct Opened<'a> {
    pub dialect: Dialect,
    pub kek: &'a Kek,
    pub rows: &'a [StoredCredential],
}

impl<'a> Opened<'a> {
    /// The rows of a kind, newest first.
    pub fn of(&self, kind: CredentialKind) -> impl Iterator<Item = &'a StoredCredential> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// What is secret of a row.
    ///
    /// Errors: [`KeyServiceError::Integrity`] where the row is not as it was sealed.
    pub fn secret(&self, row: &StoredCredential) -> Result<Zeroizing<Vec<u8>>, KeyServiceError> {
        self.kek
            .open_secret(&row.sealed, &context(self.dialect, row))
            .map_err(|keys::UnwrapError| KeyServiceError::Integrity)
    }

    /// The only row of a kind: what is public and what is secret of it.
    pub fn one(&self, kind: CredentialKind) -> Result<Option<OpenedRow<'a>>, KeyServiceError> {
        let Some(row) = self.of(kind).next() else { return Ok(None) };
        Ok(Some((&row.public, self.secret(row)?)))
    }
}

/// A secret that is text.
///
/// Errors: [`Unusable::Shape`].
pub(super) fn text_of(secret: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Unusable> {
    let text = std::str::from_utf8(&secret).map_err(|_| Unusable::Shape)?;
    Ok(Zeroizing::new(text.to_owned()))
}
