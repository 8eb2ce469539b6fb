//! The init: `ftyp` and `moov` of one protected track (CMAF, 7.3.1 and 7.5).

use super::{TRACK_ID, write_file_type};
use crate::bmff::{FourCc, full_box, plain_box};
use crate::cenc::Tenc;
use crate::input::TrackFrame;
use model::Scheme;
use std::num::NonZeroU32;

/// What an init says.
pub struct Init<'a> {
    /// What the track shows or plays.
    pub kind: MediaKind,
    /// Ticks per second.
    pub timescale: NonZeroU32,
    /// RFC 5646 language, unless undetermined.
    pub language: Option<&'a str>,
    /// The same as `mdhd` packs it.
    pub packed_language: u16,
    /// How it is placed on the screen.
    pub frame: TrackFrame,
    /// Composition time that is presented first, in ticks.
    pub media_time: u64,
    /// Type of the clear sample entry.
    pub entry: FourCc,
    /// Its body, with its boxes.
    pub entry_body: &'a [u8],
    /// How it is encrypted; none in a clear track.
    pub protection: Option<InitProtection<'a>>,
    /// Length of the fragments together, in the track's timescale; 0 where nobody knows it.
    pub length: u64,
}

/// What a track shows or plays, as the handler says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Moving picture.
    Video,
    /// Sound.
    Audio,
    /// WebVTT (`text` handler, `nmhd`).
    Text,
    /// TTML (`subt` handler, `sthd`).
    Subtitle,
}

/// How an init says that its track is encrypted.
#[derive(Clone, Copy)]
pub struct InitProtection<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// Settings.
    pub tenc: Tenc,
    /// `pssh` boxes, whole.
    pub pssh: &'a [u8],
    /// Whether a clear entry follows the protected one, for fragments that are not encrypted.
    pub has_clear_entry: bool,
}

/// Appends the init.
///
/// Shape: the source's sample entry unchanged under `encv` or `enca`, with `sinf` behind its
/// boxes; every sample table there and empty; an offset edit where the source has one.
pub fn write_init(init: &Init<'_>, out: &mut Vec<u8>) {
    write_file_type(init.entry, out);
    plain_box(out, b"moov", |out| {
        write_mvhd(init, out);
        plain_box(out, b"trak", |out| write_trak(init, out));
        plain_box(out, b"mvex", |out| {
            if init.length > 0 {
                full_box(out, b"mehd", 1, 0, |out| out.extend(init.length.to_be_bytes()));
            }
            full_box(out, b"trex", 0, 0, |out| {
                for field in [TRACK_ID, 1, 0, 0, 0] {
                    out.extend(field.to_be_bytes());
                }
            });
        });
        if let Some(protection) = &init.protection {
            out.extend(protection.pssh);
        }
    });
}

/// The unit matrix of 6.2.2.
const UNIT_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn write_mvhd(init: &Init<'_>, out: &mut Vec<u8>) {
    full_box(out, b"mvhd", 0, 0, |out| {
        out.extend([0; 8]);
        out.extend(init.timescale.get().to_be_bytes());
        out.extend([0; 4]);
        out.extend(0x1_0000_u32.to_be_bytes());
        out.extend(0x0100_u16.to_be_bytes());
        out.extend([0; 10]);
        UNIT_MATRIX.iter().for_each(|value| out.extend(value.to_be_bytes()));
        out.extend([0; 24]);
        out.extend((TRACK_ID + 1).to_be_bytes());
    });
}

