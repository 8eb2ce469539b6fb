//! The key exchange: an encryptor's question by SPEKE or CPIX, answered once and the same ever
//! after. The steps are numbered as in ARCHITECTURE.md.

mod asked_keys;
mod gate;
mod refusals;
mod routes;
mod signaling;

pub use gate::{Asker, Credentials, Gate};
pub use refusals::{ROWS_A_MINUTE, Refusals, Refused};
pub use routes::{ClientCertificate, alone, routes};

use super::Vault;
use super::key_service::{KeyServiceError, vault_entry};
use crate::entropy::EntropySource;
use crate::http::problem::Refusal;
use asked_keys::AskedKeyError;
use axum::body::Bytes;
use dialect::cpix::speke::{AnswerError, ContractError, GivenKey, Request, SpekeVersion};
use dialect::cpix::{Document, Version};
use keys::{ContentKey, Signer};
use model::{ContentId, CorrelationId, Timestamp, TitlePolicy, TitleState, WrappedKey};
use playback::Scope;
use std::sync::Arc;
use std::time::Duration;
use store::AuditEntry;
use tokio::sync::Semaphore;

/// Longest question, bytes: a thousand keys of three systems.
pub const MAX_QUESTION: usize = 2 << 20;
/// Questions that are open at once; one more is told to come back.
const OPEN: usize = 128;
/// Of them, those that are read or written at this moment: each may take 16 MiB.
const AT_WORK: usize = 4;
/// Longest wait for the place of one at work.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the vault needs for exchanges beside its keys.
pub struct Desk {
    pub(super) gate: Gate,
    refusals: Refusals,
    open: Semaphore,
    at_work: Semaphore,
    entropy: EntropySource,
    demands_recipients: bool,
    /// Who must sign questions by CPIX alone; none: nobody.
    signers: Arc<[Signer]>,
}

impl Desk {
    /// A desk behind this gate.
    #[must_use]
    pub const fn new(
        gate: Gate,
        refusals: Refusals,
        entropy: EntropySource,
        demands_recipients: bool,
        signers: Arc<[Signer]>,
    ) -> Self {
        let (open, at_work) = (Semaphore::const_new(OPEN), Semaphore::const_new(AT_WORK));
        Self { gate, refusals, open, at_work, entropy, demands_recipients, signers }
    }

    /// Who must have signed a question.
    fn signers_for(&self, protocol: Protocol) -> Arc<[Signer]> {
        match protocol {
            Protocol::Cpix => Arc::clone(&self.signers),
            Protocol::Speke(_) => Arc::from([]),
        }
    }

    /// Does what takes CPU and memory away from the reactor, few at a time.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ExchangeRefused> {
        let place = tokio::time::timeout(PATIENCE, self.at_work.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(ExchangeRefused::Service(Refusal::Overloaded));
        };
        let ended = |_| ExchangeRefused::Service(Refusal::Internal("a thread ended".to_owned()));
        tokio::task::spawn_blocking(work).await.map_err(ended)
    }
}

/// By which rules a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SPEKE, of the version that the request's header names.
    Speke(SpekeVersion),
    /// CPIX alone: SPEKE 2's contract for the version that the document names, without its
    /// headers.
    Cpix,
}

impl Protocol {
    /// The scope that its questions need.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Speke(_) => Scope::Speke,
            Self::Cpix => Scope::Cpix,
        }
    }

    fn version(self, document: &Document) -> Result<SpekeVersion, ContractError> {
        match (self, document.parts().version) {
            (Self::Speke(version), _) => Ok(version),
            (Self::Cpix, Some(Version::V2_3)) => Ok(SpekeVersion::V2_0),
            (Self::Cpix, Some(Version::V2_4)) => Ok(SpekeVersion::V2_1),
            (Self::Cpix, Some(_)) => Err(ContractError::DocumentVersion),
            (Self::Cpix, None) => Err(ContractError::Missing("version")),
        }
    }
}

/// Why a question is not answered.
#[derive(Debug)]
pub enum ExchangeRefused {
    /// It breaks the contract: the words that encryptors know, under status 422.
    Contract(String),
    /// It is well asked, by someone who may not have this title's keys.
    ContentNotAllowed(ContentId),
    /// Our side cannot answer.
    Service(Refusal),
}

