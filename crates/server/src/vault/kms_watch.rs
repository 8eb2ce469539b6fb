//! Whether the root key is there, and how long it has been away: five minutes are an incident,
//! said once (R173).

use model::{CategoryName, KekVersion, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Time away that is an incident.
const INCIDENT_S: u64 = 300;
/// For so long after an answer the root key counts as there. A service asks once a second.
const FRESH_MS: u64 = 3000;

/// A KEK's name.
pub type Name = (CategoryName, KekVersion);

/// What is known of the way to the root key.
#[derive(Debug, Default)]
pub struct KmsWatch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The KEK that was asked for last: what a look at the root key asks for again.
    last: Option<Name>,
    /// When it last gave what it was asked for, if nothing else has come since.
    opened: Option<Timestamp>,
    away: Option<Away>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    since: Timestamp,
    is_declared: bool,
}

impl KmsWatch {
    /// The KEK to look at the root key with.
    pub fn last(&self) -> Option<Name> {
        self.lock().last.clone()
    }

    /// Whether the root key was there a moment ago, so that what it opened may serve.
    pub fn is_there(&self, now: Timestamp) -> bool {
        let seen = self.lock();
        // In both directions: a clock that was set back must not make an old answer new.
        seen.opened.is_some_and(|at| at.0.abs_diff(now.0) <= FRESH_MS)
    }

    /// The KMS answered: with what it was asked for, or with a refusal.
    pub fn reached(&self, name: &Name, is_opened: bool, now: Timestamp) {
        let mut seen = self.lock();
        seen.last = Some(name.clone());
        seen.opened = is_opened.then_some(now);
        if let Some(Away { since, is_declared: true }) = seen.away.take() {
            let away_s = now.0.saturating_sub(since.0) / 1000;
            tracing::warn!(away_s, "the KMS is back: the incident is over");
        }
    }

    /// The KMS did not answer.
    pub fn missed(&self, name: &Name, now: Timestamp) {
        let mut seen = self.lock();
        seen.last = Some(name.clone());
        seen.opened = None;
        let away = seen.away.get_or_insert(Away { since: now, is_declared: false });
        let away_s = now.0.saturating_sub(away.since.0) / 1000;
        if away_s >= INCIDENT_S && !away.is_declared {
            away.is_declared = true;
            tracing::error!(alert = "kms_incident", away_s, "the KMS cannot be reached");
            metrics::counter!("strongroom_alerts_total", "alert" => "kms_incident").increment(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing in here panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
