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

    /// The moment in UTC, as RFC 3339 and the formats of XML and HLS write it:
    /// `2026-11-28T07:30:00.250Z`.
    #[must_use]
    pub fn to_iso8601(self) -> String {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Years of 365.2425 days that begin in March, so that a leap day is the last of its year.
        let since_0000 = days + 719_468;
        let (era, day_of_era) = (since_0000 / 146_097, since_0000 % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (second, ms) = (ms / 1000, ms % 1000);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }

    /// Whole seconds since the epoch, rounded down (JWT's NumericDate).
    #[must_use]
    pub const fn as_s(self) -> u64 {
        self.0 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (1_795_851_000_250, "2026-11-28T07:30:00.250Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(ms).to_iso8601(), text);
        }
    }
}
