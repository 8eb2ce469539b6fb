//! Time expressions of TTML (W3C TTML2, 12.3.1) and the parameters that they depend on (7.2).

use crate::manifest::xml::{Element, local};
use crate::text::error::TextError;

/// Latest time, milliseconds: more than a year.
const MAX_MS: u128 = 1 << 36;
/// Highest rates that make sense.
const MAX_FRAME_RATE: u32 = 1000;
const MAX_TICK_RATE: u32 = 1_000_000_000;

/// How frames and ticks become time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    /// Frames in a second, before the multiplier.
    frames: u32,
    /// The multiplier: 1000/1001 for 29.97.
    multiplier: (u32, u32),
    sub_frames: u32,
    ticks: u32,
}

impl Rates {
    /// Reads the parameters of the root.
    pub fn parse(root: &Element) -> Result<Self, TextError> {
        let whole = |name: &'static str, limit: u32| match parameter(root, name) {
            None => Ok(None),
            Some(text) => {
                let number = text.trim().parse::<u32>().ok();
                let number = number.filter(|number| (1..=limit).contains(number));
                number.map(Some).ok_or(TextError::Parameter(name))
            }
        };
        let frame_rate = whole("frameRate", MAX_FRAME_RATE)?;
        let sub_frames = whole("subFrameRate", MAX_FRAME_RATE)?.unwrap_or(1);
        let multiplier = match parameter(root, "frameRateMultiplier") {
            None => (1, 1),
            Some(text) => {
                let mut parts = text.split_ascii_whitespace().map(str::parse::<u32>);
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(Ok(up @ 1..=100_000)), Some(Ok(down @ 1..=100_000)), None) => (up, down),
                    _ => return Err(TextError::Parameter("frameRateMultiplier")),
                }
            }
        };
        let per_frame = frame_rate.map_or(1, |rate| rate.saturating_mul(sub_frames));
        let ticks = whole("tickRate", MAX_TICK_RATE)?.unwrap_or(per_frame);
        Ok(Self { frames: frame_rate.unwrap_or(30), multiplier, sub_frames, ticks })
    }

    /// Reads a clock time or an offset time as milliseconds.
    pub fn ms(&self, text: &str) -> Option<u64> {
        let text = text.trim();
        let ms = if text.contains(':') { self.clock(text) } else { self.offset(text) }?;
        u64::try_from(ms).ok().filter(|_| ms <= MAX_MS)
    }

    /// `HH:MM:SS`, then nothing, `.fraction`, `:frames` or `:frames.sub-frames`.
    fn clock(&self, text: &str) -> Option<u128> {
        let mut parts = text.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        let frames = parts.next();
        let whole = |text: &str, most: u128| number(text).filter(|number| *number <= most);
        let (hours, minutes) = (whole(hours, 100_000)?, whole(minutes, 59)?);
        let minutes = hours * 60 + minutes;
        if parts.next().is_some() {
            return None;
        }
        let Some(frames) = frames else {
            let (ns, is_second) = (decimal(seconds)?, seconds.len() >= 2);
            return (is_second && ns < 61_000_000_000)
                .then(|| minutes * 60_000 + rounded(ns, 1_000_000));
        };
        let (frames, sub) = frames.split_once('.').unwrap_or((frames, "0"));
        let (frames, sub) = (number(frames)?, number(sub)?);
        if frames >= u128::from(self.frames) || sub >= u128::from(self.sub_frames) {
            return None;
        }
        let sub_frames = frames * u128::from(self.sub_frames) + sub;
        let begin = (minutes * 60 + whole(seconds, 60)?) * 1000;
        Some(begin + self.of_sub_frames(sub_frames * 1_000_000_000))
    }

    /// A number and its metric.
    fn offset(&self, text: &str) -> Option<u128> {
        let metric_at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (count, metric) = text.split_at(metric_at);
        let billionths = decimal(count)?;
        match metric {
            "h" => Some(rounded(billionths * 3600, 1_000_000)),
            "m" => Some(rounded(billionths * 60, 1_000_000)),
            "s" => Some(rounded(billionths, 1_000_000)),
            "ms" => Some(rounded(billionths, 1_000_000_000)),
            "f" => Some(self.of_sub_frames(billionths * u128::from(self.sub_frames))),
            "t" => Some(rounded(billionths * 1000, 1_000_000_000 * u128::from(self.ticks))),
            _ => None,
        }
    }

    /// Billionths of a sub-frame as milliseconds.
    fn of_sub_frames(&self, billionths: u128) -> u128 {
        let (up, down) = self.multiplier;
        let rate = u128::from(self.frames) * u128::from(self.sub_frames) * u128::from(up);
        rounded(billionths * 1000 * u128::from(down), 1_000_000_000 * rate)
    }
}

