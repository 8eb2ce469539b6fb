//! A fragment: `moof` and the head of its `mdat` (CMAF, 7.3.2.3).

use super::TRACK_ID;
use crate::bmff::{full_box, plain_box};
use crate::cenc::{FIRST_LOCAL_INDEX, GROUPING, Seig};

/// One sample in a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ticks.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// Composition time less decode time, in ticks.
    pub composition: i32,
    /// Whether decoding can begin here.
    pub is_sync: bool,
}

impl Entry {
    /// `sample_flags` (ISO/IEC 14496-12, 8.8.3.1): depends on no other, or on others and is not
    /// a sync sample.
    const fn flags(self) -> u32 {
        if self.is_sync { 0x0200_0000 } else { 0x0101_0000 }
    }
}

/// Encryption information of a fragment's samples.
#[derive(Clone, Copy, Debug)]
pub struct SampleProtection<'a> {
    /// Entries of `senc`, one behind the other; empty where all are.
    pub entries: &'a [u8],
    /// The length of each.
    pub sizes: &'a [u8],
    /// Whether the entries have subsamples.
    pub has_subsamples: bool,
}

/// The key of a fragment whose track changes it.
#[derive(Clone, Copy, Debug)]
pub struct FragmentRotation<'a> {
    /// Under which key its samples are; not said of a fragment that is clear.
    pub seig: Seig,
    /// `pssh` boxes, whole, which name the keys of the batch.
    pub pssh: &'a [u8],
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Counted from 1 through the track.
    pub sequence: u32,
    /// Decode time of its first sample.
    pub decode_time: u64,
    /// Its samples.
    pub samples: &'a [Entry],
    /// Their encryption; none in a clear track and in a clear lead.
    pub protection: Option<SampleProtection<'a>>,
    /// Which sample entry of the init describes them, counted from 1.
    pub description: u32,
    /// Their key, where it is not that of the init.
    pub rotation: Option<FragmentRotation<'a>>,
}

