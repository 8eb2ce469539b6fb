//! Sign-ins: what a session token stands on, so that signing out ends it.

use crate::database::Durability;
use crate::query::query;
use crate::{Store, StoreError};
use model::{AccountId, SignInId, Timestamp};

impl Store {
    /// Notes a sign-in that lasts until `expires`, and forgets the account's expired ones.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn insert_sign_in(
        &self,
        id: SignInId,
        account: AccountId,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expired = query("DELETE FROM sign_ins WHERE account = $1 AND expires_at <= $2")
            .bind(account.as_bytes())
            .bind(now);
        self.rows.run(Durability::Power, expired).await?;
        // A removed one stays as long as its sign-in may ask again.
        let devices = query(
            "DELETE FROM devices WHERE account = $1 AND device_key IS NULL AND expires_at <= $2 \
             AND id NOT IN (SELECT id FROM sign_ins WHERE account = $1)",
        );
        let devices = devices.bind(account.as_bytes()).bind(now);
        self.rows.run(Durability::Power, devices).await?;
        let insert = query(
            "INSERT INTO sign_ins (id, account, started_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(id.as_bytes())
        .bind(account.as_bytes())
        .bind(now)
        .bind(expires);
        self.rows.run(Durability::Power, insert).await.map(drop)
    }

    /// Whether a sign-in was neither ended nor has expired.
    pub async fn sign_in_is_live(&self, id: SignInId, now: Timestamp) -> Result<bool, StoreError> {
        let select = query("SELECT expires_at FROM sign_ins WHERE id = $1").bind(id.as_bytes());
        match self.rows.row(select).await? {
            None => Ok(false),
            Some(row) => Ok(row.time("expires_at")? > now),
        }
    }

    /// Signs out; the device that the sign-in stood for gives up its place. False: it had ended
    /// before.
    pub async fn end_sign_in(&self, id: SignInId) -> Result<bool, StoreError> {
        let device = query("DELETE FROM devices WHERE id = $1 AND device_key IS NULL");
        self.rows.run(Durability::Power, device.bind(id.as_bytes())).await?;
        let delete = query("DELETE FROM sign_ins WHERE id = $1").bind(id.as_bytes());
        Ok(self.rows.run(Durability::Power, delete).await? > 0)
    }
}
