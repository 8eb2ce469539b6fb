//! Sample entries of sound: the plain form of ISO/IEC 14496-12 (12.2.3), and the forms of
//! QuickTime (QuickTime File Format, "Sound sample descriptions") brought into it.

use super::{AUDIO_FIELDS, whole_boxes, without_terminator};
use crate::bmff::{BoxError, Child, Fields, FourCc, plain_box};
use crate::input::{Malformed, Unsupported, What};

/// A plain sound sample entry.
pub(super) struct SoundEntry<'a> {
    /// Channels, as the container says.
    pub channels: u16,
    /// Samples per second, as the container says.
    pub sample_rate: u32,
    /// Its boxes.
    pub children: &'a [u8],
}

/// Where a description of version 2 ends at least, counted from its size field.
const MIN_STRUCT: u32 = 72;

impl<'a> SoundEntry<'a> {
    /// Reads the body of an entry in plain form.
    pub fn parse(body: &'a [u8]) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        fields.take(16)?;
        let channels = fields.u16()?;
        fields.take(6)?;
        let sample_rate = fields.u32()? >> 16;
        Ok(Self { channels, sample_rate, children: fields.rest() })
    }

    /// Reads the body of an entry of any version.
    fn parse_any(body: &'a [u8], version: u16) -> Result<Self, What> {
        let mut entry = Self::parse(body)?;
        match version {
            0 => {}
            1 => {
                // Samples and bytes per packet and frame, which compressed sound has no use for.
                let mut fields = Fields::new(entry.children);
                fields.take(16)?;
                entry.children = fields.rest();
            }
            2 => {
                let mut fields = Fields::new(entry.children);
                let end = fields.u32()?.checked_sub(MIN_STRUCT);
                let rate = f64::from_bits(fields.u64()?);
                entry.channels = u16::try_from(fields.u32()?)
                    .map_err(|_| Malformed::Value("the number of channels"))?;
                fields.take(20)?;
                let end = end.ok_or(Malformed::Value("the length of a sound description"))?;
                fields.take(usize::try_from(end).map_err(|_| BoxError::Truncated)?)?;
                entry.sample_rate = whole_rate(rate)?;
                entry.children = fields.rest();
            }
            _ => return Err(Unsupported::Feature("a sound description of this version").into()),
        }
        Ok(entry)
    }
}

fn whole_rate(rate: f64) -> Result<u32, What> {
    if rate.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&rate) {
        return Err(Malformed::Value("the sampling rate").into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 1 and the largest"
    )]
    Ok(rate as u32)
}

/// The box that configures the decoder of an entry.
const fn config_kind(entry: FourCc) -> Option<&'static [u8; 4]> {
    match &entry.0 {
        b"mp4a" => Some(b"esds"),
        b"ac-3" => Some(b"dac3"),
        b"ec-3" => Some(b"dec3"),
        b"Opus" => Some(b"dOps"),
        b"fLaC" => Some(b"dfLa"),
        _ => None,
    }
}

/// Brings the body of a sound sample entry into plain form, which is all that CMAF knows.
///
/// Shape: unchanged, but for a terminator, where it is plain already. Else fields of version 0 and the decoder
/// configuration, which QuickTime may keep inside `wave`; what else stands there speaks to
/// QuickTime alone. `table_version` is that of `stsd`: in a table of version 1 an entry of
/// version 1 has the fields of version 0 (12.2.3.2).
/// Errors: [`Malformed::Missing`] without a configuration; other kinds of entry are unchanged.
pub(super) fn plain(entry: FourCc, table_version: u8, body: &[u8]) -> Result<Vec<u8>, What> {
    let Some(config_kind) = config_kind(entry) else { return Ok(body.to_vec()) };
    let mut fields = Fields::new(body);
    fields.take(8)?;
    let version = fields.u16()?;
    let layout = if version == 1 && table_version == 1 { 0 } else { version };
    let sound = SoundEntry::parse_any(body, layout)?;
    let children = whole_boxes(sound.children).collect::<Result<Vec<_>, _>>()?;
    let of_kind = |kind: &[u8; 4]| children.iter().find(|child| child.kind.0 == *kind);
    if version == 0 && (of_kind(config_kind).is_some() || of_kind(b"wave").is_none()) {
        return Ok(without_terminator(body, AUDIO_FIELDS).to_vec());
    }
    if of_kind(b"sinf").is_some() {
        return Err(Unsupported::Encrypted.into());
    }
    let config = match (of_kind(config_kind), of_kind(b"wave")) {
        (Some(config), _) => Some(*config),
        (None, Some(wave)) => in_wave(wave, config_kind)?,
        (None, None) => None,
    };
    let config = config.ok_or(Malformed::Missing(FourCc(*config_kind)))?;
    let mut out = Vec::with_capacity(AUDIO_FIELDS + config.whole.len());
    // The media is in this file, whose only data reference is the first.
    out.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(sound.channels.to_be_bytes());
    out.extend([0, 16, 0, 0, 0, 0]);
    out.extend((expressible(sound.sample_rate) << 16).to_be_bytes());
    plain_box(&mut out, config_kind, |out| out.extend(config.body));
    Ok(out)
}

