//! Key periods: spans of time that have their own keys (CPIX 2.4, `ContentKeyPeriod`).

use super::value::Text;
use std::fmt::Write as _;

const US_PER_S: u64 = 1_000_000;
const S_PER_DAY: u64 = 86_400;
/// Days from 1970 to the end of the year 9999.
const LAST_DAY: u64 = 2_932_896;

/// What a span counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The Unix epoch: `start` and `end`, for live.
    Wall,
    /// The beginning of the content: `startOffset` and `endOffset`.
    Offset,
}

/// How a span states its end. It is written as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanForm {
    /// As a point in time.
    End,
    /// As a duration from its start.
    Duration,
}

/// A half-open span of time in microseconds: its end is the first moment after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    clock: Clock,
    start_us: u64,
    end_us: u64,
    form: SpanForm,
}

impl Span {
    /// Makes a span; `None` where it is empty or leaves the years 1970 to 9999.
    #[must_use]
    pub fn from_us(clock: Clock, start_us: u64, end_us: u64, form: SpanForm) -> Option<Self> {
        let fits = start_us < end_us && end_us <= LAST_DAY * S_PER_DAY * US_PER_S;
        fits.then_some(Self { clock, start_us, end_us, form })
    }

    /// What it counts from.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Its first microsecond.
    #[must_use]
    pub const fn start_us(&self) -> u64 {
        self.start_us
    }

    /// The first microsecond after it.
    #[must_use]
    pub const fn end_us(&self) -> u64 {
        self.end_us
    }

    /// Whether both hold the same moment.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.clock == other.clock && self.start_us < other.end_us && other.start_us < self.end_us
    }

    /// Reads the attributes of a period, by the name that CPIX gives them: no span where none
    /// is there, `None` where they do not make one.
    pub(super) fn read(attribute: impl Fn(&str) -> Option<String>) -> Option<Option<Self>> {
        let [start, end, offset, end_offset, duration] =
            ["start", "end", "startOffset", "endOffset", "duration"].map(attribute);
        let (clock, start_us, end) = match (start, offset) {
            (Some(start), None) if end_offset.is_none() => (Clock::Wall, read_moment(&start)?, end),
            (None, Some(offset)) if end.is_none() => {
                (Clock::Offset, read_duration(&offset)?, end_offset)
            }
            (None, None) if end.is_none() && end_offset.is_none() && duration.is_none() => {
                return Some(None);
            }
            _ => return None,
        };
        let (end_us, form) = match (end, duration, clock) {
            (Some(end), None, Clock::Wall) => (read_moment(&end)?, SpanForm::End),
            (Some(end), None, Clock::Offset) => (read_duration(&end)?, SpanForm::End),
            (None, Some(duration), _) => {
                (start_us.checked_add(read_duration(&duration)?)?, SpanForm::Duration)
            }
            _ => return None,
        };
        Self::from_us(clock, start_us, end_us, form).map(Some)
    }

    /// The attributes of a period, as they are written.
    pub(super) fn attributes(&self) -> [(&'static str, String); 2] {
        let (start, end) = match self.clock {
            Clock::Wall => (("start", write_moment(self.start_us)), "end"),
            Clock::Offset => (("startOffset", write_duration(self.start_us)), "endOffset"),
        };
        let end = match (self.form, self.clock) {
            (SpanForm::Duration, _) => ("duration", write_duration(self.end_us - self.start_us)),
            (SpanForm::End, Clock::Wall) => (end, write_moment(self.end_us)),
            (SpanForm::End, Clock::Offset) => (end, write_duration(self.end_us)),
        };
        [start, end]
    }
}

/// One period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPeriod {
    /// What filters call it.
    pub id: Option<Text>,
    /// What people or systems call it, such as the id of a SCTE 35 event.
    pub label: Option<Text>,
    /// Its number.
    pub index: Option<u32>,
    /// When it is.
    pub span: Option<Span>,
}

/// Reads digits; `None` on a sign, a space, or more than fit.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Reads `12` or `12.345` into microseconds; what is finer than that must be zero.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let mut us = 0;
    for (at, digit) in fraction.chars().enumerate() {
        let digit = u64::from(digit.to_digit(10)?);
        match 5_usize.checked_sub(at) {
            Some(power) => us += digit * 10_u64.pow(u32::try_from(power).ok()?),
            None if digit == 0 => {}
            None => return None,
        }
    }
    number(whole)?.checked_mul(US_PER_S)?.checked_add(us)
}

