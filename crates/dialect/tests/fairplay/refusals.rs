//! Each reason why a request is not answered, met by a request that is wrong in nothing else.

use crate::round_trips::set_returned;
use crate::world::*;
use dialect::fairplay::ChallengeError::*;
use dialect::fairplay::client::{Ask, Draft, close_payload};
use dialect::fairplay::{Capabilities, ChallengeError, Framing, MAX_BYTES};
use keys::SystemEntropy;
use std::collections::BTreeSet;

fn spc() -> Vec<u8> {
    ask_kid(&WORLD.device, 1).1
}

/// A good request with one block changed.
fn with(tag: u64, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut draft = draft(1);
    change(&mut draft.blocks.iter_mut().find(|(own, _)| *own == tag).unwrap().1);
    sent(draft).1
}

fn changed(change: impl Fn(&mut Draft)) -> Vec<u8> {
    let mut draft = draft(1);
    change(&mut draft);
    sent(draft).1
}

fn without(tag: u64) -> Vec<u8> {
    changed(|draft| draft.blocks.retain(|(own, _)| *own != tag))
}

fn twice(tag: u64) -> Vec<u8> {
    changed(|draft| {
        let again = draft.blocks.iter().find(|(own, _)| *own == tag).unwrap().clone();
        draft.blocks.push(again);
    })
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    close_payload(bytes, &WORLD.certificate, &mut SystemEntropy)
}

