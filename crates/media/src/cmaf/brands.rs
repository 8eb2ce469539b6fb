//! `ftyp` and `styp`: what a file and a segment are compatible with (ISO/IEC 14496-12:2022, 4.3 and
//! 8.16.2; CMAF, 7.2).

use crate::bmff::{FourCc, plain_box};

/// Appends `ftyp`; `entry` is the type of the clear sample entry.
pub fn write_file_type(entry: FourCc, out: &mut Vec<u8>) {
    plain_box(out, b"ftyp", |out| write_brands(entry, b"cmfc", out));
}

/// Appends `styp`, likewise.
pub fn write_segment_type(entry: FourCc, out: &mut Vec<u8>) {
    plain_box(out, b"styp", |out| write_brands(entry, b"cmfs", out));
}

/// The brands that Shaka Packager writes. It claims no CMAF brand for `hev1`, whose parameter sets
/// may stand in the samples alone.
fn write_brands(entry: FourCc, cmaf: &[u8; 4], out: &mut Vec<u8>) {
    out.extend(b"mp41\0\0\0\0iso8isommp41dash");
    match &entry.0 {
        b"avc1" | b"avc3" => out.extend(b"avc1"),
        b"hvc1" | b"hev1" | b"av01" | b"vp09" => out.extend(entry.0),
        _ => {}
    }
    if entry.0 != *b"hev1" {
        out.extend(cmaf);
    }
}
