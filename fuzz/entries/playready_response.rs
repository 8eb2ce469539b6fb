//! What a PlayReady client reads, of any bytes, without panicking: as it comes, and behind the
//! signature that would stop a fuzzer, made anew for each input.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::playready::client::{ClientDevice, Service};
use dialect::playready::open_license;
use keys::{P256PrivateKey, sha256};
use model::Timestamp;
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ROOT: &[u8] = include_bytes!("../../vectors/playready/root_public.bin");
const SERVICE_PUBLIC: &[u8] = include_bytes!("../../vectors/playready/wmrm_public.bin");
const SIGNING_KEY: &str = include_str!("../../vectors/playready/signing_private.pem");
const CHAIN: &[u8] = include_bytes!("../../vectors/playready/device/chain.bin");
const DEVICE_SIGNING: &str = include_str!("../../vectors/playready/device/signing_private.pem");
const DEVICE_KEY: &str = include_str!("../../vectors/playready/device/encryption_private.pem");
const RESPONSE: &str = include_str!("../corpus/playready_response/response-4.3");

struct Ground {
    signer: P256PrivateKey,
    device: ClientDevice,
    service: Service,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| Ground {
    signer: P256PrivateKey::parse_pem(SIGNING_KEY).expect("a private key"),
    device: ClientDevice::read(CHAIN, DEVICE_SIGNING, DEVICE_KEY).expect("a device"),
    service: Service::read(ROOT, SERVICE_PUBLIC).expect("the service's keys"),
});

/// Reads `bytes` as a response, as the signed part of one, and as a license.
pub fn run(bytes: &[u8]) {
    let ground = &*GROUND;
    let pending = || ground.device.await_answer(ground.service, [7; 16], NOW);
    let _ = pending().open(bytes);
    let _ = open_license(bytes, &ground.device.encryption);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = pending().open(signed(text, &ground.signer).as_bytes());
    }
    let license = format!("<License>{}</License>", STANDARD.encode(bytes));
    let own = between(RESPONSE, "<LicenseResponse", "</LicenseResponse>");
    let first = between(own, "<License>", "</License>");
    let other = own.replacen(first, &license, 1);
    let _ = pending().open(signed(&other, &ground.signer).as_bytes());
}

/// The response with another signed part, and the signature over that.
fn signed(part: &str, signer: &P256PrivateKey) -> String {
    let own = between(RESPONSE, "<LicenseResponse", "</LicenseResponse>");
    let info = between(RESPONSE, "<SignedInfo", "</SignedInfo>");
    let digest = between(info, "<DigestValue>", "</DigestValue>");
    let hash = STANDARD.encode(sha256(part.as_bytes()));
    let new_info = info.replacen(digest, &format!("<DigestValue>{hash}</DigestValue>"), 1);
    let value = between(RESPONSE, "<SignatureValue>", "</SignatureValue>");
    let signature = STANDARD.encode(signer.sign_sha256(new_info.as_bytes()));
    let signature = format!("<SignatureValue>{signature}</SignatureValue>");
    RESPONSE.replacen(info, &new_info, 1).replacen(value, &signature, 1).replacen(own, part, 1)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).expect("the seed has it");
    let length = text[from..].find(end).expect("the seed ends it") + end.len();
    &text[from..from + length]
}
