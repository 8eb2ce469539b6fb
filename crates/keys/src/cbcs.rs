//! `cbcs`: AES-128-CBC in a pattern of blocks (ISO/IEC 23001-7:2016, 9.6 and 10.4).

use crate::ContentKey;
use aws_lc_rs::cipher::{DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

const BLOCK: usize = 16;
/// One encrypted block in ten.
const PERIOD: usize = 10 * BLOCK;
/// Blocks gathered for one call of the library; 4 KiB stay in the first-level cache.
const GATHERED_BLOCKS: usize = 256;

/// Encrypts and decrypts the protected byte runs of one track under `cbcs`.
///
/// Every call is one run and starts from the IV it is given: the constant IV begins anew at
/// each subsample. No call allocates. Lengths are free; what is shorter than a block stays
/// clear.
pub struct CbcsCipher {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
    /// The pattern's encrypted blocks, side by side: one library call a block would cost more
    /// than twice the time.
    gathered: Box<Zeroizing<[u8; GATHERED_BLOCKS * BLOCK]>>,
}

impl CbcsCipher {
    pub(crate) fn new(key: &ContentKey) -> Self {
        Self {
            encrypting: EncryptingKey::cbc(key.unbound()).expect("AES has CBC"),
            decrypting: DecryptingKey::cbc(key.unbound()).expect("AES has CBC"),
            gathered: Box::new(Zeroizing::new([0; GATHERED_BLOCKS * BLOCK])),
        }
    }

    /// Encrypts one block in ten (video): the first, the eleventh and so on, as one chain.
    pub fn encrypt_pattern(&mut self, iv: &[u8; 16], run: &mut [u8]) {
        let mut chain = *iv;
        for stretch in run.chunks_mut(GATHERED_BLOCKS * PERIOD) {
            let blocks = gather(stretch, &mut self.gathered);
            encrypt(&self.encrypting, &chain, blocks);
            chain = last_block(blocks).unwrap_or(chain);
            scatter(blocks, stretch);
        }
    }

    /// Reverses [`Self::encrypt_pattern`].
    pub fn decrypt_pattern(&mut self, iv: &[u8; 16], run: &mut [u8]) {
        let mut chain = *iv;
        for stretch in run.chunks_mut(GATHERED_BLOCKS * PERIOD) {
            let blocks = gather(stretch, &mut self.gathered);
            let next = last_block(blocks).unwrap_or(chain);
            decrypt(&self.decrypting, &chain, blocks);
            chain = next;
            scatter(blocks, stretch);
        }
    }

    /// Encrypts every whole block (audio, pattern 0:0).
    pub fn encrypt_whole(&mut self, iv: &[u8; 16], run: &mut [u8]) {
        encrypt(&self.encrypting, iv, whole_blocks(run));
    }

    /// Reverses [`Self::encrypt_whole`].
    pub fn decrypt_whole(&mut self, iv: &[u8; 16], run: &mut [u8]) {
        decrypt(&self.decrypting, iv, whole_blocks(run));
    }
}

impl std::fmt::Debug for CbcsCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CbcsCipher(..)")
    }
}

fn whole_blocks(run: &mut [u8]) -> &mut [u8] {
    let (blocks, _tail) = run.as_chunks_mut::<BLOCK>();
    blocks.as_flattened_mut()
}

/// Copies the pattern's encrypted blocks out of `stretch`; returns them.
fn gather<'g>(stretch: &[u8], gathered: &'g mut [u8; GATHERED_BLOCKS * BLOCK]) -> &'g mut [u8] {
    let (slots, _) = gathered.as_chunks_mut::<BLOCK>();
    let mut count = 0;
    for (slot, block) in slots.iter_mut().zip(pattern(stretch)) {
        *slot = *block;
        count += 1;
    }
    slots.get_mut(..count).expect("counted within the slots").as_flattened_mut()
}

/// Copies the blocks back to where [`gather`] took them.
fn scatter(gathered: &[u8], stretch: &mut [u8]) {
    let (blocks, _) = gathered.as_chunks::<BLOCK>();
    let places = stretch.chunks_mut(PERIOD).filter_map(<[u8]>::first_chunk_mut::<BLOCK>);
    for (place, block) in places.zip(blocks) {
        *place = *block;
    }
}

fn pattern(stretch: &[u8]) -> impl Iterator<Item = &[u8; BLOCK]> {
    stretch.chunks(PERIOD).filter_map(<[u8]>::first_chunk::<BLOCK>)
}

fn last_block(blocks: &[u8]) -> Option<[u8; BLOCK]> {
    blocks.last_chunk::<BLOCK>().copied()
}

fn encrypt(key: &EncryptingKey, iv: &[u8; 16], blocks: &mut [u8]) {
    if !blocks.is_empty() {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(blocks, context).expect("whole blocks and an IV of 16 bytes");
    }
}

fn decrypt(key: &DecryptingKey, iv: &[u8; 16], blocks: &mut [u8]) {
    if !blocks.is_empty() {
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        key.decrypt(blocks, context).expect("whole blocks and an IV of 16 bytes");
    }
}
