//! Where a test's store lives, and the rows most tests start from.

use crate::postgres;
use model::{
    Account, AccountId, CategoryName, ContentId, KekState, KekVersion, KeyId, KeyState, PackageId,
    Plan, PlanAccess, PlanName, RegionRule, Subscription, Timestamp, Title, TitlePolicy,
    TitleState, WrappedKey,
};
use sqlx::{Connection as _, Executor as _};
use store::{Store, StoredKek};

pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// An empty database, gone after the test.
pub struct Home {
    pub url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Home {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/strongroom.db", folder.path().display());
        Self { url, _folder: Some(folder) }
    }

    pub fn postgres() -> Option<Self> {
        Some(Self { url: postgres::cluster()?.fresh_database(), _folder: None })
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// A store with the plan `standard` and account 1.
    pub async fn with_account(&self) -> Store {
        let store = self.open().await;
        store.put_plan(&plan("standard", 2)).await.unwrap();
        store.insert_account(&account(1), "$argon2id$…", NOW).await.unwrap();
        store
    }

    /// Runs statements behind the store's back where the audit is. Errors: the refusal.
    pub async fn tamper(&self, sql: &str) -> Result<(), String> {
        self.raw("-audit.db", sql).await
    }

    /// The same where the rows are.
    pub async fn tamper_rows(&self, sql: &str) -> Result<(), String> {
        self.raw(".db", sql).await
    }

    async fn raw(&self, ending: &str, sql: &str) -> Result<(), String> {
        if let Some(path) = self.url.strip_prefix("sqlite://") {
            let path = path.replace(".db", ending);
            let raw = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
            raw.execute_batch(sql).map_err(|error| error.to_string())
        } else {
            let run = async {
                let mut raw = sqlx::PgConnection::connect(&self.url).await?;
                raw.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await?;
                raw.close().await
            };
            run.await.map_err(|error: sqlx::Error| error.to_string())
        }
    }

    /// Takes the database's own guard off the audit.
    pub async fn disarm(&self) {
        let sql = if self.url.starts_with("sqlite") {
            "DROP TRIGGER audit_refuses_update; DROP TRIGGER audit_refuses_delete;
             DROP TRIGGER audit_head_refuses_delete; DROP TRIGGER audit_head_refuses_return;"
        } else {
            "ALTER TABLE audit DISABLE TRIGGER ALL; ALTER TABLE audit_head DISABLE TRIGGER ALL;"
        };
        self.tamper(sql).await.unwrap();
    }

    /// A literal of `length` bytes.
    pub fn bytes(&self, byte: u8, length: usize) -> String {
        self.literal(&vec![byte; length])
    }

    /// A literal of these bytes.
    pub fn literal(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.url.starts_with("sqlite") { format!("x'{hex}'") } else { format!("'\\x{hex}'") }
    }
}

pub fn content(name: &str) -> ContentId {
    ContentId::parse(name).unwrap()
}

pub fn plan(name: &str, max_streams: u32) -> Plan {
    let name = PlanName::parse(name).unwrap();
    Plan { name, includes_streaming: true, max_streams, max_offline: 25, max_devices: 6 }
}

pub fn account(number: u8) -> Account {
    Account {
        id: AccountId::from_bytes([number; 16]),
        name: format!("viewer {number}"),
        plan: PlanName::parse("standard").unwrap(),
        subscription: Subscription::Active,
    }
}

pub fn title(name: &str) -> Title {
    Title {
        content_id: content(name),
        name: "Ein Film — ＃1".to_owned(),
        category: category("film"),
        policy: TitlePolicy::default(),
        access: PlanAccess::Every,
        regions: RegionRule::Everywhere,
        state: TitleState::Draft,
    }
}

pub fn category(name: &str) -> CategoryName {
    CategoryName::parse(name).unwrap()
}

pub fn kek(version: u32) -> StoredKek {
    StoredKek {
        category: category("film"),
        version: KekVersion(version),
        wrapped: version.to_be_bytes().repeat(15),
        state: KekState::Active,
        created: NOW,
    }
}

pub fn key(number: u8) -> WrappedKey {
    WrappedKey {
        kid: KeyId::from_bytes([number; 16]),
        content_id: content("film-1"),
        track_class: Some(model::TrackClass::Hd),
        scheme: Some(model::Scheme::Cbcs),
        period: None,
        category: category("film"),
        kek_version: KekVersion(1),
        first_kek_version: KekVersion(1),
        wrapped: vec![number; 45],
        iv: Some([number; 16]),
        fingerprint: [number; 32],
        state: KeyState::Active,
        created: NOW,
    }
}

pub fn package(number: u8) -> PackageId {
    PackageId::from_bytes([number; 16])
}
