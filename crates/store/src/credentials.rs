//! Imported credentials of DRM systems, their secrets sealed, and what was issued under them.

use crate::database::{Durability, repeated};
use crate::query::{Query, Row, query};
use crate::{Store, StoreError};
use model::{Dialect, Timestamp};

/// What an imported credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The key under which everything else is believed.
    Root,
    /// A certificate of this service, with its private key.
    Service,
    /// Which devices have which level, and which are revoked.
    Devices,
    /// A device model under which devices get their certificates, with its private key.
    Provisioning,
    /// Seals what clients keep of their sessions.
    Sessions,
    /// The secret of a service certificate's owner, from which each of its clients' secrets is
    /// derived; public is by which function.
    Derivation,
}

impl CredentialKind {
    const ALL: [Self; 6] = [
        Self::Root,
        Self::Service,
        Self::Devices,
        Self::Provisioning,
        Self::Sessions,
        Self::Derivation,
    ];

    /// The name in rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Service => "service",
            Self::Devices => "devices",
            Self::Provisioning => "provisioning",
            Self::Sessions => "sessions",
            Self::Derivation => "derivation",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

/// One credential at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// What it is for.
    pub kind: CredentialKind,
    /// Its name among those of its kind: a serial number, say.
    pub name: String,
    /// The version of all credentials that it came with. The newest has the most.
    pub seq: u64,
    /// What is public of it: a certificate, a list.
    pub public: Vec<u8>,
    /// What is secret of it, under the system's KEK; bound to all of the above.
    pub sealed: Vec<u8>,
    /// When it was imported.
    pub created: Timestamp,
}

/// Everything that was imported for one DRM system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredentials {
    /// Their version, which every change raises.
    pub version: u64,
    /// Their KEK, as the KMS wrapped it.
    pub kek: Vec<u8>,
    /// Newest first.
    pub rows: Vec<StoredCredential>,
}

/// A change of one system's credentials, made of what was read at some version.
#[derive(Clone, Debug, Default)]
pub struct CredentialChange {
    /// The KEK, where there was none.
    pub new_kek: Option<Vec<u8>>,
    /// Rows that go.
    pub removed: Vec<(CredentialKind, String)>,
    /// Rows that come, in the place of those of their names.
    pub put: Vec<StoredCredential>,
    /// Whether nothing is left, so that the KEK goes too.
    pub is_end: bool,
}

impl Store {
    /// The version of all credentials. Another one than before: they were changed.
    pub async fn credentials_version(&self) -> Result<u64, StoreError> {
        let select = query("SELECT value FROM settings WHERE name = 'credentials'");
        read_number(&self.rows.row(select).await?.ok_or(StoreError::Missing)?, "value")
    }

    /// What was imported for a system. Absent: nothing.
    pub async fn credentials(
        &self,
        dialect: Dialect,
    ) -> Result<Option<StoredCredentials>, StoreError> {
        // One statement, so that all of it is of one moment.
        let select = query(
            "SELECT credentials.kind, credentials.name, credentials.seq, credentials.public, \
             credentials.sealed, credentials.created_at, credential_keks.wrapped, \
             settings.value AS version FROM credentials \
             JOIN credential_keks ON credential_keks.dialect = credentials.dialect \
             JOIN settings ON settings.name = 'credentials' \
             WHERE credentials.dialect = $1 ORDER BY credentials.seq DESC, credentials.name",
        );
        let rows = self.rows.rows(select.bind(dialect.name())).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        Ok(Some(StoredCredentials {
            version: read_number(first, "version")?,
            kek: first.bytes("wrapped")?,
            rows: rows.iter().map(read_credential).collect::<Result<_, _>>()?,
        }))
    }

