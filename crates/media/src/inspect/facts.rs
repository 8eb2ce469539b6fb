//! Boxes that are told field by field: times, places and sizes (ISO/IEC 14496-12:2022, 8), and
//! the fields of sample entries (12.1.3, 12.2.3).

use crate::bmff::{BoxError, Fields, FourCc};
use serde::{Serialize, Serializer};

/// Entries of one table that are told; the rest is counted.
const MAX_ENTRIES: u32 = 8;

/// Fields of a box by name, in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<(&'static str, Fact)>);

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// A number.
    Number(i128),
    /// A code or a list.
    Text(String),
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, fact)| (name, fact)))
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, fact)) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { ", " };
            match fact {
                Fact::Number(number) => write!(f, "{gap}{name} {number}")?,
                Fact::Text(text) => write!(f, "{gap}{name} {text}")?,
            }
        }
        Ok(())
    }
}

impl Facts {
    fn number(mut self, name: &'static str, value: impl Into<i128>) -> Self {
        self.0.push((name, Fact::Number(value.into())));
        self
    }

    fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, Fact::Text(value.into())));
        self
    }
}

/// Reads the facts of a box of this type; `None` for one that is told otherwise or not at all.
///
/// For a sample entry `body` is what stands before its boxes.
pub(super) fn read(kind: FourCc, body: &[u8]) -> Option<Result<Facts, BoxError>> {
    let mut fields = Fields::new(body);
    let fields = &mut fields;
    Some(match &kind.0 {
        b"mvhd" => time(fields, Facts::default()),
        b"mdhd" => time(fields, Facts::default())
            .and_then(|facts| Ok(facts.text("language", language(fields.u16()?)))),
        b"mehd" => version(fields)
            .and_then(|version| Ok(Facts::default().number("duration", fields.time(version)?))),
        b"mfhd" => {
            version(fields).and_then(|_| Ok(Facts::default().number("sequence", fields.u32()?)))
        }
        b"tfdt" => version(fields)
            .and_then(|version| Ok(Facts::default().number("decode_time", fields.time(version)?))),
        b"elst" => edits(fields),
        b"saiz" => info_sizes(fields),
        b"saio" => info_offsets(fields),
        b"sbgp" => group_runs(fields),
        b"encv" | b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01" | b"vp09" => picture(fields),
        b"enca" | b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => sound(fields),
        b"avcC" | b"hvcC" | b"av1C" | b"vpcC" | b"dac3" | b"dec3" | b"dOps" | b"dfLa" => {
            Ok(Facts::default().text("hex", hex(body)))
        }
        _ => return None,
    })
}

fn version(fields: &mut Fields<'_>) -> Result<u8, BoxError> {
    Ok(fields.version_and_flags()?.0)
}

fn time(fields: &mut Fields<'_>, facts: Facts) -> Result<Facts, BoxError> {
    let version = version(fields)?;
    fields.time(version)?;
    fields.time(version)?;
    let facts = facts.number("timescale", fields.u32()?);
    Ok(facts.number("duration", fields.time(version)?))
}

/// Three letters of five bits each (8.4.2.3).
fn language(packed: u16) -> String {
    let letter = |shift: u16| char::from((packed >> shift & 0x1f) as u8 + 0x60);
    [letter(10), letter(5), letter(0)].iter().collect()
}

fn edits(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    let version = version(fields)?;
    let count = fields.u32()?;
    let mut told = Vec::new();
    for _ in 0..count.min(MAX_ENTRIES) {
        let duration = fields.time(version)?;
        let start =
            if version == 1 { fields.u64()?.cast_signed() } else { i64::from(fields.i32()?) };
        let rate = f64::from(fields.u32()?) / 65_536.0;
        told.push(format!("{duration}@{start}x{rate}"));
    }
    Ok(Facts::default().number("entries", count).text("edits", told.join(" ")))
}

fn info_sizes(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    let (_, flags) = fields.version_and_flags()?;
    let mut facts = Facts::default();
    if flags & 1 != 0 {
        facts = facts.text("info_type", fields.four_cc()?.to_string());
        fields.u32()?;
    }
    facts = facts.number("default_size", fields.u8()?);
    Ok(facts.number("samples", fields.u32()?))
}

fn info_offsets(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    let (version, flags) = fields.version_and_flags()?;
    if flags & 1 != 0 {
        fields.u64()?;
    }
    let count = fields.u32()?;
    let mut told = Vec::new();
    for _ in 0..count.min(MAX_ENTRIES) {
        told.push(fields.time(version)?.to_string());
    }
    Ok(Facts::default().number("entries", count).text("offsets", told.join(" ")))
}

fn group_runs(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    let version = version(fields)?;
    let mut facts = Facts::default().text("grouping", fields.four_cc()?.to_string());
    if version == 1 {
        facts = facts.number("parameter", fields.u32()?);
    }
    let count = fields.u32()?;
    let mut told = Vec::new();
    for _ in 0..count.min(MAX_ENTRIES) {
        told.push(format!("{}x{:#x}", fields.u32()?, fields.u32()?));
    }
    Ok(facts.number("entries", count).text("runs", told.join(" ")))
}

fn picture(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    fields.take(24)?;
    Ok(Facts::default().number("width", fields.u16()?).number("height", fields.u16()?))
}

fn sound(fields: &mut Fields<'_>) -> Result<Facts, BoxError> {
    fields.take(16)?;
    let facts = Facts::default().number("channels", fields.u16()?);
    let facts = facts.number("bits", fields.u16()?);
    fields.take(4)?;
    Ok(facts.number("rate", fields.u32()? >> 16))
}

/// The first bytes: profile and level of a codec are among them.
fn hex(body: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut text: String = body.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if body.len() > SHOWN {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(kind: &[u8; 4], body: &[u8]) -> String {
        read(FourCc(*kind), body).unwrap().unwrap().to_string()
    }

    #[test]
    fn fields_are_told_by_name() {
        let mut body = vec![0; 12];
        body.extend(90_000_u32.to_be_bytes());
        body.extend(450_000_u32.to_be_bytes());
        body.extend([0x15, 0xc7, 0, 0]);
        assert_eq!(text(b"mdhd", &body), "timescale 90000, duration 450000, language eng");
        assert_eq!(text(b"mfhd", &[0, 0, 0, 0, 0, 0, 0, 7]), "sequence 7");
        let edit = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 2, 0, 0, 1, 0, 0];
        assert_eq!(text(b"elst", &edit), "entries 1, edits 9@512x1");
        let run = *b"\0\0\0\0seig\0\0\0\x01\0\0\0\x05\0\x01\0\x01";
        assert_eq!(text(b"sbgp", &run), "grouping seig, entries 1, runs 5x0x10001");
    }

    #[test]
    fn a_table_that_lies_about_its_length_is_told_as_cut_off() {
        let edits = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9];
        assert_eq!(read(FourCc(*b"elst"), &edits), Some(Err(BoxError::Truncated)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            for kind in [b"mvhd", b"mdhd", b"elst", b"saiz", b"saio", b"sbgp", b"avc1", b"mp4a"] {
                let _ = read(FourCc(*kind), &body);
            }
        }
    }
}
