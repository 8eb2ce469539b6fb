//! Keys of periods in an audit row: a license may have hundreds, so that they are told by the numbers
//! of their periods, and bound by a digest.

use model::{Scheme, TrackClass, WrappedKey};
use std::fmt::Write as _;

/// Most spans of periods in one list.
const MAX_RANGES: usize = 16;
/// Stands for the spans behind [`MAX_RANGES`].
const MORE: &str = "more";

/// The periods of the rows that serve one. Empty: none does.
///
/// Shape: `CLASS/scheme:first-last`, one for each class, scheme and unbroken run of periods, with
/// commas between; `any` and `both` where a row names no class or scheme; at most [`MAX_RANGES`],
/// then [`MORE`].
pub(super) fn ranges(rows: &[WrappedKey]) -> String {
    let of_period = |row: &WrappedKey| {
        let scheme = row.scheme.map_or("both", Scheme::name);
        let class = row.track_class.map_or("any", TrackClass::name);
        row.period.map(|period| (class, scheme, period.index))
    };
    let mut places: Vec<_> = rows.iter().filter_map(of_period).collect();
    places.sort_unstable();
    places.dedup();
    let mut text = String::new();
    let is_next = |one: &(_, _, u32), next: &(_, _, u32)| {
        (one.0, one.1) == (next.0, next.1) && one.2.checked_add(1) == Some(next.2)
    };
    for (number, run) in places.chunk_by(is_next).enumerate() {
        let ([(class, scheme, first), ..], [.., (_, _, last)]) = (run, run) else { continue };
        if number > 0 {
            text.push(',');
        }
        if number == MAX_RANGES {
            text.push_str(MORE);
            break;
        }
        let _infallible = write!(text, "{class}/{scheme}:{first}-{last}");
    }
    text
}

/// SHA-256 of the rows' KIDs, 16 bytes each, in the order of the rows, in hex.
pub(super) fn digest(rows: &[WrappedKey]) -> String {
    let kids: Vec<u8> = rows.iter().flat_map(|row| *row.kid.as_bytes()).collect();
    keys::sha256(&kids).iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