impl Vault {
    /// Answers one question of someone who may ask by this protocol.
    ///
    /// Errors: [`ExchangeRefused`]; then no key was given.
    pub async fn exchange(
        &self,
        asker: &Asker,
        protocol: Protocol,
        question: Bytes,
        correlation: CorrelationId,
        now: Timestamp,
    ) -> Result<Vec<u8>, ExchangeRefused> {
        let overloaded = |_| ExchangeRefused::Service(Refusal::Overloaded);
        let _open = self.desk.open.try_acquire().map_err(overloaded)?;
        // 1 Read the document and hold it to its contract: no key is touched before.
        let signers = self.desk.signers_for(protocol);
        let request = self.desk.work(move || read(&question, protocol, &signers, now)).await??;
        let content_id = ContentId::parse(request.content_id().as_str())
            .map_err(|_| contract(UNUSABLE_CONTENT_ID))?;
        // 2 May the asker have this title's keys?
        if !asker.content.allows(&content_id) {
            return Err(ExchangeRefused::ContentNotAllowed(content_id));
        }
        // 3 Keys in the clear only where the settings allow them.
        if self.desk.demands_recipients && !request.has_recipients() {
            return Err(contract(RECIPIENT_NEEDED));
        }
        if let Some(system) = request.asked().iter().find_map(signaling::unknown_system) {
            return Err(contract(AnswerError::System(system)));
        }
        // 4 The title, which decides the KEK. One that is new enters as a draft.
        let policy = TitlePolicy::default();
        let title = self.title_or(&content_id, TitleState::Draft, policy).await?;
        // 5 The keys: found, or made now.
        let keys = self.keys.asked_keys(&title, request.asked(), now).await?;
        // 6 Each key has its durable audit row before it leaves.
        let delivered =
            |(row, _): &(WrappedKey, ContentKey)| delivered(asker, row, &request, correlation, now);
        let entries = keys.iter().map(delivered).collect();
        self.audit.append(entries).await.map_err(KeyServiceError::Audit)?;
        // 7 Answer, encrypted where the document names recipients.
        let entropy = self.desk.entropy.clone();
        self.desk.work(move || answer(request, &content_id, keys, &entropy)).await?
    }
}

const UNUSABLE_CONTENT_ID: &str =
    "Unsupported CPIX@contentId: 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit";
const RECIPIENT_NEEDED: &str =
    "Encrypted key delivery is required: name a recipient in DeliveryDataList";

fn read(
    question: &[u8],
    protocol: Protocol,
    signers: &[Signer],
    now: Timestamp,
) -> Result<Request, ExchangeRefused> {
    let document = if signers.is_empty() {
        Document::parse(question).map_err(contract)?
    } else {
        Document::parse_signed(question, signers).map_err(contract)?
    };
    let version = protocol.version(&document).map_err(contract)?;
    Request::check(document, version, now).map_err(contract)
}

fn answer(
    request: Request,
    content_id: &ContentId,
    keys: Vec<(WrappedKey, ContentKey)>,
    entropy: &EntropySource,
) -> Result<Vec<u8>, ExchangeRefused> {
    let known = request.asked().iter().zip(&keys);
    let signaling: Vec<_> =
        known.flat_map(|(asked, (_, key))| signaling::of_key(content_id, asked, key)).collect();
    let given = keys.into_iter().map(|(row, key)| {
        // Under cenc each track draws its own IVs.
        let explicit_iv = row.iv.filter(|_| row.scheme != Some(model::Scheme::Cenc));
        GivenKey { kid: row.kid, key, explicit_iv }
    });
    let given = given.collect();
    let answer = entropy.with(|entropy| request.answer(given, &signaling, entropy));
    let answer = answer.map_err(contract)?;
    Ok(answer.write().as_bytes().to_vec())
}

fn delivered(
    asker: &Asker,
    row: &WrappedKey,
    request: &Request,
    correlation: CorrelationId,
    now: Timestamp,
) -> AuditEntry {
    let how = if request.has_recipients() { "encrypted" } else { "clear" };
    let detail = format!("{how} correlation {correlation}");
    AuditEntry {
        actor: asker.name.clone(),
        content_id: Some(row.content_id.clone()),
        kid: Some(row.kid),
        ..vault_entry("key.delivered", detail, now)
    }
}

fn contract(error: impl ToString) -> ExchangeRefused {
    ExchangeRefused::Contract(error.to_string())
}

impl From<AskedKeyError> for ExchangeRefused {
    fn from(error: AskedKeyError) -> Self {
        match error {
            AskedKeyError::Contradiction(_) | AskedKeyError::Blocked(_) => contract(error),
            AskedKeyError::Service(error) => error.into(),
        }
    }
}

impl From<KeyServiceError> for ExchangeRefused {
    fn from(error: KeyServiceError) -> Self {
        if matches!(error, KeyServiceError::Integrity | KeyServiceError::KekMissing) {
            tracing::error!(alert = "key_integrity", %error, "a stored key does not open");
            metrics::counter!("strongroom_alerts_total", "alert" => "key_integrity").increment(1);
        }
        Self::Service(Refusal::License((&error).into()))
    }
}
