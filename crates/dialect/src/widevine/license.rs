//! The license: written under a session's keys, and read back by the server before it leaves
//! and by the client.

use super::content::{LicenseType, MAX_KIDS};
use super::decode;
use super::messages::{
    KeyContainer, License, LicenseIdentification, OutputProtection, SignedMessage, key_type,
    message_type,
};
use super::policy::{
    hdcp_of, number_of_hdcp, number_of_robustness, policy_of, robustness_of, terms_of,
};
use super::renewal::{Holder, State};
use crate::terms::{AnalogOutput, KeyTerms, LicenseTerms, LicensedKey};
use keys::{LicenseKeys, MacKeys, SessionSeal, TransportKey};
use model::{Entropy, KeyId, Scheme, Timestamp, TrackClass};
use prost::Message as _;

/// What goes into a license beside its keys.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// What the device may do.
    pub terms: &'a LicenseTerms,
    /// How the content is encrypted.
    pub scheme: Scheme,
    /// A note that comes back, unread by the client, with each renewal: keep it short.
    pub memo: &'a [u8],
    /// Seals the note and the session's signing keys.
    pub sessions: &'a SessionSeal,
    /// When the license starts.
    pub now: Timestamp,
}

/// A written license, with what reads it back. The secrets are wiped on drop.
#[derive(Debug)]
pub struct Answer {
    message: Vec<u8>,
    macs: MacKeys,
    transport: Option<TransportKey>,
}

impl Answer {
    /// The message for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.message
    }

    /// Reads the license back, as the client will.
    ///
    /// Errors: [`LicenseError`].
    pub fn read_back(&self) -> Result<OpenedLicense, LicenseError> {
        open(&self.message, &self.macs, self.transport.as_ref())
    }
}

/// Why bytes are not a license of this session. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// No license message, or one without a field that it must have.
    #[error("not a Widevine license")]
    Malformed,
    /// Signed under other keys: another request's answer, or changed on its way.
    #[error("the license's signature is not its session's")]
    Signature,
    /// The session key does not open: the license is another device's.
    #[error("the session key does not open")]
    SessionKey,
    /// A key container that does not open, or of a kind that has no place here.
    #[error("a key container of the license does not open")]
    Container,
    /// Terms that Strongroom does not know.
    #[error("the license has unknown terms")]
    Terms,
    /// Another session's license, or not the next version of this one's.
    #[error("the license is not this session's next one")]
    Version,
}

/// A license's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseId {
    /// What the request called itself.
    pub request_id: Vec<u8>,
    /// The server's name for the session.
    pub session_id: Vec<u8>,
    /// How the license is kept.
    pub license_type: LicenseType,
    /// Counts renewals.
    pub version: i32,
}

/// A license whose signature was checked and whose keys are open.
#[derive(Debug)]
pub struct OpenedLicense {
    /// Its name.
    pub id: LicenseId,
    /// What the device may do.
    pub terms: LicenseTerms,
    /// How the content is encrypted.
    pub scheme: Option<Scheme>,
    /// When it starts, seconds since 1970.
    pub started_s: u64,
    /// Its keys; a renewal brings none.
    pub keys: Vec<LicensedKey>,
    /// Comes back with a renewal.
    pub(super) wire_id: LicenseIdentification,
}

/// A license on its way out.
pub(super) struct Outgoing<'a> {
    pub(super) id: LicenseIdentification,
    pub(super) first_started_s: u64,
    pub(super) holder: Holder,
    pub(super) issue: &'a Issue<'a>,
}

