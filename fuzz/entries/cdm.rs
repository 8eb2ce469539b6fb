//! Any bytes as an initialization segment and a media segment, as the answer to each message of a
//! session, as commands to the module, as what a device kept: refused or decrypted, never a panic,
//! never a byte outside the segment, never a key out of an unsigned license.

use cdm::widevine::{Device, Profile};
use cdm::{
    KeyStatus, MessageKind, Module, Origin, Sessions, StateError, System, Track, fairplay,
    playready, protocol,
};
use dialect::widevine::RootFile;
use keys::RecordKey;
use keys::fairplay::ApplicationSecret;
use media::pssh;
use model::{Entropy, KeyId, Scheme, SecurityLevel, Timestamp};

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const PROFILE: Profile<'_> = Profile {
    certificate: include_bytes!("../../vectors/widevine/device.bin"),
    private_pem: include_str!("../../vectors/widevine/device_private.pem"),
    root: RootFile::PublicKey(include_bytes!("../../vectors/widevine/root_public.der")),
    level: SecurityLevel::L3,
};
const SERVICE: &[u8] = include_bytes!("../../vectors/widevine/service_cert.bin");
const PLAYREADY: playready::Profile<'_> = playready::Profile {
    chain: include_bytes!("../../vectors/playready/device/chain.bin"),
    signing_private_pem: include_str!("../../vectors/playready/device/signing_private.pem"),
    encryption_private_pem: include_str!("../../vectors/playready/device/encryption_private.pem"),
    root: include_bytes!("../../vectors/playready/root_public.bin"),
    wmrm: include_bytes!("../../vectors/playready/wmrm_public.bin"),
    level: SecurityLevel::L1,
};
const FAIRPLAY: fairplay::Profile<'_> = fairplay::Profile {
    hardware_hex: include_str!("../../vectors/fairplay/device.hex"),
    secret_hex: include_str!("../../vectors/fairplay/ask.hex"),
};
const APPLICATION: &[u8] = include_bytes!("../../vectors/fairplay/app_cert.der");
const URI: &[u8] = b"skd://film?kid=01010101010101010101010101010101";
const KID: KeyId = KeyId::from_bytes([1; 16]);
const OTHER: KeyId = KeyId::from_bytes([2; 16]);

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// A nonce of sevens, as the seeds answer it, and then other numbers: a point must be found.
struct FromSeven(u8);

impl Entropy for FromSeven {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(self.0);
        self.0 = self.0.wrapping_add(1);
    }
}

