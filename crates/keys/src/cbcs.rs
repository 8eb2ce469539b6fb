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
    /// On the heap, as the other: moving the cipher leaves no copy of a key schedule behind.
    encrypting: Box<EncryptingKey>,
    decrypting: Box<DecryptingKey>,
    /// The pattern's encrypted blocks, side by side: one library call a block would cost more
    /// than twice the time.
    gathered: Box<Zeroizing<[u8; GATHERED_BLOCKS * BLOCK]>>,
}

impl CbcsCipher {
    pub(crate) fn new(key: &ContentKey) -> Self {
        Self {
            encrypting: Box::new(EncryptingKey::cbc(key.unbound()).expect("AES has CBC")),
            decrypting: Box::new(DecryptingKey::cbc(key.unbound()).expect("AES has CBC")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use aes::Aes128;
    use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn cipher(key: [u8; 16]) -> CbcsCipher {
        ContentKey::from_bytes(Zeroizing::new(key)).cbcs()
    }

    /// The other implementation, block by block as the standard tells it.
    fn oracle(key: [u8; 16], iv: [u8; 16], run: &mut [u8], period: usize) {
        let mut chain = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into());
        for place in run.chunks_mut(period) {
            if let Some(block) = place.first_chunk_mut::<16>() {
                let mut own = (*block).into();
                chain.encrypt_block(&mut own);
                *block = own.into();
            }
        }
    }

    #[test]
    fn sp_800_38a_f_2_1_cbc_aes128() {
        let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
        let clear = [
            0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128,
            0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
            0x30c8_1c46_a35c_e411_e5fb_c119_1a0a_52ef,
            0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710,
        ]
        .map(u128::to_be_bytes);
        let stored = [
            0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128,
            0x5086_cb9b_5072_19ee_95db_113a_9176_78b2,
            0x73be_d6b8_e3c1_743b_7116_e69e_2222_9516,
            0x3ff1_caa1_681f_ac09_120e_ca30_7586_e1a7,
        ]
        .map(u128::to_be_bytes);
        let mut cipher = cipher(0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes());
        let mut run = clear.concat();
        cipher.encrypt_whole(&iv, &mut run);
        assert_eq!(run, stored.concat());

        // The same chain spread over the pattern: one block, nine left alone.
        let spread = |blocks: [[u8; 16]; 4]| blocks.map(|block| [block; 10].concat()).concat();
        let mut run = spread(clear);
        cipher.encrypt_pattern(&iv, &mut run);
        for (at, block) in run.as_chunks::<16>().0.iter().enumerate() {
            let expected = if at % 10 == 0 { stored } else { clear };
            assert_eq!(*block, expected[at / 10], "block {at}");
        }
    }

    proptest! {
        #[test]
        fn the_pattern_is_the_other_implementations(
            key: [u8; 16], iv: [u8; 16], clear in vec(any::<u8>(), 0..1000),
        ) {
            let (mut run, mut expected) = (clear.clone(), clear.clone());
            let mut cipher = cipher(key);
            cipher.encrypt_pattern(&iv, &mut run);
            oracle(key, iv, &mut expected, PERIOD);
            prop_assert_eq!(&run, &expected);
            cipher.decrypt_pattern(&iv, &mut run);
            prop_assert_eq!(run, clear);
        }

        #[test]
        fn whole_blocks_are_the_other_implementations(
            key: [u8; 16], iv: [u8; 16], clear in vec(any::<u8>(), 0..200),
        ) {
            let (mut run, mut expected) = (clear.clone(), clear.clone());
            let mut cipher = cipher(key);
            cipher.encrypt_whole(&iv, &mut run);
            oracle(key, iv, &mut expected, BLOCK);
            prop_assert_eq!(&run, &expected);
            cipher.decrypt_whole(&iv, &mut run);
            prop_assert_eq!(run, clear);
        }
    }

    #[test]
    fn one_chain_runs_through_runs_longer_than_the_gathering() {
        for length in [GATHERED_BLOCKS * PERIOD, GATHERED_BLOCKS * PERIOD + 16, 100_000] {
            let clear: Vec<u8> = (0..=250).cycle().take(length).collect();
            let (mut run, mut expected) = (clear.clone(), clear.clone());
            let mut cipher = cipher([3; 16]);
            cipher.encrypt_pattern(&[9; 16], &mut run);
            oracle([3; 16], [9; 16], &mut expected, PERIOD);
            assert!(run == expected, "{length}");
            cipher.decrypt_pattern(&[9; 16], &mut run);
            assert!(run == clear, "{length}");
        }
    }

    #[test]
    fn less_than_a_block_stays_clear() {
        let mut run = [5; 15];
        cipher([1; 16]).encrypt_pattern(&[2; 16], &mut run);
        cipher([1; 16]).encrypt_whole(&[2; 16], &mut run);
        assert_eq!(run, [5; 15]);
    }
}
