//! Boxes in place: where a box lies in a buffer, so that it can be changed where it is.

use media::bmff::{BoxError, FourCc, boxes};
use std::ops::Range;

/// Most boxes on one level.
const MAX_BOXES: usize = 4096;

/// A box and where it lies.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its type.
    pub kind: FourCc,
    /// Header and body.
    pub whole: Range<usize>,
    /// The body.
    pub body: Range<usize>,
}

impl Placed {
    /// Where its type stands: bytes 4 to 8 (ISO/IEC 14496-12, 4.2).
    pub fn type_field(&self) -> Range<usize> {
        self.whole.start.saturating_add(4)..self.whole.start.saturating_add(8)
    }
}

/// The boxes that fill `range` of `bytes`.
///
/// Errors: [`BoxError`]; also beyond 4096 boxes.
pub fn children(bytes: &[u8], range: Range<usize>) -> Result<Vec<Placed>, BoxError> {
    let start = range.start;
    let mut found = Vec::new();
    for child in boxes(bytes.get(range).ok_or(BoxError::Truncated)?) {
        let child = child?;
        if found.len() == MAX_BOXES {
            return Err(BoxError::Truncated);
        }
        let at = start.saturating_add(child.offset);
        let end = at.saturating_add(child.whole.len());
        let body = end.saturating_sub(child.body.len())..end;
        found.push(Placed { kind: child.kind, whole: at..end, body });
    }
    Ok(found)
}

/// The first box of a type among siblings.
pub fn find<'p>(siblings: &'p [Placed], kind: &[u8; 4]) -> Option<&'p Placed> {
    siblings.iter().find(|sibling| sibling.kind.0 == *kind)
}
