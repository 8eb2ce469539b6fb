//! Times as manifests write them: `duration` of XML Schema (part 2, 3.3.6) and the dates of
//! playlists (ISO 8601 as RFC 8216bis, 4.4.4.6 has it).

/// `PT1H2M3.5S` in milliseconds; also with days, but no months, whose length nobody knows.
pub fn duration_ms(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (days, times) = rest.split_once('T').unwrap_or((rest, ""));
    let units = |text: &str, known: &[(char, u64)]| {
        let (mut sum, mut rest) = (0_u64, text);
        for (unit, ms) in known {
            if let Some((number, behind)) = rest.split_once(*unit) {
                sum = sum.checked_add(scaled(number, *ms)?)?;
                rest = behind;
            }
        }
        rest.is_empty().then_some(sum)
    };
    let days = units(days, &[('D', 86_400_000)])?;
    days.checked_add(units(times, &[('H', 3_600_000), ('M', 60_000), ('S', 1000)])?)
}

/// Seconds with a fraction, in milliseconds.
pub fn seconds_ms(text: &str) -> Option<u64> {
    scaled(text, 1000)
}

/// A decimal number of units of so many milliseconds, rounded down to milliseconds.
fn scaled(text: &str, ms: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction: u64 = fraction.get(..fraction.len().min(6))?.parse::<u64>().ok()?
        * 10_u64.pow(6_u32.checked_sub(u32::try_from(fraction.len().min(6)).ok()?)?);
    let part = fraction.checked_mul(ms)? / 1_000_000;
    whole.parse::<u64>().ok()?.checked_mul(ms)?.checked_add(part)
}

/// `2026-11-28T07:44:32.123Z`, or with `+01:00`, in milliseconds since the Unix epoch.
pub fn date_ms(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let is_date = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && date.next().is_none();
    if !is_date {
        return None;
    }
    let at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(at)?;
    let mut clock = clock.splitn(3, ':');
    let number = |text: Option<&str>| text?.parse::<u64>().ok();
    let (hour, minute) = (number(clock.next())?, number(clock.next())?);
    let second_ms = seconds_ms(clock.next()?)?;
    if hour > 23 || minute > 59 || second_ms >= 61_000 {
        return None;
    }
    // Days since 1970-01-01 in the Gregorian calendar, a year beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let ms = days.checked_sub(719_468)? * 86_400_000 + (hour * 60 + minute) * 60_000 + second_ms;
    let offset = zone.get(1..)?;
    match zone.get(..1)? {
        "Z" => offset.is_empty().then_some(ms),
        sign => {
            let (hours, minutes) = match offset.split_once(':') {
                Some(parts) => parts,
                None => offset.split_at_checked(2)?,
            };
            let hours = number(Some(hours)).filter(|hours| *hours < 24)?;
            let minutes = number(Some(minutes)).filter(|minutes| *minutes < 60)?;
            let offset_ms = (hours * 60 + minutes) * 60_000;
            if sign == "+" { ms.checked_sub(offset_ms) } else { ms.checked_add(offset_ms) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_and_dates_are_read_and_nothing_else_is() {
        for (text, ms) in [
            ("PT2S", 2000),
            ("PT0.5S", 500),
            ("PT1H2M3.25S", 3_723_250),
            ("P1DT1M", 86_460_000),
            ("PT10.1234567S", 10_123),
        ] {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "2S", "PT2", "PTS", "PT-2S", "P1M", "PT1S2M", "PT99999999999999999999S"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-28T07:44:32.123Z", 1_795_851_872_123),
            ("2026-11-28T08:44:32.123+01:00", 1_795_851_872_123),
            ("2026-11-28T02:44:32.123-0500", 1_795_851_872_123),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] {
            assert_eq!(date_ms(text), Some(ms), "{text}");
        }
        for text in [
            "2026-11-28",
            "2026-11-28T07:44:32",
            "2026-13-28T07:44:32Z",
            "2026-11-28T24:44:32Z",
            "2026-11-28T07:44:32Zulu",
            "1969-11-28T07:44:32Z",
            "2026-11-28T07:44:32+x",
        ] {
            assert_eq!(date_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String, tail in "[-0-9T:.Z+PDHMS]{0,40}") {
            for text in [text, tail.clone(), format!("2026-11-28T07:44:{tail}"), format!("PT{tail}")] {
                let _ = (duration_ms(&text), seconds_ms(&text), date_ms(&text));
            }
        }
    }
}
