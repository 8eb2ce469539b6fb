//! `cenc`: AES-128-CTR over the protected bytes of a sample (ISO/IEC 23001-7:2016, 9.5, 10.1).

use crate::ContentKey;
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::iv::FixedLength;
use std::ops::Range;

const BLOCK: usize = 16;

/// Encrypts and decrypts the samples of one track under `cenc`. No call allocates.
pub struct CencCipher {
    key: EncryptingKey,
}

impl CencCipher {
    pub(crate) fn new(key: &ContentKey) -> Self {
        Self { key: EncryptingKey::ctr(key.unbound()).expect("AES has CTR") }
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