fn asking(change: impl Fn(&mut Ask<'_>)) -> Vec<u8> {
    let asset = asset(1);
    let mut asked = ask(&asset);
    change(&mut asked);
    WORLD.device.ask(&asked, &mut SystemEntropy).1
}

fn containers() -> Vec<(ChallengeError, &'static str, Vec<u8>)> {
    let edit = |at: usize, bytes: &[u8]| {
        let mut spc = spc();
        spc[at..at + bytes.len()].copy_from_slice(bytes);
        spc
    };
    let long = [&spc()[..], &[0; 16]].concat();
    let mut table = vec![
        (Malformed, "nothing", vec![]),
        (Malformed, "a version only", vec![0, 0, 0, 1]),
        (Malformed, "no SPC in a form", b"asset=1".to_vec()),
        (Malformed, "no SPC in JSON", b"{\"asset\":1}".to_vec()),
        (Malformed, "bytes behind the payload", long),
        (Malformed, "a payload shorter than it says", edit(172, &[0xff; 4])),
        (Malformed, "an empty payload", payload(&[])),
        (TooLarge, "a long body", vec![0; MAX_BYTES + 1]),
        (TooLarge, "a long SPC", payload(&vec![0; 33 * 1024])),
        (SpcTwice, "two SPCs", b"spc=AAAA&spc=AAAA".to_vec()),
        (SpcTwice, "several where one is asked", b"{\"spc\":[\"AAAA\"]}".to_vec()),
        (
            TooManySpcs,
            "65 SPCs",
            serde_json::json!({ "spc": vec!["AAAA"; 65] }).to_string().into_bytes(),
        ),
        (Base64, "no base64", b"spc=!".to_vec()),
        (Base64, "no base64 in JSON", b"{\"spc\":\"!\"}".to_vec()),
        (UnknownCertificate, "another's certificate", edit(152, &[7; 20])),
        (PayloadKey, "a wrapped key that was changed", edit(30, &[7; 8])),
    ];
    for version in [0_u32, 2, 3, 4, 0xff_ffff] {
        table.push((UnsupportedVersion, "version", edit(0, &version.to_be_bytes())));
    }
    let asset = asset(1);
    let strange = Ask { certificate: &WORLD.strange_certificate, ..ask(&asset) };
    let (_, body) = WORLD.strange_device.ask(&strange, &mut SystemEntropy);
    table.push((UnknownCertificate, "a strange application", body));
    // The application's certificate, under which another's key was used.
    let mut swapped = spc();
    let mut other = Ask { certificate: &WORLD.older_certificate, ..ask(&asset) };
    other.framing = Framing::Octets;
    let (_, older) = WORLD.older_device.ask(&other, &mut SystemEntropy);
    swapped[24..152].copy_from_slice(&older[24..152]);
    table.push((PayloadKey, "a key for another certificate", swapped));
    table
}

fn blocks() -> Vec<(ChallengeError, &'static str, Vec<u8>)> {
    let length = |block_length: u32, value_length: u32| {
        let head = [&7_u64.to_be_bytes()[..], &block_length.to_be_bytes()].concat();
        payload(&[&head[..], &value_length.to_be_bytes(), &[0; 32]].concat())
    };
    let many = |count: usize| payload(&block(9, &[]).repeat(count));
    let mut table = vec![
        (Blocks, "a block of 2^31", length(1 << 31, 0)),
        (Blocks, "a block of 2^32 - 16", length(0xffff_fff0, 0)),
        (Blocks, "a value beyond its block", length(16, 17)),
        (Blocks, "a value of 2^31", length(32, 1 << 31)),
        (Blocks, "a block of no whole unit", length(17, 0)),
        (Blocks, "a block beyond the payload", length(48, 0)),
        (TooManyBlocks, "129 blocks", many(129)),
        (TooManyBlocks, "2000 blocks", many(2000)),
        (BlockMissing, "128 blocks of nothing", many(128)),
        (BlockMissing, "no integrity", without(tag::INTEGRITY)),
        (BlockMissing, "no secrets", without(tag::SESSION)),
        (BlockMissing, "no R2", without(tag::R2)),
        (BlockMissing, "no seed", without(tag::SEED)),
        (BlockMissing, "no asset id", without(tag::ASSET_ID)),
        (BlockLength, "short secrets", with(tag::SESSION, |value| value.truncate(96))),
        (BlockLength, "long secrets", with(tag::SESSION, |value| value.extend([0; 16]))),
        (BlockLength, "a short R2", with(tag::R2, |value| value.truncate(20))),
        (BlockLength, "a long seed", with(tag::SEED, |value| value.push(0))),
        (BlockLength, "an empty integrity", with(tag::INTEGRITY, Vec::clear)),
        (BlockLength, "an asset id of a byte", with(tag::ASSET_ID, |value| value.truncate(1))),
        (BlockLength, "a long asset id", with(tag::ASSET_ID, |value| value.resize(201, b'a'))),
        (BlockLength, "a long playback state", with(tag::PLAYBACK, |value| value.push(0))),
        (BlockLength, "short capabilities", with(tag::CAPABILITIES, |value| value.truncate(8))),
        (BlockLength, "a version of three bytes", with(tag::USED, |value| value.truncate(3))),
        (BlockLength, "versions of five", with(tag::SUPPORTED, |value| value.push(0))),
        (BlockLength, "33 versions", with(tag::SUPPORTED, |value| *value = value.repeat(33))),
        (BlockLength, "tags of nine bytes", with(tag::RETURN_REQUEST, |value| value.push(0))),
    ];
    let streaming = |draft: &mut Draft| draft.blocks.push((tag::STREAMING, vec![0; 7]));
    table.push((BlockLength, "a short streaming indicator", changed(streaming)));
    for tag in [
        tag::SESSION,
        tag::INTEGRITY,
        tag::R2,
        tag::SEED,
        tag::RETURN_REQUEST,
        tag::ASSET_ID,
        tag::TRANSACTION,
        tag::SUPPORTED,
        tag::USED,
        tag::PLAYBACK,
        tag::CAPABILITIES,
    ] {
        table.push((BlockTwice, "a known block twice", twice(tag)));
    }
    table
}

fn contents() -> Vec<(ChallengeError, &'static str, Vec<u8>)> {
    let returned = |tags: &[u64]| changed(|draft| set_returned(draft, tags));
    let unknown_twice = changed(|draft| {
        draft.blocks.extend([(5, vec![1]), (5, vec![2])]);
        set_returned(draft, &[5]);
    });
    let voice = |tag: u64| {
        changed(|draft| {
            draft.blocks.push((tag, vec![0; 16]));
            set_returned(draft, &[tag]);
        })
    };
    let mut table = vec![
        (ProtocolVersion, "version 2 used", with(tag::USED, |value| value[3] = 2)),
        (ProtocolVersion, "version 1 unsupported", with(tag::SUPPORTED, |value| value[3] = 2)),
        (ProtocolVersion, "a version used only", without(tag::SUPPORTED)),
        (ProtocolVersion, "versions supported only", without(tag::USED)),
        (ProtocolVersion, "no version supported", with(tag::SUPPORTED, Vec::clear)),
        (Integrity, "another integrity", with(tag::INTEGRITY, |value| value[15] ^= 1)),
        (Integrity, "another R2", with(tag::R2, |value| value[20] ^= 1)),
        (Integrity, "secrets that were changed", with(tag::SESSION, |value| value[111] ^= 1)),
        (ReturnRequest, "a tag that is not there", returned(&[6])),
        (ReturnRequest, "a tag named twice", returned(&[tag::TRANSACTION, tag::TRANSACTION])),
        (ReturnRequest, "the secrets", returned(&[tag::TRANSACTION, tag::SESSION])),
        (ReturnRequest, "the integrity", returned(&[tag::INTEGRITY])),
        (ReturnRequest, "a tag that is there twice", unknown_twice),
        (ReturnRequest, "R1 of the client's making", voice(tag::R1)),
        (ReturnRequest, "a key of the client's making", voice(0x58b3_8165_af0e_3d5a)),
        (ReturnRequest, "a duration of the client's making", voice(0x47ac_f6a4_18cd_091a)),
        (ReturnRequest, "an HDCP rule of the client's making", voice(0x2e52_f153_0d8d_db4a)),
        (ReturnRequest, "a level of the client's making", voice(0x644c_b1da_c031_3250)),
        (AssetId, "no KID", with(tag::ASSET_ID, |value| *value = b"skd://film".to_vec())),
        (AssetId, "a KID of 33 digits", with(tag::ASSET_ID, |value| value.push(b'0'))),
        (AssetId, "no text", with(tag::ASSET_ID, |value| value[8] = 0xff)),
        (PlaybackState, "an unknown state", with(tag::PLAYBACK, |value| value[4] ^= 1)),
        (NoPlaybackState, "no playback state", asking(|asked| asked.playback = None)),
    ];
    // The device of another application: its secrets open to noise.
    let (_, body) = ask_kid(&WORLD.older_device, 1);
    table.push((Integrity, "another application secret", body));
    let weak = WORLD.root.make_device(&mut SystemEntropy);
    let mut weak = weak.client().unwrap();
    weak.capabilities = Capabilities { offline: false, ..weak.capabilities };
    let asset = asset(1);
    let kept = Ask { framing: Framing::Json, persist: true, ..ask(&asset) };
    let (_, body) = weak.ask(&kept, &mut SystemEntropy);
    table.push((CannotPersist, "a device that keeps nothing", body));
    table
}

#[test]
fn each_reason_has_its_name() {
    let names: BTreeSet<_> = ChallengeError::ALL.iter().map(|error| error.name()).collect();
    assert_eq!(names.len(), ChallengeError::ALL.len());
    let mut met = BTreeSet::new();
    for (expected, what, body) in [containers(), blocks(), contents()].concat() {
        assert_eq!(WORLD.refusal(&body), expected, "{what}");
        met.insert(expected.name());
    }
    // What a licensee's module says of its own is met in `modules`.
    met.insert(Module.name());
    // Two requests for one key are met where several are read, in `round_trips`.
    met.insert(KidTwice.name());
    assert_eq!(met, names);
    assert!(WORLD.parse(&spc()).is_ok());
}

/// Version 2 and 3 are told before anything of them is read, however they travel.
#[test]
fn a_newer_container_is_refused_by_name_in_each_framing() {
    for text in [&b"spc=AAAAAg=="[..], b"{\"spc\":\"AAAAAw==\"}", &[0, 0, 0, 2], &[0, 0, 0, 3, 1]] {
        assert_eq!(WORLD.refusal(text), UnsupportedVersion);
        assert_eq!(WORLD.refusal(text).name(), "unsupported_version");
    }
}
