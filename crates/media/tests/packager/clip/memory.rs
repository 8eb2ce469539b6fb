//! A package in memory, and the job that makes it.

use keys::{ContentKey, PackagingKey, PackagingKeys};
use media::package::{FileId, Layout, Output, PackageError, Plan, package};
use media::{Input, NamedInput};
use model::{ContentId, Entropy, KeyId, PackageId, PackagedEvent, Scheme, Timestamp, TrackClass};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use zeroize::Zeroizing;

/// Files by path.
#[derive(Default)]
pub struct Memory {
    pub files: BTreeMap<String, Vec<u8>>,
    pub open: Vec<String>,
    /// A write to be spoiled: how many bytes go through before one is flipped.
    pub spoil_at: Option<usize>,
    /// A write to fail: how many bytes go through before the disk is full.
    pub full_at: Option<usize>,
    pub written: usize,
}

impl Output for Memory {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        if self.files.insert(path.to_owned(), Vec::new()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.open.push(path.to_owned());
        Ok(FileId(self.open.len() as u32 - 1))
    }

    fn append(&mut self, file: FileId, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = self.files.get_mut(&self.open[file.0 as usize]).unwrap();
        for part in parts.iter() {
            let before = self.written;
            self.written += part.len();
            if self.full_at.is_some_and(|at| at < self.written) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.extend_from_slice(part);
            if let Some(at) = self.spoil_at.filter(|at| (before..self.written).contains(at)) {
                let end = file.len() - (self.written - at);
                file[end] ^= 1;
            }
        }
        Ok(())
    }

    fn overwrite(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(&self.open[file.0 as usize]).unwrap();
        file[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, file: FileId) -> io::Result<()> {
        // A closed file takes no more bytes.
        self.open[file.0 as usize] = String::new();
        Ok(())
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        let file = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file.as_slice()))
    }
}

/// A counter as entropy: every draw is different, and the same in every run.
pub struct Counter(pub u64);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

/// A key of its own for each class and scheme.
pub fn keys() -> PackagingKeys {
    let both = TrackClass::ALL.into_iter().flat_map(|class| Scheme::ALL.map(|s| (class, s)));
    let key = |(class, scheme): (TrackClass, Scheme)| PackagingKey {
        kid: KeyId::from_bytes([class as u8 * 16 + scheme as u8; 16]),
        key: ContentKey::from_bytes(Zeroizing::new([class as u8 * 2 + scheme as u8 + 100; 16])),
        iv: None,
        track_class: Some(class),
        scheme: Some(scheme),
        period: None,
    };
    PackagingKeys::new(both.map(key).collect())
}

pub fn plan(layout: Layout, schemes: &[Scheme]) -> Plan {
    Plan {
        content_id: ContentId::parse("clip").unwrap(),
        package_id: PackageId::from_bytes([9; 16]),
        schemes: schemes.to_vec(),
        layout,
        segment_s: 2,
        packager: "test".into(),
        now: Timestamp(1_000),
        images: None,
        has_trick_track: false,
        rotation: None,
        clear_lead_s: 0,
        descriptions: Vec::new(),
        ad_cues_ms: Vec::new(),
    }
}

/// Packages files that are called `0.mp4`, `1.mp4` …
pub fn run(
    files: &[&[u8]],
    plan: &Plan,
    keys: &PackagingKeys,
    out: &mut Memory,
) -> Result<PackagedEvent, PackageError> {
    let mut sources = files.to_vec();
    let mut inputs: Vec<_> = sources
        .iter_mut()
        .enumerate()
        .map(|(at, source)| NamedInput { name: format!("{at}.mp4"), input: source })
        .collect();
    package(&mut inputs, plan, keys, out, &mut Counter(1), &mut |_| ())
}
