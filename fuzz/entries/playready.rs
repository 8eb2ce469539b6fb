//! What a PlayReady service reads, of any bytes, without panicking: as it comes, and behind the
//! signature and the encryption that would stop a fuzzer, made anew for each input.

use dialect::playready::client::{Ask, ClientDevice, Service};
use dialect::playready::{Credentials, Desk, Header, Request, RevocationList, VerifiedChains};
use keys::{P256PrivateKey, P256PublicKey, SystemEntropy};
use model::Timestamp;
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ROOT: &[u8] = include_bytes!("../../vectors/playready/root_public.bin");
const SERVICE_KEY: &str = include_str!("../../vectors/playready/wmrm_private.pem");
const SERVICE_PUBLIC: &[u8] = include_bytes!("../../vectors/playready/wmrm_public.bin");
const SIGNING_CHAIN: &[u8] = include_bytes!("../../vectors/playready/signing_chain.bin");
const SIGNING_KEY: &str = include_str!("../../vectors/playready/signing_private.pem");
const CHAIN: &[u8] = include_bytes!("../../vectors/playready/device/chain.bin");
const DEVICE_SIGNING: &str = include_str!("../../vectors/playready/device/signing_private.pem");
const DEVICE_KEY: &str = include_str!("../../vectors/playready/device/encryption_private.pem");
const HEADER: &[u8] = include_bytes!("../corpus/playready/header-4.3");
/// The text of a challenge's signed part, into which headers are put.
const ACQUISITION: &str = include_str!("../corpus/playready/acquisition");

struct Ground {
    credentials: Credentials,
    chains: VerifiedChains,
    revoked: RevocationList,
    device: ClientDevice,
    service: Service,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| Ground {
    credentials: Credentials::import(ROOT, SERVICE_KEY, SIGNING_CHAIN, SIGNING_KEY, NOW)
        .expect("test credentials"),
    chains: VerifiedChains::default(),
    revoked: RevocationList::default(),
    device: device(),
    service: Service::read(ROOT, SERVICE_PUBLIC).expect("the service's keys"),
});

/// Reads `bytes` as each message, and as a part of one.
pub fn run(bytes: &[u8]) {
    let ground = &*GROUND;
    let desk = Desk {
        credentials: &ground.credentials,
        chains: &ground.chains,
        revoked: &ground.revoked,
        allows_test_level: false,
    };
    let _ = Request::parse(bytes, &desk, NOW);
    let _ = Header::parse(bytes);
    let _ = ClientDevice::read(bytes, DEVICE_SIGNING, DEVICE_KEY);
    let _ = Credentials::import(ROOT, SERVICE_KEY, bytes, SIGNING_KEY, NOW);
    let _ = Service::read(bytes, bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Request::parse(&ground.device.sign(text), &desk, NOW);
        let (before, rest) = ACQUISITION.split_once("<WRMHEADER").expect("a header");
        let (_, after) = rest.split_once("</WRMHEADER>").expect("a header's end");
        let other = format!("{before}{text}{after}");
        let _ = Request::parse(&ground.device.sign(&other), &desk, NOW);
        let _ = RevocationList::parse(text);
        let _ = P256PrivateKey::parse_pem(text);
        let _ = P256PublicKey::parse_pem(text);
    }
    // Who somebody says to be: any chain, properly encrypted and signed.
    let ask = Ask { headers: &[HEADER], custom_data: None, service: &ground.service };
    let device = ClientDevice { chain: bytes.to_vec(), ..device() };
    let (_, body) = device.ask(&ask, NOW, &mut SystemEntropy).expect("a header");
    let _ = Request::parse(&body, &desk, NOW);
}

fn device() -> ClientDevice {
    ClientDevice::read(CHAIN, DEVICE_SIGNING, DEVICE_KEY).expect("a device")
}
