//! Enters the CPIX reader, and holds the writer and SPEKE's contract to what it read.

use dialect::cpix::Document;
use dialect::cpix::speke::{Request, SpekeVersion};
use keys::Signer;
use model::Timestamp;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

/// Reads, writes and reads again, nowhere as a signed document; then checks the document under
/// every SPEKE version.
pub fn run(bytes: &[u8]) {
    assert!(Document::parse_signed(bytes, &[]).is_err());
    for version in [SpekeVersion::V1_0, SpekeVersion::V2_0, SpekeVersion::V2_1] {
        let Ok(document) = Document::parse(bytes) else { return };
        for delivery in &document.parts().deliveries {
            let _ = Signer::parse(delivery.certificate.as_bytes(), NOW);
        }
        let written = document.write();
        let again = Document::parse(written.as_bytes()).expect("what was written reads back");
        assert_eq!(again.write().as_bytes(), written.as_bytes());
        if let Ok(request) = Request::check(document, version, NOW) {
            assert!(!request.asked().is_empty());
        }
    }
}
