//! Signed checkpoints of the audit (R037): rows of the chain itself, each of which signs where
//! the chain stood before it.
//!
//! A hash chain shows what was changed inside it; who can write to the database could write all
//! of it anew. He cannot write a checkpoint: its key is a secret of the vault, not a row. What
//! he can still do is cut the chain off behind some checkpoint, which only a checkpoint that was
//! kept elsewhere shows: each is logged, and `keys checkpoint` prints one to keep.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{ChainState, CheckpointKey, has_signed};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{AuditEntry, AuditHead, AuditVerdict, Store, StoreError};
use zeroize::Zeroizing;

/// What the rows of checkpoints are called.
const ACTION: &str = "audit.checkpoint";
/// Most checkpoints that are read from one file.
const MAX_KEPT: usize = 100_000;
/// Longest line of such a file, bytes.
const MAX_LINE: usize = 1024;

/// A signed word of where the chain stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Number of the newest row.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// That row's hash, SHA-256 in base64url.
    hash: String,
    /// Public key (Ed25519) in base64url.
    key: String,
    /// Signature in base64url.
    signature: String,
}

impl Checkpoint {
    fn state(&self) -> Option<ChainState> {
        Some(ChainState { seq: self.seq, hash: bytes(&self.hash)?, at: self.at })
    }

    /// Whether the key of this half signed it.
    fn is_of(&self, public: &[u8; 32]) -> bool {
        let parts = (self.state(), bytes(&self.key), bytes(&self.signature));
        let (Some(state), Some(key), Some(signature)) = parts else { return false };
        key == *public && has_signed(public, &state, &signature)
    }

    /// Reads checkpoints that were kept: JSON, one a line.
    ///
    /// Errors: the number of the first line that is none.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, NotCheckpoints> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut kept = vec![];
        for (at, line) in lines {
            let refuse = NotCheckpoints { line: at.saturating_add(1) };
            if line.len() > MAX_LINE || kept.len() == MAX_KEPT {
                return Err(refuse);
            }
            kept.push(serde_json::from_str(line).map_err(|_| refuse)?);
        }
        Ok(kept)
    }
}

/// A line that is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no checkpoint of an audit")]
pub struct NotCheckpoints {
    /// Its number, from 1.
    pub line: usize,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The chain.
    pub verdict: AuditVerdict,
    /// How many checkpoints it carries.
    pub checkpoints: u64,
    /// The newest row that a checkpoint signs, and when it was signed.
    pub signed: Option<(u64, Timestamp)>,
    /// The first kept checkpoint that does not fit this chain.
    pub unkept: Option<Unkept>,
}

impl AuditReport {
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.verdict, AuditVerdict::Whole { .. }) && self.unkept.is_none()
    }
}

/// Why a kept checkpoint does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    /// Not signed by this vault's key.
    #[error("the kept checkpoint of row {0} is not signed by this vault's key")]
    Foreign(u64),
    /// The chain says otherwise, or ends before.
    #[error("the kept checkpoint of row {0} is of another chain, or rows were cut off")]
    Broken(u64),
}

/// Signs and checks.
pub struct Checkpoints {
    store: Store,
    key: CheckpointKey,
}

impl Checkpoints {
    /// On these rows, with the key of this secret.
    #[must_use]
    pub fn new(store: Store, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self { store, key: CheckpointKey::from_seed(seed) }
    }

    /// Signs where the chain stands; nothing when the newest row is a checkpoint, or there is
    /// none.
    ///
    /// Errors: [`StoreError`]; nothing was signed then.
    pub async fn sign(&self, now: Timestamp) -> Result<Option<Checkpoint>, StoreError> {
        match self.store.newest_audit_entry().await? {
            Some(newest) if newest.action != ACTION => {}
            _ => return Ok(None),
        }
        let head = self.store.append_after_head(|head| entry(&self.signed(head, now))).await?;
        Ok(Some(self.signed(head, now)))
    }

    /// The checkpoint that signs all there is: a new one, or the newest row where that is one.
    ///
    /// Errors: as [`Checkpoints::sign`].
    pub async fn newest_or_sign(&self, now: Timestamp) -> Result<Option<Checkpoint>, StoreError> {
        if let Some(signed) = self.sign(now).await? {
            return Ok(Some(signed));
        }
        let newest = self.store.newest_audit_entry().await?;
        Ok(newest.and_then(|entry| serde_json::from_str(&entry.detail).ok()))
    }

