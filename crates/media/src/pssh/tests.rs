//! Boxes against another packager's bytes, and refusals.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

const KID: KeyId = KeyId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
/// Of the key 101112131415161718191a1b1c1d1e1f and [`KID`].
const CHECKSUM: [u8; 8] = [0x9e, 0x43, 0x67, 0x65, 0x62, 0xdc, 0xd9, 0xe9];

/// The boxes that Shaka Packager wrote: common, PlayReady, Widevine.
fn shaka(scheme: Scheme) -> Vec<Vec<u8>> {
    let text = match scheme {
        Scheme::Cenc => include_str!("../../tests/golden/shaka_pssh_cenc.txt"),
        Scheme::Cbcs => include_str!("../../tests/golden/shaka_pssh_cbcs.txt"),
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| STANDARD.decode(line).unwrap()).collect()
}

#[test]
fn every_box_equals_shaka_packagers() {
    for scheme in Scheme::ALL {
        let ours =
            [common(&[KID]), playready(KID, scheme, Some(CHECKSUM)), widevine(&[KID], scheme)];
        assert_eq!(ours.to_vec(), shaka(scheme), "{scheme}");
    }
}

#[test]
fn every_box_reads_back() {
    for scheme in Scheme::ALL {
        let run = shaka(scheme).concat();
        let boxes: Vec<Pssh> =
            parse_all(&run).unwrap().into_iter().collect::<Result<_, _>>().unwrap();
        let systems: Vec<_> = boxes.iter().map(|pssh| pssh.system.name().unwrap()).collect();
        assert_eq!(systems, ["common", "PlayReady", "Widevine"]);
        assert!(boxes.iter().all(|pssh| pssh.all_kids() == [KID]));
        let SystemData::PlayReady(object) = &boxes[1].data else { panic!("PlayReady") };
        let (version, algorithm) = match scheme {
            Scheme::Cenc => ("4.0.0.0", "AESCTR"),
            Scheme::Cbcs => ("4.3.0.0", "AESCBC"),
        };
        assert_eq!(
            (object.version.as_str(), object.algorithm.as_deref()),
            (version, Some(algorithm))
        );
        assert_eq!(object.license_url, None);
        let SystemData::Widevine(data) = &boxes[2].data else { panic!("Widevine") };
        assert_eq!(data.scheme(), Some(scheme));
    }
}

#[test]
fn the_common_box_does_not_depend_on_the_tracks_order() {
    let other = KeyId::from_bytes([0xff; 16]);
    assert_eq!(common(&[other, KID, other]), common(&[KID, other]));
    assert_eq!(parse(&common(&[other, KID])).unwrap().all_kids(), [KID, other]);
}

#[test]
fn many_kids_read_back_and_too_many_do_not() {
    let kids = |count: u32| -> Vec<KeyId> {
        (0..count).map(|n| KeyId::from_bytes((u128::from(n)).to_be_bytes())).collect()
    };
    let limit = kids(4096);
    assert_eq!(parse(&common(&limit)).unwrap().all_kids(), limit);
    assert_eq!(parse(&widevine(&limit, Scheme::Cbcs)).unwrap().all_kids(), limit);
    assert_eq!(parse(&common(&kids(4097))), Err(PsshError::TooLarge));
    assert_eq!(parse(&widevine(&kids(4097), Scheme::Cbcs)), Err(PsshError::TooLarge));
    // A count that the box cannot hold must not make us reserve memory for it.
    let mut lying = common(&[KID]);
    lying[28..32].copy_from_slice(&4096_u32.to_be_bytes());
    assert_eq!(parse(&lying), Err(PsshError::Size));
}

#[test]
fn an_unknown_system_is_opaque() {
    let system = SystemId::from_bytes([7; 16]);
    let pssh = parse(&write(system, Some(&[KID]), b"own words")).unwrap();
    assert_eq!((pssh.system, pssh.version, system.name()), (system, 1, None));
    assert_eq!(pssh.data, SystemData::Opaque(b"own words".to_vec()));
}

