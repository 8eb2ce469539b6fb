//! Which key and which IVs protect each track.

use super::cut::TrackCut;
use super::error::KeyFault;
use super::job::JobTrack;
use super::key_periods::{PlannedTurn, track_turns};
use crate::cenc::{IvRanges, SampleIv, Tenc, TrackCipher};
use crate::manifest::KeyRotation;
use keys::{FingerprintKey, PackagingKey, PackagingKeys};
use model::{Entropy, KeyId, Scheme};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// How one track is protected under one scheme.
pub(crate) struct Protection<'k> {
    /// The scheme.
    pub scheme: Scheme,
    /// The id of the track's key.
    pub kid: KeyId,
    /// What a PlayReady header of `cenc` carries.
    pub playready_checksum: Option<[u8; 8]>,
    /// Settings in the init, or of the period that is written.
    pub tenc: Tenc,
    /// The cipher; none where the key changes until the first period begins: the track's own key
    /// encrypts nothing.
    pub cipher: Option<TrackCipher>,
    /// IV of the first sample; none where it is constant.
    pub first_iv: Option<SampleIv>,
    /// Where the key changes; empty where it does not.
    pub turns: Vec<PlannedTurn<'k>>,
}

/// A use of a key: it encrypts a track under a scheme.
pub(super) type Use<'k> = (&'k PackagingKey, Scheme);

/// Finds key and IVs for every track and scheme.
///
/// Shape: for each track one [`Protection`] for each scheme, in the order of `schemes`.
/// Errors: [`KeyFault`]; before any IV is drawn where a key is missing or used wrongly.
pub(super) fn protect<'k>(
    tracks: &[(&JobTrack, &TrackCut)],
    schemes: &[Scheme],
    keys: &'k PackagingKeys,
    rotation: Option<&KeyRotation>,
    entropy: &mut dyn Entropy,
) -> Result<Vec<Vec<Protection<'k>>>, KeyFault> {
    let mut used = Vec::new();
    for (job, _) in tracks {
        for scheme in schemes {
            let missing = KeyFault::Missing { class: job.class, scheme: *scheme };
            used.push((keys.find(job.class, *scheme).ok_or(missing)?, *scheme));
        }
    }
    match rotation {
        None => {
            check_distinct(used.iter().map(|(key, _)| *key), entropy)?;
            check_imported_ivs(used.iter().copied())?;
        }
        Some(rotation) => {
            let of_periods = super::key_periods::uses(tracks, schemes, keys, rotation)?;
            let all = used.iter().chain(&of_periods).map(|(key, _)| *key);
            check_distinct(all, entropy)?;
            check_imported_ivs(of_periods.iter().copied())?;
        }
    }
    let mut drawing = Drawing::new(entropy);
    let mut used = used.into_iter();
    let mut protect_one = |(job, cut): &(&JobTrack, &TrackCut)| {
        let own = used.by_ref().take(schemes.len());
        let protected = own.map(|(key, scheme)| match rotation {
            None => drawing.protection(job, key, scheme),
            Some(rotation) => {
                let turns = track_turns((job, cut), scheme, keys, rotation, &mut drawing)?;
                Ok(drawing.named(job, key, scheme, turns))
            }
        });
        protected.collect()
    };
    tracks.iter().map(&mut protect_one).collect()
}

/// IVs are kept apart within one key; so two key ids must not hide the same key. A key of a period
/// serves that period alone.
fn check_distinct<'k>(
    used: impl Iterator<Item = &'k PackagingKey>,
    entropy: &mut dyn Entropy,
) -> Result<(), KeyFault> {
    let mut once = Zeroizing::new([0; 32]);
    entropy.fill(&mut *once);
    let fingerprints = FingerprintKey::from_bytes(&once);
    let (mut by_kid, mut by_print) = (BTreeMap::new(), BTreeMap::new());
    for PackagingKey { kid, key, period, .. } in used {
        let print = key.fingerprint(&fingerprints);
        let (of_kid, in_period) = *by_kid.entry(*kid).or_insert((print, *period));
        let (of_print, print_in) = *by_print.entry(print).or_insert((*kid, *period));
        if (in_period, print_in) != (*period, *period) {
            let last = (*period).max(in_period).max(print_in);
            return Err(KeyFault::PeriodsShareKey { period: last.unwrap_or(0) });
        }
        if of_kid != print {
            return Err(KeyFault::SameKid);
        }
        if of_print != *kid {
            return Err(KeyFault::SameKey);
        }
    }
    Ok(())
}

