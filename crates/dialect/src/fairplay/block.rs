//! TLLV, the blocks of both payloads: tag u64, block length u32, value length u32, the value, and
//! padding up to the block length. Big endian.

use model::Entropy;

/// Most blocks of one payload. A client's has 10 to 20.
pub(super) const MAX_BLOCKS: usize = 128;
const HEAD_BYTES: usize = 16;
const UNIT: usize = 16;

/// The tags that are known.
pub(super) mod tag {
    /// The device's secrets: session key to integrity.
    pub(crate) const SESSION: u64 = 0x3d1a_10b8_bffa_c2ec;
    /// The integrity value, again.
    pub(crate) const INTEGRITY: u64 = 0xb349_d480_9e91_0687;
    /// What the derivation makes a key of.
    pub(crate) const R2: u64 = 0x71b5_595a_c152_1133;
    /// What makes an answer the answer to this request.
    pub(crate) const ANTI_REPLAY_SEED: u64 = 0x89c9_0f12_2041_06b2;
    /// Tags that the answer brings back.
    pub(crate) const RETURN_REQUEST: u64 = 0x19f9_d4e5_ab76_09cb;
    /// What key is asked for.
    pub(crate) const ASSET_ID: u64 = 0x1bf7_f53f_5d5d_5a1f;
    /// The client's name for the exchange.
    pub(crate) const TRANSACTION_ID: u64 = 0x47aa_7ad3_4405_77de;
    /// The protocol's versions that the client knows.
    pub(crate) const VERSIONS_SUPPORTED: u64 = 0x67b8_fb79_ecce_1a13;
    /// The one that it uses.
    pub(crate) const VERSION_USED: u64 = 0x5d81_bcbc_c7f6_1703;
    /// Where the pictures go.
    pub(crate) const STREAMING: u64 = 0xabb0_256a_3184_3974;
    /// Whether it plays already.
    pub(crate) const PLAYBACK_STATE: u64 = 0xeb8e_fdf2_b25a_b3a0;
    /// What the client can enforce.
    pub(crate) const CAPABILITIES: u64 = 0x9c02_af32_53c0_7fb2;
    /// The content key, in an answer.
    pub(crate) const CONTENT_KEY: u64 = 0x58b3_8165_af0e_3d5a;
    /// R1, in an answer.
    pub(crate) const R1: u64 = 0xea74_c464_5d5e_fee9;
    /// How long the key serves, in an answer.
    pub(crate) const DURATION: u64 = 0x47ac_f6a4_18cd_091a;
    /// The link protection that the pictures need, in an answer.
    pub(crate) const HDCP: u64 = 0x2e52_f153_0d8d_db4a;
    /// The device's security that the key needs, in an answer.
    pub(crate) const SECURITY_LEVEL: u64 = 0x644c_b1da_c031_3250;
}

/// One block, without its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) tag: u64,
    pub(super) value: &'a [u8],
}

/// Why a payload is no sequence of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockError {
    Damaged,
    TooMany,
}

/// Reads a payload, whole.
///
/// Errors: `TooMany` beyond [`MAX_BLOCKS`]; `Damaged` where a length is no multiple of 16, is
/// beyond the payload, or less than the value's.
pub(super) fn read(mut payload: &[u8]) -> Result<Vec<Block<'_>>, BlockError> {
    let mut blocks = Vec::new();
    while !payload.is_empty() {
        if blocks.len() == MAX_BLOCKS {
            return Err(BlockError::TooMany);
        }
        let (block, rest) = split(payload).ok_or(BlockError::Damaged)?;
        blocks.push(block);
        payload = rest;
    }
    Ok(blocks)
}

fn split(payload: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (tag, rest) = payload.split_first_chunk()?;
    let (block_length, rest) = rest.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let block_length = usize::try_from(u32::from_be_bytes(*block_length)).ok()?;
    let value_length = usize::try_from(u32::from_be_bytes(*value_length)).ok()?;
    if !block_length.is_multiple_of(UNIT) {
        return None;
    }
    let (body, rest) = rest.split_at_checked(block_length)?;
    Some((Block { tag: u64::from_be_bytes(*tag), value: body.get(..value_length)? }, rest))
}

/// Adds a block, with random padding up to a whole number of AES blocks.
pub(super) fn write(payload: &mut Vec<u8>, block: Block<'_>, entropy: &mut dyn Entropy) {
    let Block { tag, value } = block;
    let padded = value.len().next_multiple_of(UNIT);
    let length = |bytes: usize| u32::try_from(bytes).expect("a value of one message").to_be_bytes();
    payload.extend(tag.to_be_bytes());
    payload.extend(length(padded));
    payload.extend(length(value.len()));
    payload.extend(value);
    let mut padding = [0; UNIT];
    entropy.fill(&mut padding);
    payload.extend(padding.iter().take(padded - value.len()));
}

/// The room that a block of this value takes.
pub(super) const fn room(value_bytes: usize) -> usize {
    HEAD_BYTES + value_bytes.next_multiple_of(UNIT)
}

/// Puts blocks into a random order (Fisher-Yates over 32 random bits each: the order hides nothing
/// that is secret, it only keeps readers from counting on one).
pub(super) fn shuffle(blocks: &mut [Block<'_>], entropy: &mut dyn Entropy) {
    for last in (1..blocks.len()).rev() {
        let mut draw = [0; 4];
        entropy.fill(&mut draw);
        let draw = usize::try_from(u32::from_be_bytes(draw)).unwrap_or(0);
        blocks.swap(last, draw % (last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::SystemEntropy;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_written_is_read_and_its_padding_is_random() {
        let mut seen = BTreeSet::new();
        for length in 0..40 {
            let value = vec![7; length];
            for _ in 0..2 {
                let mut payload = vec![];
                write(&mut payload, Block { tag: 5, value: &value }, &mut SystemEntropy);
                assert_eq!(payload.len(), room(length));
                assert_eq!(read(&payload).unwrap(), [Block { tag: 5, value: &value }]);
                // Eight bytes of padding or more do not come twice.
                let padding = payload.len() - HEAD_BYTES - length;
                assert!(padding < 8 || seen.insert(payload));
            }
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let mut payload = vec![];
        write(&mut payload, Block { tag: 5, value: &[7; 20] }, &mut SystemEntropy);
        for end in 1..payload.len() {
            assert_eq!(read(&payload[..end]), Err(BlockError::Damaged), "{end}");
        }
        for length in [33_u32, 48, 1 << 31, u32::MAX] {
            let mut changed = payload.clone();
            changed[8..12].copy_from_slice(&length.to_be_bytes());
            assert_eq!(read(&changed), Err(BlockError::Damaged), "{length}");
            changed = payload.clone();
            changed[12..16].copy_from_slice(&length.to_be_bytes());
            assert_eq!(read(&changed), Err(BlockError::Damaged), "{length}");
        }
        let many = |count: usize| [[0; 8], [0; 8]].as_flattened().repeat(count);
        assert_eq!(read(&many(MAX_BLOCKS)).map(|blocks| blocks.len()), Ok(MAX_BLOCKS));
        assert_eq!(read(&many(MAX_BLOCKS + 1)), Err(BlockError::TooMany));
    }

    #[test]
    fn each_block_comes_to_each_place() {
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let mut blocks = [1, 2, 3, 4].map(|tag| Block { tag, value: &[] });
            shuffle(&mut blocks, &mut SystemEntropy);
            seen.insert(blocks.map(|block| block.tag));
        }
        assert_eq!(seen.len(), 24, "all orders of four");
    }
}
