//! What an operator does to credentials: import, new device list, list, remove. Decided on what
//! is stored, written only if nobody has changed it since, and audited first.

use super::Unusable;
use super::files::{CheckedFiles, FileRefused, WidevineFiles};
use super::sealed::{Opened, open_kek, seal, wrap_kek};
use crate::vault::Vault;
use crate::vault::audit_writer::AuditError;
use crate::vault::key_service::{KeyService, KeyServiceError, vault_entry};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::widevine::provisioning::{ModelError, ProvisioningModel};
use dialect::widevine::{DeviceList, RootFile, ServiceFacts};
use keys::{Kek, sha256};
use model::{Dialect, Timestamp};
use store::{AuditEntry, CredentialChange, CredentialKind, StoreError, StoredCredential};
use zeroize::Zeroizing;

/// Most service certificates that are kept at a time.
const MAX_SERVICES: usize = 16;
/// Tries against others who change credentials at the same time.
const TRIES: u32 = 4;
/// The name of the only row of a kind.
const ONLY: &str = "only";

/// Why credentials are not changed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileRefused),
    /// The device list would make more of provisioned software than L3.
    #[error("the list does not go with the imported provisioning model: {0}")]
    Provisioning(ModelError),
    /// Nothing was imported.
    #[error("no credentials were imported for {0}")]
    NoneImported(Dialect),
    /// No service certificate has this serial number.
    #[error("no service certificate has the serial number {0}")]
    SerialUnknown(String),
    /// What is left could serve nobody.
    #[error("this is the only service certificate; without --serial all credentials are removed")]
    OnlyService,
    /// Too many service certificates.
    #[error("16 service certificates are kept at most; remove one that no client holds any more")]
    TooManyServices,
    /// Others changed them at the same time, again and again.
    #[error("the credentials are being changed by others; nothing was changed here")]
    Busy,
    /// What is stored does not open.
    #[error("the stored credentials: {0}")]
    Stored(#[from] Unusable),
    /// The KMS, the store or the audit.
    #[error(transparent)]
    Keys(#[from] KeyServiceError),
}

impl From<StoreError> for CredentialError {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl From<AuditError> for CredentialError {
    fn from(error: AuditError) -> Self {
        Self::Keys(error.into())
    }
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedCredentials {
    /// The serial number of the service certificate that is handed out now, in hex.
    pub serial: String,
    /// Older service certificates whose clients are still understood.
    pub older: usize,
    /// Whether another root was there before, with all that hung from it.
    pub is_new_root: bool,
    /// Systems that the device list names.
    pub systems: usize,
    /// Whether devices can be provisioned.
    pub is_provisioning: bool,
}

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
    /// Takes over a checked folder. Its service certificate is handed out from now on; those
    /// of earlier imports under the same root still open identities. Of everything else the
    /// folder is the whole truth.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn import_widevine(
        &self,
        files: WidevineFiles,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        let checked = files.check(now)?;
        let import = |desk: &mut Change<'_>| desk.import(&checked, now);
        self.change_widevine(now, FirstImport::Allowed, import).await
    }

    /// Takes another device list for those credentials that are there.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn replace_device_list(
        &self,
        list: &str,
        now: Timestamp,
    ) -> Result<usize, CredentialError> {
        let replace = |desk: &mut Change<'_>| desk.replace_list(list, now);
        self.change_widevine(now, FirstImport::Refused, replace).await
    }

    /// Removes one service certificate, by its serial number in hex, or everything.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn remove_widevine(
        &self,
        serial: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CredentialError> {
        let remove = |desk: &mut Change<'_>| desk.remove(serial);
        self.change_widevine(now, FirstImport::Refused, remove).await
    }

    /// Everything that was imported, but for what is secret of it.
    ///
    /// Errors: [`StoreError`].
    pub async fn credentials(&self) -> Result<Vec<CredentialRow>, StoreError> {
        let mut listed = vec![];
        for dialect in Dialect::ALL {
            let Some(stored) = self.store.credentials(dialect).await? else { continue };
            let current = stored.rows.iter().find(|row| row.kind == CredentialKind::Service);
            let current = current.map(|row| row.name.as_str());
            listed.extend(
                stored
                    .rows
                    .iter()
                    .filter(|row| row.kind != CredentialKind::Sessions)
                    .map(|row| describe(dialect, row, current)),
            );
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

    /// Reads, decides, audits and writes, again where others were faster.
    async fn change_widevine<T>(
        &self,
        now: Timestamp,
        first: FirstImport,
        decide: impl Fn(&mut Change<'_>) -> Result<T, CredentialError>,
    ) -> Result<T, CredentialError> {
        let dialect = Dialect::Widevine;
        for _ in 0..TRIES {
            let version = self.store.credentials_version().await?;
            let stored = self.store.credentials(dialect).await?;
            if stored.as_ref().is_some_and(|stored| stored.version != version) {
                continue;
            }
            let (kek, new_kek) = match (&stored, first) {
                (Some(stored), _) => (open_kek(&self.keys, dialect, &stored.kek).await?, None),
                (None, FirstImport::Allowed) => {
                    let kek = self.keys.entropy.with(Kek::generate);
                    let wrapped = wrap_kek(&self.keys, dialect, &kek).await?;
                    (kek, Some(wrapped))
                }
                (None, FirstImport::Refused) => {
                    return Err(CredentialError::NoneImported(dialect));
                }
            };
            let rows = stored.as_ref().map_or(&[][..], |stored| &stored.rows);
            let mut desk = Change::new(&self.keys, Opened { dialect, kek: &kek, rows }, version);
            let done = decide(&mut desk)?;
            let Change { mut change, said, .. } = desk;
            change.new_kek = new_kek;
            self.audit.append(audit_entries(said, now)).await?;
            match self.store.change_credentials(dialect, version, &change).await {
                Err(StoreError::Conflict) => {}
                outcome => return Ok(outcome.map(|()| done)?),
            }
        }
        Err(CredentialError::Busy)
    }
}

/// Whether a change may be the first.
#[derive(Clone, Copy)]
enum FirstImport {
    Allowed,
    Refused,
}

/// A change in the making.
struct Change<'a> {
    keys: &'a KeyService,
    opened: Opened<'a>,
    seq: u64,
    change: CredentialChange,
    /// What the audit will say: action and detail.
    said: Vec<(&'static str, String)>,
}

impl<'a> Change<'a> {
    fn new(keys: &'a KeyService, opened: Opened<'a>, version: u64) -> Self {
        let seq = version.saturating_add(1);
        Self { keys, opened, seq, change: CredentialChange::default(), said: vec![] }
    }

    fn import(
        &mut self,
        files: &CheckedFiles,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        let root = self.opened.one(CredentialKind::Root)?;
        let is_new_root = root.is_some_and(|(root, _)| root != files.root);
        let serial = hex(&files.service.serial);
        let others = self.opened.of(CredentialKind::Service).filter(|row| row.name != serial);
        let others: Vec<String> = others.map(|row| row.name.clone()).collect();
        if !is_new_root && others.len() >= MAX_SERVICES {
            return Err(CredentialError::TooManyServices);
        }
        let older = if is_new_root { 0 } else { others.len() };
        if is_new_root {
            self.change.removed =
                others.into_iter().map(|n| (CredentialKind::Service, n)).collect();
            self.said.push(("credentials.root_replaced", "dialect widevine".to_owned()));
        }
        self.put(CredentialKind::Root, ONLY, &files.root, &[], now);
        let private = files.service_private.as_bytes();
        self.put(CredentialKind::Service, &serial, &files.service_certificate, private, now);
        self.put(CredentialKind::Devices, ONLY, files.device_list.as_bytes(), &[], now);
        match &files.provisioning {
            Some((certificate, private)) => {
                let private = private.as_bytes();
                self.put(CredentialKind::Provisioning, ONLY, certificate, private, now);
            }
            None => self.change.removed.push((CredentialKind::Provisioning, ONLY.to_owned())),
        }
        if self.opened.one(CredentialKind::Sessions)?.is_none() {
            let mut secret = Zeroizing::new([0; 32]);
            self.keys.entropy.with(|entropy| entropy.fill(secret.as_mut_slice()));
            self.put(CredentialKind::Sessions, ONLY, &[], secret.as_slice(), now);
        }
        let list = digest(files.device_list.as_bytes());
        let root = digest(&files.root);
        let detail = format!("dialect widevine root {root} service {serial} devices {list}");
        self.said.push(("credentials.imported", detail));
        Ok(ImportedCredentials {
            serial,
            older,
            is_new_root,
            systems: systems_in(&files.device_list),
            is_provisioning: files.provisioning.is_some(),
        })
    }

    fn replace_list(&mut self, list: &str, now: Timestamp) -> Result<usize, CredentialError> {
        let devices = DeviceList::parse(list).map_err(Unusable::from)?;
        let root = self.opened.one(CredentialKind::Root)?.ok_or(Unusable::Missing("root"))?.0;
        if let Some((certificate, pem)) = self.opened.one(CredentialKind::Provisioning)? {
            let pem = super::text(pem)?;
            let root = RootFile::PublicKey(root);
            let model = ProvisioningModel::import(root, certificate, &pem, &devices, now);
            // A list may end provisioning; it may not make more of software than it is.
            if let Err(error @ ModelError::Level(_)) = model {
                return Err(CredentialError::Provisioning(error));
            }
        }
        self.put(CredentialKind::Devices, ONLY, list.as_bytes(), &[], now);
        let detail = format!("dialect widevine devices {}", digest(list.as_bytes()));
        self.said.push(("credentials.device_list_replaced", detail));
        Ok(devices.counts().0)
    }

    fn remove(&mut self, serial: Option<&str>) -> Result<(), CredentialError> {
        let Some(serial) = serial else {
            let rows = self.opened.rows.iter();
            self.change.removed = rows.map(|row| (row.kind, row.name.clone())).collect();
            self.change.is_end = true;
            self.said.push(("credentials.removed", "dialect widevine all".to_owned()));
            return Ok(());
        };
        let serial = serial.to_ascii_lowercase();
        let services: Vec<_> = self.opened.of(CredentialKind::Service).collect();
        if !services.iter().any(|row| row.name == serial) {
            return Err(CredentialError::SerialUnknown(serial));
        }
        if services.len() == 1 {
            return Err(CredentialError::OnlyService);
        }
        self.said.push(("credentials.removed", format!("dialect widevine service {serial}")));
        self.change.removed.push((CredentialKind::Service, serial));
        Ok(())
    }

    fn put(
        &mut self,
        kind: CredentialKind,
        name: &str,
        public: &[u8],
        secret: &[u8],
        now: Timestamp,
    ) {
        let (name, public) = (name.to_owned(), public.to_vec());
        let row =
            StoredCredential { kind, name, seq: self.seq, public, sealed: vec![], created: now };
        let Opened { dialect, kek, .. } = self.opened;
        let row = self.keys.entropy.with(|entropy| seal(dialect, row, secret, kek, entropy));
        self.change.put.push(row);
    }
}

fn audit_entries(said: Vec<(&'static str, String)>, now: Timestamp) -> Vec<AuditEntry> {
    let entry = |(action, detail)| AuditEntry {
        actor: "operator".to_owned(),
        ..vault_entry(action, detail, now)
    };
    said.into_iter().map(entry).collect()
}

fn describe(dialect: Dialect, row: &StoredCredential, current: Option<&str>) -> CredentialRow {
    let service = (row.kind == CredentialKind::Service).then_some(());
    let facts = service.and_then(|()| ServiceFacts::read(&row.public).ok());
    CredentialRow {
        dialect,
        kind: row.kind.name(),
        name: if service.is_some() { row.name.clone() } else { digest(&row.public) },
        provider: facts
            .as_ref()
            .map(|facts| String::from_utf8_lossy(&facts.provider_id).into_owned()),
        expires: facts.and_then(|facts| facts.expires),
        imported: row.created,
        is_current: service.is_some() && current == Some(&row.name),
    }
}

/// Of a private key 48 bytes of its private exponent: one line of its PEM, and in its DER too.
fn searched_part(kind: CredentialKind, secret: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    const PART: std::ops::Range<usize> = 512..576;
    match kind {
        CredentialKind::Root | CredentialKind::Devices => None,
        CredentialKind::Sessions => Some(secret),
        CredentialKind::Service | CredentialKind::Provisioning => {
            let pem = std::str::from_utf8(&secret).ok()?;
            let body = pem.lines().filter(|line| !line.starts_with("-----"));
            let body = body.flat_map(|line| line.trim().bytes());
            let part: Zeroizing<Vec<u8>> =
                Zeroizing::new(body.skip(PART.start).take(PART.len()).collect());
            STANDARD.decode(&*part).ok().map(Zeroizing::new)
        }
    }
}

fn systems_in(list: &str) -> usize {
    DeviceList::parse(list).map_or(0, |list| list.counts().0)
}

/// The beginning of a SHA-256, enough to tell what an operator has apart.
fn digest(bytes: &[u8]) -> String {
    let mut text = hex(&sha256(bytes));
    text.truncate(16);
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
