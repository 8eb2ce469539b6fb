//! Key files, sealed master keys, approvals, private keys and session tokens of any bytes are read
//! without panicking.

use keys::key_file;
use keys::kms::{FileKms, Sealing};
use keys::{
    Approval, Operator, P256PrivateKey, P256PublicKey, RsaPrivateKey, RsaPublicKey, SessionSeal,
};

/// Reads `bytes` as each of them, and as an approval's operator.
pub fn run(bytes: &[u8]) {
    let _ = key_file::parse(bytes);
    let _ = FileKms::open(bytes, Sealing::Permissions);
    let _ = RsaPublicKey::parse(bytes).map(|key| key.to_pkcs1());
    let _ = RsaPrivateKey::parse(&bytes.to_vec().into());
    let _ = P256PrivateKey::parse(&bytes.to_vec().into());
    let _ = SessionSeal::from_bytes(&[1; 32].into()).open(bytes, b"");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = RsaPrivateKey::parse_pem(text);
        let _ = P256PrivateKey::parse_pem(text);
        let _ = P256PublicKey::parse_pem(text);
        let operators: Vec<Operator> = Operator::parse(text).into_iter().chain(ada()).collect();
        let _ = Approval::open(text, &operators, model::Timestamp(0));
    }
}

/// Signed the seed `approval`.
fn ada() -> Option<Operator> {
    Operator::parse("ada:ZHV0sNlao00f2ZBAweiJ5F7i83RPepNKFMSxZNU-4Vg").ok()
}
