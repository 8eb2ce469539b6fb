//! The day a key was made, as its `CKA_ID` tells it: `made 2027-01-15`, in UTC.

use model::Timestamp;
use time::{Month, OffsetDateTime};

const MADE: &str = "made ";

/// The id of a key that is made now.
pub(super) fn of(now: Timestamp) -> String {
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let Ok(day) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    format!("{MADE}{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

/// When the day begins that an id tells; absent where it is an id of somebody else's.
pub(super) fn begins(id: &[u8]) -> Option<Timestamp> {
    let mut parts = std::str::from_utf8(id).ok()?.strip_prefix(MADE)?.split('-');
    let mut number = || parts.next()?.parse::<u16>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let day = u8::try_from(day).ok()?;
    let date = time::Date::from_calendar_date(year.into(), month, day).ok()?;
    let seconds = u64::try_from(date.midnight().assume_utc().unix_timestamp()).ok()?;
    parts.next().is_none().then_some(Timestamp(seconds.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_becomes_its_day_and_the_day_its_beginning() {
        assert_eq!(of(Timestamp(1_800_000_123_456)), "made 2027-01-15");
        for (moment, begin) in
            [(1_800_000_123_456, 1_799_971_200_000), (951_827_696_000, 951_782_400_000), (0, 0)]
        {
            assert_eq!(begins(of(Timestamp(moment)).as_bytes()), Some(Timestamp(begin)));
        }
        for id in ["", "01", "made 2027-13-01", "made 2027-02-30", "made 2027-01-01-01", "made 1-2"]
        {
            assert_eq!(begins(id.as_bytes()), None, "{id}");
        }
        assert_eq!(begins(of(Timestamp(u64::MAX)).as_bytes()), None);
    }
}
