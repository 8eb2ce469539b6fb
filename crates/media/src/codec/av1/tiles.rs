//! Tiles: how many a frame has (AV1, 5.9.15), and where in a tile group each begins (5.11.1).

use super::references::FrameSize;
use crate::codec::header_bits::HeaderBits;
use crate::codec::{CodecError, Run};

/// Most columns, and most rows, of tiles (`MAX_TILE_COLS`, `MAX_TILE_ROWS`).
const MAX_TILES: u32 = 64;
/// Widest tile in pixels (`MAX_TILE_WIDTH`).
const MAX_TILE_WIDTH: u32 = 4096;
/// Largest tile in pixels (`MAX_TILE_AREA`).
const MAX_TILE_AREA: u32 = 4096 * 2304;

/// How a frame is cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileLayout {
    /// `NumTiles`: at most 64 times 64.
    pub count: u32,
    /// Bits of a tile's number.
    number_bits: u32,
    /// Bytes of a tile's size field.
    size_bytes: usize,
}

impl TileLayout {
    /// Reads `tile_info`.
    pub fn read(
        bits: &mut HeaderBits<'_>,
        size: FrameSize,
        use_128x128: bool,
    ) -> Result<Self, CodecError> {
        // Superblocks of 64 or 128 pixels; frames are whole blocks of 8.
        let shift = if use_128x128 { 7 } else { 6 };
        let across = |pixels: u32| (pixels.div_ceil(8) * 8).div_ceil(1 << shift);
        let (columns, rows) = (across(size.width), across(size.height));
        let max_width = MAX_TILE_WIDTH >> shift;
        let max_area = MAX_TILE_AREA >> (2 * shift);
        let min_columns_log2 = tile_log2(max_width, columns);
        let min_log2 = min_columns_log2.max(tile_log2(max_area, rows.saturating_mul(columns)));
        let (tile_columns, tile_rows) = if bits.flag()? {
            let columns_log2 = read_log2(bits, min_columns_log2, columns)?;
            let rows_log2 = read_log2(bits, min_log2.saturating_sub(columns_log2), rows)?;
            (uniform(columns, columns_log2), uniform(rows, rows_log2))
        } else {
            let (count_columns, widest) = read_sizes(bits, columns, max_width)?;
            let area = rows.saturating_mul(columns);
            let max_area = if min_log2 > 0 { area >> (min_log2 + 1) } else { area };
            let max_height = (max_area / widest.max(1)).max(1);
            let (count_rows, _) = read_sizes(bits, rows, max_height)?;
            let log2 = |count| (count, tile_log2(1, count));
            (log2(count_columns), log2(count_rows))
        };
        if tile_columns.0 > MAX_TILES || tile_rows.0 > MAX_TILES {
            return Err(CodecError::Value("the number of tiles"));
        }
        let number_bits = tile_columns.1 + tile_rows.1;
        let mut size_bytes = 0;
        if number_bits > 0 {
            bits.skip(number_bits)?; // context_update_tile_id
            size_bytes = bits.index(2)? + 1;
        }
        Ok(Self { count: tile_columns.0 * tile_rows.0, number_bits, size_bytes })
    }

    /// Splits a tile group: each tile is a run. `clear` bytes before the group are added to the
    /// first. Returns the number of the tile behind the group.
    ///
    /// Errors: unless it begins with tile `first`, and its tiles fill it.
    pub fn split(
        self,
        group: &[u8],
        first: u32,
        mut clear: usize,
        runs: &mut Vec<Run>,
    ) -> Result<u32, CodecError> {
        let bits = &mut HeaderBits::new(group, "a tile group");
        let (mut start, mut end) = (0, self.count - 1);
        if self.count > 1 && bits.flag()? {
            (start, end) = (bits.f(self.number_bits)?, bits.f(self.number_bits)?);
        }
        if start != first || end < start || end >= self.count {
            return Err(CodecError::Value("the tiles of a group"));
        }
        let cut_off = CodecError::Truncated("a tile group");
        let head = bits.bytes_taken();
        clear += head;
        let mut rest = group.get(head..).ok_or(cut_off)?;
        for _ in start..end {
            let (field, behind) = rest.split_at_checked(self.size_bytes).ok_or(cut_off)?;
            let size = field.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let (tile, behind) = behind.split_at_checked(size + 1).ok_or(cut_off)?;
            runs.push(Run { clear: clear + self.size_bytes, content: tile.len() });
            clear = 0;
            rest = behind;
        }
        if rest.is_empty() {
            return Err(cut_off);
        }
        runs.push(Run { clear, content: rest.len() });
        Ok(end + 1)
    }
}

/// `tile_log2` (5.9.16): the smallest k with `block << k >= target`.
fn tile_log2(block: u32, target: u32) -> u32 {
    (0..u32::BITS).find(|k| u64::from(block) << k >= u64::from(target)).unwrap_or(u32::BITS)
}

/// Increments from the least possible logarithm on, up to what the superblocks allow.
fn read_log2(bits: &mut HeaderBits<'_>, least: u32, blocks: u32) -> Result<u32, CodecError> {
    let most = tile_log2(1, blocks.min(MAX_TILES));
    let mut log2 = least;
    while log2 < most && bits.flag()? {
        log2 += 1;
    }
    Ok(log2)
}

/// Number of tiles of equal size, and its logarithm, for as many blocks.
fn uniform(blocks: u32, log2: u32) -> (u32, u32) {
    (blocks.div_ceil(blocks.div_ceil(1 << log2).max(1)), log2)
}

/// Sizes of tiles along one side, each told; their number and the largest one.
fn read_sizes(
    bits: &mut HeaderBits<'_>,
    blocks: u32,
    max_size: u32,
) -> Result<(u32, u32), CodecError> {
    let (mut start, mut count, mut largest) = (0, 0, 0);
    while start < blocks {
        if count == MAX_TILES {
            return Err(CodecError::Value("the number of tiles"));
        }
        let size = bits.ns(max_size.min(blocks - start))? + 1;
        largest = largest.max(size);
        start += size;
        count += 1;
    }
    Ok((count, largest))
}