impl Fragment<'_> {
    /// Appends `moof`; the sample data are to follow the header of an `mdat` right behind it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut patch = Patch::default();
        plain_box(out, b"moof", |out| {
            full_box(out, b"mfhd", 0, 0, |out| out.extend(self.sequence.to_be_bytes()));
            plain_box(out, b"traf", |out| {
                self.write_tfhd(out);
                full_box(out, b"tfdt", 1, 0, |out| out.extend(self.decode_time.to_be_bytes()));
                self.write_trun(out, &mut patch);
                self.write_protection(out, &mut patch);
                self.write_group(out);
            });
            out.extend(self.rotation.map_or(&[][..], |rotation| rotation.pssh));
        });
        let len = out.len() - start;
        set(out, patch.data_offset, len + MEDIA_DATA_HEAD);
        if let Some(at) = patch.info_offset {
            set(out, at, patch.info - start);
        }
    }

    fn first(&self) -> Entry {
        let none = Entry { duration: 0, size: 0, composition: 0, is_sync: true };
        self.samples.first().copied().unwrap_or(none)
    }

    /// Flags of all samples but the first.
    fn later_flags(&self) -> u32 {
        self.samples.get(1).unwrap_or(&self.first()).flags()
    }

    fn write_tfhd(&self, out: &mut Vec<u8>) {
        // Offsets count from the moof; default duration and flags are here.
        let is_told = self.description != 1;
        full_box(out, b"tfhd", 0, if is_told { 0x2_002a } else { 0x2_0028 }, |out| {
            out.extend(TRACK_ID.to_be_bytes());
            if is_told {
                out.extend(self.description.to_be_bytes());
            }
            out.extend(self.first().duration.to_be_bytes());
            out.extend(self.later_flags().to_be_bytes());
        });
    }

    fn write_trun(&self, out: &mut Vec<u8>, patch: &mut Patch) {
        let first = self.first();
        let later = self.later_flags();
        let has_durations = self.samples.iter().any(|one| one.duration != first.duration);
        let has_compositions = self.samples.iter().any(|one| one.composition != 0);
        let has_flags = self.samples.iter().skip(1).any(|one| one.flags() != later);
        let has_first_flags = !has_flags && first.flags() != later;
        let flags = [
            (true, 0x001),
            (has_first_flags, 0x004),
            (has_durations, 0x100),
            (true, 0x200),
            (has_flags, 0x400),
            (has_compositions, 0x800),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        full_box(out, b"trun", 1, flags, |out| {
            out.extend(u32::try_from(self.samples.len()).unwrap_or(u32::MAX).to_be_bytes());
            patch.data_offset = out.len();
            out.extend([0; 4]);
            if has_first_flags {
                out.extend(first.flags().to_be_bytes());
            }
            for sample in self.samples {
                if has_durations {
                    out.extend(sample.duration.to_be_bytes());
                }
                out.extend(sample.size.to_be_bytes());
                if has_flags {
                    out.extend(sample.flags().to_be_bytes());
                }
                if has_compositions {
                    out.extend(sample.composition.to_be_bytes());
                }
            }
        });
    }

    /// `saiz`, `saio`, `senc`. Where no sample has information of its own there is an empty
    /// `senc` alone: the one form that every known player and decryptor reads.
    fn write_protection(&self, out: &mut Vec<u8>, patch: &mut Patch) {
        let Some(protection) = self.protection else { return };
        let SampleProtection { entries, sizes, has_subsamples } = protection;
        let count = u32::try_from(self.samples.len()).unwrap_or(u32::MAX).to_be_bytes();
        if !entries.is_empty() {
            let common = sizes.first().filter(|first| sizes.iter().all(|size| size == *first));
            full_box(out, b"saiz", 0, 0, |out| {
                out.push(common.copied().unwrap_or(0));
                out.extend(count);
                if common.is_none() {
                    out.extend(sizes);
                }
            });
            full_box(out, b"saio", 0, 0, |out| {
                out.extend(1_u32.to_be_bytes());
                patch.info_offset = Some(out.len());
                out.extend([0; 4]);
            });
        }
        full_box(out, b"senc", 0, if has_subsamples { 2 } else { 0 }, |out| {
            out.extend(count);
            patch.info = out.len();
            out.extend(entries);
        });
    }
}

impl Fragment<'_> {
    /// `sgpd` with one entry, and `sbgp` that puts every sample under it (ISO/IEC 14496-12:2022,
    /// 8.9.2 and 8.9.3).
    fn write_group(&self, out: &mut Vec<u8>) {
        let Some(rotation) = self.rotation.filter(|_| self.protection.is_some()) else { return };
        let mut entry = Vec::with_capacity(37);
        rotation.seig.write(&mut entry);
        let len = u32::try_from(entry.len()).expect("an entry has at most 37 bytes");
        full_box(out, b"sgpd", 1, 0, |out| {
            out.extend(GROUPING);
            out.extend(len.to_be_bytes());
            out.extend(1_u32.to_be_bytes());
            out.extend(entry);
        });
        full_box(out, b"sbgp", 0, 0, |out| {
            out.extend(GROUPING);
            out.extend(1_u32.to_be_bytes());
            out.extend(u32::try_from(self.samples.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(FIRST_LOCAL_INDEX.to_be_bytes());
        });
    }
}

/// Places that are known only when the box is whole.
#[derive(Default)]
struct Patch {
    data_offset: usize,
    info_offset: Option<usize>,
    info: usize,
}

fn set(out: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).expect("a moof that is built in memory is small");
    if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value.to_be_bytes();
    }
}

/// Bytes of the header of `mdat`.
const MEDIA_DATA_HEAD: usize = 8;

/// Appends the header of an `mdat` with `len` bytes of samples, which the caller keeps far
/// below 4 GiB.
pub fn open_media_data(len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(len + MEDIA_DATA_HEAD).expect("a fragment in memory is small");
    out.extend(len.to_be_bytes());
    out.extend(b"mdat");
}
