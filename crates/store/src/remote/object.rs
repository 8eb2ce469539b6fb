//! An object at another place as bytes at any position: ranges (RFC 9110, 14) in blocks, of
//! one and the same version from the first byte to the last.

use super::client::{Client, Served};
use super::{Address, RemoteError};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Bytes that are kept and evicted together.
const BLOCK: u64 = 256 << 10;
/// Blocks that one request brings at most, when reading goes straight on: 4 MiB.
const MAX_AHEAD: u64 = 16;
/// Blocks that a reader keeps: 8 MiB.
const MAX_KEPT: usize = 32;

/// An object whose version was fixed when it was opened.
#[derive(Clone, Debug)]
pub struct RemoteObject {
    served: Served,
    pin: Arc<ObjectMeta>,
}

impl RemoteObject {
    /// Finds the object and fixes its version: by `ETag` where the server sends one, else by
    /// length and time of change.
    ///
    /// Errors: [`RemoteError`]; [`RemoteError::NoRanges`] where the server sends all or nothing.
    pub fn open(client: &Client, address: &Address) -> Result<Self, RemoteError> {
        let served = client.serve(address)?;
        // A range, not HEAD: URLs that are signed for GET answer nothing else.
        let first = GetOptions::new().with_range(Some(GetRange::Bounded(0..1)));
        let pin = match served.wait(served.store.get_opts(&served.path, first)) {
            Ok(result) => result.meta,
            // An empty object has no first byte.
            Err(error @ RemoteError::Other(_)) => {
                let head = served.wait(served.store.head(&served.path));
                head.ok().filter(|head| head.size == 0).ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { served, pin: Arc::new(pin) })
    }

    /// Its length.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.pin.size
    }

    /// Its address, fit for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.served.address.to_string()
    }

    /// A reader with a cache of its own.
    #[must_use]
    pub fn reader(&self) -> RemoteReader {
        RemoteReader { object: self.clone(), kept: VecDeque::new(), next: 0, ahead: 1 }
    }

    /// The bytes from `start` to `end`, of the version that was opened.
    fn range(&self, start: u64, end: u64) -> Result<Vec<u8>, RemoteError> {
        let mut options = GetOptions::new().with_range(Some(GetRange::Bounded(start..end)));
        // A weak tag never matches (RFC 9110, 13.1.1); the answer's own is compared below.
        options.if_match = self.pin.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        let whole = self.served.wait(async {
            let result = self.served.store.get_opts(&self.served.path, options).await?;
            let meta = result.meta.clone();
            Ok((meta, result.bytes().await?))
        });
        let (meta, bytes) = match whole {
            Ok(whole) => whole,
            // Such as a range that is no longer there.
            Err(error @ RemoteError::Other(_)) => return Err(self.unless_changed(error)),
            Err(error) => return Err(error),
        };
        if !self.is_same(&meta) {
            return Err(RemoteError::Changed);
        }
        let (got, wanted) = (bytes.len() as u64, end - start);
        if got == wanted { Ok(bytes.into()) } else { Err(RemoteError::Short { got, wanted }) }
    }

    fn unless_changed(&self, error: RemoteError) -> RemoteError {
        match self.served.wait(self.served.store.head(&self.served.path)) {
            Ok(head) if !self.is_same(&head) => RemoteError::Changed,
            _ => error,
        }
    }

    fn is_same(&self, meta: &ObjectMeta) -> bool {
        meta.size == self.pin.size
            && meta.e_tag == self.pin.e_tag
            && meta.last_modified == self.pin.last_modified
    }
}

/// Reads an object; keeps a few blocks, and reads further ahead the longer reading goes
/// straight on.
///
/// Limits: 12 MiB of memory.
#[derive(Debug)]
pub struct RemoteReader {
    object: RemoteObject,
    /// The oldest first.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// Behind the last block that was fetched.
    next: u64,
    ahead: u64,
}

impl RemoteReader {
    /// Length of the object.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.object.size_bytes()
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// Errors: a [`RemoteError`] inside; [`io::ErrorKind::UnexpectedEof`] beyond the end.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.size_bytes()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut offset, mut out) = (offset, out);
        while !out.is_empty() {
            let block = self.block(offset / BLOCK)?;
            let from = usize::try_from(offset % BLOCK).map_err(io::Error::other)?;
            let there = block.get(from..).filter(|there| !there.is_empty());
            let there = there.ok_or(io::ErrorKind::UnexpectedEof)?;
            let len = there.len().min(out.len());
            let (now, rest) = std::mem::take(&mut out).split_at_mut(len);
            now.copy_from_slice(there.get(..now.len()).unwrap_or_default());
            offset += now.len() as u64;
            out = rest;
        }
        Ok(())
    }

    fn block(&mut self, index: u64) -> io::Result<&[u8]> {
        if !self.kept.iter().any(|(kept, _)| *kept == index) {
            self.fetch(index)?;
        }
        let found = self.kept.iter().find(|(kept, _)| *kept == index);
        found.map(|(_, block)| block.as_slice()).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn fetch(&mut self, index: u64) -> Result<(), RemoteError> {
        self.ahead = if index == self.next { (self.ahead * 2).min(MAX_AHEAD) } else { 1 };
        self.next = index + self.ahead;
        let (start, end) = (index * BLOCK, self.next.saturating_mul(BLOCK).min(self.size_bytes()));
        let bytes = self.object.range(start, end)?;
        let blocks = bytes.chunks(usize::try_from(BLOCK).unwrap_or(usize::MAX));
        for (number, block) in (index..).zip(blocks) {
            self.kept.retain(|(kept, _)| *kept != number);
            self.kept.push_back((number, block.to_vec()));
        }
        while self.kept.len() > MAX_KEPT {
            self.kept.pop_front();
        }
        Ok(())
    }
}