/// Reads `xs:duration` of days, hours, minutes and seconds; years and months have no length.
fn read_duration(text: &str) -> Option<u64> {
    let text = text.trim().strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let mut us: u64 = match days {
        "" => 0,
        days => number(days.strip_suffix('D').filter(|days| !days.is_empty())?)?
            .checked_mul(S_PER_DAY * US_PER_S)?,
    };
    let mut rest = time;
    for (unit, unit_s) in [('H', 3600), ('M', 60), ('S', 1)] {
        let Some((count, after)) = rest.split_once(unit) else { continue };
        let count_us = match unit {
            'S' => seconds(count),
            _ => number(count)?.checked_mul(unit_s * US_PER_S),
        };
        us = us.checked_add(count_us.filter(|_| !count.is_empty())?)?;
        rest = after;
    }
    rest.is_empty().then_some(us)
}

fn write_duration(us: u64) -> String {
    format!("PT{}S", with_fraction(us / US_PER_S, us % US_PER_S))
}

fn with_fraction(whole_s: impl std::fmt::Display, us: u64) -> String {
    let mut text = whole_s.to_string();
    if us > 0 {
        let _ = write!(text, ".{us:06}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// Reads `xs:dateTime`, microseconds since the Unix epoch; without a zone it is in UTC, as
/// DASH has it.
fn read_moment(text: &str) -> Option<u64> {
    let (date, time) = text.trim().split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let mut part = |length: usize| number(parts.next().filter(|part| part.len() == length)?);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone_at)?;
    let (hour, minute, second) = (time.get(..2)?, time.get(3..5)?, time.get(6..)?);
    let is_split = time.get(2..3) == Some(":") && time.get(5..6) == Some(":");
    let second_us = seconds(second).filter(|us| *us < 60 * US_PER_S)?;
    let (hour, minute) = (number(hour).filter(|n| *n < 24)?, number(minute).filter(|n| *n < 60)?);
    let has_two = second.find('.').unwrap_or(second.len()) == 2;
    if !is_split || !has_two || !(1970..=9999).contains(&year) {
        return None;
    }
    let day = day_of(year, month, day)?;
    let us = (day * S_PER_DAY + hour * 3600 + minute * 60) * US_PER_S + second_us;
    let zone_us = |zone: &str| -> Option<u64> {
        let (hours, minutes) =
            zone.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
        let (hours, minutes) = (number(hours)?, number(minutes).filter(|n| *n < 60)?);
        (hours <= 14).then_some((hours * 3600 + minutes * 60) * US_PER_S)
    };
    match zone.split_at_checked(1) {
        None => Some(us),
        Some(("Z", "")) => Some(us),
        Some(("+", zone)) => us.checked_sub(zone_us(zone)?),
        Some(("-", zone)) => us.checked_add(zone_us(zone)?),
        Some(_) => None,
    }
}

fn write_moment(us: u64) -> String {
    let (second, day) = (us / US_PER_S % S_PER_DAY, us / US_PER_S / S_PER_DAY);
    let (year, month, day) = date_of(day);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let second = with_fraction(format_args!("{:02}", second % 60), us % US_PER_S);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second}Z")
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from year 0 to the first of January of `year`, in the Gregorian calendar.
const fn days_before(year: u64) -> u64 {
    let past = year - 1;
    year * 365 + past / 4 - past / 100 + past / 400
}

/// Days since the epoch; `None` where there is no such day.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let fits = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    fits.then(|| days_before(year) - days_before(1970) + months + day - 1)
}

fn date_of(mut day: u64) -> (u64, u64, u64) {
    day += days_before(1970);
    // 400 years are 146 097 days: the guess is right, or one too high.
    let mut year = day * 400 / 146_097;
    while days_before(year + 1) <= day {
        year += 1;
    }
    while days_before(year) > day {
        year -= 1;
    }
    day -= days_before(year);
    let mut month = 1;
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(attributes: &[(&str, &str)]) -> Option<Option<Span>> {
        Span::read(|name| {
            attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn moments_are_read_in_every_form() {
        let expected = Some(1_772_323_200 * US_PER_S);
        for text in [
            "2026-03-01T00:00:00Z",
            "2026-03-01T00:00:00",
            "2026-03-01T01:30:00+01:30",
            "2026-02-28T19:00:00.000-05:00",
            " 2026-03-01T00:00:00.0000000Z ",
        ] {
            assert_eq!(read_moment(text), expected, "{text}");
        }
        assert_eq!(read_moment("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(write_moment(1_772_323_200 * US_PER_S + 250_000), "2026-03-01T00:00:00.25Z");
        assert_eq!(write_moment(951_782_400 * US_PER_S), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn other_text_is_no_moment() {
        for text in [
            "",
            "2026-03-01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "26-03-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:60:00Z",
            "2026-03-01T00:00:60Z",
            "2026-03-01T00:00:0Z",
            "2026-03-01T00:00:00.0000001Z",
            "2026-03-01T00:00:00Zx",
            "2026-03-01T00:00:00+1:00",
            "2026-03-01T00:00:00+15:00",
            "1970-01-01T00:00:00+00:01",
            "2026-03-01T00:00:00.Z",
            "2026-03-01T00-00-00Z",
            "+026-03-01T00:00:00Z",
            "2026-03-01T\u{e9}0:00:00Z",
        ] {
            assert_eq!(read_moment(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_in_every_form() {
        for (text, s) in [
            ("PT0S", 0),
            ("PT30S", 30),
            ("PT1H1M1S", 3661),
            ("P1DT1S", 86_401),
            ("P2D", 172_800),
            ("PT90M", 5400),
            ("PT1H5S", 3605),
        ] {
            assert_eq!(read_duration(text), Some(s * US_PER_S), "{text}");
        }
        assert_eq!(read_duration("PT0.5S"), Some(500_000));
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "P1Y",
            "P1M",
            "PT1S1M",
            "PT-1S",
            "-PT1S",
            "PT1.S",
            "PT.5S",
            "PT1.5H",
            "PTS",
            "PD",
            "PT99999999999999999999S",
        ] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_has_one_start_and_one_end() {
        assert_eq!(read(&[]), Some(None));
        let offset = read(&[("startOffset", "PT0S"), ("endOffset", "PT10S")]).unwrap().unwrap();
        assert_eq!(
            (offset.clock(), offset.start_us(), offset.end_us()),
            (Clock::Offset, 0, 10 * US_PER_S)
        );
        let day = "2026-03-01T00:00:00Z";
        for attributes in [
            &[("start", day)][..],
            &[("end", day)],
            &[("duration", "PT1S")],
            &[("start", day), ("end", day)],
            &[("start", day), ("end", "2026-03-02T00:00:00Z"), ("duration", "PT1S")],
            &[("start", day), ("endOffset", "PT1S")],
            &[("startOffset", "PT0S"), ("end", day)],
            &[("start", day), ("startOffset", "PT0S"), ("duration", "PT1S")],
            &[("startOffset", "PT9S"), ("endOffset", "PT9S")],
            &[("start", "9999-12-31T23:59:59Z"), ("duration", "P1D")],
        ] {
            assert_eq!(read(attributes), None, "{attributes:?}");
        }
    }

    #[test]
    fn spans_that_touch_do_not_overlap() {
        let span = |start, end| Span::from_us(Clock::Offset, start, end, SpanForm::End).unwrap();
        assert!(!span(0, 10).overlaps(&span(10, 20)));
        assert!(span(0, 11).overlaps(&span(10, 20)) && span(10, 20).overlaps(&span(0, 11)));
        let wall = Span::from_us(Clock::Wall, 0, 10, SpanForm::End).unwrap();
        assert!(!wall.overlaps(&span(0, 10)));
    }

    proptest! {
        #[test]
        fn a_written_span_reads_back(
            start in 0..LAST_DAY * S_PER_DAY * US_PER_S,
            length in 1..4_000_000_000_000_u64,
            is_wall: bool,
            is_duration: bool,
        ) {
            let clock = if is_wall { Clock::Wall } else { Clock::Offset };
            let form = if is_duration { SpanForm::Duration } else { SpanForm::End };
            if let Some(span) = Span::from_us(clock, start, start + length, form) {
                let attributes = span.attributes();
                let attributes: Vec<_> = attributes.iter().map(|(k, v)| (*k, v.as_str())).collect();
                prop_assert_eq!(read(&attributes), Some(Some(span)));
            }
        }
    }
}