fn check_imported_ivs<'k>(used: impl Iterator<Item = Use<'k>>) -> Result<(), KeyFault> {
    let mut uses: BTreeMap<KeyId, u32> = BTreeMap::new();
    for (key, _) in used.filter(|(key, scheme)| *scheme == Scheme::Cenc && key.iv.is_some()) {
        let count = uses.entry(key.kid).or_default();
        *count += 1;
        if *count > 1 {
            return Err(KeyFault::IvServesSeveralTracks);
        }
    }
    Ok(())
}

/// Draws IVs.
pub(super) struct Drawing<'e> {
    entropy: &'e mut dyn Entropy,
    ranges: IvRanges,
    /// Constant IVs of keys that came without one: a license of FairPlay carries one IV with
    /// the key, so all tracks of a key share it.
    constant: BTreeMap<KeyId, [u8; 16]>,
}

impl<'e> Drawing<'e> {
    fn new(entropy: &'e mut dyn Entropy) -> Self {
        Self { entropy, ranges: IvRanges::default(), constant: BTreeMap::new() }
    }

    fn protection<'k>(
        &mut self,
        job: &JobTrack,
        key: &PackagingKey,
        scheme: Scheme,
    ) -> Result<Protection<'k>, KeyFault> {
        let (tenc, first_iv) = self.settings(job, key, scheme, job.track.samples.count())?;
        let cipher = TrackCipher::new(&key.key, scheme, tenc.constant_iv.unwrap_or_default());
        let own = self.named(job, key, scheme, Vec::new());
        Ok(Protection { tenc, cipher: Some(cipher), first_iv, ..own })
    }

    /// What names a track under a key that encrypts nothing.
    fn named<'k>(
        &mut self,
        job: &JobTrack,
        key: &PackagingKey,
        scheme: Scheme,
        turns: Vec<PlannedTurn<'k>>,
    ) -> Protection<'k> {
        let kid = key.kid;
        let constant_iv = (scheme == Scheme::Cbcs).then(|| self.constant_iv(key));
        let iv_size = if scheme == Scheme::Cbcs { 0 } else { 8 };
        let tenc = Tenc { pattern: pattern(job, scheme), kid, iv_size, constant_iv };
        let playready_checksum = (scheme == Scheme::Cenc).then(|| key.key.playready_checksum(kid));
        Protection { scheme, kid, playready_checksum, tenc, cipher: None, first_iv: None, turns }
    }

    /// The settings of so many samples of a track under a key, and the first one's IV.
    pub(super) fn settings(
        &mut self,
        job: &JobTrack,
        key: &PackagingKey,
        scheme: Scheme,
        samples: u32,
    ) -> Result<(Tenc, Option<SampleIv>), KeyFault> {
        let (first_iv, constant_iv) = match (scheme, key.iv) {
            (Scheme::Cbcs, _) => (None, Some(self.constant_iv(key))),
            (Scheme::Cenc, Some(iv)) => (Some(SampleIv::imported(iv)), None),
            (Scheme::Cenc, None) => (Some(self.ranges.reserve(samples, self.entropy)?), None),
        };
        let iv_size = first_iv.map_or(0, SampleIv::size);
        let tenc = Tenc { pattern: pattern(job, scheme), kid: key.kid, iv_size, constant_iv };
        Ok((tenc, first_iv))
    }

    fn constant_iv(&mut self, key: &PackagingKey) -> [u8; 16] {
        key.iv.unwrap_or_else(|| {
            *self.constant.entry(key.kid).or_insert_with(|| {
                let mut iv = [0; 16];
                self.entropy.fill(&mut iv);
                iv
            })
        })
    }
}

fn pattern(job: &JobTrack, scheme: Scheme) -> Option<(u8, u8)> {
    (scheme == Scheme::Cbcs && job.is_video()).then_some((1, 9))
}
