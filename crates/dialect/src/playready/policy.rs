//! Neutral terms to the objects of a license and back, and what of neutral terms they can say.
//!
//! Values by Microsoft's public documentation (PlayReady: output protection levels, testing
//! output protections, license persistence). What PlayReady cannot say, it says stricter.

use super::XmrError;
use super::object::{CONTAINER, Object, kind, sort, write, write_fact};
use crate::terms::{
    AnalogOutput, Hdcp, KeyTerms, LicenseTerms, RenewalTerms, Robustness, Seconds, SpanEnd,
};
use model::Timestamp;
use std::num::NonZeroU32;

/// Longest span that a license says, seconds, about 31 years: dates have 32 bits.
const MAX_SPAN: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("not zero");
/// Clocks of devices go wrong: a license begins this long before it is written.
const HEAD_START_S: u32 = 300;
/// Settings: the license is not kept.
const CANNOT_PERSIST: u16 = 1;
/// Minimum levels.
const SL150: u16 = 150;
const SL2000: u16 = 2000;
const SL3000: u16 = 3000;
/// Output protection levels of pictures on uncompressed digital outputs: anything goes; HDCP;
/// nothing goes, as everything above 300.
const ANY: u16 = 100;
const PROTECTED: u16 = 300;
const NONE: u16 = 301;
/// Compressed pictures leave by no output.
const NO_COMPRESSED: u16 = 500;
/// Analog television with a mark that forbids copies; what also bears the rule below goes by
/// digital outputs only.
const ANALOG_MARKED: u16 = 200;
/// Explicit digital rule: HDCP of type 1, that is 2.2.
const HDCP_TYPE: [u8; 16] = guid(0xabb2_c6f1, 0xe663, 0x4625, 0xa945_972d_17b2_31e7);
/// Explicit analog rule: pictures for digital outputs only.
const DIGITAL_ONLY: [u8; 16] = guid(0x760a_e755, 0x682a, 0x41e0, 0xb1b3_dcdf_836a_7306);
/// Data of both rules.
const ONE: [u8; 4] = 1_u32.to_be_bytes();
/// Play enablers: pictures may pass to outputs of unknown kinds, in full or in lesser size.
const UNKNOWN_OUTPUT: [u8; 16] = guid(0x7866_27d8, 0xc2a6, 0x44be, 0x8f88_08ae_255b_01a7);
const UNKNOWN_OUTPUT_SMALL: [u8; 16] = guid(0xb621_d91f, 0xedcc, 0x4035, 0x8d4b_dc71_760d_43e9);