impl Outgoing<'_> {
    /// Shape: one SIGNING container, one CONTENT container for each key, each under its own IV.
    pub(super) fn write_new(
        self,
        keys: Vec<LicensedKey>,
        secrets: LicenseKeys,
        session_key: Vec<u8>,
        entropy: &mut dyn Entropy,
    ) -> Answer {
        let LicenseKeys { transport, macs } = secrets;
        let iv = draw_iv(entropy);
        let mut containers = Vec::with_capacity(keys.len() + 1);
        containers.push(KeyContainer {
            iv: Some(iv.to_vec()),
            key: Some(transport.encrypt_macs(&macs, iv)),
            kind: Some(key_type::SIGNING),
            ..KeyContainer::default()
        });
        for key in &keys {
            containers.push(container_of(key, &transport, draw_iv(entropy)));
        }
        let message = self.sign(&macs, containers, Some(session_key), entropy);
        Answer { message, macs, transport: Some(transport) }
    }

    /// A renewed license carries neither keys nor a session key.
    pub(super) fn write_renewed(self, macs: MacKeys, entropy: &mut dyn Entropy) -> Answer {
        let message = self.sign(&macs, vec![], None, entropy);
        Answer { message, macs, transport: None }
    }

    fn sign(
        self,
        macs: &MacKeys,
        key: Vec<KeyContainer>,
        session_key: Option<Vec<u8>>,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let Self { mut id, first_started_s, holder, issue } = self;
        let version = id.version.unwrap_or(0);
        let state = State { version, first_started_s, holder, memo: issue.memo.to_vec() };
        id.provider_session_token = Some(state.seal(&id, macs, issue.sessions, entropy));
        let license = License {
            id: Some(id),
            policy: Some(policy_of(issue.terms)),
            key,
            license_start_time: Some(i64::try_from(issue.now.as_s()).unwrap_or(i64::MAX)),
            protection_scheme: Some(four_cc(issue.scheme)),
        };
        let msg = license.encode_to_vec();
        SignedMessage {
            kind: Some(message_type::LICENSE),
            signature: Some(macs.sign_as_server(&msg)),
            msg: Some(msg),
            session_key,
            ..SignedMessage::default()
        }
        .encode_to_vec()
    }
}

fn draw_iv(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut iv = [0; 16];
    entropy.fill(&mut iv);
    iv
}

fn container_of(key: &LicensedKey, transport: &TransportKey, iv: [u8; 16]) -> KeyContainer {
    let terms = &key.terms;
    KeyContainer {
        id: Some(key.kid.as_bytes().to_vec()),
        iv: Some(iv.to_vec()),
        key: Some(transport.encrypt_key(&key.key, iv)),
        kind: Some(key_type::CONTENT),
        level: Some(number_of_robustness(terms.robustness)),
        required_protection: Some(OutputProtection {
            hdcp: Some(number_of_hdcp(terms.hdcp)),
            disable_analog_output: Some(terms.analog == AnalogOutput::Refused),
        }),
        track_label: terms.track_class.map(|class| class.name().to_owned()),
    }
}

/// Reads a license under the keys that were derived from its request.
///
/// Errors: [`LicenseError`], also where a key id stands twice, or where there is not exactly one
/// SIGNING container. Limits: [`super::MAX_BYTES`], [`MAX_KIDS`].
pub fn read_license(message: &[u8], secrets: &LicenseKeys) -> Result<OpenedLicense, LicenseError> {
    open(message, &secrets.macs, Some(&secrets.transport))
}

/// The key ids that a license names, for whoever only counts: its signature is not checked and its
/// keys stay sealed. `None`: it is no license, or has more keys than [`MAX_KIDS`].
#[must_use]
pub fn named_kids(message: &[u8]) -> Option<Vec<KeyId>> {
    let signed: SignedMessage = decode(message)?;
    let license = signed.msg.filter(|_| signed.kind == Some(message_type::LICENSE))?;
    let License { key: containers, .. } = decode(&license)?;
    let is_content = |container: &&KeyContainer| container.kind == Some(key_type::CONTENT);
    let named = containers.iter().filter(is_content).take(MAX_KIDS + 1);
    let kid = |container: &KeyContainer| {
        Some(KeyId::from_bytes(container.id.as_deref()?.try_into().ok()?))
    };
    let kids: Vec<KeyId> = named.map(kid).collect::<Option<_>>()?;
    (kids.len() <= MAX_KIDS).then_some(kids)
}

