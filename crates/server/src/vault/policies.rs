//! Changes to policies: what may not be is refused, what may be has its audit row before it is
//! done.

use super::Vault;
use super::audit_writer::AuditError;
use super::key_service::vault_entry;
use model::{ContentId, PolicyName, Timestamp, TitlePolicy};
use store::{AuditEntry, StoreError};

/// Why a policy was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefused {
    /// Nobody changes it.
    #[error("{0} is built in: it cannot be changed or removed; copy it under another name")]
    BuiltIn(PolicyName),
    /// Nothing of this name.
    #[error("there is no policy named {0}")]
    NoPolicy(PolicyName),
    /// No such title.
    #[error("there is no title {0}")]
    NoTitle(ContentId),
    /// Titles would be left without.
    #[error("titles have the policy {name}, {title} for one: assign them another first")]
    InUse {
        /// The policy.
        name: PolicyName,
        /// One of them.
        title: ContentId,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Vault {
    /// Adds a policy or replaces it, for every title that has it, from their next license on.
    ///
    /// Errors: [`PolicyRefused`]; a built-in one stays as it is.
    pub async fn set_policy(
        &self,
        policy: &TitlePolicy,
        now: Timestamp,
    ) -> Result<(), PolicyRefused> {
        changeable(&policy.name)?;
        let digest = keys::sha256(policy.to_toml().as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let detail = format!("policy {} sha256 {hex}", policy.name);
        self.audit.append(vec![entry("policy.set", detail, now)]).await?;
        Ok(self.store.put_policy(policy, now).await?)
    }

    /// Removes a policy that no title has.
    ///
    /// Errors: [`PolicyRefused`].
    pub async fn remove_policy(
        &self,
        name: &PolicyName,
        now: Timestamp,
    ) -> Result<(), PolicyRefused> {
        changeable(name)?;
        self.known_policy(name).await?;
        let in_use = |title| PolicyRefused::InUse { name: name.clone(), title };
        if let Some(title) = self.store.titles_with_policy(name, 1).await?.pop() {
            return Err(in_use(title));
        }
        let detail = format!("policy {name}");
        self.audit.append(vec![entry("policy.removed", detail, now)]).await?;
        match self.store.remove_policy(name).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => {
                // A title got it meanwhile.
                let title = self.store.titles_with_policy(name, 1).await?.pop();
                Err(title.map_or_else(|| StoreError::Conflict.into(), in_use))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a title a policy, from its next license on.
    ///
    /// Errors: [`PolicyRefused`].
    pub async fn assign_policy(
        &self,
        content_id: &ContentId,
        name: &PolicyName,
        now: Timestamp,
    ) -> Result<(), PolicyRefused> {
        self.known_policy(name).await?;
        let no_title = || PolicyRefused::NoTitle(content_id.clone());
        if !self.store.has_title(content_id).await? {
            return Err(no_title());
        }
        let row = entry("policy.assigned", format!("policy {name}"), now);
        let row = AuditEntry { content_id: Some(content_id.clone()), ..row };
        self.audit.append(vec![row]).await?;
        match self.store.assign_policy(content_id, name).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_title()),
            Err(StoreError::Missing) => Err(PolicyRefused::NoPolicy(name.clone())),
            Err(error) => Err(error.into()),
        }
    }

    async fn known_policy(&self, name: &PolicyName) -> Result<TitlePolicy, PolicyRefused> {
        let known = self.store.policy(name).await?;
        known.ok_or_else(|| PolicyRefused::NoPolicy(name.clone()))
    }
}

fn changeable(name: &PolicyName) -> Result<(), PolicyRefused> {
    match TitlePolicy::built_in(name) {
        Some(_) => Err(PolicyRefused::BuiltIn(name.clone())),
        None => Ok(()),
    }
}

fn entry(action: &'static str, detail: String, now: Timestamp) -> AuditEntry {
    AuditEntry { actor: "operator".to_owned(), ..vault_entry(action, detail, now) }
}
