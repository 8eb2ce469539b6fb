//! What a file's tracks hold, and how much of it `senc` says is encrypted.

use super::fields::{BoxDetail, KeySettings};
use crate::bmff::{BoxError, Fields, FourCc};
use crate::cenc::{FIRST_LOCAL_INDEX, GROUPING};
use model::KeyId;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// Most tracks of one file.
const MAX_TRACKS: usize = 256;
/// Most samples of one file, a day of 120 pictures a second; a run may claim any number.
const MAX_SAMPLES: u64 = 1 << 24;
/// Most samples of one fragment: their sizes are in memory until it ends.
const MAX_FRAGMENT_SAMPLES: usize = 1 << 20;

/// One track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrackReport {
    /// Its id.
    pub id: u32,
    /// `vide`, `soun`; none in a media segment, which does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Sample entries: `avc1`, or `encv` where they are encrypted.
    pub sample_entries: Vec<String>,
    /// The scheme of an encrypted entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Keys: of the track, then of its sample groups.
    pub kids: Vec<KeyId>,
    /// Samples in this file.
    pub samples: u64,
    /// Bytes of these samples.
    pub sample_bytes: u64,
    /// Samples with a protected part.
    pub protected_samples: u64,
    /// Bytes in protected parts; under a pattern only some of their blocks are encrypted.
    pub protected_bytes: u64,
    /// The same of a hundred.
    pub protected_percent: Percent,
    /// Which key each fragment is under, where fragments say it themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_runs: Vec<KeyRun>,
    /// Entries of the track's own `sgpd`, which fragments may name.
    #[serde(skip)]
    groups: Vec<KeySettings>,
    #[serde(skip)]
    entries: Vec<Option<KeySettings>>,
    /// Sample entry, counted from 1, and sample size where a fragment does not say them.
    #[serde(skip)]
    defaults: (u32, u32),
}

impl TrackReport {
    fn take_groups(&mut self, groups: &[KeySettings]) {
        groups.clone_into(&mut self.groups);
        self.take_kids(groups);
    }

    fn take_kids(&mut self, groups: &[KeySettings]) {
        for group in groups.iter().filter(|group| group.is_protected) {
            if !self.kids.contains(&group.kid) {
                self.kids.push(group.kid);
            }
        }
    }
}

/// Fragments that follow each other under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRun {
    /// The key; none where samples are clear.
    pub kid: Option<KeyId>,
    /// How many fragments.
    pub fragments: u64,
    /// Their samples.
    pub samples: u64,
}

/// A share of a hundred, in whole hundredths, rounded down: 100 is said of nothing less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percent(u64);

impl Percent {
    fn of(part: u64, whole: u64) -> Self {
        let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
        Self(u64::try_from(hundredths).unwrap_or(u64::MAX))
    }
}

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0 as f64 / 100.0)
    }
}

/// The tracks while the boxes go by.
#[derive(Default)]
pub(super) struct Tracks {
    tracks: BTreeMap<u32, TrackReport>,
    /// The `trak` that is open; its id comes with its `tkhd`.
    open: Option<TrackReport>,
    /// The `traf` that is open.
    fragment: Option<Fragment>,
    /// Samples that all runs claim.
    claimed: u64,
    /// Bytes of samples that the last `moof` announced.
    announced: u64,
}

#[derive(Default)]
struct Fragment {
    track: u32,
    /// Sample entry, counted from 1.
    entry: usize,
    default_size: u32,
    sizes: Vec<u32>,
    /// Body of its `senc`.
    senc: Option<Vec<u8>>,
    /// Entries of its own `sgpd`.
    groups: Vec<KeySettings>,
    /// Runs of its `sbgp`: samples, and the index of their entry.
    group_runs: Vec<(u32, u32)>,
}

impl Fragment {
    /// The entry that all its samples are under; none where it names none, or several.
    fn group<'a>(&'a self, of_track: &'a [KeySettings]) -> Option<&'a KeySettings> {
        let [(samples, index)] = self.group_runs[..] else { return None };
        if usize::try_from(samples).ok()? != self.sizes.len() {
            return None;
        }
        let (groups, before) = match index.checked_sub(FIRST_LOCAL_INDEX - 1) {
            Some(local) => (&self.groups[..], local),
            None => (of_track, index),
        };
        groups.get(usize::try_from(before.checked_sub(1)?).ok()?)
    }
}