/// A parameter, whatever prefix the document gives its namespace; without prefix it is none.
pub(super) fn parameter<'e>(root: &'e Element, name: &str) -> Option<&'e str> {
    let mut all = root.attributes.iter();
    let found = all.find(|(key, _)| key.contains(':') && local(key) == name);
    found.map(|(_, value)| value.as_str())
}

fn rounded(value: u128, by: u128) -> u128 {
    (value + by / 2) / by
}

fn number(text: &str) -> Option<u128> {
    let is_number = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// A decimal number in billionths; what is smaller is cut off.
fn decimal(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(number(whole)? * 1_000_000_000 + number(&nine)?)
}

/// A clock time with milliseconds.
pub(super) fn clock(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}.{ms:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(attributes: &[(&str, &str)]) -> Result<Rates, TextError> {
        let root = attributes.iter().fold(Element::new("tt"), |tt, (k, v)| tt.with(k, v));
        Rates::parse(&root)
    }

    #[test]
    fn every_form_of_time_is_read() {
        let ntsc = [("ttp:frameRate", "30"), ("ttp:frameRateMultiplier", "1000 1001")];
        let ntsc = rates(&ntsc).unwrap();
        let ticks = rates(&[("a:tickRate", "10000000")]).unwrap();
        let frames = rates(&[("ttp:frameRate", "25"), ("ttp:subFrameRate", "2")]).unwrap();
        let plain = rates(&[]).unwrap();
        for (rates, text, ms) in [
            (plain, "00:00:01", 1000),
            (plain, "01:02:03.4567", 3_723_457),
            (plain, "100:00:00.000", 360_000_000),
            (plain, "00:00:01:15", 1500),
            (plain, "1.5h", 5_400_000),
            (plain, "2m", 120_000),
            (plain, " 12.3456s ", 12_346),
            (plain, "12.5ms", 13),
            (plain, "3t", 3000),
            (plain, "15f", 500),
            (ntsc, "30f", 1001),
            (ntsc, "00:00:01:15", 1501),
            (ticks, "15000000t", 1500),
            (frames, "00:00:00:24.1", 980),
            (frames, "5t", 100),
        ] {
            assert_eq!(rates.ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let plain = rates(&[]).unwrap();
        for text in [
            "",
            "1",
            "s",
            "-1s",
            "1x",
            "1.s",
            "00:01",
            "00:60:00",
            "00:00:61",
            "00:00:1",
            "00:00:00:30",
            "00:00:00:00:00",
            "1e3s",
            "99999999999999h",
            "wallclock(1)",
            "+1s",
        ] {
            assert_eq!(plain.ms(text), None, "{text}");
        }
        for (name, value) in [
            ("ttp:frameRate", "0"),
            ("ttp:frameRate", "x"),
            ("ttp:tickRate", "-1"),
            ("ttp:frameRateMultiplier", "1000"),
            ("ttp:frameRateMultiplier", "1 0"),
        ] {
            assert!(rates(&[(name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn a_clock_time_reads_back() {
        let plain = rates(&[]).unwrap();
        for ms in [0, 1, 59_999, 3_600_000, 360_000_001] {
            assert_eq!(plain.ms(&clock(ms)), Some(ms));
        }
    }
}
