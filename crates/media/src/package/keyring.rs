//! Which key and which IVs protect each track.

use super::error::KeyFault;
use super::job::JobTrack;
use crate::cenc::{IvRanges, SampleIv, Tenc, TrackCipher};
use keys::{ContentKey, FingerprintKey, PackagingKey, PackagingKeys};
use model::{Entropy, KeyId, Scheme};
use zeroize::Zeroizing;

/// How one track is protected under one scheme.
pub(crate) struct Protection {
    /// The scheme.
    pub scheme: Scheme,
    /// The key's id.
    pub kid: KeyId,
    /// What a PlayReady header of `cenc` carries.
    pub playready_checksum: Option<[u8; 8]>,
    /// Settings in the init.
    pub tenc: Tenc,
    /// The cipher.
    pub cipher: TrackCipher,
    /// IV of the first sample; none where it is constant.
    pub first_iv: Option<SampleIv>,
}

/// Finds key and IVs for every track and scheme.
///
/// Shape: for each track one [`Protection`] for each scheme, in the order of `schemes`.
/// Errors: [`KeyFault`]; before any IV is drawn where a key is missing or used wrongly.
pub(super) fn protect(
    tracks: &[JobTrack],
    schemes: &[Scheme],
    keys: &PackagingKeys,
    entropy: &mut dyn Entropy,
) -> Result<Vec<Vec<Protection>>, KeyFault> {
    let mut used = Vec::new();
    for job in tracks {
        for scheme in schemes {
            let missing = KeyFault::Missing { class: job.class, scheme: *scheme };
            used.push((keys.find(job.class, *scheme).ok_or(missing)?, *scheme));
        }
    }
    check_distinct(&used, entropy)?;
    check_imported_ivs(&used)?;
    let mut drawing = Drawing { entropy, ranges: IvRanges::default(), constant: Vec::new() };
    let mut used = used.into_iter();
    let mut protect_one = |job: &JobTrack| {
        used.by_ref()
            .take(schemes.len())
            .map(|(key, scheme)| drawing.protection(job, key, scheme))
            .collect()
    };
    tracks.iter().map(&mut protect_one).collect()
}

/// IVs are kept apart within one key; so two key ids must not hide the same key.
fn check_distinct(
    used: &[(&PackagingKey, Scheme)],
    entropy: &mut dyn Entropy,
) -> Result<(), KeyFault> {
    let mut once = Zeroizing::new([0; 32]);
    entropy.fill(&mut *once);
    let fingerprints = FingerprintKey::from_bytes(&once);
    let print = |key: &ContentKey| key.fingerprint(&fingerprints);
    let prints: Vec<_> = used.iter().map(|(key, _)| (key.kid, print(&key.key))).collect();
    for (at, (kid, fingerprint)) in prints.iter().enumerate() {
        for (other, of_other) in prints.iter().take(at) {
            match (kid == other, fingerprint == of_other) {
                (true, false) => return Err(KeyFault::SameKid),
                (false, true) => return Err(KeyFault::SameKey),
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_imported_ivs(used: &[(&PackagingKey, Scheme)]) -> Result<(), KeyFault> {
    let cenc = || used.iter().filter(|(_, scheme)| *scheme == Scheme::Cenc).map(|(key, _)| *key);
    for key in cenc().filter(|key| key.iv.is_some()) {
        if cenc().filter(|other| other.kid == key.kid).count() > 1 {
            return Err(KeyFault::IvServesSeveralTracks);
        }
    }
    Ok(())
}

struct Drawing<'e> {
    entropy: &'e mut dyn Entropy,
    ranges: IvRanges,
    /// Constant IVs of keys that came without one: a license of FairPlay carries one IV with
    /// the key, so all tracks of a key share it.
    constant: Vec<(KeyId, [u8; 16])>,
}

impl Drawing<'_> {
    fn protection(
        &mut self,
        job: &JobTrack,
        key: &PackagingKey,
        scheme: Scheme,
    ) -> Result<Protection, KeyFault> {
        let kid = key.kid;
        let (first_iv, constant_iv) = match scheme {
            Scheme::Cbcs => (None, Some(self.constant_iv(key))),
            Scheme::Cenc => (Some(self.first_iv(job, key)?), None),
        };
        let is_pattern = scheme == Scheme::Cbcs && job.is_video();
        let tenc = Tenc {
            pattern: is_pattern.then_some((1, 9)),
            kid,
            iv_size: first_iv.map_or(0, SampleIv::size),
            constant_iv,
        };
        let cipher = TrackCipher::new(&key.key, scheme, constant_iv.unwrap_or_default());
        let playready_checksum = (scheme == Scheme::Cenc).then(|| key.key.playready_checksum(kid));
        Ok(Protection { scheme, kid, playready_checksum, tenc, cipher, first_iv })
    }

    fn constant_iv(&mut self, key: &PackagingKey) -> [u8; 16] {
        let drawn = self.constant.iter().find(|(kid, _)| *kid == key.kid).map(|(_, iv)| *iv);
        key.iv.or(drawn).unwrap_or_else(|| {
            let mut iv = [0; 16];
            self.entropy.fill(&mut iv);
            self.constant.push((key.kid, iv));
            iv
        })
    }

    fn first_iv(&mut self, job: &JobTrack, key: &PackagingKey) -> Result<SampleIv, KeyFault> {
        match key.iv {
            Some(iv) => Ok(SampleIv::imported(iv)),
            None => Ok(self.ranges.reserve(job.track.samples.count(), self.entropy)?),
        }
    }
}
