//! Roku's BIF, an index of JPEG pictures for fast play ("Trick Mode Support" in Roku's developer
//! documentation): a head of 64 bytes, an entry of time and offset for each picture, an end
//! mark, then the pictures. All numbers are little-endian.

use super::MAX_PICTURES;
use std::ops::Range;

const MAGIC: [u8; 8] = [0x89, b'B', b'I', b'F', 0x0d, 0x0a, 0x1a, 0x0a];
const HEAD: usize = 64;
const ENTRY: usize = 8;
/// Time of the entry behind the last picture.
const END: u32 = 0xffff_ffff;
/// Milliseconds of a time step where the head says 0.
const DEFAULT_STEP_MS: u32 = 1000;

/// What a BIF holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bif {
    /// Milliseconds of one time step.
    pub step_ms: u32,
    /// Time in steps and place of each picture.
    pub pictures: Vec<(u32, Range<usize>)>,
}

/// Why bytes are no BIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BifFault {
    /// Another file.
    #[error("not a BIF")]
    Magic,
    /// A version that is not 0.
    #[error("BIF version {0} is not known")]
    Version(u32),
    /// It ends inside head or index.
    #[error("the BIF ends early")]
    Truncated,
    /// More pictures than [`MAX_PICTURES`].
    #[error("a BIF of more than {MAX_PICTURES} pictures")]
    TooMany,
    /// Times or offsets that do not go up, or lead out of the file.
    #[error("entry {0} of the BIF is out of order")]
    Order(u32),
}

impl Bif {
    /// Reads head and index.
    ///
    /// Errors: [`BifFault`]. Limits: [`MAX_PICTURES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BifFault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(BifFault::Magic);
        }
        let version = number(bytes, 8)?;
        if version != 0 {
            return Err(BifFault::Version(version));
        }
        let count = number(bytes, 12)?;
        if count > MAX_PICTURES {
            return Err(BifFault::TooMany);
        }
        let step_ms = match number(bytes, 16)? {
            0 => DEFAULT_STEP_MS,
            step => step,
        };
        let mut pictures = Vec::new();
        let mut at = HEAD;
        let mut next = entry(bytes, at)?;
        for index in 0..count {
            at += ENTRY;
            let (time, start) = next;
            next = entry(bytes, at)?;
            let is_last = index + 1 == count;
            let is_in_order = if is_last { next.0 == END } else { time < next.0 };
            if !is_in_order || start >= next.1 || next.1 > bytes.len() {
                return Err(BifFault::Order(index));
            }
            pictures.push((time, start..next.1));
        }
        let index_end = at + ENTRY;
        match pictures.first() {
            Some((_, first)) if first.start < index_end => Err(BifFault::Order(0)),
            None if next.0 != END => Err(BifFault::Order(0)),
            _ => Ok(Self { step_ms, pictures }),
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u32, BifFault> {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(BifFault::Truncated)?;
    Ok(u32::from_le_bytes(*field))
}

fn entry(bytes: &[u8], at: usize) -> Result<(u32, usize), BifFault> {
    let offset = usize::try_from(number(bytes, at + 4)?).map_err(|_| BifFault::Truncated)?;
    Ok((number(bytes, at)?, offset))
}

/// Writes a BIF of pictures that are `step_ms` apart; `None` where its offsets would pass
/// 32 bits.
#[must_use]
pub fn write(pictures: &[Vec<u8>], step_ms: u32) -> Option<Vec<u8>> {
    let count = u32::try_from(pictures.len()).ok().filter(|count| *count <= MAX_PICTURES)?;
    let mut offset = HEAD + (pictures.len() + 1) * ENTRY;
    let total = pictures.iter().fold(offset, |sum, one| sum.saturating_add(one.len()));
    u32::try_from(total).ok()?;
    let mut out = Vec::with_capacity(total);
    out.extend(MAGIC);
    for number in [0, count, step_ms] {
        out.extend(number.to_le_bytes());
    }
    out.resize(HEAD, 0);
    let entry = |out: &mut Vec<u8>, time: u32, offset: usize| -> Option<()> {
        out.extend(time.to_le_bytes());
        out.extend(u32::try_from(offset).ok()?.to_le_bytes());
        Some(())
    };
    for (time, picture) in (0..count).zip(pictures) {
        entry(&mut out, time, offset)?;
        offset += picture.len();
    }
    entry(&mut out, END, offset)?;
    pictures.iter().for_each(|picture| out.extend_from_slice(picture));
    Some(out)
}
