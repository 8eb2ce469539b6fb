//! The cipher of one track: which bytes of a sample, under which IV.

use super::Subsample;
use keys::{CbcsCipher, CencCipher, ContentKey};
use model::Scheme;
use std::ops::Range;

/// Encrypts and decrypts the samples of one track.
#[derive(Debug)]
pub enum TrackCipher {
    /// CBC; video in the pattern 1:9, sound in whole blocks.
    Cbcs {
        /// The cipher.
        cipher: Box<CbcsCipher>,
        /// With what each protected run begins.
        constant_iv: [u8; 16],
    },
    /// CTR.
    Cenc(CencCipher),
}

/// A map of protected bytes that does not fit its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subsamples do not cover the sample exactly")]
pub struct MapMismatch;

impl TrackCipher {
    /// The cipher of `scheme` under `key`; `constant_iv` counts in `cbcs` only.
    #[must_use]
    pub fn new(key: &ContentKey, scheme: Scheme, constant_iv: [u8; 16]) -> Self {
        match scheme {
            Scheme::Cbcs => Self::Cbcs { cipher: Box::new(key.cbcs()), constant_iv },
            Scheme::Cenc => Self::Cenc(key.cenc()),
        }
    }

    /// Encrypts a sample in place. No subsamples: the whole sample is protected.
    ///
    /// Errors: [`MapMismatch`]; the sample is then not to be used.
    pub fn encrypt(
        &mut self,
        iv: Option<[u8; 16]>,
        subsamples: &[Subsample],
        sample: &mut [u8],
    ) -> Result<(), MapMismatch> {
        check(subsamples, sample.len())?;
        match self {
            Self::Cbcs { cipher, constant_iv } if subsamples.is_empty() => {
                cipher.encrypt_whole(constant_iv, sample);
                Ok(())
            }
            Self::Cbcs { cipher, constant_iv } => each_run(subsamples, sample, |run| {
                cipher.encrypt_pattern(constant_iv, run);
            }),
            Self::Cenc(cipher) => apply(cipher, iv, subsamples, sample),
        }
    }

    /// Reverses [`Self::encrypt`].
    pub fn decrypt(
        &mut self,
        iv: Option<[u8; 16]>,
        subsamples: &[Subsample],
        sample: &mut [u8],
    ) -> Result<(), MapMismatch> {
        check(subsamples, sample.len())?;
        match self {
            Self::Cbcs { cipher, constant_iv } if subsamples.is_empty() => {
                cipher.decrypt_whole(constant_iv, sample);
                Ok(())
            }
            Self::Cbcs { cipher, constant_iv } => each_run(subsamples, sample, |run| {
                cipher.decrypt_pattern(constant_iv, run);
            }),
            Self::Cenc(cipher) => apply(cipher, iv, subsamples, sample),
        }
    }
}

fn check(subsamples: &[Subsample], len: usize) -> Result<(), MapMismatch> {
    let covered: u64 =
        subsamples.iter().map(|one| u64::from(one.clear) + u64::from(one.protected)).sum();
    if subsamples.is_empty() || covered == len as u64 { Ok(()) } else { Err(MapMismatch) }
}

fn each_run(
    subsamples: &[Subsample],
    sample: &mut [u8],
    mut run: impl FnMut(&mut [u8]),
) -> Result<(), MapMismatch> {
    for range in protected(subsamples) {
        run(sample.get_mut(range).ok_or(MapMismatch)?);
    }
    Ok(())
}

fn apply(
    cipher: &mut CencCipher,
    iv: Option<[u8; 16]>,
    subsamples: &[Subsample],
    sample: &mut [u8],
) -> Result<(), MapMismatch> {
    let iv = iv.ok_or(MapMismatch)?;
    let whole = subsamples.is_empty().then_some(0..sample.len());
    cipher.apply(&iv, sample, protected(subsamples).chain(whole)).map_err(|_| MapMismatch)
}

/// The protected byte ranges of a sample.
fn protected(subsamples: &[Subsample]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    subsamples.iter().map(move |one| {
        let start = at + usize::from(one.clear);
        at = start + one.protected as usize;
        start..at
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::SystemEntropy;
    use proptest::prelude::*;

    #[test]
    fn a_map_that_does_not_fit_is_refused() {
        let key = ContentKey::generate(&mut SystemEntropy);
        for scheme in Scheme::ALL {
            let mut cipher = TrackCipher::new(&key, scheme, [0; 16]);
            for protected in [15, 17, u32::MAX] {
                let map = [Subsample { clear: 4, protected }];
                assert!(cipher.encrypt(Some([0; 16]), &map, &mut [0; 20]).is_err());
            }
        }
        let mut cenc = TrackCipher::new(&key, Scheme::Cenc, [0; 16]);
        assert!(cenc.encrypt(None, &[], &mut [0; 20]).is_err());
    }

    proptest! {
        #[test]
        fn decryption_reverses_encryption_and_clear_bytes_stay(
            runs in proptest::collection::vec((0_u16..40, 0_u32..400), 0..9),
            iv: [u8; 16],
        ) {
            let key = ContentKey::generate(&mut SystemEntropy);
            let map: Vec<_> = runs
                .iter()
                .map(|(clear, protected)| Subsample { clear: *clear, protected: *protected })
                .collect();
            let len = runs.iter().map(|(clear, protected)| u32::from(*clear) + protected).sum::<u32>();
            let source: Vec<u8> = (0..len.max(64)).map(|at| (at % 251) as u8).collect();
            let source = if map.is_empty() { &source[..] } else { &source[..len as usize] };
            for scheme in Scheme::ALL {
                let mut cipher = TrackCipher::new(&key, scheme, iv);
                let mut sample = source.to_vec();
                cipher.encrypt(Some(iv), &map, &mut sample).unwrap();
                let mut at = 0;
                for Subsample { clear, protected } in &map {
                    let clear = usize::from(*clear);
                    prop_assert_eq!(&sample[at..at + clear], &source[at..at + clear]);
                    at += clear + *protected as usize;
                }
                prop_assert!(map.iter().all(|one| one.protected < 16) && !map.is_empty() || sample != source);
                cipher.decrypt(Some(iv), &map, &mut sample).unwrap();
                prop_assert_eq!(&sample, source);
            }
        }
    }
}
