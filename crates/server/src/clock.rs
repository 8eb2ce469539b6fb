//! The only place with a clock. Flows take `now` from here and hand it on.

use model::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where `now` comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// A clock that stands until a test moves it; milliseconds since the epoch.
    Fixed(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicU64::new(at.0)))
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
                // A clock before 1970 makes every token expired or not yet issued: closed.
                let ms = since_epoch.map_or(0, |time| time.as_millis());
                Timestamp(u64::try_from(ms).unwrap_or(u64::MAX))
            }
            Self::Fixed(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock; does nothing to the system's.
    pub fn advance_ms(&self, ms: u64) {
        if let Self::Fixed(at) = self {
            at.fetch_add(ms, Ordering::SeqCst);
        }
    }
}
