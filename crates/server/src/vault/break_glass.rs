//! Break-glass: a title's keys leave, encrypted for one certificate whose private key lies
//! offline, when operators enough have approved exactly that. Loud, audited, and nothing else.

mod documents;

pub use documents::MAX_DOCUMENTS;

use super::Vault;
use super::key_service::{KeyServiceError, entry};
use super::license::count_alert;
use crate::config::break_glass::BreakGlass;
use dialect::cpix::{Document, DocumentError, MAX_KEYS, SealError, Written};
use keys::{Approval, ApprovalRefused, Operator};
use model::{ContentId, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;
use store::{AuditEntry, StoreError};

/// Why no key leaves.
#[derive(Debug, thiserror::Error)]
pub enum ExportRefused {
    /// The settings do not provide for it.
    #[error("keys.break_glass names no certificate or not two operators: nothing is exported")]
    NotSetUp,
    /// The certificate cannot be read.
    #[error("the certificate: {0}")]
    Certificate(String),
    /// An approval is not taken.
    #[error("approval {number}: {cause}")]
    Approval {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        cause: ApprovalRefused,
    },
    /// An approval is for something else.
    #[error("approval {0} is for another title or another certificate")]
    OtherExport(usize),
    /// Two approvals are one operator's.
    #[error("two approvals are of the same operator")]
    SameOperator,
    /// Too few.
    #[error("{needed} approvals of different operators are needed")]
    TooFew {
        /// How many there must be.
        needed: usize,
    },
    /// One served before.
    #[error("an approval was used before; each serves once")]
    Used,
    /// The title has no keys.
    #[error("the title has no keys")]
    NoKeys,
    /// It has more than all documents hold.
    #[error("the title has {0} keys, more than {MAX_DOCUMENTS} documents of {MAX_KEYS} hold")]
    TooManyKeys(usize),
    /// The keys are no CPIX document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// They are not encrypted for the certificate.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key does not open, or the audit does not take it.
    #[error(transparent)]
    Keys(#[from] KeyServiceError),
}

/// Reads a certificate, DER or PEM.
///
/// Errors: [`ExportRefused::Certificate`].
pub fn read_certificate(path: &Path) -> Result<Vec<u8>, ExportRefused> {
    let failed = |cause: &dyn std::fmt::Display| {
        ExportRefused::Certificate(format!("{}: {cause}", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|cause| failed(&cause))?;
    if bytes.starts_with(b"-----BEGIN") {
        let der = CertificateDer::from_pem_slice(&bytes).map_err(|cause| failed(&cause))?;
        return Ok(der.to_vec());
    }
    Ok(bytes)
}

impl Vault {
    /// Exports a title's keys for the certificate of the settings, in as few documents as hold
    /// them. The alert and the audit row come before the documents, the approvals are used up
    /// before both.
    ///
    /// Errors: [`ExportRefused`]; a refusal is alerted and audited too.
    /// Limits: [`MAX_DOCUMENTS`].
    pub async fn break_glass(
        &self,
        content_id: &ContentId,
        approvals: &[String],
        settings: &BreakGlass,
        now: Timestamp,
    ) -> Result<Vec<Written>, ExportRefused> {
        let outcome = self.export(content_id, approvals, settings, now).await;
        if let Err(refused) = &outcome {
            tracing::error!(alert = "break_glass", %content_id, %refused, "a key export was refused");
            count_alert("break_glass");
            let row = entry("keys.export_refused", content_id, None, refused.to_string(), now);
            let row = AuditEntry { actor: "operator".to_owned(), ..row };
            self.audit.append(vec![row]).await.map_err(KeyServiceError::from)?;
        }
        outcome
    }

    async fn export(
        &self,
        content_id: &ContentId,
        approvals: &[String],
        settings: &BreakGlass,
        now: Timestamp,
    ) -> Result<Vec<Written>, ExportRefused> {
        let path = settings.certificate.as_ref().ok_or(ExportRefused::NotSetUp)?;
        let operators = settings.operators().map_err(|_| ExportRefused::NotSetUp)?;
        let certificate = read_certificate(path)?;
        let sha256 = keys::sha256(&certificate);
        let opened = check(approvals, &operators, (content_id, sha256), now)?;
        if opened.len() < settings.approvals.max(2) {
            return Err(ExportRefused::TooFew { needed: settings.approvals.max(2) });
        }
        let documents = self.sealed(content_id, certificate, now).await?;
        let ids: Vec<[u8; 16]> = opened.iter().map(|approval| approval.id).collect();
        match self.store.use_approvals(&ids, now).await {
            Err(StoreError::Conflict) => return Err(ExportRefused::Used),
            outcome => outcome.map_err(KeyServiceError::from)?,
        }
        let by: Vec<&str> = opened.iter().map(|approval| approval.operator.as_str()).collect();
        let by = by.join(" ");
        tracing::error!(alert = "break_glass", %content_id, %by, "content keys are exported");
        count_alert("break_glass");
        let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let kids: usize = documents.iter().map(|document| document.parts().keys.len()).sum();
        let count = documents.len();
        let detail = format!("approved by {by} keys {kids} documents {count} certificate {hex}");
        let row = entry("keys.exported", content_id, None, detail, now);
        let row = AuditEntry { actor: "operator".to_owned(), ..row };
        self.audit.append(vec![row]).await.map_err(KeyServiceError::from)?;
        Ok(documents.iter().map(Document::write).collect())
    }
}

/// Approvals of different operators for this very export.
fn check(
    texts: &[String],
    operators: &[Operator],
    (content_id, sha256): (&ContentId, [u8; 32]),
    now: Timestamp,
) -> Result<Vec<Approval>, ExportRefused> {
    let (mut opened, mut by): (Vec<Approval>, Vec<&Operator>) = (vec![], vec![]);
    for (number, text) in (1..).zip(texts) {
        let approval = Approval::open(text, operators, now);
        let (approval, operator) =
            approval.map_err(|cause| ExportRefused::Approval { number, cause })?;
        if approval.content_id != *content_id || approval.certificate_sha256 != sha256 {
            return Err(ExportRefused::OtherExport(number));
        }
        if by.iter().any(|other| other.is_same(operator)) {
            return Err(ExportRefused::SameOperator);
        }
        opened.push(approval);
        by.push(operator);
    }
    Ok(opened)
}
