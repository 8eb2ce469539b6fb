//! Policies by name. The built-in ones are the program's; a row of their name has no document.

use crate::database::Durability;
use crate::query::{Row, query};
use crate::titles::document;
use crate::{PAGE_MAX, Store, StoreError};
use model::{ContentId, PolicyName, Timestamp, TitlePolicy};

impl Store {
    /// Adds a policy or replaces it, for every title that has it.
    ///
    /// Errors: [`StoreError::Invalid`] for the name of a built-in one.
    pub async fn put_policy(&self, policy: &TitlePolicy, now: Timestamp) -> Result<(), StoreError> {
        if TitlePolicy::built_in(&policy.name).is_some() {
            return Err(StoreError::Invalid("a policy of a built-in one's name"));
        }
        // What a title says for itself is in the title's row.
        let policy = TitlePolicy { clearkey_override: None, ..policy.clone() };
        let upsert = query(
            "INSERT INTO policies (name, document, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET document = excluded.document, \
             updated_at = excluded.updated_at",
        );
        let upsert = upsert.bind(policy.name.as_str()).bind(document(&policy)?).bind(now);
        self.rows.run(Durability::Power, upsert).await.map(drop)
    }

    /// A policy, a built-in one too.
    pub async fn policy(&self, name: &PolicyName) -> Result<Option<TitlePolicy>, StoreError> {
        if let Some(policy) = TitlePolicy::built_in(name) {
            return Ok(Some(policy.clone()));
        }
        let select =
            query("SELECT name AS policy_name, document AS policy FROM policies WHERE name = $1");
        self.rows.row(select.bind(name.as_str())).await?.as_ref().map(read_policy).transpose()
    }

    /// The policies that are not built in and come after `after`, at most `limit`, in the
    /// database's order of names, each with the moment of its last change.
    ///
    /// Limits: [`PAGE_MAX`] a call; the last name of a page is `after` of the next one.
    pub async fn policies(
        &self,
        limit: u32,
        after: Option<&PolicyName>,
    ) -> Result<Vec<(TitlePolicy, Timestamp)>, StoreError> {
        let select = query(
            "SELECT name AS policy_name, document AS policy, updated_at FROM policies \
             WHERE name > $1 AND document IS NOT NULL ORDER BY name LIMIT $2",
        )
        .bind(after.map_or("", PolicyName::as_str))
        .bind(limit.min(PAGE_MAX));
        let rows = self.rows.rows(select).await?;
        rows.iter().map(|row| Ok((read_policy(row)?, row.time("updated_at")?))).collect()
    }

    /// The titles that have a policy, at most `limit`, in the database's order of ids.
    ///
    /// Limits: [`PAGE_MAX`] a call.
    pub async fn titles_with_policy(
        &self,
        name: &PolicyName,
        limit: u32,
    ) -> Result<Vec<ContentId>, StoreError> {
        let select = query(
            "SELECT content_id FROM titles WHERE policy_name = $1 ORDER BY content_id LIMIT $2",
        );
        let rows = self.rows.rows(select.bind(name.as_str()).bind(limit.min(PAGE_MAX))).await?;
        rows.iter().map(|row| row.content_id("content_id")).collect()
    }

    /// Removes a policy. False: there is none of this name but a built-in one.
    ///
    /// Errors: [`StoreError::Conflict`] while titles have it.
    pub async fn remove_policy(&self, name: &PolicyName) -> Result<bool, StoreError> {
        let delete = query("DELETE FROM policies WHERE name = $1 AND document IS NOT NULL");
        match self.rows.run(Durability::Power, delete.bind(name.as_str())).await {
            Ok(removed) => Ok(removed > 0),
            // The titles' reference to it keeps it.
            Err(StoreError::Missing) => Err(StoreError::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Gives a title another policy; what it says for itself stays. False: there is no such
    /// title.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such policy.
    pub async fn assign_policy(
        &self,
        content_id: &ContentId,
        name: &PolicyName,
    ) -> Result<bool, StoreError> {
        let update = query("UPDATE titles SET policy_name = $2 WHERE content_id = $1")
            .bind(content_id)
            .bind(name.as_str());
        Ok(self.rows.run(Durability::Power, update).await? > 0)
    }
}

/// The policy in the columns `policy_name` and `policy`.
///
/// Errors: [`StoreError::Corrupt`] when a name has no policy, or another one's.
pub(crate) fn read_policy(row: &Row) -> Result<TitlePolicy, StoreError> {
    let name = row.optional_parsed("policy_name", |text| PolicyName::parse(text).ok())?;
    let name = name.ok_or_else(|| StoreError::corrupt("policy_name"))?;
    if let Some(policy) = TitlePolicy::built_in(&name) {
        return Ok(policy.clone());
    }
    let read = |text: &str| serde_json::from_str(text).ok();
    let policy: Option<TitlePolicy> = row.optional_parsed("policy", read)?;
    policy.filter(|policy| policy.name == name).ok_or_else(|| StoreError::corrupt("policy"))
}
