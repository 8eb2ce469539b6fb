//! A source's bytes, read at a position and never beyond its end.

use super::fault::{Fault, Malformed, Place, Unsupported};
use crate::bmff::{BoxError, BoxHead, Fields, FourCc};

/// Bytes that can be read at any position; the shell puts a file behind it.
pub trait Input {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `offset` on. Errors: also where fewer are there.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()>;
}

/// Bytes in memory.
impl Input for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A source and what to call it in messages.
pub struct NamedInput<'a> {
    /// Its name, as the user wrote it.
    pub name: String,
    /// Its bytes.
    pub input: &'a mut dyn Input,
}

/// A box in a source: where it is, not what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub kind: FourCc,
    /// Offset of its header.
    pub offset: u64,
    /// Offset of its body.
    pub body: u64,
    /// Offset of the first byte behind it.
    pub end: u64,
}

impl Located {
    pub fn place(&self) -> Place {
        Place::Box { kind: self.kind, offset: self.offset }
    }
}

/// Children of one box.
const MAX_CHILDREN: usize = 4096;
/// Bytes of a box that is read whole.
const MAX_WHOLE: u64 = 16 << 20;

/// A source with its length.
pub(crate) struct Source<'a> {
    input: &'a mut dyn Input,
    len: u64,
}

impl<'a> Source<'a> {
    pub fn new(input: &'a mut dyn Input) -> Self {
        let len = input.len();
        Self { input, len }
    }

    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Fills `out`. Errors: [`BoxError::Truncated`] beyond the end, [`super::What::Read`].
    pub fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            return Err(Place::Byte(offset).fault(BoxError::Truncated));
        }
        self.input
            .read_at(offset, out)
            .map_err(|error| Fault { place: Place::Byte(offset), what: super::What::Read(error) })
    }

    /// The box at `offset`, which may reach to `end`.
    pub fn box_at(&mut self, offset: u64, end: u64) -> Result<Located, Fault> {
        let room = end.saturating_sub(offset);
        let mut head = [0; BoxHead::MAX_LEN];
        let there = usize::try_from(room).unwrap_or(usize::MAX).min(head.len());
        let head = head.get_mut(..there).unwrap_or_default();
        self.read(offset, head)?;
        let head = BoxHead::parse(head, room).map_err(|error| Place::Byte(offset).fault(error))?;
        Ok(Located {
            kind: head.kind,
            offset,
            body: offset + head.head_len,
            end: offset + head.len,
        })
    }

    /// The boxes between `start` and `end`. Limits: 4096.
    pub fn children(&mut self, start: u64, end: u64) -> Result<Vec<Located>, Fault> {
        let mut found = Vec::new();
        let mut offset = start;
        while offset < end {
            let child = self.box_at(offset, end)?;
            offset = child.end;
            if found.len() == MAX_CHILDREN {
                let limit = MAX_CHILDREN as u64;
                let what = Unsupported::Limit { what: "boxes inside one", limit };
                return Err(child.place().fault(what));
            }
            found.push(child);
        }
        Ok(found)
    }

    /// The boxes inside `parent`.
    pub fn children_of(&mut self, parent: &Located) -> Result<Vec<Located>, Fault> {
        self.children(parent.body, parent.end)
    }

    /// The body of a box that is small by nature. Limits: 16 MiB.
    pub fn body(&mut self, located: &Located) -> Result<Vec<u8>, Fault> {
        let len = located.end - located.body;
        if len > MAX_WHOLE {
            let what = Unsupported::Limit { what: "bytes in this box", limit: MAX_WHOLE };
            return Err(located.place().fault(what));
        }
        let mut body = vec![0; usize::try_from(len).unwrap_or_default()];
        self.read(located.body, &mut body)?;
        Ok(body)
    }
}

/// The box of a kind among its siblings.
pub(crate) fn find<'b>(siblings: &'b [Located], kind: &[u8; 4]) -> Option<&'b Located> {
    siblings.iter().find(|located| located.kind.0 == *kind)
}

/// The box of a kind inside `parent`, which must be there.
pub(crate) fn require(
    siblings: &[Located],
    kind: &[u8; 4],
    parent: &Located,
) -> Result<Located, Fault> {
    find(siblings, kind)
        .copied()
        .ok_or_else(|| parent.place().fault(Malformed::Missing(FourCc(*kind))))
}

/// Entries of one size in a full box, read through a window: no table is ever whole in memory.
pub(crate) struct Entries<'s, 'a> {
    source: &'s mut Source<'a>,
    place: Place,
    next: u64,
    left: u64,
    window: Vec<u8>,
    used: usize,
}

/// Bytes of a table that are read at once.
const WINDOW: usize = 64 << 10;

impl<'s, 'a> Entries<'s, 'a> {
    /// Entries of `N` bytes behind a count, which follows `skip` bytes of the body.
    ///
    /// Errors: [`Malformed::Count`] where the box has no room for the declared count.
    pub fn open<const N: usize>(
        source: &'s mut Source<'a>,
        table: &Located,
        skip: u64,
    ) -> Result<Self, Fault> {
        let place = table.place();
        let start = table.body + skip;
        let mut count = [0; 4];
        if start + 4 > table.end {
            return Err(place.fault(BoxError::Truncated));
        }
        source.read(start, &mut count)?;
        let declared = u64::from(u32::from_be_bytes(count));
        let room = (table.end - start - 4) / N as u64;
        if declared > room {
            return Err(place.fault(Malformed::Count { declared, room }));
        }
        Ok(Self { source, place, next: start + 4, left: declared, window: Vec::new(), used: 0 })
    }

    pub const fn place(&self) -> Place {
        self.place
    }

    /// Entries not taken yet.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The next entry, of the same `N` as in [`Self::open`]; `None` behind the last.
    pub fn next<const N: usize>(&mut self) -> Result<Option<Fields<'_>>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.used >= self.window.len() {
            let entries = self.left.min((WINDOW / N) as u64);
            self.window.resize(usize::try_from(entries).unwrap_or(1) * N, 0);
            self.source.read(self.next, &mut self.window)?;
            self.next += self.window.len() as u64;
            self.used = 0;
        }
        let entry = self.window.get(self.used..self.used + N).unwrap_or_default();
        self.used += N;
        self.left -= 1;
        Ok(Some(Fields::new(entry)))
    }
}
