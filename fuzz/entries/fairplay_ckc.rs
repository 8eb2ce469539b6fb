//! FairPlay's licenses of any bytes are read without panicking: as answers in each framing, and as
//! payloads behind the encryption that would stop a fuzzer.

use dialect::fairplay::client::{Ask, ClientDevice, Pending, PendingBatch};
use dialect::fairplay::{Framing, Playback, Streaming};
use keys::fairplay::{ApplicationCertificate, DeviceSession};
use model::{Entropy, Timestamp};
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const CERTIFICATE: &[u8] = include_bytes!("../../vectors/fairplay/app_cert.der");
const SECRET: &str = include_str!("../../vectors/fairplay/ask.hex");
const DEVICE: &str = include_str!("../../vectors/fairplay/device.hex");

/// The secrets of the requests that the seeds answer, and their seed.
struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

static PENDING: LazyLock<(Vec<Pending>, PendingBatch)> = LazyLock::new(|| {
    let device = ClientDevice::read(DEVICE, SECRET).expect("a device");
    let certificate = ApplicationCertificate::parse(CERTIFICATE).expect("a certificate");
    let ask = |framing| Ask {
        certificate: &certificate,
        asset_id: b"skd://film?kid=01010101010101010101010101010101",
        framing,
        persist: false,
        playback: Some(Playback::start(NOW, &mut Sevens)),
        streaming: Streaming::Device,
    };
    let each = Framing::ALL.map(|framing| device.ask(&ask(framing), &mut Sevens).0).into();
    (each, device.ask_many(&[ask(Framing::Json), ask(Framing::Json)], &mut Sevens).0)
});

/// Reads `bytes` as an answer, and as the payload of one.
pub fn run(bytes: &[u8]) {
    let closed = close(bytes);
    let (each, many) = &*PENDING;
    let _ = many.open(bytes, NOW);
    for pending in each {
        let _ = pending.open(bytes, NOW);
        let _ = pending.open(&closed, NOW);
    }
}

/// A container around whole AES blocks.
fn close(payload: &[u8]) -> Vec<u8> {
    let session = DeviceSession::generate(&[7; 20], &mut Sevens);
    let mut text = payload.as_chunks::<16>().0.as_flattened().to_vec();
    let _ = session.answer_key(&[7; 16]).encrypt([7; 16], &mut text);
    let length = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
    [&[0, 0, 0, 1, 0, 0, 0, 0][..], &[7; 16], &length, &text].concat()
}
