//! Widevine's messages of any bytes are read without panicking: as they are, and behind the
//! signatures that would stop a fuzzer, made anew for each input.

use dialect::terms::Hdcp;
use dialect::widevine::client::{ClientDevice, ServiceCertificate};
use dialect::widevine::provisioning::{self, ProvisioningModel, ProvisioningRequest};
use dialect::widevine::{
    Credentials, Desk, DeviceList, Request, RootFile, VerifiedModels, named_kids, read_license,
};
use keys::{LicenseKeys, RsaPrivateKey, SessionKey, SessionSeal};
use model::{Entropy, Timestamp};
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ROOT: RootFile<'_> =
    RootFile::PublicKey(include_bytes!("../../vectors/widevine/root_public.der"));
const SERVICE: &[u8] = include_bytes!("../../vectors/widevine/service_cert.bin");
const SERVICE_KEY: &str = include_str!("../../vectors/widevine/service_private.pem");
const LIST: &str = include_str!("../../vectors/widevine/device_list.json");
const DEVICE: &[u8] = include_bytes!("../../vectors/widevine/device.bin");
const DEVICE_KEY: &str = include_str!("../../vectors/widevine/device_private.pem");
/// The request that the seed `license` answers, under a session key of sevens.
const ANSWERED: &[u8] = include_bytes!("../corpus/widevine/request-pssh");

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

struct Ground {
    credentials: Credentials,
    models: VerifiedModels,
    devices: DeviceList,
    sessions: SessionSeal,
    device: ClientDevice,
    secrets: LicenseKeys,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| Ground {
    credentials: Credentials::import(ROOT, SERVICE, SERVICE_KEY, NOW).expect("test credentials"),
    models: VerifiedModels::default(),
    devices: DeviceList::parse(LIST).expect("a device list"),
    sessions: SessionSeal::from_bytes(&[7; 32].into()),
    device: ClientDevice {
        certificate: DEVICE.to_vec(),
        key: RsaPrivateKey::parse_pem(DEVICE_KEY).expect("a private key"),
        max_hdcp: Hdcp::V2_3,
    },
    secrets: SessionKey::generate(&mut Sevens).derive(ANSWERED),
});

/// Reads `bytes` as each message, and as the signed part of each.
pub fn run(bytes: &[u8]) {
    let ground = &*GROUND;
    let desk = Desk {
        credentials: &ground.credentials,
        models: &ground.models,
        devices: &ground.devices,
        sessions: &ground.sessions,
    };
    let _ = dialect::widevine::is_release(bytes);
    let _ = Request::parse(bytes, &desk, NOW);
    let _ = Request::parse(&ground.device.sign(bytes), &desk, NOW);
    let _ = read_license(bytes, &ground.secrets);
    let _ = named_kids(bytes);
    let signature = ground.secrets.macs.sign_as_server(bytes);
    let license = [&[8, 2][..], &field(2, bytes), &field(3, &signature)].concat();
    let _ = read_license(&license, &ground.secrets);
    let _ = ServiceCertificate::open(bytes, ROOT, NOW);
    let _ = Credentials::import(RootFile::Certificate(bytes), bytes, SERVICE_KEY, NOW);
    let _ = ProvisioningModel::import(ROOT, bytes, SERVICE_KEY, &ground.devices, NOW);
    let _ = ProvisioningRequest::parse(bytes, NOW);
    let own_key = || RsaPrivateKey::parse_pem(DEVICE_KEY).expect("a private key");
    let _ = provisioning::open_answer(bytes, own_key(), ROOT, NOW);
    let _ = provisioning::open_answer(&provisioning::answer(bytes), own_key(), ROOT, NOW);
    let _ = ClientDevice::read(bytes, DEVICE_KEY, Hdcp::V2_2);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = RsaPrivateKey::parse_pem(text);
        let _ = DeviceList::parse(text);
    }
}

/// A field of bytes: tag, length in base 128, the bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let (mut head, mut length) = (vec![number << 3 | 2], bytes.len());
    while length > 0x7f {
        head.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    head.push(u8::try_from(length).unwrap_or(0));
    [&head, bytes].concat()
}
