//! Key files, sealed master keys and approvals of any bytes are read without panicking.

use keys::key_file;
use keys::kms::{FileKms, Sealing};
use keys::{Approval, Operator};

/// Reads `bytes` as a key file, as a sealed master key, and as an approval and its operator.
pub fn run(bytes: &[u8]) {
    let _ = key_file::parse(bytes);
    let _ = FileKms::open(bytes, Sealing::Permissions);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let operators: Vec<Operator> = Operator::parse(text).into_iter().chain(ada()).collect();
        let _ = Approval::open(text, &operators, model::Timestamp(0));
    }
}

/// Signed the seed `approval`.
fn ada() -> Option<Operator> {
    Operator::parse("ada:ZHV0sNlao00f2ZBAweiJ5F7i83RPepNKFMSxZNU-4Vg").ok()
}