/// A GUID as Windows writes it: its first three fields little-endian.
const fn guid(first: u32, second: u16, third: u16, rest: u64) -> [u8; 16] {
    let ([a, b, c, d], [e, f]) = (first.to_le_bytes(), second.to_le_bytes());
    let ([g, h], [i, j, k, l, m, n, o, p]) = (third.to_le_bytes(), rest.to_be_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// What of a license's terms PlayReady's license says, in neutral words.
///
/// The rental and the license end together, at the earlier of both, and playback with them; a
/// playback span begins with the first picture; there is no renewal.
#[must_use]
pub fn carried_terms(terms: &LicenseTerms) -> LicenseTerms {
    let end = [terms.license_s, terms.rental_s].into_iter().flatten().min();
    LicenseTerms {
        can_play: terms.can_play,
        can_persist: terms.can_persist,
        can_renew: false,
        rental_s: None,
        playback_s: terms.playback_s,
        license_s: end.map(|end| end.min(MAX_SPAN)),
        renewal: RenewalTerms::default(),
        play_start_grace_s: None,
        playback_end: SpanEnd::Stops,
        rental_end: SpanEnd::Stops,
    }
}

/// What of a key's terms PlayReady's license says, in neutral words: each one that it cannot say
/// is the next stricter one that it can. Which tracks the key opens it does not say.
#[must_use]
pub const fn carried_key_terms(terms: &KeyTerms) -> KeyTerms {
    KeyTerms {
        robustness: match terms.robustness {
            Robustness::SoftwareKeys | Robustness::SoftwareDecoding => Robustness::SoftwareKeys,
            Robustness::HardwareKeys => Robustness::HardwareKeys,
            Robustness::HardwareDecoding | Robustness::HardwareAll => Robustness::HardwareDecoding,
        },
        hdcp: match terms.hdcp {
            Hdcp::Unneeded => Hdcp::Unneeded,
            Hdcp::V1 => Hdcp::V1,
            Hdcp::V2 | Hdcp::V2_1 | Hdcp::V2_2 => Hdcp::V2_2,
            Hdcp::V2_3 | Hdcp::NoDigitalOutput => Hdcp::NoDigitalOutput,
        },
        analog: terms.analog,
        track_class: None,
    }
}

/// The container of what holds for the license as a whole.
pub(super) fn write_global(
    terms: &LicenseTerms,
    robustness: Robustness,
    now: Timestamp,
) -> Vec<u8> {
    let terms = carried_terms(terms);
    let issued = u32::try_from(now.as_s()).unwrap_or(u32::MAX);
    let settings = if terms.can_persist { 0 } else { CANNOT_PERSIST };
    let field = |kind, value: u32| write(kind, 0, &[&value.to_be_bytes()]);
    let mut objects = vec![
        write(kind::SETTINGS, 0, &[&settings.to_be_bytes()]),
        write(kind::LEVEL, 0, &[&level_of(robustness).to_be_bytes()]),
        write_fact(kind::ISSUE_DATE, &[&issued.to_be_bytes()]),
    ];
    if let Some(span) = terms.license_s {
        let (begin, end) = (issued.saturating_sub(HEAD_START_S), issued.saturating_add(span.get()));
        objects.push(write(kind::EXPIRATION, 0, &[&begin.to_be_bytes(), &end.to_be_bytes()]));
        if terms.can_persist {
            objects.push(field(kind::REMOVAL_DATE, end));
        }
    }
    if let Some(span) = terms.playback_s {
        objects.push(field(kind::FIRST_PLAY, span.get()));
    }
    objects.push(write(kind::REAL_TIME, 0, &[]));
    write(kind::GLOBAL, CONTAINER, &[&objects.concat()])
}

const fn level_of(robustness: Robustness) -> u16 {
    match robustness {
        Robustness::SoftwareKeys | Robustness::SoftwareDecoding => SL150,
        Robustness::HardwareKeys => SL2000,
        Robustness::HardwareDecoding | Robustness::HardwareAll => SL3000,
    }
}

/// Rounds up.
const fn robustness_of(level: u16) -> Option<Robustness> {
    match level {
        0..=SL150 => Some(Robustness::SoftwareKeys),
        151..=SL2000 => Some(Robustness::HardwareKeys),
        2001..=SL3000 => Some(Robustness::HardwareDecoding),
        _ => None,
    }
}

/// What holds for the license as a whole, read: the terms without the right to play, the
/// robustness, when it was written.
pub(super) struct Global {
    pub(super) terms: LicenseTerms,
    pub(super) robustness: Robustness,
    pub(super) issued_s: u32,
}

#[derive(Default)]
struct GlobalFields {
    settings: Option<u16>,
    level: Option<u16>,
    issued: Option<u32>,
    expiration: Option<(u32, u32)>,
    removal: Option<u32>,
    first_play: Option<u32>,
    is_real_time: bool,
}

/// Reads what [`write_global`] wrote.
pub(super) fn read_global(global: Object<'_>) -> Result<Global, XmrError> {
    let mut found = GlobalFields::default();
    sort(global.objects()?, |object| {
        match object.kind {
            kind::SETTINGS => found.settings = Some(object.fields(|body| body.u16())?),
            kind::LEVEL => found.level = Some(object.fields(|body| body.u16())?),
            kind::ISSUE_DATE => found.issued = Some(object.fields(|body| body.u32())?),
            kind::EXPIRATION => {
                found.expiration = Some(object.fields(|body| Some((body.u32()?, body.u32()?)))?);
            }
            kind::REMOVAL_DATE => found.removal = Some(object.fields(|body| body.u32())?),
            kind::FIRST_PLAY => found.first_play = Some(object.fields(|body| body.u32())?),
            kind::REAL_TIME => {
                object.fields(|_| Some(()))?;
                found.is_real_time = true;
            }
            // Under which revocations the license was written, and whether it may lie in its
            // content: nothing to obey.
            kind::REVOCATION_VERSION => drop(object.fields(|body| body.u32())?),
            kind::EMBEDDING => drop(object.fields(|body| body.u16())?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (level, issued_s) =
        (found.level.ok_or(XmrError::Missing)?, found.issued.ok_or(XmrError::Missing)?);
    let end = if found.is_real_time { SpanEnd::Stops } else { SpanEnd::PlaysOn };
    Ok(Global {
        terms: LicenseTerms {
            can_persist: match found.settings {
                Some(0) => true,
                Some(CANNOT_PERSIST) | None => false,
                Some(_) => return Err(XmrError::Terms),
            },
            license_s: span_of(issued_s, found.expiration, found.removal)?,
            playback_s: match found.first_play {
                Some(seconds) => Some(NonZeroU32::new(seconds).ok_or(XmrError::Terms)?),
                None => None,
            },
            playback_end: end,
            rental_end: end,
            ..LicenseTerms::default()
        },
        robustness: robustness_of(level).ok_or(XmrError::Terms)?,
        issued_s,
    })
}

/// How long the license lives from its writing on. What begins later, ends before it was written
/// or is removed at another time cannot be said in neutral words.
fn span_of(
    issued_s: u32,
    expiration: Option<(u32, u32)>,
    removal: Option<u32>,
) -> Result<Seconds, XmrError> {
    let Some((begin, end)) = expiration else {
        return if removal.is_none() { Ok(None) } else { Err(XmrError::Terms) };
    };
    if begin > issued_s || removal.is_some_and(|removal| removal != end) {
        return Err(XmrError::Terms);
    }
    let span = end.checked_sub(issued_s).and_then(NonZeroU32::new);
    span.map(Some).ok_or(XmrError::Terms)
}

/// The container of the right to play, with what outputs need for it.
pub(super) fn write_play(terms: &KeyTerms) -> Vec<u8> {
    let terms = carried_key_terms(terms);
    let uncompressed = match terms.hdcp {
        Hdcp::Unneeded => ANY,
        Hdcp::V1 | Hdcp::V2 | Hdcp::V2_1 | Hdcp::V2_2 => PROTECTED,
        Hdcp::V2_3 | Hdcp::NoDigitalOutput => NONE,
    };
    let is_digital_only = terms.analog == AnalogOutput::Refused;
    let analog = if is_digital_only { ANALOG_MARKED } else { ANY };
    // A key may be of sound: what leaves uncompressed needs the same link as pictures do.
    let levels = [NO_COMPRESSED, uncompressed, analog, ANY, uncompressed];
    let levels = levels.map(u16::to_be_bytes).concat();
    let mut objects = vec![write(kind::OUTPUT_LEVELS, 0, &[&levels])];
    let rule =
        |container, kind, parts: &[&[u8]]| write(container, CONTAINER, &[&write(kind, 0, parts)]);
    if is_digital_only {
        objects.push(rule(kind::ANALOG, kind::ANALOG_RULE, &[&DIGITAL_ONLY, &ONE]));
    }
    if terms.hdcp == Hdcp::V2_2 {
        objects.push(rule(kind::DIGITAL, kind::DIGITAL_RULE, &[&HDCP_TYPE, &ONE]));
    }
    if terms.hdcp == Hdcp::Unneeded && !is_digital_only {
        objects.push(rule(kind::ENABLERS, kind::ENABLER, &[&UNKNOWN_OUTPUT]));
    }
    write(kind::PLAY, CONTAINER, &[&objects.concat()])
}

/// Reads what outputs need, as [`write_play`] wrote it; other values round up.
///
/// Errors: [`XmrError`]; a rule that is not known, and an output of unknown kind that is let
/// through where outputs need protection, are [`XmrError::Terms`].
pub(super) fn read_play(play: Object<'_>) -> Result<(Hdcp, AnalogOutput), XmrError> {
    // A right to play without levels asks for nothing.
    let mut levels = [0; 5];
    let (mut is_digital_only, mut is_type_1, mut has_enablers) = (false, false, false);
    sort(play.objects()?, |object| {
        match object.kind {
            kind::OUTPUT_LEVELS => {
                levels = object.fields(|body| {
                    Some([body.u16()?, body.u16()?, body.u16()?, body.u16()?, body.u16()?])
                })?;
            }
            kind::ANALOG => is_digital_only = has_rule(object, kind::ANALOG_RULE, DIGITAL_ONLY)?,
            kind::DIGITAL => is_type_1 = has_rule(object, kind::DIGITAL_RULE, HDCP_TYPE)?,
            kind::ENABLERS => {
                read_enablers(object)?;
                has_enablers = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let [_, uncompressed, analog, ..] = levels;
    let hdcp = match uncompressed {
        NONE.. => Hdcp::NoDigitalOutput,
        _ if is_type_1 => Hdcp::V2_2,
        0..=ANY => Hdcp::Unneeded,
        _ => Hdcp::V1,
    };
    let is_analog_free = analog <= ANY && !is_digital_only;
    let analog = if is_analog_free { AnalogOutput::Allowed } else { AnalogOutput::Refused };
    if has_enablers && (hdcp != Hdcp::Unneeded || analog == AnalogOutput::Refused) {
        return Err(XmrError::Terms);
    }
    Ok((hdcp, analog))
}

/// Whether the one rule that is known here is in force.
fn has_rule(container: Object<'_>, kind: u16, known: [u8; 16]) -> Result<bool, XmrError> {
    let [rule] = container.objects()?[..] else { return Err(XmrError::Terms) };
    if rule.kind != kind {
        return Err(XmrError::Unknown);
    }
    let (name, value) = rule.fields(|body| Some((body.array()?, body.u32()?)))?;
    match value {
        _ if name != known => Err(XmrError::Terms),
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(XmrError::Terms),
    }
}

fn read_enablers(container: Object<'_>) -> Result<(), XmrError> {
    let mut seen = Vec::new();
    for enabler in container.objects()? {
        if enabler.kind != kind::ENABLER {
            return Err(XmrError::Unknown);
        }
        let name: [u8; 16] = enabler.fields(|body| body.array())?;
        if ![UNKNOWN_OUTPUT, UNKNOWN_OUTPUT_SMALL].contains(&name) {
            return Err(XmrError::Terms);
        }
        if seen.contains(&name) {
            return Err(XmrError::Twice);
        }
        seen.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_stand_as_windows_writes_them() {
        let expected = *b"\xf1\xc6\xb2\xab\x63\xe6\x25\x46\xa9\x45\x97\x2d\x17\xb2\x31\xe7";
        assert_eq!(HDCP_TYPE, expected);
    }

    fn play_of(hdcp: Hdcp, analog: AnalogOutput) -> Vec<u8> {
        write_play(&KeyTerms {
            robustness: Robustness::SoftwareKeys,
            hdcp,
            analog,
            track_class: None,
        })
    }

    fn read_one<T>(
        bytes: &[u8],
        read: impl FnOnce(Object<'_>) -> Result<T, XmrError>,
    ) -> Result<T, XmrError> {
        let [object] = super::super::object::read(bytes)?[..] else { panic!() };
        read(object)
    }

    #[test]
    fn no_output_of_unknown_kind_is_let_through_where_any_needs_protection() {
        use AnalogOutput::{Allowed, Refused};
        let has = |bytes: &[u8]| bytes.windows(16).any(|name| name == UNKNOWN_OUTPUT);
        assert!(has(&play_of(Hdcp::Unneeded, Allowed)));
        for (hdcp, analog) in
            [(Hdcp::V1, Allowed), (Hdcp::Unneeded, Refused), (Hdcp::V2_2, Refused)]
        {
            assert!(!has(&play_of(hdcp, analog)));
        }
        let levels = [500, 300, 100, 100, 100].map(u16::to_be_bytes).concat();
        let enabler = write(kind::ENABLER, 0, &[&UNKNOWN_OUTPUT]);
        let objects = [
            write(kind::OUTPUT_LEVELS, 0, &[&levels]),
            write(kind::ENABLERS, CONTAINER, &[&enabler]),
        ];
        let play = write(kind::PLAY, CONTAINER, &[&objects.concat()]);
        assert_eq!(read_one(&play, read_play), Err(XmrError::Terms));
    }

    #[test]
    fn sound_that_needs_a_protected_link_leaves_by_no_other() {
        for (hdcp, level) in [
            (Hdcp::Unneeded, ANY),
            (Hdcp::V1, PROTECTED),
            (Hdcp::V2_2, PROTECTED),
            (Hdcp::V2_3, NONE),
            (Hdcp::NoDigitalOutput, NONE),
        ] {
            let play = play_of(hdcp, AnalogOutput::Allowed);
            // Head of the container, of the levels, and four levels before that of sound.
            assert_eq!(play[8 + 8 + 8..][..2], level.to_be_bytes(), "{hdcp:?}");
        }
    }

    #[test]
    fn other_values_than_ours_round_up() {
        let of = |uncompressed: u16, analog: u16| {
            let levels = [400, uncompressed, analog, 100, 100].map(u16::to_be_bytes).concat();
            let levels = write(kind::OUTPUT_LEVELS, 0, &[&levels]);
            read_one(&write(kind::PLAY, CONTAINER, &[&levels]), read_play).unwrap()
        };
        use AnalogOutput::{Allowed, Refused};
        assert_eq!(of(0, 0), (Hdcp::Unneeded, Allowed));
        assert_eq!(of(100, 100), (Hdcp::Unneeded, Allowed));
        assert_eq!(of(101, 101), (Hdcp::V1, Refused));
        assert_eq!(of(250, 150), (Hdcp::V1, Refused));
        assert_eq!(of(270, 200), (Hdcp::V1, Refused));
        assert_eq!(of(300, 201), (Hdcp::V1, Refused));
        assert_eq!(of(301, 100), (Hdcp::NoDigitalOutput, Allowed));
        assert_eq!(of(u16::MAX, 100), (Hdcp::NoDigitalOutput, Allowed));
        let levels = [0, 150, 151, 2000, 2001, 3000, 3001].map(robustness_of);
        let [soft, keys, decoding] =
            [Robustness::SoftwareKeys, Robustness::HardwareKeys, Robustness::HardwareDecoding]
                .map(Some);
        assert_eq!(levels, [soft, soft, keys, keys, decoding, decoding, None]);
    }

    #[test]
    fn dates_that_make_no_sense_are_refused() {
        let span = |expiration, removal| span_of(1000, expiration, removal);
        assert_eq!(span(None, None), Ok(None));
        assert_eq!(span(Some((700, 1001)), Some(1001)), Ok(NonZeroU32::new(1)));
        for (expiration, removal) in [
            (None, Some(2000)),
            (Some((700, 1000)), None),
            (Some((700, 999)), None),
            (Some((1001, 2000)), None),
            (Some((700, 2000)), Some(1999)),
            (Some((700, 2000)), Some(2001)),
        ] {
            assert_eq!(
                span(expiration, removal),
                Err(XmrError::Terms),
                "{expiration:?} {removal:?}"
            );
        }
    }

    #[test]
    fn the_longest_license_ends_before_dates_do() {
        let terms =
            LicenseTerms { license_s: NonZeroU32::new(u32::MAX), ..LicenseTerms::default() };
        let now = Timestamp(1_811_808_000_000);
        let global = write_global(&terms, Robustness::SoftwareKeys, now);
        let read = read_one(&global, read_global).unwrap();
        assert_eq!(read.terms, carried_terms(&terms));
        assert_eq!(read.terms.license_s, Some(MAX_SPAN));
    }
}
