//! Messages that are made to cost much are refused cheaply: time and memory, one test, for the
//! memory is the process's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what tests stand on may panic")]

use dialect::widevine::client::ServiceCertificate;
use dialect::widevine::read_license;
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{
    Credentials, Desk, DeviceList, MAX_BYTES, Request, RootFile, VerifiedModels,
};
use keys::{LicenseKeys, SessionKey, SessionSeal, SystemEntropy};
use model::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
/// What one refusal may cost, processor time; the build of the tests is not optimized.
const TIME: Duration = Duration::from_millis(50);
const MEMORY_KIB: u64 = 16 * 1024;

/// The processor time of this thread: a busy machine does not make a refusal slow.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

/// The most memory that the process had so far.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(u64::try_from(bytes.len()).unwrap()), bytes.to_vec()].concat()
}

/// `inner` in a field in a field and so on, as deep as `limit` bytes go.
fn nested(number: u64, limit: usize) -> Vec<u8> {
    // Built from the inside: the lengths are known last, so count them first.
    let mut lengths = vec![0_usize];
    while lengths[lengths.len() - 1] + 12 < limit {
        let inner = lengths[lengths.len() - 1];
        let head = varint(number << 3 | 2).len() + varint(u64::try_from(inner).unwrap()).len();
        lengths.push(inner + head);
    }
    lengths.pop();
    let heads = lengths.iter().rev().flat_map(|inner| {
        [varint(number << 3 | 2), varint(u64::try_from(*inner).unwrap())].concat()
    });
    heads.collect()
}

fn signed(request: &[u8]) -> Vec<u8> {
    [vec![8, 1], field(2, request), field(3, &[1; 256])].concat()
}

/// What is wrong, and the message.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let room = MAX_BYTES - 300;
    let mut all = vec![];
    for number in [1, 2, 3, 8, 15, 500] {
        all.push(("nested beyond the size", nested(number, 400_000)));
        all.push(("nested", nested(number, room)));
        all.push(("nested in a request", signed(&nested(number, room - 20))));
        all.push(("a length of 2^31", [varint(number << 3 | 2), varint(1 << 31)].concat()));
        let long = [varint(number << 3 | 2), varint(u64::MAX)].concat();
        all.push(("a length of 2^64 in a request", signed(&long)));
    }
    all.push(("100 000 groups", vec![0x0b; 100_000]));
    all.push(("groups", vec![0x1b; room]));
    all.push(("groups in a request", signed(&vec![0x0b; room - 20])));
    all.push(("10 million empty fields", [0x1a, 0].repeat(10_000_000)));
    all.push(("empty fields", [0x1a, 0].repeat(room / 2)));
    all.push(("empty unknown fields", [0x7a, 0].repeat(room / 2)));
    for path in [&[2, 1, 1][..], &[2, 4], &[1, 3], &[1, 6]] {
        let mut inner = [0x12, 0].repeat((room - 60) / 2);
        for number in path.iter().rev() {
            inner = field(*number, &inner);
        }
        all.push(("empty fields, deep", signed(&inner)));
    }
    let payloads = field(2, &[0x0a, 0].repeat((room - 60) / 2));
    let content = field(2, &[payloads, vec![]].concat());
    all.push(("payloads without end", signed(&content)));
    all.push(("a number of 11 bytes", [&[8][..], &[0x80; 10], &[1]].concat()));
    all.push(("a number without end", vec![0x80; room]));
    all.push(("a number of 2^64", [&[8][..], &[0xff; 9], &[2]].concat()));
    all
}

struct Server {
    credentials: Credentials,
    models: VerifiedModels,
    devices: DeviceList,
    seal: SessionSeal,
    secrets: LicenseKeys,
    root: Vec<u8>,
}

fn server() -> Server {
    let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
    Server {
        credentials: Credentials::import(
            RootFile::PublicKey(&root.root_public),
            &root.service_certificate,
            &root.service_private_pem,
            NOW,
        )
        .unwrap(),
        models: VerifiedModels::default(),
        devices: DeviceList::parse(&root.device_list).unwrap(),
        seal: SessionSeal::from_bytes(&Zeroizing::new([7; 32])),
        secrets: SessionKey::generate(&mut SystemEntropy).derive(b"request"),
        root: root.root_public,
    }
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let server = server();
    let desk = Desk {
        credentials: &server.credentials,
        models: &server.models,
        devices: &server.devices,
        sessions: &server.seal,
    };
    let messages = messages();
    let longest = messages.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(longest >= 20_000_000, "10^7 fields");
    let (memory, mut slowest) = (peak_kib(), Duration::ZERO);
    for (what, bytes) in &messages {
        let before = cpu();
        assert!(Request::parse(bytes, &desk, NOW).is_err(), "{what}");
        assert!(read_license(bytes, &server.secrets).is_err(), "{what}");
        let root = RootFile::PublicKey(&server.root);
        assert!(ServiceCertificate::open(bytes, root, NOW).is_err(), "{what}");
        let taken = cpu().saturating_sub(before);
        assert!(taken < TIME, "{what}: {taken:?}");
        slowest = slowest.max(taken);
    }
    let grown = peak_kib().saturating_sub(memory);
    assert!(grown <= MEMORY_KIB, "{grown} KiB");
    println!("slowest {slowest:?}, {grown} KiB");
}

/// A license that is signed may hold as many containers as its size allows: still bounded.
#[test]
fn a_signed_flood_of_containers_is_refused() {
    let server = server();
    let license = [field(1, b""), vec![0x20, 1], [0x1a, 0].repeat(30_000)].concat();
    let signature = server.secrets.macs.sign_as_server(&license);
    let message = [vec![8, 2], field(2, &license), field(3, &signature)].concat();
    let before = cpu();
    assert!(read_license(&message, &server.secrets).is_err());
    let taken = cpu().saturating_sub(before);
    assert!(taken < TIME, "{taken:?}");
}
