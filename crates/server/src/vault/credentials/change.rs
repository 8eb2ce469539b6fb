//! What an operator does to credentials of any system: import, another list of devices, remove.
//! Decided on what is stored, written only if nobody has changed it since, and audited first.

use super::folder::FileRefused;
use super::held::Unusable;
use super::sealed::{ONLY, Opened, open_kek, seal, wrap_kek};
use crate::vault::Vault;
use crate::vault::audit_writer::AuditError;
use crate::vault::key_service::{KeyService, KeyServiceError, vault_entry};
use dialect::widevine::provisioning::ModelError;
use keys::{Kek, sha256};
use model::{Dialect, Timestamp};
use store::{AuditEntry, CredentialChange, CredentialKind, StoreError, StoredCredential};
use zeroize::Zeroizing;

/// Most service certificates that are kept at a time.
const MAX_SERVICES: usize = 16;
/// Tries against others who change credentials at the same time.
const TRIES: u32 = 4;

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
    /// The name of the service certificate that is handed out now, in hex.
    pub serial: String,
    /// Older service certificates whose clients are still understood.
    pub older: usize,
    /// Whether another root was there before, with all that hung from it.
    pub is_new_root: bool,
    /// Entries of the list of devices: Widevine's systems, PlayReady's revoked keys.
    pub listed: usize,
    /// Whether devices can be provisioned.
    pub is_provisioning: bool,
}

/// A checked folder, as the rows that it becomes.
pub(super) struct Import {
    dialect: Dialect,
    /// The name of its service certificate.
    serial: String,
    rows: Vec<NewRow>,
    /// Rows that the folder may have and has not.
    pub absent: Vec<(CredentialKind, String)>,
    /// Whether the system seals what clients keep of their sessions.
    pub draws_sessions: bool,
    /// As in [`ImportedCredentials`].
    pub listed: usize,
    /// As in [`ImportedCredentials`].
    pub is_provisioning: bool,
    /// What the audit says of it, beside the system.
    pub detail: String,
}

/// What is put into a row.
struct NewRow {
    kind: CredentialKind,
    name: String,
    public: Vec<u8>,
    secret: Zeroizing<Vec<u8>>,
}

impl Import {
    pub fn new(dialect: Dialect, serial: String) -> Self {
        Self {
            dialect,
            serial,
            rows: vec![],
            absent: vec![],
            draws_sessions: false,
            listed: 0,
            is_provisioning: false,
            detail: String::new(),
        }
    }

    pub fn put(&mut self, kind: CredentialKind, name: &str, public: &[u8], secret: &[u8]) {
        let (name, public) = (name.to_owned(), public.to_vec());
        self.rows.push(NewRow { kind, name, public, secret: Zeroizing::new(secret.to_vec()) });
    }

    /// Its root, where the system has one.
    fn root(&self) -> Option<&[u8]> {
        let root = self.rows.iter().find(|row| row.kind == CredentialKind::Root);
        root.map(|row| row.public.as_slice())
    }

    fn has(&self, stored: &StoredCredential) -> bool {
        self.rows.iter().any(|row| row.kind == stored.kind && row.name == stored.name)
    }
}

impl Vault {
    /// Takes over a folder's rows.
    pub(super) async fn take_over(
        &self,
        import: &Import,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        let decide = |desk: &mut Change<'_>| desk.import(import);
        self.change_credentials(import.dialect, now, FirstImport::Allowed, decide).await
    }

    /// Takes another list of devices, which `check` finds to go with what is there. Returns
    /// what `check` does.
    pub(super) async fn replace_devices(
        &self,
        dialect: Dialect,
        list: &str,
        check: impl Fn(&Opened<'_>) -> Result<usize, CredentialError>,
        now: Timestamp,
    ) -> Result<usize, CredentialError> {
        let decide = |desk: &mut Change<'_>| {
            let listed = check(&desk.opened)?;
            desk.put(CredentialKind::Devices, ONLY, list.as_bytes(), &[]);
            let detail = format!("devices {}", digest(list.as_bytes()));
            desk.say("credentials.device_list_replaced", &detail);
            Ok(listed)
        };
        self.change_credentials(dialect, now, FirstImport::Refused, decide).await
    }

