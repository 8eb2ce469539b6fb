//! What an operator reads of the credentials, and what a search for leaks looks for.

use super::change::digest;
use super::held::Unusable;
use super::sealed::{Opened, open_kek};
use crate::vault::Vault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::widevine::ServiceFacts;
use model::{Dialect, Timestamp};
use store::{CredentialKind, StoreError, StoredCredential};
use zeroize::Zeroizing;

/// One credential, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// The DRM system.
    pub dialect: Dialect,
    /// What it is for: `root`, `service`, `devices`, `provisioning`.
    pub kind: &'static str,
    /// A service certificate's serial number, else the beginning of the SHA-256 of what is
    /// public of it; in hex.
    pub name: String,
    /// Of a service certificate, whose it is.
    pub provider: Option<String>,
    /// When it ends, where it does.
    pub expires: Option<Timestamp>,
    /// When it was imported.
    pub imported: Timestamp,
    /// Whether it is the service certificate that is handed out.
    pub is_current: bool,
}

impl Vault {
    /// Everything that was imported, but for what is secret of it.
    ///
    /// Errors: [`StoreError`].
    pub async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
        let mut listed = vec![];
        for dialect in Dialect::ALL {
            let Some(stored) = self.store.credentials(dialect).await? else { continue };
            let current = stored.rows.iter().find(|row| row.kind == CredentialKind::Service);
            let current = current.map(|row| row.name.as_str());
            let shown = stored.rows.iter().filter(|row| row.kind != CredentialKind::Sessions);
            listed.extend(shown.map(|row| describe(dialect, row, current)));
        }
        Ok(listed)
    }

    /// What is secret of every credential, for a search for leaks: of a private key a part that
    /// every copy of it has.
    ///
    /// Errors: [`Unusable`]; one that does not open ends it.
    pub async fn credential_secrets(&self) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>, Unusable> {
        let mut secrets = vec![];
        for dialect in Dialect::ALL {
            let Some(stored) = self.store.credentials(dialect).await? else { continue };
            let kek = open_kek(&self.keys, dialect, &stored.kek).await?;
            let opened = Opened { dialect, kek: &kek, rows: &stored.rows };
            for row in &stored.rows {
                let secret = opened.secret(row)?;
                let Some(part) = searched_part(row.kind, secret) else { continue };
                secrets.push((format!("{dialect} {} {}", row.kind.name(), row.name), part));
            }
        }
        Ok(secrets)
    }
}

fn describe(dialect: Dialect, row: &StoredCredential, current: Option<&str>) -> CredentialRow {
    let is_service = row.kind == CredentialKind::Service;
    // Only Widevine's certificates say whose they are.
    let facts = (is_service && dialect == Dialect::Widevine).then_some(());
    let facts = facts.and_then(|()| ServiceFacts::read(&row.public).ok());
    let has_name = is_service || row.kind == CredentialKind::Derivation;
    CredentialRow {
        dialect,
        kind: row.kind.name(),
        name: if has_name { row.name.clone() } else { digest(&row.public) },
        provider: facts
            .as_ref()
            .map(|facts| String::from_utf8_lossy(&facts.provider_id).into_owned()),
        expires: facts.and_then(|facts| facts.expires),
        imported: row.created,
        // PlayReady's service is one: its key, and what signs its answers.
        is_current: is_service && (dialect == Dialect::PlayReady || current == Some(&row.name)),
    }
}

fn searched_part(kind: CredentialKind, secret: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    match kind {
        CredentialKind::Root | CredentialKind::Devices => None,
        CredentialKind::Sessions => Some(secret),
        CredentialKind::Derivation => bytes_of_hex(&secret).or(Some(secret)),
        CredentialKind::Service | CredentialKind::Provisioning => part_of_key(&secret),
    }
}

/// An application secret is kept as its 32 digits; the search finds its bytes in every writing.
fn bytes_of_hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let number = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(Zeroizing::new(number.to_be_bytes().to_vec()))
}

/// Of a PKCS#8 key a part that is secret, in its DER and within one line of its PEM: of an RSA
/// key 48 bytes behind the modulus, of one on P-256 18 bytes of the scalar.
fn part_of_key(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    /// A line of PEM holds so many bytes.
    const LINE: usize = 48;
    /// RFC 5915: version 1, then an octet string of 32 bytes.
    const SCALAR: [u8; 5] = [2, 1, 1, 4, 32];
    let pem = std::str::from_utf8(pem).ok()?;
    let body = pem.lines().filter(|line| !line.starts_with("-----"));
    let body: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.flat_map(|line| line.trim().bytes()).collect());
    let der = Zeroizing::new(STANDARD.decode(&*body).ok()?);
    let range = match der.windows(SCALAR.len()).position(|window| window == SCALAR) {
        Some(at) if at < LINE => LINE..LINE + 18,
        _ => 8 * LINE..9 * LINE,
    };
    der.get(range).map(|part| Zeroizing::new(part.to_vec()))
}
