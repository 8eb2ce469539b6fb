//! Wall-clock time in the unit every row and token uses, and spans of it.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// A span of time, seconds; `None` is without end. Zero does not exist: dialects that write
/// "without end" as zero would turn the shortest right into the longest.
pub type Seconds = Option<NonZeroU32>;

/// What happens at the end of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanEnd {
    /// What plays stops.
    #[default]
    Stops,
    /// What plays may go on; it does not begin again.
    PlaysOn,
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus `seconds`; saturates at the end of time.
    #[must_use]
    pub const fn plus_s(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole seconds since the epoch, rounded down (JWT's NumericDate).
    #[must_use]
    pub const fn as_s(self) -> u64 {
        self.0 / 1000
    }
}
