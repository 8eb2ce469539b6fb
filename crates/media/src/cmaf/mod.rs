//! CMAF (ISO/IEC 23000-19): the init, the fragments, the index of one track.

mod brands;
mod fragment;
mod index;
mod init;

pub use brands::{write_file_type, write_segment_type};
pub use fragment::{Entry, Fragment, FragmentRotation, SampleProtection, open_media_data};
pub use index::{MAX_REFERENCES, Reference, index_len, write_index};
pub use init::{Init, InitProtection, MediaKind, write_init};

/// The id of the only track in a file.
pub const TRACK_ID: u32 = 1;