/// Shape: length of the initialization segment (16 bits), the segment, and all the rest.
pub fn run(bytes: &[u8]) {
    widevine(bytes);
    playready(bytes);
    fairplay(bytes);
    commands(bytes);
    kept(bytes);
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (init, media) = rest.split_at(length);
    let Ok(track) = Track::parse(init) else { return };
    let mut sessions = Sessions::new(System::ClearKey);
    let Ok((session, message)) = sessions.request(&track.init_data, NOW, &mut Sevens) else {
        return;
    };
    let offline = dialect::clearkey::Offline::Refused;
    let asked = dialect::clearkey::Challenge::parse(&message.body, offline);
    let asked = asked.expect("the CDM's own request reads");
    let key = |kid: &KeyId| {
        format!(r#"{{"kty":"oct","kid":"{}","k":"AAAAAAAAAAAAAAAAAAAAAA"}}"#, kid.to_base64url())
    };
    let keys: Vec<String> = asked.kids().iter().map(key).collect();
    let license = format!(r#"{{"keys":[{}],"type":"temporary"}}"#, keys.join(","));
    // More keys than a license may have are refused.
    let _ = sessions.update(session, license.as_bytes(), NOW, &mut Sevens);
    let mut segment = media.to_vec();
    let _ = sessions.decrypt(&track, &mut segment, NOW);
    assert_eq!(segment.len(), media.len());
}

/// As initialization data, as a service certificate, as a license.
fn widevine(bytes: &[u8]) {
    let device = Device::parse(&PROFILE).expect("a device");
    let mut sessions = Sessions::new(System::Widevine(Box::new(device)));
    let _ = sessions.request(bytes, NOW, &mut Sevens);
    let boxes = pssh::widevine(&[KID], Scheme::Cbcs);
    let opened = sessions.request(&boxes, NOW, &mut Sevens);
    let (session, _) = opened.expect("a box of its own");
    let _ = sessions.update(session, bytes, NOW, &mut Sevens);
    // A SignedMessage of type SERVICE_CERTIFICATE around the certificate, below 16 KiB.
    let length = u16::try_from(SERVICE.len()).unwrap_or(0);
    let length = [length.to_le_bytes()[0] | 0x80, u8::try_from(length >> 7).unwrap_or(0)];
    let certificate = [&[8, 5, 0x12][..], &length, SERVICE].concat();
    let asked = sessions.update(session, &certificate, NOW, &mut Sevens);
    assert!(asked.is_ok_and(|updated| updated.message.is_some()), "the certificate is good");
    assert!(sessions.update(session, bytes, NOW, &mut Sevens).is_err(), "nobody signed it");
    assert_eq!(sessions.statuses(session, NOW), Ok(vec![]));
}

/// As initialization data, as a license, as the answer to an acknowledgement.
fn playready(bytes: &[u8]) {
    let device = playready::Device::parse(&PLAYREADY).expect("a device");
    let mut sessions = Sessions::new(System::PlayReady(Box::new(device)));
    let _ = sessions.request(bytes, NOW, &mut FromSeven(7));
    let boxes = [KID, OTHER].map(|kid| pssh::playready(kid, Scheme::Cbcs, None)).concat();
    let opened = sessions.request(&boxes, NOW, &mut FromSeven(7));
    let (session, _) = opened.expect("a box of its own");
    let Ok(updated) = sessions.update(session, bytes, NOW, &mut Sevens) else {
        assert_eq!(sessions.statuses(session, NOW), Ok(vec![]));
        return;
    };
    assert_asked_for(&updated.keys);
    let is_acknowledged = sessions.update(session, bytes, NOW, &mut Sevens).is_ok();
    let kind = updated.message.map(|message| message.kind);
    assert_eq!(is_acknowledged, kind == Some(MessageKind::LicenseAcknowledgement));
}

/// As a URI, as the application's certificate, as a license, as the license of a renewal.
fn fairplay(bytes: &[u8]) {
    let device = fairplay::Device::parse(&FAIRPLAY).expect("a device");
    let mut sessions = Sessions::new(System::FairPlay(Box::new(device)));
    let _ = sessions.request(bytes, NOW, &mut Sevens);
    let (session, _) = sessions.request(URI, NOW, &mut Sevens).expect("a URI of its own");
    let _ = sessions.update(session, bytes, NOW, &mut Sevens);
    let (session, _) = sessions.request(URI, NOW, &mut Sevens).expect("a URI of its own");
    let asked = sessions.update(session, APPLICATION, NOW, &mut Sevens);
    assert!(asked.is_ok_and(|updated| updated.message.is_some()), "the certificate is good");
    let Ok(updated) = sessions.update(session, bytes, NOW, &mut Sevens) else {
        assert_eq!(sessions.statuses(session, NOW), Ok(vec![]));
        return;
    };
    assert_asked_for(&updated.keys);
    let late = NOW.plus_s(u64::from(u32::MAX));
    if let Ok(Some(_)) = sessions.renew(session, late, &mut Sevens) {
        let _ = sessions.update(session, bytes, late, &mut Sevens);
    }
}

fn assert_asked_for(keys: &[(KeyId, KeyStatus)]) {
    assert!(
        keys.iter().all(|(kid, _)| [KID, OTHER].contains(kid)),
        "a key that was not asked for: {keys:?}"
    );
}

/// As a state, which no other than the device seals, and as what is in one.
fn kept(bytes: &[u8]) {
    let open = |state: &[u8]| {
        let device = fairplay::Device::parse(&FAIRPLAY).expect("a device");
        let origin = Origin::parse("https://video.example").expect("an origin");
        Sessions::with_state(System::FairPlay(Box::new(device)), origin, Some(state))
    };
    assert!(open(bytes).is_err(), "nobody sealed it");
    let hardware: Vec<u8> = FAIRPLAY.hardware_hex.trim().as_bytes().chunks(2).map(hex).collect();
    let secret = ApplicationSecret::parse_hex(FAIRPLAY.secret_hex).expect("a secret");
    let key = RecordKey::of_application(&secret, &hardware);
    let head = [&b"SRKEPT\0\x01"[..], &key.device()].concat();
    let state = [&head[..], &key.seal(bytes, &head, &mut Sevens)].concat();
    match open(&state) {
        Ok(mut sessions) => {
            for record in sessions.kept() {
                let _ = sessions.restore(record.id, NOW);
            }
            let _ = sessions.last_state(NOW, &mut Sevens);
        }
        Err(error) => assert!(matches!(error, StateError::Version | StateError::TooLarge)),
    }
}

fn hex(pair: &[u8]) -> u8 {
    let text = std::str::from_utf8(pair).expect("digits");
    u8::from_str_radix(text, 16).expect("digits")
}

fn commands(mut bytes: &[u8]) {
    let mut module = Module::new(System::ClearKey);
    while let Ok(Some((command, body))) = protocol::read(&mut bytes) {
        module.run(command, body, NOW, &mut Sevens);
    }
}
