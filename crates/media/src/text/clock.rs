//! Times as WebVTT writes them (W3C WebVTT, 4.2 and 6.3): `MM:SS.mmm` or `HH:MM:SS.mmm`.

use std::fmt::Write as _;

/// Latest time: more than a year.
const MAX_HOURS: u64 = 9999;

/// Reads a time at the begin of `text`; returns milliseconds and what follows.
pub(super) fn read(text: &str) -> Option<(u64, &str)> {
    let (first, rest) = digits(text)?;
    let (second, rest) = digits(rest.strip_prefix(':')?)?;
    let (hours, minutes, seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (third, rest) = digits(rest)?;
            (Some(first), second, third, rest)
        }
        None => (None, first, second, rest),
    };
    let (fraction, rest) = digits(rest.strip_prefix('.')?)?;
    let is_short = |part: &str| part.len() == 2;
    let has_form = is_short(minutes) && is_short(seconds) && fraction.len() == 3;
    let (hours, has_hours) = match hours {
        Some(hours) => (hours.parse().ok()?, hours.len() >= 2),
        None => (0, true),
    };
    let (minutes, seconds) = (minutes.parse::<u64>().ok()?, seconds.parse::<u64>().ok()?);
    let is_time = has_form && has_hours && hours <= MAX_HOURS && minutes < 60 && seconds < 60;
    let ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction.parse::<u64>().ok()?;
    is_time.then_some((ms, rest))
}

fn digits(text: &str) -> Option<(&str, &str)> {
    let len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (1..=4).contains(&len).then(|| text.split_at(len))
}

/// Appends a time with its hours.
pub(super) fn write(ms: u64, out: &mut String) {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    write!(out, "{:02}:{:02}:{seconds:02}.{ms:03}", minutes / 60, minutes % 60)
        .expect("a String takes every write");
}

/// The text with every time stamp in angle brackets (6.4) moved by `shift_ms`.
pub(super) fn move_stamps(text: &str, shift_ms: i64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at + 1);
        out.push_str(before);
        rest = tag;
        if let Some((ms, behind)) = read(tag).filter(|(_, behind)| behind.starts_with('>')) {
            write(ms.saturating_add_signed(shift_ms), &mut out);
            rest = behind;
        }
    }
    out + rest
}

/// Whether a cue's text has time stamps in it.
pub(super) fn has_stamps(text: &str) -> bool {
    let mut tags = text.split('<').skip(1);
    tags.any(|tag| read(tag).is_some_and(|(_, behind)| behind.starts_with('>')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_with_and_without_hours() {
        assert_eq!(read("01:02.003 x"), Some((62_003, " x")));
        assert_eq!(read("01:00:00.000"), Some((3_600_000, "")));
        assert_eq!(read("1000:00:00.001"), Some((3_600_000_001, "")));
        for wrong in [
            "",
            "1:02.003",
            "01:2.003",
            "01:02.03",
            "01:02,003",
            "01:60.000",
            "60:00.000",
            "1:00:00.000",
            "99999:00:00.000",
            "00:00:00.0000",
            "-01:00.000",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stamps_inside_a_cue_move_with_it() {
        let text = "a<00:01.500>b <c.x>c</c> 1 < 2 <00:00:00.500>";
        assert!(has_stamps(text) && !has_stamps("<b>00:01.500</b>"));
        assert_eq!(move_stamps(text, -1000), "a<00:00:00.500>b <c.x>c</c> 1 < 2 <00:00:00.000>");
    }
}
