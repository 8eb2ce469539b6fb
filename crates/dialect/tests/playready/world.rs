//! One test root with its service and devices, and another that nobody knows.

use dialect::playready::client::{Ask, ClientDevice, Pending, Service};
use dialect::playready::test_root::{TestDevice, TestRoot};
use dialect::playready::{
    Answer, Challenge, ChallengeError, Credentials, Desk, Header, Issue, Request, RevocationList,
    VerifiedChains,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::{ContentKey, FingerprintKey, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// 2027-06-01.
pub const NOW: Timestamp = Timestamp(1_811_808_000_000);

pub struct World {
    pub root: TestRoot,
    pub credentials: Credentials,
    pub chains: VerifiedChains,
    pub revoked: RevocationList,
    pub service: Service,
    pub l1: ClientDevice,
    pub l2: ClientDevice,
    pub l3: ClientDevice,
    pub other_l1: ClientDevice,
    pub strange: ClientDevice,
    pub stranger: TestRoot,
}

pub fn credentials(root: &TestRoot) -> Credentials {
    Credentials::import(
        &root.root_public,
        &root.wmrm_private_pem,
        &root.signing_chain,
        &root.signing_private_pem,
        NOW,
    )
    .unwrap()
}

pub fn client(device: &TestDevice) -> ClientDevice {
    ClientDevice::read(&device.chain, &device.signing_private_pem, &device.encryption_private_pem)
        .unwrap()
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root = TestRoot::make(&mut SystemEntropy);
    let stranger = TestRoot::make(&mut SystemEntropy);
    let device = |root: &TestRoot, level| client(&root.device(level, &mut SystemEntropy));
    World {
        credentials: credentials(&root),
        chains: VerifiedChains::default(),
        revoked: RevocationList::parse(&root.revocation).unwrap(),
        service: Service::read(&root.root_public, &root.wmrm_public).unwrap(),
        l1: device(&root, SecurityLevel::L1),
        l2: device(&root, SecurityLevel::L2),
        l3: device(&root, SecurityLevel::L3),
        other_l1: device(&root, SecurityLevel::L1),
        strange: device(&stranger, SecurityLevel::L1),
        root,
        stranger,
    }
});

impl World {
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            credentials: &self.credentials,
            chains: &self.chains,
            revoked: &self.revoked,
            allows_test_level: true,
        }
    }

    pub fn parse(&self, body: &[u8]) -> Result<Request, ChallengeError> {
        Request::parse(body, &self.desk(), NOW)
    }

    pub fn challenge(&self, body: &[u8]) -> Challenge {
        match self.parse(body).unwrap() {
            Request::License(challenge) => *challenge,
            Request::Acknowledgement(other) => panic!("{other:?}"),
        }
    }

    pub fn refusal(&self, body: &[u8]) -> ChallengeError {
        match self.parse(body) {
            Err(error) => error,
            Ok(request) => panic!("not refused: {request:?}"),
        }
    }

    pub fn issue<'a>(&'a self, terms: &'a LicenseTerms, scheme: Scheme) -> Issue<'a> {
        Issue { terms, scheme, credentials: &self.credentials, now: NOW }
    }

    pub fn answer(&self, body: &[u8], keys: Vec<LicensedKey>) -> Answer {
        let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
        self.challenge(body).answer(&self.issue(&terms, Scheme::Cbcs), keys, &mut SystemEntropy)
    }
}

/// No two orders of whose fields are the same.
pub fn kid(byte: u8) -> KeyId {
    let mut bytes = [byte; 16];
    for (at, byte) in bytes.iter_mut().enumerate().skip(1) {
        *byte = byte.wrapping_add(u8::try_from(at).unwrap());
    }
    KeyId::from_bytes(bytes)
}

pub fn content_key(byte: u8) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([byte; 16]))
}

/// Tells keys apart without showing them.
pub fn fingerprint(key: &ContentKey) -> [u8; 32] {
    key.fingerprint(&FingerprintKey::from_bytes(&Zeroizing::new([1; 32])))
}

pub fn licensed(byte: u8) -> LicensedKey {
    let terms = KeyTerms {
        robustness: Robustness::HardwareDecoding,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    };
    LicensedKey { kid: kid(byte), key: content_key(byte), terms, iv: None }
}

/// A challenge of `device` for the keys of headers as they stand.
pub fn ask<'a>(device: &'a ClientDevice, headers: &[&[u8]]) -> (Pending<'a>, Vec<u8>) {
    let ask = Ask { headers, custom_data: None, service: &WORLD.service };
    device.ask(&ask, NOW, &mut SystemEntropy).unwrap()
}

/// A challenge of `device` for `cbcs` keys by their bytes.
pub fn ask_kids<'a>(device: &'a ClientDevice, kids: &[u8]) -> (Pending<'a>, Vec<u8>) {
    let kids: Vec<KeyId> = kids.iter().copied().map(kid).collect();
    ask(device, &[Header::of(&kids, Scheme::Cbcs).as_bytes()])
}

/// The text of a challenge for one key.
pub fn asked() -> String {
    String::from_utf8(ask_kids(&WORLD.l1, &[1]).1).unwrap()
}

/// From `start` to `end`, both with it.
pub fn cut<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).unwrap_or_else(|| panic!("no {start}"));
    let to = text[from..].find(end).unwrap_or_else(|| panic!("no {end}")) + from + end.len();
    &text[from..to]
}

/// The license acquisition of a challenge.
pub fn acquisition(text: &str) -> &str {
    cut(text, "<LA ", "</LA>")
}

/// Replaces what stands once.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replacen(from, to, 1)
}

/// A challenge whose device wrote `to` for `from`, and signed that.
pub fn rewritten(from: &str, to: &str) -> Vec<u8> {
    WORLD.l1.sign(&replace(acquisition(&asked()), from, to))
}

/// A challenge that was changed after it was signed.
pub fn changed(from: &str, to: &str) -> Vec<u8> {
    replace(&asked(), from, to).into_bytes()
}

pub fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}