    /// Removes one service certificate of a system, by its serial number in hex, or everything.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn remove_credentials(
        &self,
        dialect: Dialect,
        serial: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CredentialError> {
        let decide = |desk: &mut Change<'_>| desk.remove(serial);
        self.change_credentials(dialect, now, FirstImport::Refused, decide).await
    }

    /// Reads, decides, audits and writes, again where others were faster.
    async fn change_credentials<T>(
        &self,
        dialect: Dialect,
        now: Timestamp,
        first: FirstImport,
        decide: impl Fn(&mut Change<'_>) -> Result<T, CredentialError>,
    ) -> Result<T, CredentialError> {
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
            let opened = Opened { dialect, kek: &kek, rows };
            let seq = version.saturating_add(1);
            let change = CredentialChange { new_kek, ..CredentialChange::default() };
            let mut desk = Change { keys: &self.keys, opened, seq, now, change, said: vec![] };
            let done = decide(&mut desk)?;
            let Change { change, said, .. } = desk;
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

/// A change of one system's credentials in the making.
struct Change<'a> {
    keys: &'a KeyService,
    opened: Opened<'a>,
    seq: u64,
    now: Timestamp,
    change: CredentialChange,
    /// What the audit will say: action and detail.
    said: Vec<(&'static str, String)>,
}

impl Change<'_> {
    fn import(&mut self, import: &Import) -> Result<ImportedCredentials, CredentialError> {
        let root = self.opened.one(CredentialKind::Root)?;
        let is_new_root = root.is_some_and(|(root, _)| import.root() != Some(root));
        let others = self.opened.of(CredentialKind::Service).filter(|row| !import.has(row));
        let others: Vec<_> = others.map(|row| (row.kind, row.name.clone())).collect();
        if !is_new_root && others.len() >= MAX_SERVICES {
            return Err(CredentialError::TooManyServices);
        }
        let older = if is_new_root { 0 } else { others.len() };
        if is_new_root {
            self.change.removed = others;
            self.say("credentials.root_replaced", "");
        }
        self.change.removed.extend(import.absent.iter().cloned());
        for row in &import.rows {
            self.put(row.kind, &row.name, &row.public, &row.secret);
        }
        if import.draws_sessions && self.opened.one(CredentialKind::Sessions)?.is_none() {
            let mut secret = Zeroizing::new([0; 32]);
            self.keys.entropy.with(|entropy| entropy.fill(secret.as_mut_slice()));
            self.put(CredentialKind::Sessions, ONLY, &[], secret.as_slice());
        }
        self.say("credentials.imported", &import.detail);
        Ok(ImportedCredentials {
            serial: import.serial.clone(),
            older,
            is_new_root,
            listed: import.listed,
            is_provisioning: import.is_provisioning,
        })
    }

    fn remove(&mut self, serial: Option<&str>) -> Result<(), CredentialError> {
        let Some(serial) = serial else {
            let rows = self.opened.rows.iter();
            self.change.removed = rows.map(|row| (row.kind, row.name.clone())).collect();
            self.change.is_end = true;
            self.say("credentials.removed", "all");
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
        self.say("credentials.removed", &format!("service {serial}"));
        // With all that is of it.
        let own = self.opened.rows.iter().filter(|row| row.name == serial);
        self.change.removed.extend(own.map(|row| (row.kind, row.name.clone())));
        Ok(())
    }

    fn say(&mut self, action: &'static str, detail: &str) {
        let said = format!("dialect {} {detail}", self.opened.dialect);
        self.said.push((action, said.trim_end().to_owned()));
    }

    fn put(&mut self, kind: CredentialKind, name: &str, public: &[u8], secret: &[u8]) {
        let row = StoredCredential {
            kind,
            name: name.to_owned(),
            seq: self.seq,
            public: public.to_vec(),
            sealed: vec![],
            created: self.now,
        };
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

/// The beginning of a SHA-256, enough to tell what an operator has apart.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut text = hex(&sha256(bytes));
    text.truncate(16);
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