    fn signed(&self, head: AuditHead, at: Timestamp) -> Checkpoint {
        // Ed25519 is deterministic: asked twice, the same signature.
        let state = ChainState { seq: head.seq, hash: head.hash, at };
        Checkpoint {
            seq: head.seq,
            at,
            hash: URL_SAFE_NO_PAD.encode(head.hash),
            key: URL_SAFE_NO_PAD.encode(self.key.public()),
            signature: URL_SAFE_NO_PAD.encode(self.key.sign(&state)),
        }
    }

    /// Recomputes the chain, checks every checkpoint in it, and whether it passes through those
    /// that were kept elsewhere.
    ///
    /// Errors: [`StoreError`].
    pub async fn verify(&self, kept: &[Checkpoint]) -> Result<AuditReport, StoreError> {
        let public = self.key.public();
        let mut expected: BTreeMap<u64, Vec<&Checkpoint>> = BTreeMap::new();
        for checkpoint in kept {
            expected.entry(checkpoint.seq).or_default().push(checkpoint);
        }
        let (mut checkpoints, mut signed) = (0_u64, None);
        let verdict = self
            .store
            .verify_audit_with(|before, entry| {
                let fits = |kept: &&Checkpoint| bytes(&kept.hash) == Some(before.hash);
                if let Some(here) = expected.get_mut(&before.seq) {
                    here.retain(|kept| !fits(kept));
                }
                if entry.action != ACTION {
                    return true;
                }
                checkpoints = checkpoints.saturating_add(1);
                signed = Some((before.seq, entry.at));
                is_checkpoint_of(before, entry, &public)
            })
            .await?;
        let foreign = kept.iter().find(|kept| !kept.is_of(&public));
        let foreign = foreign.map(|kept| Unkept::Foreign(kept.seq));
        let left = expected.values().flatten().next().map(|kept| Unkept::Broken(kept.seq));
        Ok(AuditReport { verdict, checkpoints, signed, unkept: foreign.or(left) })
    }
}

fn entry(checkpoint: &Checkpoint) -> AuditEntry {
    AuditEntry {
        at: checkpoint.at,
        actor: "vault".to_owned(),
        action: ACTION.to_owned(),
        content_id: None,
        kid: None,
        session: None,
        decision: None,
        detail: serde_json::to_string(checkpoint).expect("texts and numbers"),
    }
}

