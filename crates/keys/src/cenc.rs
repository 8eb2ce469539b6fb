//! `cenc`: AES-128-CTR over the protected bytes of a sample (ISO/IEC 23001-7:2016, 9.5, 10.1).

use crate::ContentKey;
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::iv::FixedLength;
use std::ops::Range;

const BLOCK: usize = 16;

/// Encrypts and decrypts the samples of one track under `cenc`. No call allocates.
pub struct CencCipher {
    /// On the heap: moving the cipher leaves no copy of the key schedule behind.
    key: Box<EncryptingKey>,
}

impl CencCipher {
    pub(crate) fn new(key: &ContentKey) -> Self {
        Self { key: Box::new(EncryptingKey::ctr(key.unbound()).expect("AES has CTR")) }
    }

    /// The first counter block of a sample whose IV has 8 bytes.
    #[must_use]
    pub fn counter_block(iv: [u8; 8]) -> [u8; 16] {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&iv);
        block
    }

    /// Encrypts or decrypts the `protected` ranges of one sample as one key stream that begins
    /// with the counter block `iv` and goes on from range to range.
    ///
    /// Limits: ranges beyond the sample are a mistake of the caller and leave it untouched
    /// from there on; the counter is the last 8 bytes of `iv` and wraps within them.
    /// Errors: [`RangeOutsideSample`].
    pub fn apply(
        &mut self,
        iv: &[u8; 16],
        sample: &mut [u8],
        protected: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<(), RangeOutsideSample> {
        let mut done = 0;
        for range in protected {
            let run = sample.get_mut(range).ok_or(RangeOutsideSample)?;
            self.continue_stream(iv, done, run);
            done += run.len();
        }
        Ok(())
    }

    /// Applies the key stream from byte `offset` on.
    fn continue_stream(&self, iv: &[u8; 16], offset: usize, run: &mut [u8]) {
        let used = offset % BLOCK;
        let mut block_at = (offset / BLOCK) as u64;
        let mut rest = run;
        if used != 0 {
            // The block in which the range before ended: its unused key stream comes first.
            let mut stream = [0; BLOCK];
            self.apply_blocks(iv, block_at, &mut stream);
            let (head, tail) = rest.split_at_mut(rest.len().min(BLOCK - used));
            head.iter_mut().zip(stream.iter().skip(used)).for_each(|(byte, key)| *byte ^= key);
            block_at += 1;
            rest = tail;
        }
        self.apply_blocks(iv, block_at, rest);
    }

    /// Applies the key stream from block `block_at` on. The library counts in all 16 bytes,
    /// the standard in the last 8: where those wrap, the stream goes on from zero.
    fn apply_blocks(&self, iv: &[u8; 16], block_at: u64, run: &mut [u8]) {
        let [prefix, counter] = halves(iv);
        let counter = u64::from_be_bytes(counter).wrapping_add(block_at);
        let until_wrap = usize::try_from(u64::MAX - counter)
            .ok()
            .and_then(|blocks| blocks.checked_add(1)?.checked_mul(BLOCK));
        let (head, tail) = run.split_at_mut(until_wrap.unwrap_or(usize::MAX).min(run.len()));
        self.counter_mode(prefix, counter, head);
        self.counter_mode(prefix, 0, tail);
    }

    fn counter_mode(&self, prefix: [u8; 8], counter: u64, run: &mut [u8]) {
        if run.is_empty() {
            return;
        }
        let mut block = Self::counter_block(prefix);
        block[8..].copy_from_slice(&counter.to_be_bytes());
        let context = EncryptionContext::Iv128(FixedLength::from(block));
        self.key.less_safe_encrypt(run, context).expect("CTR takes any length");
    }
}

fn halves(iv: &[u8; 16]) -> [[u8; 8]; 2] {
    let [a, b, c, d, e, f, g, h, counter @ ..] = *iv;
    [[a, b, c, d, e, f, g, h], counter]
}

/// A protected range reaches beyond its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a protected range reaches beyond its sample")]
pub struct RangeOutsideSample;

impl std::fmt::Debug for CencCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CencCipher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{KeyIvInit as _, StreamCipher as _};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    /// The other implementation; its counter is the last 8 bytes, as the standard's.
    type Oracle = ctr::Ctr64BE<aes::Aes128>;

    fn cipher(key: [u8; 16]) -> CencCipher {
        ContentKey::from_bytes(Zeroizing::new(key)).cenc()
    }

    #[test]
    fn sp_800_38a_f_5_1_ctr_aes128() {
        let iv = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff_u128.to_be_bytes();
        let clear = [
            0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128,
            0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
        ];
        let stored = [
            0x874d_6191_b620_e326_1bef_6864_990d_b6ce_u128,
            0x9806_f66b_7970_fdff_8617_187b_b9ff_fdff,
        ];
        let mut sample = clear.map(u128::to_be_bytes).concat();
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        cipher(key).apply(&iv, &mut sample, std::iter::once(0..32)).unwrap();
        assert_eq!(sample, stored.map(u128::to_be_bytes).concat());
    }

    proptest! {
        #[test]
        fn ranges_share_the_other_implementations_stream(
            key: [u8; 16], prefix: [u8; 8], counter in prop_oneof![
                any::<u64>(), (0..40_u64).prop_map(|back| u64::MAX - back),
            ],
            runs in vec((0..40_usize, vec(any::<u8>(), 0..70)), 0..8),
        ) {
            let mut iv = [0; 16];
            iv[..8].copy_from_slice(&prefix);
            iv[8..].copy_from_slice(&counter.to_be_bytes());
            let mut oracle = Oracle::new(&key.into(), &iv.into());
            let (mut clear, mut expected, mut protected) = (vec![], vec![], vec![]);
            for (gap, run) in &runs {
                clear.extend(vec![7; *gap]);
                protected.push(clear.len()..clear.len() + run.len());
                clear.extend(run);
                let mut stored = run.clone();
                oracle.apply_keystream(&mut stored);
                expected.extend(vec![7; *gap]);
                expected.extend(stored);
            }
            let (mut sample, mut cipher) = (clear.clone(), cipher(key));
            cipher.apply(&iv, &mut sample, protected.clone()).unwrap();
            prop_assert_eq!(&sample, &expected);
            cipher.apply(&iv, &mut sample, protected).unwrap();
            prop_assert_eq!(sample, clear);
        }
    }

    #[test]
    fn a_range_outside_the_sample_is_refused() {
        let mut sample = [0; 32];
        let refused = cipher([1; 16]).apply(&[0; 16], &mut sample, std::iter::once(8..33));
        assert_eq!(refused, Err(RangeOutsideSample));
        assert_eq!(sample, [0; 32]);
    }
}