fn in_wave<'a>(wave: &Child<'a>, kind: &[u8; 4]) -> Result<Option<Child<'a>>, What> {
    for child in whole_boxes(wave.body) {
        let child = child?;
        if child.kind.0 == *kind {
            return Ok(Some(child));
        }
    }
    Ok(None)
}

/// The field holds 16 bits: a higher rate is halved until it fits, as FLAC in MP4 wants it
/// (Encapsulation of FLAC in ISO Base Media File Format, 3.3.1). The configuration decides.
const fn expressible(mut sample_rate: u32) -> u32 {
    while sample_rate > 0xffff {
        sample_rate /= 2;
    }
    sample_rate
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound_entry;
    use super::*;

    const MP4A: FourCc = FourCc(*b"mp4a");

    /// Fields of a QuickTime description of version 1: two channels, 44.1 kHz.
    fn version_1(children: &[u8]) -> Vec<u8> {
        let mut out = sound_entry(b"free", b"")[..AUDIO_FIELDS].to_vec();
        out[9] = 1;
        (out[20], out[21]) = (0xff, 0xfe);
        out.extend([0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        out.extend(children);
        out
    }

    /// Fields of version 2, with `more` bytes behind those that are known.
    fn version_2(channels: u32, rate: f64, more: u32, children: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 16];
        out.extend([0xff, 0xfe, 0, 0, 0, 1, 0, 0]);
        out.extend((MIN_STRUCT + more).to_be_bytes());
        out.extend(rate.to_be_bytes());
        out.extend(channels.to_be_bytes());
        out.extend([0x7f, 0, 0, 0]);
        out.extend([0; 16]);
        out.extend(vec![9; more as usize]);
        out.extend(children);
        out
    }

    fn wave(config: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        plain_box(&mut out, b"wave", |out| {
            plain_box(out, b"frma", |out| out.extend(b"mp4a"));
            plain_box(out, b"mp4a", |out| out.extend([0; 4]));
            plain_box(out, b"esds", |out| out.extend(config));
            plain_box(out, &[0; 4], |_| {});
        });
        plain_box(&mut out, b"chan", |out| out.extend([0; 12]));
        out
    }

    fn made_plain(body: &[u8]) -> Result<Vec<u8>, What> {
        plain(MP4A, 0, body)
    }

    #[test]
    fn a_plain_entry_stays_as_it_is() {
        let entry = sound_entry(b"esds", b"config");
        assert_eq!(made_plain(&entry).unwrap(), entry);
        assert_eq!(made_plain(&[&entry[..], &[0; 4]].concat()).unwrap(), entry);
        // Nothing is known of other entries.
        assert_eq!(plain(FourCc(*b"sowt"), 0, b"any").unwrap(), b"any");
    }

    #[test]
    fn every_quicktime_form_becomes_plain() {
        let esds = sound_entry(b"esds", b"config");
        for body in [
            version_1(&wave(b"config")),
            version_1(&esds[AUDIO_FIELDS..]),
            version_2(2, 44_100.0, 0, &wave(b"config")),
            version_2(2, 44_100.0, 8, &wave(b"config")),
            [&esds[..AUDIO_FIELDS], &wave(b"config")].concat(),
        ] {
            assert_eq!(made_plain(&body).unwrap(), esds);
        }
        // ISO's own version 1, which only a table of version 1 may hold.
        let mut iso = esds.clone();
        iso[9] = 1;
        assert_eq!(plain(MP4A, 1, &iso).unwrap(), esds);
        assert!(plain(MP4A, 0, &iso).is_err());
    }

    #[test]
    fn high_rates_are_halved_into_the_field() {
        for (rate, field) in [(96_000.0, 48_000), (192_000.0, 48_000), (65_535.0, 65_535)] {
            let plain = made_plain(&version_2(6, rate, 0, &wave(b"config"))).unwrap();
            let entry = SoundEntry::parse(&plain).unwrap();
            assert_eq!((entry.channels, entry.sample_rate), (6, field));
        }
    }

    #[test]
    fn descriptions_that_lie_and_cut_ones_are_refused() {
        for whole in [version_1(&wave(b"config")), version_2(2, 44_100.0, 8, &wave(b"config"))] {
            let end = whole.len() - 20;
            for len in 0..end {
                assert!(matches!(made_plain(&whole[..len]), Err(What::Malformed(_))), "{len}");
            }
        }
        for rate in [0.0, -1.0, 0.5, 44_100.5, f64::NAN, f64::INFINITY, 1e12] {
            let body = version_2(2, rate, 0, &wave(b"config"));
            assert!(matches!(made_plain(&body), Err(What::Malformed(_))), "{rate}");
        }
        let mut short = version_2(2, 48_000.0, 0, &wave(b"config"));
        short[31] = 71;
        assert!(matches!(made_plain(&short), Err(What::Malformed(_))));
        short[28] = 0x7f;
        assert!(matches!(made_plain(&short), Err(What::Malformed(_))));
        let many = version_2(65_536, 48_000.0, 0, &wave(b"config"));
        assert!(matches!(made_plain(&many), Err(What::Malformed(_))));
        let mut other = version_1(&wave(b"config"));
        other[9] = 3;
        assert!(matches!(made_plain(&other), Err(What::Unsupported(Unsupported::Feature(_)))));
    }
}