impl Tracks {
    pub(super) fn enter(&mut self, kind: FourCc) {
        match &kind.0 {
            b"trak" => self.open = Some(TrackReport::default()),
            b"moof" => self.announced = 0,
            b"traf" => self.fragment = Some(Fragment::default()),
            b"encv" | b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01" | b"vp09" | b"enca"
            | b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => {
                if let Some(track) = &mut self.open {
                    track.sample_entries.push(kind.to_string());
                    track.entries.push(None);
                }
            }
            _ => {}
        }
    }

    /// Defects that the whole of a box shows.
    pub(super) fn leave(&mut self, kind: FourCc) -> Vec<String> {
        match &kind.0 {
            b"trak" => self.open.take().and_then(|track| self.close_track(track)),
            b"traf" => self.fragment.take().and_then(|fragment| self.close_fragment(fragment)),
            _ => None,
        }
        .into_iter()
        .collect()
    }

    fn close_track(&mut self, mut track: TrackReport) -> Option<String> {
        if self.tracks.len() >= MAX_TRACKS {
            return Some(format!("more than {MAX_TRACKS} tracks"));
        }
        let is_encrypted = track.sample_entries.iter().any(|entry| entry.starts_with("enc"));
        let has_key = track.entries.iter().flatten().any(|settings| settings.is_protected);
        track.kids.dedup();
        let id = track.id;
        match self.tracks.insert(id, track) {
            Some(_) => Some(format!("a second track with the id {id}")),
            None if is_encrypted && !has_key => {
                Some("an encrypted sample entry without a `tenc` that protects it".to_owned())
            }
            None => None,
        }
    }

    /// Takes what a leaf box says. Errors: what is wrong with it.
    pub(super) fn take(
        &mut self,
        kind: FourCc,
        body: &[u8],
        detail: Option<&BoxDetail>,
    ) -> Result<(), String> {
        let result = match (&kind.0, detail) {
            (b"trex", _) => self.take_defaults(body),
            (b"tfhd", _) => self.take_fragment_header(body),
            (b"trun", _) => self.take_run(body),
            (b"stsz", _) => self.take_sizes(body),
            (b"senc", _) => {
                if let Some(fragment) = &mut self.fragment {
                    fragment.senc = Some(body.to_vec());
                }
                Ok(())
            }
            (b"sbgp", _) => self.take_group_runs(body),
            (b"sgpd", Some(BoxDetail::KeyGroups(groups))) => {
                match (&mut self.fragment, &mut self.open) {
                    // Its track may be one that no `moov` told of.
                    (Some(fragment), _) => fragment.groups.clone_from(groups),
                    (None, Some(track)) => track.take_groups(groups),
                    (None, None) => {}
                }
                Ok(())
            }
            (_, Some(detail)) => {
                self.take_track_detail(detail);
                Ok(())
            }
            _ => Ok(()),
        };
        result.map_err(|error| error.to_string())
    }

    /// `sbgp` of key groups (8.9.2).
    fn take_group_runs(&mut self, body: &[u8]) -> Result<(), BoxError> {
        let Some(fragment) = &mut self.fragment else { return Ok(()) };
        let mut fields = Fields::new(body);
        let (version, _) = fields.version_and_flags()?;
        if fields.array::<4>()? != GROUPING {
            return Ok(());
        }
        if version == 1 {
            fields.u32()?;
        }
        for _ in 0..fields.u32()? {
            fragment.group_runs.push((fields.u32()?, fields.u32()?));
        }
        Ok(())
    }

    fn take_track_detail(&mut self, detail: &BoxDetail) {
        let Some(track) = &mut self.open else { return };
        match detail {
            BoxDetail::Track { id } => track.id = *id,
            // The data handler of `minf` comes later and says nothing.
            BoxDetail::Handler { handler } => {
                track.handler.get_or_insert_with(|| handler.clone());
            }
            BoxDetail::Scheme { scheme, .. } => track.scheme = Some(scheme.clone()),
            BoxDetail::Encryption(settings) => {
                track.kids.push(settings.kid);
                if let Some(entry) = track.entries.last_mut() {
                    *entry = Some(settings.clone());
                }
            }
            _ => {}
        }
    }

