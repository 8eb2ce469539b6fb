//! Any bytes as an initialization segment and a media segment, as the answer to each message of a
//! session, as commands to the module: refused or decrypted, never a panic, never a byte outside
//! the segment, never a key out of an unsigned license.

use cdm::widevine::{Device, Profile};
use cdm::{Module, Sessions, System, Track, protocol};
use dialect::widevine::RootFile;
use model::{Entropy, KeyId, Scheme, SecurityLevel, Timestamp};

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const PROFILE: Profile<'_> = Profile {
    certificate: include_bytes!("../../vectors/widevine/device.bin"),
    private_pem: include_str!("../../vectors/widevine/device_private.pem"),
    root: RootFile::PublicKey(include_bytes!("../../vectors/widevine/root_public.der")),
    level: SecurityLevel::L3,
};
const SERVICE: &[u8] = include_bytes!("../../vectors/widevine/service_cert.bin");

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// Shape: length of the initialization segment (16 bits), the segment, and all the rest.
pub fn run(bytes: &[u8]) {
    widevine(bytes);
    commands(bytes);
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
    let boxes = media::pssh::widevine(&[KeyId::from_bytes([1; 16])], Scheme::Cbcs);
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

fn commands(mut bytes: &[u8]) {
    let mut module = Module::new(System::ClearKey);
    while let Ok(Some((command, body))) = protocol::read(&mut bytes) {
        module.run(command, body, NOW, &mut Sevens);
    }
}
