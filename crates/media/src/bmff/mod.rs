//! Boxes of the ISO base media file format (ISO/IEC 14496-12:2022, 4.2): reading and writing.
//!
//! Only the frame of a box lives here: type, size, version, flags and integers. What a box
//! means is the business of the module that reads or writes it.

mod read;
mod write;

pub use read::{BoxError, BoxHead, Child, Fields, boxes};
pub use write::{full_box, plain_box};

/// Type of a box: four bytes, mostly letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl std::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{self}'")
    }
}
