//! The audit of refused questions, within bounds: a stranger who asks without end fills a
//! counter, not the disk.

use crate::vault::audit_writer::{AuditError, AuditWriter};
use crate::vault::key_service::vault_entry;
use model::{ContentId, Timestamp};
use std::sync::{Mutex, PoisonError};
use store::AuditEntry;

/// Refusals that get a row of their own in one minute; the others are counted in the next row.
pub const ROWS_A_MINUTE: u32 = 120;
const MINUTE_MS: u64 = 60_000;

/// Writes refusals to the audit.
#[derive(Debug)]
pub struct Refusals {
    audit: AuditWriter,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    minute: u64,
    rows: u32,
    untold: u64,
}

/// Whom a refusal tells of.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Who asked; a stranger is named by their address.
    pub actor: String,
    /// Why not: a stable code.
    pub code: &'static str,
    /// The title, where it is known.
    pub content_id: Option<ContentId>,
    /// The request.
    pub detail: String,
}

impl Refusals {
    /// Writes by this writer.
    #[must_use]
    pub fn new(audit: AuditWriter) -> Self {
        Self { audit, window: Mutex::default() }
    }

    /// Audits one refusal. The refusal stands whether or not it can be written.
    pub async fn note(&self, refused: Refused, now: Timestamp) {
        metrics::counter!("strongroom_key_exchange_refused_total", "code" => refused.code)
            .increment(1);
        let Some(untold) = self.take(now) else { return };
        let detail = match untold {
            0 => refused.detail,
            untold => format!("{} ({untold} more before, not written)", refused.detail),
        };
        let entry = AuditEntry {
            actor: refused.actor,
            content_id: refused.content_id,
            ..vault_entry("key_exchange.refused", format!("{} {detail}", refused.code), now)
        };
        match self.audit.append(vec![entry]).await {
            // The writer has raised its alert.
            Ok(()) | Err(AuditError::Unavailable | AuditError::Overloaded) => {}
        }
    }

    /// Whether this one gets a row, and how many before it had none.
    fn take(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0 / MINUTE_MS;
        if window.minute != minute {
            (window.minute, window.rows) = (minute, 0);
        }
        if window.rows >= ROWS_A_MINUTE {
            window.untold = window.untold.saturating_add(1);
            return None;
        }
        window.rows += 1;
        Some(std::mem::take(&mut window.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_rows_and_none_is_forgotten() {
        let refusals = Refusals::new(AuditWriter::closed());
        let rows = (0..500).filter(|_| refusals.take(Timestamp(5)).is_some()).count();
        assert_eq!(rows, 120);
        assert_eq!(refusals.take(Timestamp(MINUTE_MS - 1)), None);
        assert_eq!(refusals.take(Timestamp(MINUTE_MS)), Some(381));
        assert_eq!(refusals.take(Timestamp(MINUTE_MS)), Some(0));
    }
}
