//! How long the root key has been away: five minutes are an incident, said once (R173).

use model::{CategoryName, KekVersion, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Time away that is an incident.
const INCIDENT_S: u64 = 300;

/// A KEK's name.
pub type Name = (CategoryName, KekVersion);

/// What is known of the way to the root key.
#[derive(Debug, Default)]
pub struct KmsWatch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The KEK that was asked for last: what a look at the root key asks for again.
    last: Option<Name>,
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

    /// The KMS answered, if only with a refusal.
    pub fn reached(&self, name: &Name, now: Timestamp) {
        let mut seen = self.lock();
        seen.last = Some(name.clone());
        if let Some(Away { since, is_declared: true }) = seen.away.take() {
            let away_s = now.0.saturating_sub(since.0) / 1000;
            tracing::warn!(away_s, "the KMS is back: the incident is over");
        }
    }

    /// The KMS did not answer.
    pub fn missed(&self, name: &Name, now: Timestamp) {
        let mut seen = self.lock();
        seen.last = Some(name.clone());
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
