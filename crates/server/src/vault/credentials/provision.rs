//! The provisioning flow (R100): a question of a device becomes its certificate, the same for
//! each question of the same key.

use super::Absence;
use crate::vault::Vault;
use crate::vault::audit_writer::AuditError;
use crate::vault::key_service::vault_entry;
use dialect::widevine::provisioning::{ProvisioningError, ProvisioningRequest, answer};
use model::Timestamp;
use store::StoreError;

/// What a device gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// The answer's body, JSON.
    pub body: Vec<u8>,
    /// Whether the certificate was made for this question.
    pub is_new: bool,
}

/// Why a device gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionRefused {
    /// No provisioning model was imported, or it has expired.
    #[error("devices are not provisioned here")]
    NotOffered,
    /// Not the JSON of a question.
    #[error("the provisioning request is malformed")]
    Malformed,
    /// The public key is no RSA key of 2048 to 4096 bits.
    #[error("the device's key is not accepted")]
    Key,
    /// The client's clock is more than ten minutes from ours.
    #[error("the provisioning request is not of this moment")]
    Time,
    /// Who asks does not hold the key.
    #[error("the provisioning request's signature is not the key's")]
    Signature,
    /// The database cannot be reached, or the audit row could not be written.
    #[error("the store is not available")]
    StoreUnavailable,
    /// Too many audit rows wait.
    #[error("the vault is overloaded")]
    Overloaded,
}

impl Vault {
    /// Answers a provisioning request. A certificate leaves after its row and its audit row.
    ///
    /// Errors: [`ProvisionRefused`].
    pub async fn provision(
        &self,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Provisioned, ProvisionRefused> {
        let widevine = self.own_widevine().map_err(|absence| match absence {
            Absence::NotImported => ProvisionRefused::NotOffered,
            Absence::Away | Absence::Unusable => ProvisionRefused::StoreUnavailable,
        })?;
        let model = widevine.provisioning.as_ref().ok_or(ProvisionRefused::NotOffered)?;
        let asked = ProvisioningRequest::parse(body, now)?;
        let (model_name, key_name) = (model.sha256(), asked.key_sha256());
        if let Some(known) = self.store.provisioned(&model_name, &key_name).await? {
            return Ok(Provisioned { body: answer(&known), is_new: false });
        }
        let drawn = self.keys.entropy.with(|entropy| model.certify(&asked, now, entropy));
        let certificate = drawn.ok_or(ProvisionRefused::NotOffered)?;
        let detail = format!("dialect widevine key {}", super::change::hex(&key_name));
        self.audit.append(vec![vault_entry("device.provisioned", detail, now)]).await?;
        let names = (&model_name, &key_name);
        if self.store.insert_provisioned(names, &certificate, now).await? {
            return Ok(Provisioned { body: answer(&certificate), is_new: true });
        }
        // Another process was first: its certificate is the device's.
        let known = self.store.provisioned(&model_name, &key_name).await?;
        let known = known.ok_or(ProvisionRefused::StoreUnavailable)?;
        Ok(Provisioned { body: answer(&known), is_new: false })
    }
}

impl From<ProvisioningError> for ProvisionRefused {
    fn from(error: ProvisioningError) -> Self {
        match error {
            ProvisioningError::Malformed => Self::Malformed,
            ProvisioningError::Key(_) => Self::Key,
            ProvisioningError::Time => Self::Time,
            ProvisioningError::Signature => Self::Signature,
        }
    }
}

impl From<StoreError> for ProvisionRefused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a device could not be provisioned");
        Self::StoreUnavailable
    }
}

impl From<AuditError> for ProvisionRefused {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Overloaded => Self::Overloaded,
            AuditError::Unavailable => Self::StoreUnavailable,
        }
    }
}
