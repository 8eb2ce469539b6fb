//! Rows, objects and short-lived state. Holds keys only wrapped.
//!
//! [`Store`] keeps the rows of the service in SQLite (a file, nothing to install) or in
//! PostgreSQL (several processes and machines), by one SQL text. Every time comes from the
//! caller. Rules that race, such as the stream limit, are decided under a lock by a pure
//! function of `playback`.

mod accounts;
mod art_folder;
mod asked_keys;
mod audit;
mod credentials;
mod database;
mod decisions;
mod descriptions;
mod devices;
mod error;
mod issuer_subjects;
mod kept_licenses;
mod keys;
mod live_folder;
mod out_folder;
mod outbox;
mod outcomes;
mod period_keys;
mod policies;
mod query;
mod queues;
mod resume;
mod rotation;
mod schema;
mod session_reports;
mod settings;
mod sign_ins;
mod spool;
mod streams;
mod titles;
mod usage_records;
mod viewings;
mod work_items;

pub mod ephemeral;
pub mod objects;
pub mod remote;

pub use art_folder::ArtFolder;
pub use asked_keys::AskedFor;
pub use audit::{
    AUDIT_BATCH_MAX, AUDIT_TEXT_MAX, AuditEntry, AuditHead, AuditVerdict, FirstBadRow,
};
pub use credentials::{CredentialChange, CredentialKind, StoredCredential, StoredCredentials};
pub use decisions::DecisionRows;
pub use descriptions::{BATCH_MAX, DescribedTitle};
pub use devices::{RegisterDevice, Registered, SignInDevice};
pub use error::StoreError;
pub use issuer_subjects::{IssuerSignIn, SubjectRow};
pub use kept_licenses::KeepLicense;
pub use keys::StoredKek;
pub use live_folder::LiveFolder;
pub use out_folder::OutFolder;
pub use outbox::OutboxRow;
pub use outcomes::{AskedRoute, Ended, OUTCOME_BATCH_MAX, RequestOutcome};
pub use period_keys::{INSERT_KEYS_MAX, KEYS_MAX, StaleKeys};
pub use queues::{QUEUE_MAX, Queue};
pub use resume::ResumePoint;
pub use rotation::{Destroyed, REWRAP_MAX, Rewrapped};
pub use session_reports::{ACCOUNT_LOGS_MAX, SESSION_EVENTS_MAX, SealedLog, StoredEvent};
pub use spool::Spool;
pub use streams::{RunningStream, StartStream, StreamRow};
pub use usage_records::UsageRecord;
pub use viewings::{VIEWINGS_MAX, Viewing};
pub use work_items::WorkItem;

use database::Database;
use std::path::Path;

/// Most rows that one listing returns.
pub const PAGE_MAX: u32 = 1000;

/// The rows of the service. Clones share their connections.
#[derive(Clone)]
pub struct Store {
    rows: Database,
    audit: Database,
}

impl Store {
    /// Opens the store at `url` and brings its tables up to this version.
    ///
    /// Shape: `sqlite://PATH` (what follows is a path as it is, relative or absolute; the audit
    /// is in a second file beside it, `PATH` with `-audit` before the extension) or
    /// `postgres://…` as libpq reads it. Several processes may have the same store open.
    ///
    /// Errors: [`StoreError::Setup`] for another URL and for a database that a newer version
    /// has written; [`StoreError::Unavailable`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let (rows, audit) = if let Some(path) = url.strip_prefix("sqlite://") {
            let path = Path::new(path);
            let beside = audit_path(path)?;
            (Database::sqlite(path).await?, Database::sqlite(&beside).await?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let database = Database::postgres(url).await?;
            (database.clone(), database)
        } else {
            return Err(StoreError::Setup(
                "the store's URL is neither sqlite://PATH nor postgres://…".to_owned(),
            ));
        };
        schema::bring_up(&rows, schema::ROWS).await?;
        schema::bring_up(&audit, schema::AUDIT).await?;
        Ok(Self { rows, audit })
    }

    /// Whether rows and audit answer now. Errors: [`StoreError::Unavailable`] when not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.rows.row(query::query("SELECT value FROM settings WHERE name = 'boot_mark'")).await?;
        self.audit.row(query::query("SELECT seq FROM audit_head WHERE chain = 1")).await?;
        Ok(())
    }
}

/// `strongroom.db` → `strongroom-audit.db`.
fn audit_path(path: &Path) -> Result<std::path::PathBuf, StoreError> {
    let stem = path.file_stem().ok_or_else(|| {
        StoreError::Setup("the store's URL names no file after sqlite://".to_owned())
    })?;
    let mut name = stem.to_owned();
    name.push("-audit");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    Ok(path.with_file_name(name))
}