fn write_trak(init: &Init<'_>, out: &mut Vec<u8>) {
    let frame = &init.frame;
    // Enabled, in the movie, in the preview.
    full_box(out, b"tkhd", 0, 7, |out| {
        out.extend([0; 8]);
        out.extend(TRACK_ID.to_be_bytes());
        out.extend([0; 20]);
        out.extend(frame.volume.to_be_bytes());
        out.extend([0; 2]);
        out.extend(frame.matrix);
        out.extend(frame.width.to_be_bytes());
        out.extend(frame.height.to_be_bytes());
    });
    let start = init.media_time;
    if start != 0 {
        plain_box(out, b"edts", |out| {
            full_box(out, b"elst", 1, 0, |out| {
                out.extend(1_u32.to_be_bytes());
                out.extend(0_u64.to_be_bytes());
                out.extend(start.to_be_bytes());
                out.extend(0x1_0000_u32.to_be_bytes());
            });
        });
    }
    plain_box(out, b"mdia", |out| {
        full_box(out, b"mdhd", 0, 0, |out| {
            out.extend([0; 8]);
            out.extend(init.timescale.get().to_be_bytes());
            out.extend([0; 4]);
            out.extend(init.packed_language.to_be_bytes());
            out.extend([0; 2]);
        });
        write_handler(init, out);
        // The three letters of `mdhd` cannot say a region or a script.
        if let Some(language) = init.language.filter(|tag| tag.len() > 3) {
            full_box(out, b"elng", 0, 0, |out| {
                out.extend(language.bytes());
                out.push(0);
            });
        }
        plain_box(out, b"minf", |out| write_minf(init, out));
    });
}

fn write_handler(init: &Init<'_>, out: &mut Vec<u8>) {
    let (handler, name): (&[u8], &[u8]) = match init.kind {
        MediaKind::Video => (b"vide", b"VideoHandler\0"),
        MediaKind::Audio => (b"soun", b"SoundHandler\0"),
        MediaKind::Text => (b"text", b"TextHandler\0"),
        MediaKind::Subtitle => (b"subt", b"SubtitleHandler\0"),
    };
    full_box(out, b"hdlr", 0, 0, |out| {
        out.extend([0; 4]);
        out.extend(handler);
        out.extend([0; 12]);
        out.extend(name);
    });
}

fn write_minf(init: &Init<'_>, out: &mut Vec<u8>) {
    match init.kind {
        MediaKind::Video => full_box(out, b"vmhd", 0, 1, |out| out.extend([0; 8])),
        MediaKind::Audio => full_box(out, b"smhd", 0, 0, |out| out.extend([0; 4])),
        MediaKind::Text => full_box(out, b"nmhd", 0, 0, |_| {}),
        MediaKind::Subtitle => full_box(out, b"sthd", 0, 0, |_| {}),
    }
    plain_box(out, b"dinf", |out| {
        full_box(out, b"dref", 0, 0, |out| {
            out.extend(1_u32.to_be_bytes());
            // Flag 1: the media is in this file.
            full_box(out, b"url ", 0, 1, |_| {});
        });
    });
    plain_box(out, b"stbl", |out| {
        full_box(out, b"stsd", 0, 0, |out| {
            let has_clear = init.protection.is_some_and(|protection| protection.has_clear_entry);
            out.extend(if has_clear { 2_u32 } else { 1 }.to_be_bytes());
            write_sample_entry(init, out);
            if has_clear {
                plain_box(out, &init.entry.0, |out| out.extend(init.entry_body));
            }
        });
        for kind in [b"stts", b"stsc", b"stco"] {
            full_box(out, kind, 0, 0, |out| out.extend([0; 4]));
        }
        full_box(out, b"stsz", 0, 0, |out| out.extend([0; 8]));
    });
}

fn write_sample_entry(init: &Init<'_>, out: &mut Vec<u8>) {
    let Some(protection) = &init.protection else {
        plain_box(out, &init.entry.0, |out| out.extend(init.entry_body));
        return;
    };
    let kind = match init.kind {
        MediaKind::Video => b"encv",
        MediaKind::Audio => b"enca",
        MediaKind::Text | MediaKind::Subtitle => b"enct",
    };
    plain_box(out, kind, |out| {
        out.extend(init.entry_body);
        plain_box(out, b"sinf", |out| {
            plain_box(out, b"frma", |out| out.extend(init.entry.0));
            full_box(out, b"schm", 0, 0, |out| {
                out.extend(protection.scheme.name().bytes());
                out.extend(0x1_0000_u32.to_be_bytes());
            });
            plain_box(out, b"schi", |out| protection.tenc.write(out));
        });
    });
}
