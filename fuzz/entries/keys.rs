//! Key files and sealed master keys of any bytes are read without panicking.

use keys::key_file;
use keys::kms::{FileKms, Sealing};

/// Reads `bytes` as a key file and as a sealed master key.
pub fn run(bytes: &[u8]) {
    let _ = key_file::parse(bytes);
    let _ = FileKms::open(bytes, Sealing::Permissions);
}