/// Whether a row signs the row before it, by this key.
fn is_checkpoint_of(before: AuditHead, entry: &AuditEntry, public: &[u8; 32]) -> bool {
    let Ok(checkpoint) = serde_json::from_str::<Checkpoint>(&entry.detail) else { return false };
    let here = ChainState { seq: before.seq, hash: before.hash, at: entry.at };
    checkpoint.state() == Some(here) && checkpoint.is_of(public)
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// An audit in a folder of its own.
    struct Audit {
        store: Store,
        folder: tempfile::TempDir,
    }

    impl Audit {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("strongroom.db").display());
            Self { store: Store::open(&url).await.unwrap(), folder }
        }

        fn signer(&self, seed: u8) -> Checkpoints {
            Checkpoints::new(self.store.clone(), &Zeroizing::new([seed; 32]))
        }

        async fn write(&self, rows: usize) {
            let entries: Vec<_> = (0..rows)
                .map(|row| AuditEntry {
                    action: "license.issued".to_owned(),
                    detail: row.to_string(),
                    ..row_of_nothing()
                })
                .collect();
            self.store.append_audit(&entries).await.unwrap();
        }

        /// Writes the chain anew, without the row of this number, as one can who writes to the
        /// database and knows how rows are linked.
        async fn forged_without(&self, number: u64) -> Self {
            let other = Self::new().await;
            let mut entries = vec![];
            let all = |before: AuditHead, entry: &AuditEntry| {
                if before.seq + 1 != number {
                    entries.push(entry.clone());
                }
                true
            };
            self.store.verify_audit_with(all).await.unwrap();
            other.store.append_audit(&entries).await.unwrap();
            other
        }
    }

    fn row_of_nothing() -> AuditEntry {
        let nothing = AuditHead { seq: 0, hash: [0; 32] };
        let signer = CheckpointKey::from_seed(&Zeroizing::new([0; 32]));
        let state = ChainState { seq: nothing.seq, hash: nothing.hash, at: NOW };
        entry(&Checkpoint {
            seq: 0,
            at: NOW,
            hash: URL_SAFE_NO_PAD.encode(nothing.hash),
            key: URL_SAFE_NO_PAD.encode(signer.public()),
            signature: URL_SAFE_NO_PAD.encode(signer.sign(&state)),
        })
    }

    #[tokio::test]
    async fn what_is_signed_verifies_and_nothing_is_signed_twice() {
        let audit = Audit::new().await;
        let signer = audit.signer(1);
        assert_eq!(signer.sign(NOW).await.unwrap(), None, "there is nothing to sign");
        audit.write(3).await;
        let first = signer.sign(NOW).await.unwrap().unwrap();
        assert_eq!(signer.sign(NOW).await.unwrap(), None);
        assert_eq!(signer.newest_or_sign(NOW).await.unwrap(), Some(first.clone()));
        audit.write(2).await;
        let second = signer.sign(NOW.plus_s(9)).await.unwrap().unwrap();
        assert_eq!((first.seq, second.seq), (3, 6));
        let report = signer.verify(&[first, second]).await.unwrap();
        assert!(report.is_whole(), "{report:?}");
        assert_eq!((report.checkpoints, report.signed), (2, Some((6, NOW.plus_s(9)))));
    }

    #[tokio::test]
    async fn a_chain_that_is_written_anew_is_disowned_by_its_checkpoint() {
        let audit = Audit::new().await;
        audit.write(5).await;
        audit.signer(1).sign(NOW).await.unwrap().unwrap();
        let forged = audit.forged_without(2).await;
        assert!(forged.store.verify_audit().await.unwrap() == AuditVerdict::Whole { rows: 5 });
        let report = forged.signer(1).verify(&[]).await.unwrap();
        assert_eq!(report.verdict, AuditVerdict::Broken(store::FirstBadRow::Disowned(5)));
    }

    #[tokio::test]
    async fn a_chain_that_is_cut_off_is_found_by_a_kept_checkpoint() {
        let audit = Audit::new().await;
        audit.write(5).await;
        let kept = audit.signer(1).sign(NOW).await.unwrap().unwrap();
        let forged = audit.forged_without(6).await;
        assert!(forged.signer(1).verify(&[]).await.unwrap().is_whole(), "nothing is left to see");
        let report = forged.signer(1).verify(std::slice::from_ref(&kept)).await.unwrap();
        assert_eq!(report.unkept, Some(Unkept::Broken(5)));
        assert!(audit.signer(1).verify(&[kept]).await.unwrap().is_whole());
    }

    #[tokio::test]
    async fn checkpoints_of_another_key_are_disowned() {
        let audit = Audit::new().await;
        audit.write(1).await;
        let foreign = audit.signer(2).sign(NOW).await.unwrap().unwrap();
        let report = audit.signer(1).verify(std::slice::from_ref(&foreign)).await.unwrap();
        assert_eq!(report.verdict, AuditVerdict::Broken(store::FirstBadRow::Disowned(2)));
        assert_eq!(report.unkept, Some(Unkept::Foreign(1)));
        let mut changed = foreign;
        changed.at = NOW.plus_s(1);
        let report = audit.signer(2).verify(&[changed]).await.unwrap();
        assert_eq!(report.unkept, Some(Unkept::Foreign(1)), "every field is signed");
        drop(audit.folder);
    }

    #[test]
    fn lines_that_are_no_checkpoints_are_refused_by_their_number() {
        let good = row_of_nothing().detail;
        assert_eq!(Checkpoint::parse_lines(&format!("{good}\n\n{good}\n")).unwrap().len(), 2);
        for bad in ["{}", "x", &good.replace("seq", "row"), &" ".repeat(2000).replace(' ', "[")] {
            let text = format!("{good}\n{bad}\n");
            assert_eq!(Checkpoint::parse_lines(&text), Err(NotCheckpoints { line: 2 }), "{bad}");
        }
    }
}
