//! Messages that are made to cost much are refused cheaply: time and memory, one test, for the
//! memory is the process's.

#![expect(clippy::unwrap_used, reason = "what tests stand on may panic")]

use dialect::fairplay::client::{Ask, ClientDevice, Pending, close_payload};
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{
    ApplicationFiles, Challenge, Credentials, Desk, Framing, KeySecurityModule, MAX_BYTES,
    MAX_CONTAINER_BYTES, Playback, STANDIN_DERIVATION, Streaming,
};
use keys::SystemEntropy;
use keys::fairplay::ApplicationCertificate;
use model::Timestamp;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
/// What one refusal may cost, processor time; the build of the tests is not optimized.
const TIME: Duration = Duration::from_millis(50);
const MEMORY_KIB: u64 = 16 * 1024;
/// What of a container stands before its payload.
const HEAD_BYTES: usize = 176;

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

struct Sides {
    module: KeySecurityModule,
    certificate: ApplicationCertificate,
    device: ClientDevice,
}

fn sides() -> Sides {
    let root = TestRoot::make(&mut SystemEntropy);
    let files = ApplicationFiles {
        certificate: &root.certificate,
        private_pem: &root.private_pem,
        secret_hex: &root.secret_hex,
        derivation: STANDIN_DERIVATION,
    };
    Sides {
        module: Credentials::import(&files, NOW).unwrap().into(),
        certificate: ApplicationCertificate::parse(&root.certificate).unwrap(),
        device: root.make_device(&mut SystemEntropy).client().unwrap(),
    }
}

/// The head of a block.
fn head(tag: u64, block_length: u32, value_length: u32) -> Vec<u8> {
    [&tag.to_be_bytes()[..], &block_length.to_be_bytes(), &value_length.to_be_bytes()].concat()
}

/// Payloads, each as long as a container allows or as it says.
fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    let room = (MAX_CONTAINER_BYTES - HEAD_BYTES) / 16 * 16;
    let mut all = vec![
        ("empty blocks", head(9, 0, 0).repeat(room / 16)),
        ("empty blocks of a known tag", head(0x1bf7_f53f_5d5d_5a1f, 0, 0).repeat(room / 16)),
        ("10^5 blocks", head(9, 0, 0).repeat(100_000)),
        ("noise", (0..room).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()),
    ];
    for length in [1 << 31, u32::MAX, u32::MAX - 15, 0x7fff_fff0, 16] {
        all.push(("a long block", [head(9, length, 0), vec![0; 32]].concat()));
        all.push(("a long value", [head(9, 32, length), vec![0; 32]].concat()));
        let mut last = head(9, 0, 0).repeat(100);
        last.extend(head(9, length, length));
        all.push(("a long last block", last));
    }
    // Every tag of a long return request is looked for among all blocks.
    let mut returning = head(9, 0, 0).repeat(126);
    let tags = 30_000;
    returning.extend(head(0x19f9_d4e5_ab76_09cb, tags, tags));
    returning.extend([0, 0, 0, 0, 0, 0, 0, 9].repeat(usize::try_from(tags).unwrap() / 8));
    all.push(("a return request of 3750 tags", returning));
    all
}

fn bodies(sides: &Sides) -> Vec<(&'static str, Vec<u8>)> {
    let close = |payload: &[u8]| close_payload(payload, &sides.certificate, &mut SystemEntropy);
    let mut all: Vec<_> =
        payloads().iter().map(|(what, payload)| (*what, close(payload))).collect();
    for length in [0_u32, 1 << 31, u32::MAX, 16] {
        let mut spc = close(&[0; 32]);
        spc.splice(172..176, length.to_be_bytes());
        all.push(("a container's length", spc));
    }
    all.push(("20 MB of octets", vec![0; 20_000_000]));
    all.push(("zeros", vec![0; MAX_BYTES]));
    all.push(("a version and nothing", [vec![0, 0, 0, 1], vec![0; 60_000]].concat()));
    all.push(("fields without end", b"&=".repeat(MAX_BYTES / 2)));
    all.push(("empty SPCs", b"spc=&".repeat(MAX_BYTES / 5)));
    all.push(("percent signs", [&b"spc="[..], &b"%25".repeat(20_000)].concat()));
    all.push(("base64 without end", [&b"spc="[..], &b"A".repeat(65_000)].concat()));
    all.push(("deep JSON", b"{\"spc\":".repeat(9000)));
    all.push(("deep lists", [&b"{\"a\":"[..], &b"[".repeat(65_000)].concat()));
    all.push(("fields of JSON", [&b"{"[..], &b"\"a\":0,".repeat(10_000)].concat()));
    all
}

fn pending(sides: &Sides, framing: Framing) -> (Pending, Vec<u8>) {
    let ask = Ask {
        certificate: &sides.certificate,
        asset_id: b"skd://film?kid=01010101010101010101010101010101",
        framing,
        persist: false,
        playback: Some(Playback::start(NOW, &mut SystemEntropy)),
        streaming: Streaming::Device,
    };
    sides.device.ask(&ask, &mut SystemEntropy)
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let sides = sides();
    let desk = Desk { module: &sides.module };
    let clients = Framing::ALL.map(|framing| pending(&sides, framing));
    // What is answered costs its private key too: the first use of everything is not measured.
    for (_, body) in &clients {
        assert!(Challenge::parse(body, &desk, NOW).is_ok());
    }
    let bodies = bodies(&sides);
    let (memory, mut slowest) = (peak_kib(), Duration::ZERO);
    for (what, body) in &bodies {
        let before = cpu();
        assert!(Challenge::parse(body, &desk, NOW).is_err(), "{what}");
        for (pending, _) in &clients {
            assert!(pending.open(body, NOW).is_err(), "{what}");
        }
        let taken = cpu().saturating_sub(before);
        assert!(taken < TIME, "{what}: {taken:?}");
        slowest = slowest.max(taken);
    }
    let grown = peak_kib().saturating_sub(memory);
    assert!(grown <= MEMORY_KIB, "{grown} KiB");
    println!("slowest {slowest:?}, {grown} KiB");
}
