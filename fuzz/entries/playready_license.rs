//! PlayReady's licenses of any bytes are read without panicking: as they come, and behind the
//! signature that would stop a fuzzer, made anew for each input.

use dialect::playready::open_license;
use keys::{P256PrivateKey, PointSecret};
use std::sync::LazyLock;

/// The device of the seeds.
const DEVICE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCARERERERERERERERER\n\
    EREREREREREREREREREREREREQ==\n\
    -----END PRIVATE KEY-----";
/// What the seeds hold: keys, encrypted for the device.
const TEXT: &[u8; 128] = include_bytes!("../corpus/playready_license/text");

static GROUND: LazyLock<(P256PrivateKey, PointSecret)> = LazyLock::new(|| {
    let device = P256PrivateKey::parse_pem(DEVICE).expect("a private key");
    let secret = device.decrypt_secret(TEXT).expect("two points");
    (device, secret)
});

/// Reads `bytes` as a license, and as the objects of one.
pub fn run(bytes: &[u8]) {
    let (device, secret) = &*GROUND;
    let _ = open_license(bytes, device);
    let length = u32::try_from(bytes.len() + 36).unwrap_or(u32::MAX);
    let head = [b"XMR\0\0\0\0\x03", &[7; 16][..], b"\0\x03\0\x01", &length.to_be_bytes()];
    let mut license = [&head.concat(), bytes].concat();
    let tag = secret.sign(&license);
    license.extend(b"\0\x01\0\x0b\0\0\0\x1c\0\x01\0\x10");
    license.extend(tag);
    let _ = open_license(&license, device);
}
