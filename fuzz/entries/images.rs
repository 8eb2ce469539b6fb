//! Pictures of any bytes: what is found in them lies in them.

use media::images::{Jpeg, bif::Bif};

/// Reads `bytes` as a JPEG picture and as a BIF.
pub fn run(bytes: &[u8]) {
    if let Ok(jpeg) = Jpeg::parse(bytes) {
        assert!(jpeg.len <= bytes.len() && jpeg.width > 0 && jpeg.height > 0);
    }
    if let Ok(bif) = Bif::parse(bytes) {
        assert!(bif.pictures.iter().all(|(_, at)| at.start < at.end && at.end <= bytes.len()));
    }
}