    /// Changes a system's credentials, all or nothing, if no credentials have changed since
    /// version `read`. New rows say `read + 1`.
    ///
    /// Errors: [`StoreError::Conflict`] when they have: read again, decide again.
    pub async fn change_credentials(
        &self,
        dialect: Dialect,
        read: u64,
        change: &CredentialChange,
    ) -> Result<(), StoreError> {
        let version = i64::try_from(read).map_err(|_| StoreError::Invalid("a version"))?;
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let raise = query(
                "UPDATE settings SET value = value + 1 WHERE name = 'credentials' AND value = $1",
            );
            if open.run(raise.bind(version)).await? != 1 {
                return Err(StoreError::Conflict.into());
            }
            if let Some(kek) = &change.new_kek {
                let insert = query(
                    "INSERT INTO credential_keks (dialect, wrapped, created_at) \
                     VALUES ($1, $2, $3)",
                );
                let created = change.put.first().map_or(Timestamp(0), |row| row.created);
                open.run(insert.bind(dialect.name()).bind(kek.as_slice()).bind(created)).await?;
            }
            for (kind, name) in &change.removed {
                let delete =
                    query("DELETE FROM credentials WHERE dialect = $1 AND kind = $2 AND name = $3");
                let delete = delete.bind(dialect.name()).bind(kind.name()).bind(name.as_str());
                open.run(delete).await?;
            }
            for row in &change.put {
                open.run(put(dialect, row)?).await?;
            }
            if change.is_end {
                let delete = query("DELETE FROM credential_keks WHERE dialect = $1");
                open.run(delete.bind(dialect.name())).await?;
            }
            open.commit().await
        })
        .await
    }

    /// Every system's KEK of credentials, as the KMS wrapped it.
    pub async fn credential_keks(&self) -> Result<Vec<(Dialect, Vec<u8>)>, StoreError> {
        let select = query("SELECT dialect, wrapped FROM credential_keks ORDER BY dialect");
        let rows = self.rows.rows(select).await?;
        rows.iter()
            .map(|row| Ok((row.parsed("dialect", Dialect::parse)?, row.bytes("wrapped")?)))
            .collect()
    }

    /// Keeps a KEK of credentials as it is wrapped now, if its row still says what was read.
    pub async fn replace_credential_kek(
        &self,
        dialect: Dialect,
        read: &[u8],
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        let update =
            query("UPDATE credential_keks SET wrapped = $1 WHERE dialect = $2 AND wrapped = $3")
                .bind(wrapped)
                .bind(dialect.name())
                .bind(read);
        Ok(self.rows.run(Durability::Power, update).await? == 1)
    }

    /// The certificate that a device's key has under this model.
    pub async fn provisioned(
        &self,
        model: &[u8; 32],
        device_key: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let select = query(
            "SELECT certificate FROM provisioned_devices WHERE model = $1 AND device_key = $2",
        );
        let row = self.rows.row(select.bind(model).bind(device_key)).await?;
        row.map(|row| row.bytes("certificate")).transpose()
    }

    /// Keeps the certificate of a device's key. False: it has one already, which stays.
    pub async fn insert_provisioned(
        &self,
        (model, device_key): (&[u8; 32], &[u8; 32]),
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let insert = query(
            "INSERT INTO provisioned_devices (model, device_key, certificate, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (model, device_key) DO NOTHING",
        )
        .bind(model)
        .bind(device_key)
        .bind(certificate)
        .bind(now);
        Ok(self.rows.run(Durability::Power, insert).await? == 1)
    }
}

fn put(dialect: Dialect, row: &StoredCredential) -> Result<Query, StoreError> {
    let seq = i64::try_from(row.seq).map_err(|_| StoreError::Invalid("a version"))?;
    Ok(query(
        "INSERT INTO credentials (dialect, kind, name, seq, public, sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (dialect, kind, name) DO UPDATE SET \
         seq = excluded.seq, public = excluded.public, sealed = excluded.sealed, \
         created_at = excluded.created_at",
    )
    .bind(dialect.name())
    .bind(row.kind.name())
    .bind(row.name.as_str())
    .bind(seq)
    .bind(row.public.as_slice())
    .bind(row.sealed.as_slice())
    .bind(row.created))
}

fn read_number(row: &Row, name: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.integer(name)?).map_err(|_| StoreError::corrupt(name))
}

fn read_credential(row: &Row) -> Result<StoredCredential, StoreError> {
    Ok(StoredCredential {
        kind: row.parsed("kind", CredentialKind::parse)?,
        name: row.text("name")?,
        seq: read_number(row, "seq")?,
        public: row.bytes("public")?,
        sealed: row.bytes("sealed")?,
        created: row.time("created_at")?,
    })
}