#[test]
fn every_cut_and_every_tail_is_refused() {
    for whole in shaka(Scheme::Cenc).iter().chain(&shaka(Scheme::Cbcs)) {
        for len in 0..whole.len() {
            assert!(parse(&whole[..len]).is_err(), "{len} of {}", whole.len());
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(parse(&longer), Err(PsshError::Size));
    }
}

#[test]
fn each_defect_has_its_name() {
    let good = common(&[KID]);
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        parse(&bad)
    };
    assert_eq!(with(3, 0x33), Err(PsshError::Size));
    assert_eq!(with(4, b'f'), Err(PsshError::Type));
    assert_eq!(with(8, 2), Err(PsshError::Version(2)));
    assert_eq!(with(51, 1), Err(PsshError::Size));
    assert_eq!(parse(&vec![0; MAX_BOX_BYTES + 1]), Err(PsshError::TooLarge));

    let widevine = |data: &[u8]| parse(&write(SystemId::WIDEVINE, None, data));
    assert!(widevine(&[]).unwrap().all_kids().is_empty());
    for bad in [
        &[0x12, 15][..],  // a key id that ends early
        &[0x12, 2, 1, 2], // a key id of 2 bytes
        &[0x48],          // a number that is missing
        &[0x48, 0x80],    // … and one that does not end
        &[0x4b],          // a group
        &[0, 0],          // field 0
        &[0x10, 1],       // key id as a number
        &[0x48, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], // 65 bits
    ] {
        assert_eq!(widevine(bad), Err(PsshError::Widevine), "{bad:x?}");
    }
    let passed_over = [0x08, 1, 0x1a, 2, b'o', b'k', 0x55, 0, 0, 0, 0, 0x38, 5];
    let SystemData::Widevine(data) = widevine(&passed_over).unwrap().data else {
        panic!("Widevine")
    };
    assert_eq!((data.provider.as_deref(), data.crypto_period), (Some("ok"), Some(5)));

    let playready = |data: &[u8]| parse(&write(SystemId::PLAYREADY, None, data));
    let object = playready_object(KID, Scheme::Cbcs, None);
    for at in [0, 4, 6, 8, 10] {
        let mut bad = object.clone();
        bad[at] ^= 1;
        assert_eq!(playready(&bad), Err(PsshError::PlayReady), "{at}");
    }
    assert_eq!(playready(&[0; 15_001]), Err(PsshError::TooLarge));
}

#[test]
fn a_boxs_defect_does_not_hide_its_neighbors() {
    let bad = write(SystemId::WIDEVINE, None, &[0x12]);
    let run = [common(&[KID]), bad, widevine(&[KID], Scheme::Cenc)].concat();
    let read = parse_all(&run).unwrap();
    assert!(read[0].is_ok() && read[2].is_ok());
    assert_eq!(read[1], Err(PsshError::Widevine));
    assert_eq!(parse_all(&run[..run.len() - 1]), Err(PsshError::Size));
    assert_eq!(parse_all(&common(&[]).repeat(MAX_BOXES + 1)), Err(PsshError::TooLarge));
}

#[test]
fn systems_are_read_as_manifests_write_them() {
    assert_eq!(
        SystemId::parse_urn("URN:UUID:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"),
        Some(SystemId::WIDEVINE)
    );
    assert_eq!(SystemId::CLEARKEY.urn(), "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e");
    for bad in ["", "urn:uuid:", "urn:uuix:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "ürn:uuid:x"] {
        assert_eq!(SystemId::parse_urn(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let _ = parse_all(&bytes);
    }

    #[test]
    fn a_damaged_box_never_panics(which in 0..6_usize, at in 0..600_usize, byte: u8) {
        let boxes = [shaka(Scheme::Cenc), shaka(Scheme::Cbcs)].concat();
        let mut damaged = boxes[which].clone();
        let at = at % damaged.len();
        damaged[at] = byte;
        let _ = parse(&damaged);
    }

    #[test]
    fn system_parts_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&write(SystemId::WIDEVINE, None, &bytes));
        let _ = parse(&write(SystemId::PLAYREADY, None, &bytes));
    }

    #[test]
    fn what_we_write_we_read(kid: [u8; 16], checksum: Option<[u8; 8]>) {
        let kid = KeyId::from_bytes(kid);
        for scheme in Scheme::ALL {
            prop_assert_eq!(parse(&playready(kid, scheme, checksum)).unwrap().all_kids(), vec![kid]);
            prop_assert_eq!(parse(&widevine(&[kid], scheme)).unwrap().all_kids(), vec![kid]);
        }
    }
}
