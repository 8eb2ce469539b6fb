//! PlayReady's credentials: the folder that an operator imports, checked, and what serves of it.

use super::change::{CredentialError, Import, digest, hex};
use super::folder::{self, FileRefused, bytes, needed_bytes, needed_text, refused, unread};
use super::held::{System, Unusable};
use super::sealed::{ONLY, Opened, text_of};
use crate::config::Mode;
use dialect::playready::{Credentials, Desk, ImportError, RevocationList, VerifiedChains};
use keys::{P256PublicKey, sha256};
use model::{Dialect, Timestamp};
use std::path::Path;
use std::sync::Arc;
use store::CredentialKind;
use zeroize::Zeroizing;

const ROOT_PUBLIC: &str = "root_public.bin";
const ROOT_PUBLIC_PEM: &str = "root_public.pem";
const WMRM_PRIVATE: &str = "wmrm_private.pem";
const SIGNING_CHAIN: &str = "signing_chain.bin";
const SIGNING_PRIVATE: &str = "signing_private.pem";
const REVOCATION: &str = "revocation.json";

/// The row of the key for which clients encrypt who they are.
const WMRM: &str = "wmrm";
/// The row of the chain and key that sign answers.
const SIGNING: &str = "signing";

/// A PlayReady folder, read. Private keys are wiped on drop.
pub struct PlayReadyFiles {
    root: Vec<u8>,
    root_name: &'static str,
    wmrm_private: Zeroizing<String>,
    signing_chain: Vec<u8>,
    signing_private: Zeroizing<String>,
    revocation: String,
}

impl PlayReadyFiles {
    /// Reads a folder.
    ///
    /// Shape: `root_public.bin` or `root_public.pem`, not both; `wmrm_private.pem`,
    /// `signing_chain.bin`, `signing_private.pem`, `revocation.json`. Other files are left alone.
    /// Errors: [`FileRefused`]. Limits: 64 KiB a chain or key, 16 MiB the list.
    pub fn read(folder: &Path) -> Result<Self, FileRefused> {
        let (root, root_name) = match (bytes(folder, ROOT_PUBLIC)?, bytes(folder, ROOT_PUBLIC_PEM)?)
        {
            (Some(root), None) => (root, ROOT_PUBLIC),
            (None, Some(root)) => (root, ROOT_PUBLIC_PEM),
            (None, None) => {
                return Err(unread(ROOT_PUBLIC, "there is neither this file nor root_public.pem"));
            }
            (Some(_), Some(_)) => {
                return Err(unread(ROOT_PUBLIC_PEM, "there is root_public.bin too; keep one"));
            }
        };
        Ok(Self {
            root,
            root_name,
            wmrm_private: needed_text(folder, WMRM_PRIVATE)?,
            signing_chain: needed_bytes(folder, SIGNING_CHAIN)?,
            signing_private: needed_text(folder, SIGNING_PRIVATE)?,
            revocation: Self::read_revocation_list(&folder.join(REVOCATION))?,
        })
    }

