//! Brings a database's tables up to this version. The texts are in `migrations/`.

use crate::StoreError;
use crate::database::{Database, Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::query;
use aws_lc_rs::digest::{SHA256, digest};

/// One step: the common text and what has no common spelling (`migrations/README.md`).
pub(crate) struct Migration {
    name: &'static str,
    common: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Accounts, catalog, keys, streams, outbox.
pub(crate) const ROWS: &[Migration] = &[
    Migration {
        name: "rows/0001_first",
        common: include_str!("../../../migrations/rows/0001_first.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0002_rotation",
        common: include_str!("../../../migrations/rows/0002_rotation.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0003_asked_keys",
        common: include_str!("../../../migrations/rows/0003_asked_keys.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0004_policies",
        common: include_str!("../../../migrations/rows/0004_policies.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0005_credentials",
        common: include_str!("../../../migrations/rows/0005_credentials.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0006_outcomes",
        common: include_str!("../../../migrations/rows/0006_outcomes.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0007_key_periods",
        common: include_str!("../../../migrations/rows/0007_key_periods.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0008_offline",
        common: include_str!("../../../migrations/rows/0008_offline.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0009_devices",
        common: include_str!("../../../migrations/rows/0009_devices.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0011_catalog",
        common: include_str!("../../../migrations/rows/0011_catalog.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0012_leases",
        common: include_str!("../../../migrations/rows/0012_leases.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "rows/0013_issuers",
        common: include_str!("../../../migrations/rows/0013_issuers.sql"),
        sqlite: "",
        postgres: "",
    },
];

/// The audit.
pub(crate) const AUDIT: &[Migration] = &[Migration {
    name: "audit/0001_first",
    common: include_str!("../../../migrations/audit/0001_first.sql"),
    sqlite: include_str!("../../../migrations/audit/0001_first.sqlite.sql"),
    postgres: include_str!("../../../migrations/audit/0001_first.postgres.sql"),
}];

/// Runs what is missing, all or nothing. Of several processes at once one works, the others
/// wait and find it done.
///
/// Errors: [`StoreError::Setup`] when the database holds a step this version does not know, or
/// one with another text.
pub(crate) async fn bring_up(
    database: &Database,
    migrations: &'static [Migration],
) -> Result<(), StoreError> {
    repeated(|| async {
        let mut open = database.begin(Durability::Power).await?;
        // An arbitrary number that all versions of Strongroom share.
        open.lock(query("SELECT pg_advisory_xact_lock(7310575)::TEXT")).await?;
        open.script(
            "CREATE TABLE IF NOT EXISTS migrations \
             (name TEXT NOT NULL PRIMARY KEY, sha256 BYTEA NOT NULL)",
        )
        .await?;
        for migration in migrations {
            run_once(&mut open, migration).await?;
        }
        refuse_unknown(&mut open).await?;
        open.commit().await
    })
    .await
}

async fn run_once(open: &mut Transaction, migration: &Migration) -> Result<(), Failure> {
    let special = match open {
        Transaction::Sqlite(_) => migration.sqlite,
        Transaction::Postgres(_) => migration.postgres,
    };
    let text = [migration.common, special].concat();
    let sha256 = digest(&SHA256, text.as_bytes());
    let known = open
        .rows(query("SELECT sha256 FROM migrations WHERE name = $1").bind(migration.name))
        .await?;
    if let Some(row) = known.first() {
        if row.bytes("sha256")? == sha256.as_ref() {
            return Ok(());
        }
        let text = format!("migration {} was edited after it had run", migration.name);
        return Err(StoreError::Setup(text).into());
    }
    open.script(migration.common).await?;
    if !special.is_empty() {
        open.script(special).await?;
    }
    let done = query("INSERT INTO migrations (name, sha256) VALUES ($1, $2)");
    open.run(done.bind(migration.name).bind(sha256.as_ref())).await?;
    Ok(())
}

async fn refuse_unknown(open: &mut Transaction) -> Result<(), Failure> {
    for row in open.rows(query("SELECT name FROM migrations")).await? {
        let name = row.text("name")?;
        if !ROWS.iter().chain(AUDIT).any(|migration| migration.name == name) {
            let text = format!("the database was written by a newer version (it has {name})");
            return Err(StoreError::Setup(text).into());
        }
    }
    Ok(())
}