    fn take_defaults(&mut self, body: &[u8]) -> Result<(), BoxError> {
        let mut fields = Fields::new(body);
        fields.version_and_flags()?;
        let id = fields.u32()?;
        let (entry, _duration, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        if let Some(track) = self.tracks.get_mut(&id) {
            track.defaults = (entry, size);
        }
        Ok(())
    }

    /// `tfhd` (ISO/IEC 14496-12, 8.8.7).
    fn take_fragment_header(&mut self, body: &[u8]) -> Result<(), BoxError> {
        let mut fields = Fields::new(body);
        let (_, flags) = fields.version_and_flags()?;
        let track = fields.u32()?;
        if flags & 0x1 != 0 {
            fields.u64()?;
        }
        let (entry, size) = self.tracks.get(&track).map_or((1, 0), |track| track.defaults);
        let entry = if flags & 0x2 != 0 { fields.u32()? } else { entry };
        if flags & 0x8 != 0 {
            fields.u32()?;
        }
        let default_size = if flags & 0x10 != 0 { fields.u32()? } else { size };
        if let Some(fragment) = &mut self.fragment {
            fragment.track = track;
            fragment.entry = usize::try_from(entry).unwrap_or(0);
            fragment.default_size = default_size;
        }
        Ok(())
    }

    /// `trun` (8.8.8).
    fn take_run(&mut self, body: &[u8]) -> Result<(), BoxError> {
        let Some(fragment) = &mut self.fragment else { return Ok(()) };
        let mut fields = Fields::new(body);
        let (_, flags) = fields.version_and_flags()?;
        let count = fields.u32()?;
        self.claimed = self.claimed.saturating_add(u64::from(count));
        let told = fragment.sizes.len().saturating_add(count as usize);
        if self.claimed > MAX_SAMPLES || told > MAX_FRAGMENT_SAMPLES {
            return Err(BoxError::Truncated);
        }
        for flag in [0x1, 0x4] {
            if flags & flag != 0 {
                fields.u32()?;
            }
        }
        for _ in 0..count {
            let mut size = fragment.default_size;
            for flag in [0x100, 0x200, 0x400, 0x800] {
                if flags & flag != 0 {
                    let field = fields.u32()?;
                    if flag == 0x200 {
                        size = field;
                    }
                }
            }
            fragment.sizes.push(size);
        }
        Ok(())
    }

    /// `stsz` (8.7.3.2) of a file that is not fragmented.
    fn take_sizes(&mut self, body: &[u8]) -> Result<(), BoxError> {
        let Some(track) = &mut self.open else { return Ok(()) };
        let mut fields = Fields::new(body);
        fields.version_and_flags()?;
        let (one_size, count) = (fields.u32()?, fields.u32()?);
        track.samples = u64::from(count);
        track.sample_bytes = u64::from(one_size) * u64::from(count);
        if one_size == 0 {
            for _ in 0..count {
                track.sample_bytes += u64::from(fields.u32()?);
            }
        }
        Ok(())
    }

    /// Counts a fragment's samples and what of them is protected.
    fn close_fragment(&mut self, fragment: Fragment) -> Option<String> {
        // A media segment has no `moov`, so its track is first seen here.
        if !self.tracks.contains_key(&fragment.track) && self.tracks.len() >= MAX_TRACKS {
            return Some(format!("more than {MAX_TRACKS} tracks"));
        }
        let track = self.tracks.entry(fragment.track).or_default();
        track.id = fragment.track;
        track.take_kids(&fragment.groups);
        let bytes: u64 = fragment.sizes.iter().map(|size| u64::from(*size)).sum();
        track.samples += fragment.sizes.len() as u64;
        track.sample_bytes += bytes;
        self.announced += bytes;
        let settings = fragment.entry.checked_sub(1).and_then(|at| track.entries.get(at));
        let settings = settings.and_then(Option::as_ref);
        let group = fragment.group(&track.groups);
        // A clear entry has no settings of its own, and no group makes it another.
        let settings = group.or(settings).filter(|settings| settings.is_protected).cloned();
        if group.is_some() || !track.key_runs.is_empty() {
            add_run(&mut track.key_runs, settings.as_ref(), fragment.sizes.len() as u64);
        }
        let settings = settings.as_ref();
        let is_constant = settings.is_some_and(|settings| settings.iv_size == 0);
        let takes_blocks = match track.scheme.as_deref() {
            Some(scheme) => matches!(scheme, "cbcs" | "cbc1"),
            // A media segment does not say it; only `cbcs` has constant IVs.
            None => is_constant,
        };
        let protected = match &fragment.senc {
            Some(senc) => protected_bytes(senc, settings, takes_blocks, &fragment.sizes),
            // Whole samples under a constant IV need no `senc`.
            None if is_constant => {
                Ok(fragment.sizes.iter().map(|size| whole(*size, takes_blocks)).collect())
            }
            None if settings.is_some() => Err("no `senc` for encrypted samples".to_owned()),
            None => return None,
        };
        match protected {
            Ok(protected) => {
                track.protected_samples +=
                    protected.iter().filter(|bytes| **bytes > 0).count() as u64;
                track.protected_bytes += protected.iter().sum::<u64>();
                None
            }
            Err(what) => Some(what),
        }
    }

    /// What is wrong with the `mdat` behind a `moof`.
    pub(super) fn media_data(&mut self, body_len: u64) -> Option<String> {
        let announced = std::mem::take(&mut self.announced);
        (announced > body_len).then(|| {
            format!("holds {body_len} bytes where the fragment's samples have {announced}")
        })
    }

    pub(super) fn reports(self) -> Vec<TrackReport> {
        let measured = |mut track: TrackReport| {
            track.protected_percent = Percent::of(track.protected_bytes, track.sample_bytes);
            track
        };
        self.tracks.into_values().map(measured).collect()
    }
}

fn add_run(runs: &mut Vec<KeyRun>, settings: Option<&KeySettings>, samples: u64) {
    let kid = settings.map(|settings| settings.kid);
    match runs.last_mut().filter(|last| last.kid == kid) {
        Some(last) => {
            last.fragments += 1;
            last.samples += samples;
        }
        None => runs.push(KeyRun { kid, fragments: 1, samples }),
    }
}

/// What of a whole protected sample is encrypted: in CBC only whole blocks.
fn whole(size: u32, takes_blocks: bool) -> u64 {
    u64::from(if takes_blocks { size & !15 } else { size })
}

/// Protected bytes of each sample, by a `senc` body (ISO/IEC 23001-7, 7.2).
///
/// A media segment does not say how long IVs are; the length that uses the box up is right.
fn protected_bytes(
    senc: &[u8],
    settings: Option<&KeySettings>,
    takes_blocks: bool,
    sizes: &[u32],
) -> Result<Vec<u64>, String> {
    let lengths: &[u8] = match settings {
        Some(settings) => &[settings.iv_size],
        None => &[0, 8, 16],
    };
    let read = lengths.iter().find_map(|iv_size| entries(senc, *iv_size));
    let (iv_size, entries) = read.ok_or("`senc` does not fit the length of the IVs")?;
    if entries.len() != sizes.len() {
        let (told, there) = (entries.len(), sizes.len());
        return Err(format!("`senc` tells of {told} samples where the fragment has {there}"));
    }
    let of_sample = |(at, (entry, size)): (usize, (&Option<Sums>, &u32))| match entry {
        None => Ok(whole(*size, takes_blocks || iv_size == 0)),
        Some(sums) if sums.clear + sums.protected == u64::from(*size) => Ok(sums.protected),
        Some(sums) => Err(format!(
            "`senc` covers {} bytes of sample {}, which has {size}",
            sums.clear + sums.protected,
            at + 1
        )),
    };
    entries.iter().zip(sizes).enumerate().map(of_sample).collect()
}

/// Clear and protected bytes of one sample.
struct Sums {
    clear: u64,
    protected: u64,
}

/// The entries of a `senc`, `None` each where there are no subsamples; `None` for all where IVs
/// of this length do not use the body up.
fn entries(senc: &[u8], iv_size: u8) -> Option<(u8, Vec<Option<Sums>>)> {
    let mut fields = Fields::new(senc);
    let (_, flags) = fields.version_and_flags().ok()?;
    let count = fields.u32().ok()?;
    if flags & 0x2 == 0 {
        let is_full = u64::from(count) * u64::from(iv_size) == fields.rest().len() as u64;
        let is_counted = is_full && count as usize <= MAX_FRAGMENT_SAMPLES;
        return is_counted.then(|| (iv_size, (0..count).map(|_| None).collect()));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        fields.take(usize::from(iv_size)).ok()?;
        let mut sums = Sums { clear: 0, protected: 0 };
        for _ in 0..fields.u16().ok()? {
            sums.clear += u64::from(fields.u16().ok()?);
            sums.protected += u64::from(fields.u32().ok()?);
        }
        entries.push(Some(sums));
    }
    fields.rest().is_empty().then_some((iv_size, entries))
}