    /// Reads and checks a revocation list of any name.
    ///
    /// Errors: [`FileRefused`].
    pub fn read_revocation_list(path: &Path) -> Result<String, FileRefused> {
        let list = folder::list(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        RevocationList::parse(&list).map_err(|cause| refused(&name, cause))?;
        Ok(list)
    }

    /// Checks everything, and makes rows of it.
    ///
    /// Errors: [`FileRefused`].
    pub(super) fn check(self, now: Timestamp) -> Result<Import, FileRefused> {
        use CredentialKind as K;
        let Self { root, root_name, wmrm_private, signing_chain, signing_private, revocation } =
            self;
        let credentials =
            Credentials::import(&root, &wmrm_private, &signing_chain, &signing_private, now)
                .map_err(|cause| refused(file_of(cause, root_name), cause))?;
        let revoked =
            RevocationList::parse(&revocation).map_err(|cause| refused(REVOCATION, cause))?;
        let root = point_of(&root).ok_or_else(|| refused(root_name, ImportError::Root))?;
        let wmrm = credentials.service_key().to_bytes();
        let (list, serial) = (revocation.as_bytes(), hex(&sha256(&wmrm)));
        let (of_root, of_list) = (digest(&root), digest(list));
        let mut import = Import::new(Dialect::PlayReady, serial.clone());
        import.detail = format!("root {of_root} service {serial} devices {of_list}");
        import.listed = revoked.count();
        import.put(K::Root, ONLY, &root, &[]);
        import.put(K::Service, WMRM, &wmrm, wmrm_private.as_bytes());
        import.put(K::Service, SIGNING, &signing_chain, signing_private.as_bytes());
        import.put(K::Devices, ONLY, list, &[]);
        Ok(import)
    }
}

/// The root as X and Y, however it came: the same key is the same root.
fn point_of(root: &[u8]) -> Option<[u8; 64]> {
    if let Ok(point) = root.try_into() {
        return Some(point);
    }
    let key = P256PublicKey::parse_pem(std::str::from_utf8(root).ok()?).ok()?;
    Some(key.to_bytes())
}

/// Which file an error is about.
const fn file_of(error: ImportError, root: &'static str) -> &'static str {
    match error {
        ImportError::Root => root,
        ImportError::ServiceKey(_) | ImportError::OneKeyTwice => WMRM_PRIVATE,
        ImportError::SigningChain(_) => SIGNING_CHAIN,
        ImportError::SigningKey(_) | ImportError::SigningKeyOfAnother => SIGNING_PRIVATE,
    }
}

/// Everything that PlayReady's requests are checked against and answered with.
#[derive(Debug)]
pub struct PlayReady {
    /// Root, the service's key, and what signs its answers.
    pub credentials: Credentials,
    /// Chains that were verified before, under any credentials.
    pub chains: Arc<VerifiedChains>,
    /// Whose certificates are believed no longer.
    pub revoked: RevocationList,
    /// Whether devices of the test level are answered: never in production.
    pub allows_test_level: bool,
}

impl PlayReady {
    /// What a request is read against.
    #[must_use]
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            credentials: &self.credentials,
            chains: &self.chains,
            revoked: &self.revoked,
            allows_test_level: self.allows_test_level,
        }
    }
}

impl System for PlayReady {
    const DIALECT: Dialect = Dialect::PlayReady;

    fn open(opened: &Opened<'_>, mode: Mode, now: Timestamp) -> Result<Self, Unusable> {
        let (root, _) = opened.one(CredentialKind::Root)?.ok_or(Unusable::Missing("root"))?;
        let service = |name, what| {
            let row = opened.of(CredentialKind::Service).find(|row| row.name == name);
            let row = row.ok_or(Unusable::Missing(what))?;
            Ok::<_, Unusable>((&row.public, text_of(opened.secret(row)?)?))
        };
        let (_, wmrm) = service(WMRM, "key of the service")?;
        let (chain, signing) = service(SIGNING, "key that signs answers")?;
        let (list, _) =
            opened.one(CredentialKind::Devices)?.ok_or(Unusable::Missing("revocation list"))?;
        let list = std::str::from_utf8(list).map_err(|_| Unusable::Shape)?;
        Ok(Self {
            credentials: Credentials::import(root, &wmrm, chain, &signing, now)?,
            chains: Arc::default(),
            revoked: RevocationList::parse(list)?,
            allows_test_level: mode == Mode::Development,
        })
    }

    fn succeed(&mut self, before: &Self) {
        self.chains = Arc::clone(&before.chains);
    }

    fn counts(&self) -> String {
        format!("{} revoked keys", self.revoked.count())
    }
}

/// Another revocation list, checked: how many keys it revokes.
///
/// Errors: [`CredentialError`].
pub(super) fn listed(list: &str) -> Result<usize, CredentialError> {
    Ok(RevocationList::parse(list).map_err(Unusable::from)?.count())
}