/// Reads a license, or a renewed one, which has no keys to open.
pub(super) fn open(
    message: &[u8],
    macs: &MacKeys,
    transport: Option<&TransportKey>,
) -> Result<OpenedLicense, LicenseError> {
    let signed: SignedMessage = decode(message).ok_or(LicenseError::Malformed)?;
    if signed.kind != Some(message_type::LICENSE) {
        return Err(LicenseError::Malformed);
    }
    let msg = signed.msg.ok_or(LicenseError::Malformed)?;
    let signature = signed.signature.ok_or(LicenseError::Malformed)?;
    // A core message belongs to licensees' documents: it is covered by the signature, unread.
    let mut covered = signed.oemcrypto_core_message.unwrap_or_default();
    covered.extend(&msg);
    if !macs.server_signed(&covered, &signature) {
        return Err(LicenseError::Signature);
    }
    let license: License = decode(&msg).ok_or(LicenseError::Malformed)?;
    let wire_id = license.id.ok_or(LicenseError::Malformed)?;
    let started = license.license_start_time.ok_or(LicenseError::Malformed)?;
    Ok(OpenedLicense {
        id: LicenseId {
            request_id: wire_id.request_id.clone().unwrap_or_default(),
            session_id: wire_id.session_id.clone().unwrap_or_default(),
            license_type: LicenseType::read(wire_id.license_type)
                .map_err(|_| LicenseError::Terms)?,
            version: wire_id.version.unwrap_or(0),
        },
        terms: terms_of(license.policy.unwrap_or_default()).ok_or(LicenseError::Terms)?,
        scheme: license.protection_scheme.and_then(scheme_of),
        started_s: u64::try_from(started).map_err(|_| LicenseError::Malformed)?,
        keys: match transport {
            Some(transport) => open_containers(&license.key, macs, transport)?,
            None if license.key.is_empty() => vec![],
            None => return Err(LicenseError::Container),
        },
        wire_id,
    })
}

fn open_containers(
    containers: &[KeyContainer],
    macs: &MacKeys,
    transport: &TransportKey,
) -> Result<Vec<LicensedKey>, LicenseError> {
    if containers.len() > MAX_KIDS + 1 {
        return Err(LicenseError::Malformed);
    }
    let (mut keys, mut signing) = (Vec::<LicensedKey>::with_capacity(containers.len()), 0);
    for container in containers {
        let iv = container.iv.as_deref().unwrap_or_default();
        let iv: [u8; 16] = iv.try_into().map_err(|_| LicenseError::Container)?;
        let text = container.key.as_deref().unwrap_or_default();
        match container.kind {
            Some(key_type::SIGNING) if transport.holds_macs(text, iv, macs) => signing += 1,
            Some(key_type::CONTENT) => {
                let key = open_container(container, text, iv, transport)?;
                if keys.iter().any(|earlier| earlier.kid == key.kid) {
                    return Err(LicenseError::Container);
                }
                keys.push(key);
            }
            _ => return Err(LicenseError::Container),
        }
    }
    if signing == 1 { Ok(keys) } else { Err(LicenseError::Container) }
}

fn open_container(
    container: &KeyContainer,
    text: &[u8],
    iv: [u8; 16],
    transport: &TransportKey,
) -> Result<LicensedKey, LicenseError> {
    let kid = container.id.as_deref().unwrap_or_default();
    let kid: [u8; 16] = kid.try_into().map_err(|_| LicenseError::Container)?;
    let output = container.required_protection.clone().unwrap_or_default();
    let hdcp = hdcp_of(output.hdcp.unwrap_or(0)).ok_or(LicenseError::Terms)?;
    let analog = if output.disable_analog_output == Some(true) {
        AnalogOutput::Refused
    } else {
        AnalogOutput::Allowed
    };
    let robustness = robustness_of(container.level).ok_or(LicenseError::Terms)?;
    let track_class = container.track_label.as_deref().and_then(TrackClass::parse);
    let key = transport.decrypt_key(text, iv).ok_or(LicenseError::Container)?;
    let terms = KeyTerms { robustness, hdcp, analog, track_class };
    Ok(LicensedKey { kid: KeyId::from_bytes(kid), key, terms, iv: None })
}

/// The four-character code as a number, first letter highest.
pub(super) fn four_cc(scheme: Scheme) -> u32 {
    scheme.name().bytes().fold(0, |code, letter| code << 8 | u32::from(letter))
}

pub(super) fn scheme_of(code: u32) -> Option<Scheme> {
    Scheme::ALL.into_iter().find(|scheme| four_cc(*scheme) == code)
}
