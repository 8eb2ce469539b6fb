//! Checks of what a fragment says of its key: `sgpd`, `sbgp` and the `pssh` boxes of its `moof`.

use super::track_writer::WrittenTurn;
use crate::bmff::{Child, Fields, boxes};
use crate::cenc::{FIRST_LOCAL_INDEX, GROUPING, Seig};
use crate::cmaf::FragmentRotation;

/// What a fragment is to say of its key.
#[derive(Clone, Copy, Default)]
pub(super) struct Told<'a> {
    /// Its key, where that is not the init's.
    pub seig: Option<Seig>,
    /// Its `pssh` boxes.
    pub pssh: &'a [u8],
}

impl<'a> Told<'a> {
    /// What is to stand in a fragment that is encrypted, or clear.
    pub fn of(rotation: Option<FragmentRotation<'a>>, is_protected: bool) -> Self {
        rotation.map_or_else(Self::default, |rotation| Self {
            seig: is_protected.then_some(rotation.seig),
            pssh: rotation.pssh,
        })
    }

    /// What is to stand in a segment, counted from 1.
    pub fn in_segment(turns: &'a [WrittenTurn], number: usize, is_protected: bool) -> Self {
        let begun = turns.partition_point(|turn| turn.segment < number);
        let turn = begun.checked_sub(1).and_then(|last| turns.get(last));
        let rotation = turn.and_then(|turn| {
            let pssh = turn.pssh.as_deref()?;
            Some(FragmentRotation { seig: turn.seig, pssh })
        });
        Self::of(rotation, is_protected)
    }

    /// Whether the `moof` with which `bytes` begin says that of all its samples, and no more.
    pub fn is_in(&self, bytes: &[u8], samples: u32) -> Option<bool> {
        let moof = boxes(bytes).next()?.ok()?;
        let of_kind = |siblings, kind: &'static [u8; 4]| {
            boxes(siblings).flatten().filter(move |child: &Child<'_>| child.kind.0 == *kind)
        };
        let mut rest = self.pssh;
        for pssh in of_kind(moof.body, b"pssh") {
            match rest.strip_prefix(pssh.whole) {
                Some(behind) => rest = behind,
                None => return Some(false),
            }
        }
        let traf = of_kind(moof.body, b"traf").next()?;
        let mut groups = of_kind(traf.body, b"sgpd");
        let mut runs = of_kind(traf.body, b"sbgp");
        let is_told = match self.seig {
            None => groups.next().is_none() && runs.next().is_none(),
            Some(seig) => {
                read_group(groups.next()?.body) == Some(seig)
                    && read_run(runs.next()?.body) == Some(samples)
                    && groups.next().is_none()
                    && runs.next().is_none()
            }
        };
        Some(rest.is_empty() && is_told)
    }
}

/// The one entry of an `sgpd`.
fn read_group(body: &[u8]) -> Option<Seig> {
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags().ok()?;
    let is_ours = version == 1 && fields.array::<4>().ok()? == GROUPING;
    let len = usize::try_from(fields.u32().ok()?).ok()?;
    let count = fields.u32().ok()?;
    let entry = fields.rest();
    (is_ours && count == 1 && entry.len() == len).then(|| Seig::parse(entry).ok()).flatten()
}

/// How many samples an `sbgp` of one run puts under the fragment's first entry.
fn read_run(body: &[u8]) -> Option<u32> {
    let mut fields = Fields::new(body);
    fields.version_and_flags().ok()?;
    let is_ours = fields.array::<4>().ok()? == GROUPING && fields.u32().ok()? == 1;
    let samples = fields.u32().ok()?;
    let index = fields.u32().ok()?;
    (is_ours && index == FIRST_LOCAL_INDEX && fields.rest().is_empty()).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmaf::{Entry, Fragment, SampleProtection};
    use crate::pssh;
    use model::KeyId;

    const ENTRY: Entry = Entry { duration: 1, size: 16, composition: 0, is_sync: true };

    fn seig(byte: u8) -> Seig {
        let kid = KeyId::from_bytes([byte; 16]);
        Seig { pattern: Some((1, 9)), kid, iv_size: 0, constant_iv: Some([byte; 16]) }
    }

    fn moof(rotation: Option<FragmentRotation<'_>>) -> Vec<u8> {
        let protection = SampleProtection { entries: &[], sizes: &[], has_subsamples: false };
        let samples = &[ENTRY; 3];
        let fragment = Fragment {
            sequence: 1,
            decode_time: 0,
            samples,
            protection: Some(protection),
            description: 1,
            rotation,
        };
        let mut out = Vec::new();
        fragment.write(&mut out);
        out
    }

    #[test]
    fn another_key_other_boxes_and_other_samples_are_seen() {
        let pssh = [pssh::common(&[KeyId::from_bytes([1; 16])]), pssh::common(&[])].concat();
        let rotation = FragmentRotation { seig: seig(1), pssh: &pssh };
        let told = Told::of(Some(rotation), true);
        let bytes = moof(Some(rotation));
        assert_eq!(told.is_in(&bytes, 3), Some(true));
        assert_eq!(told.is_in(&bytes, 4), Some(false));
        assert_eq!(Told { seig: Some(seig(2)), ..told }.is_in(&bytes, 3), Some(false));
        assert_eq!(Told { pssh: &pssh[..52], ..told }.is_in(&bytes, 3), Some(false));
        assert_eq!(Told { seig: None, ..told }.is_in(&bytes, 3), Some(false));
        // Nothing is to be said, and nothing is.
        let none = Told::default();
        assert_eq!((none.is_in(&moof(None), 3), none.is_in(&bytes, 3)), (Some(true), Some(false)));
        assert_ne!(told.is_in(&moof(None), 3), Some(true));
        // A clear fragment says what its batch is, and no key.
        assert_eq!(Told::of(Some(rotation), false).seig, None);
    }

    #[test]
    fn every_damaged_byte_of_the_group_is_seen() {
        let rotation = FragmentRotation { seig: seig(1), pssh: &[] };
        let told = Told::of(Some(rotation), true);
        let bytes = moof(Some(rotation));
        let begin = bytes.windows(4).position(|kind| kind == b"sgpd").unwrap();
        let run = bytes.windows(4).position(|kind| kind == b"sbgp").unwrap();
        for at in begin..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            // Version and flags of `sbgp`, the flags of `sgpd` and the reserved byte of the entry
            // mean nothing here.
            let is_ignored = (begin + 5..begin + 8).contains(&at)
                || (run + 4..run + 8).contains(&at)
                || at == begin + 20;
            let found = told.is_in(&damaged, 3);
            assert!(is_ignored || found != Some(true), "{at}");
        }
    }

    #[test]
    fn a_segment_is_told_by_the_last_turn_before_it() {
        let pssh: std::sync::Arc<[u8]> = pssh::common(&[]).into();
        let turn =
            |segment, byte| WrittenTurn { segment, seig: seig(byte), pssh: Some(pssh.clone()) };
        let turns = [turn(0, 1), turn(3, 2)];
        let told = |number| Told::in_segment(&turns, number, true).seig.unwrap().kid.as_bytes()[0];
        assert_eq!([1, 3, 4, 9].map(told), [1, 1, 2, 2]);
        let by_manifests = [WrittenTurn { pssh: None, ..turn(0, 1) }];
        assert_eq!(Told::in_segment(&by_manifests, 1, true).seig, None);
    }
}
