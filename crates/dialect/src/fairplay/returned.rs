//! What a client wants back in the answer: blocks of its own, tag and value as it sent them.

use super::block::Block;

/// Blocks to be returned. All of them came in one SPC, which bounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Returned(Vec<(u64, Vec<u8>)>);

impl Returned {
    pub(super) fn of(blocks: &[Block<'_>]) -> Self {
        Self(blocks.iter().map(|block| (block.tag, block.value.to_vec())).collect())
    }

    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        self.0.iter().map(|(tag, value)| Block { tag: *tag, value }).collect()
    }
}
