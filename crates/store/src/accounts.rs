//! Accounts and plans.

use crate::database::Durability;
use crate::query::{Row, query};
use crate::{Store, StoreError};
use model::{Account, AccountId, Plan, PlanName, Subscription, Timestamp};

impl Store {
    /// Adds an account. `password_hash` is the PHC string of its password.
    ///
    /// Errors: [`StoreError::Conflict`] when the id or the name is taken,
    /// [`StoreError::Missing`] when there is no such plan.
    pub async fn insert_account(
        &self,
        account: &Account,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO accounts (id, name, plan, subscription, password_hash, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(account.id.as_bytes())
        .bind(account.name.as_str())
        .bind(account.plan.as_str())
        .bind(account.subscription.name())
        .bind(password_hash)
        .bind(now);
        self.rows.run(Durability::Power, insert).await.map(drop)
    }

    /// The account that signs in with `name`, and the PHC string of its password.
    pub async fn account_by_name(
        &self,
        name: &str,
    ) -> Result<Option<(Account, String)>, StoreError> {
        // No stored name has a NUL, so this is a wrong name and not a fault.
        if name.contains('\0') {
            return Ok(None);
        }
        let select = query(
            "SELECT id AS account_id, name AS account_name, plan AS account_plan, \
             subscription AS account_subscription, password_hash \
             FROM accounts WHERE name = $1",
        );
        let row = self.rows.row(select.bind(name)).await?;
        row.map(|row| Ok((read_account(&row)?, row.text("password_hash")?))).transpose()
    }

    /// An account.
    pub async fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        let select = query(
            "SELECT id AS account_id, name AS account_name, plan AS account_plan, \
             subscription AS account_subscription FROM accounts \
             WHERE id = $1",
        );
        let row = self.rows.row(select.bind(account.as_bytes())).await?;
        row.as_ref().map(read_account).transpose()
    }

    /// Changes whether an account may use its plan. False: there is no such account.
    pub async fn set_subscription(
        &self,
        account: AccountId,
        subscription: Subscription,
    ) -> Result<bool, StoreError> {
        let update = query("UPDATE accounts SET subscription = $2 WHERE id = $1")
            .bind(account.as_bytes())
            .bind(subscription.name());
        Ok(self.rows.run(Durability::Power, update).await? > 0)
    }

    /// Adds a plan or changes what it buys.
    pub async fn put_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO plans (name, includes_streaming, max_streams, max_offline, max_devices) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET includes_streaming = excluded.includes_streaming, \
             max_streams = excluded.max_streams, max_offline = excluded.max_offline, \
             max_devices = excluded.max_devices",
        )
        .bind(plan.name.as_str())
        .bind(plan.includes_streaming)
        .bind(plan.max_streams)
        .bind(plan.max_offline)
        .bind(plan.max_devices);
        self.rows.run(Durability::Power, upsert).await.map(drop)
    }

    /// A plan.
    pub async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        let select = query(
            "SELECT name AS plan_name, includes_streaming AS plan_includes_streaming, \
             max_streams AS plan_max_streams, max_offline AS plan_max_offline, \
             max_devices AS plan_max_devices FROM plans WHERE name = $1",
        );
        self.rows.row(select.bind(name.as_str())).await?.as_ref().map(read_plan).transpose()
    }
}

/// Reads the columns `account_…`.
pub(crate) fn read_account(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId::from_bytes(row.array("account_id")?),
        name: row.text("account_name")?,
        plan: row.parsed("account_plan", |text| PlanName::parse(text).ok())?,
        subscription: row.parsed("account_subscription", Subscription::parse)?,
    })
}

/// Reads the columns `plan_…`.
pub(crate) fn read_plan(row: &Row) -> Result<Plan, StoreError> {
    Ok(Plan {
        name: row.parsed("plan_name", |text| PlanName::parse(text).ok())?,
        includes_streaming: row.boolean("plan_includes_streaming")?,
        max_streams: row.u32("plan_max_streams")?,
        max_offline: row.u32("plan_max_offline")?,
        max_devices: row.u32("plan_max_devices")?,
    })
}
