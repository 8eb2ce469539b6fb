//! The client's side of the protocol: the core of the reference CDM, and what the server's side is
//! tested against. It runs on credentials of one's own making ([`super::test_root`]): it derives by
//! the stand-in, as no real device does.

use super::asset::Asset;
use super::block::{self, Block, tag};
use super::challenge::OpenedLicense;
use super::ckc::Exchange;
use super::framing::{Framing, Shape};
use super::module::{Playback, PlayerState, Streaming};
use super::returned::Returned;
use super::spc::{ADAPTER, AIR_PLAY, CAN_HDCP_TYPE_1, CAN_OFFLINE, Container, VERSION};
use super::{Capabilities, ChallengeError, LicenseError};
use keys::RecordKey;
use keys::fairplay::{
    ApplicationCertificate, ApplicationSecret, DeviceSession, HARDWARE_BYTES, PayloadKey, R2_BYTES,
};
use model::{Entropy, KeyId, Timestamp};
use zeroize::Zeroizing;

/// A device: its hash, and the secret that it shares with the application's server.
#[derive(Debug)]
pub struct ClientDevice {
    hardware: [u8; HARDWARE_BYTES],
    secret: ApplicationSecret,
    /// What it says that it can enforce.
    pub capabilities: Capabilities,
}

/// Why a device's files make no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// `device.hex`.
    #[error("the device's hash is not 40 hex digits")]
    Hardware,
    /// `ask.hex`.
    #[error("the application secret is not 32 hex digits")]
    Secret,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whom the request is made for: the application's certificate, as the server hands it out.
    pub certificate: &'a ApplicationCertificate,
    /// The key, as the playlist names it.
    pub asset_id: &'a [u8],
    /// How the request travels.
    pub framing: Framing,
    /// Whether the license is to be kept.
    pub persist: bool,
    /// What the player does, since when, in which playback.
    pub playback: Option<Playback>,
    /// Where the pictures go.
    pub streaming: Streaming,
}

/// A request on its way: opens the one license that answers it.
#[derive(Debug)]
pub struct Pending {
    exchange: Exchange,
    framing: Framing,
    kid: Option<KeyId>,
}

/// Several requests on their way at once.
#[derive(Debug)]
pub struct PendingBatch(Vec<Pending>);

impl Playback {
    /// A playback that starts, under a drawn name.
    pub fn start(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        let mut session_id = [0; 8];
        entropy.fill(&mut session_id);
        let created_s = u32::try_from(now.as_s()).unwrap_or(u32::MAX);
        Self { created_s, state: PlayerState::Starting, session_id }
    }

    /// The same playback, when its lease is about to end.
    #[must_use]
    pub const fn renewing(self) -> Self {
        Self { state: PlayerState::PlayingNeedsKey, ..self }
    }
}

impl ClientDevice {
    /// Reads a device: its hash (40 hex digits), the application's secret (32).
    ///
    /// Errors: [`DeviceError`].
    pub fn read(hardware_hex: &str, secret_hex: &str) -> Result<Self, DeviceError> {
        let (pairs, []) = hardware_hex.trim().as_bytes().as_chunks::<2>() else {
            return Err(DeviceError::Hardware);
        };
        let byte = |pair: &[u8; 2]| {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            u8::try_from(high? * 16 + low?).ok()
        };
        let hardware: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let hardware = hardware.and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            hardware: hardware.ok_or(DeviceError::Hardware)?,
            secret: ApplicationSecret::parse_hex(secret_hex).ok_or(DeviceError::Secret)?,
            capabilities: Capabilities { hdcp_type_1: true, offline: true },
        })
    }

    /// The key under which this device keeps what must outlive its process.
    #[must_use]
    pub fn record_key(&self) -> RecordKey {
        RecordKey::of_application(&self.secret, &self.hardware)
    }

    /// Builds a request; its body.
    pub fn ask(&self, ask: &Ask<'_>, entropy: &mut dyn Entropy) -> (Pending, Vec<u8>) {
        let draft = Draft::new(self, ask, entropy);
        let (exchange, spc) = draft.close(ask.certificate, entropy);
        let kid = Asset::read(ask.asset_id).map(|asset| asset.kid).ok();
        (Pending { exchange, framing: ask.framing, kid }, ask.framing.frame(&spc, ask.persist))
    }

    /// Builds one request for several keys; its body. They are kept where one of them is.
    pub fn ask_many(&self, asks: &[Ask<'_>], entropy: &mut dyn Entropy) -> (PendingBatch, Vec<u8>) {
        let (pending, spcs): (Vec<_>, Vec<_>) = asks
            .iter()
            .map(|ask| self.ask(&Ask { framing: Framing::Octets, ..*ask }, entropy))
            .unzip();
        let persist = asks.iter().any(|ask| ask.persist);
        (PendingBatch(pending), Shape::frame_many(&spcs, persist))
    }
}

impl Pending {
    /// Opens the license that answers this request, at the time when it arrives.
    ///
    /// Errors: [`LicenseError`].
    pub fn open(&self, answer: &[u8], now: Timestamp) -> Result<OpenedLicense, LicenseError> {
        let ckc = self.framing.read_answer(answer)?;
        let opened = self.exchange.read(&ckc)?;
        let kid = self.kid.ok_or(LicenseError::Malformed)?;
        Ok(OpenedLicense::of(opened, kid, now.as_s()))
    }
}

impl PendingBatch {
    /// Opens the licenses that answer these requests, in their order; `None` where a key is
    /// withheld.
    ///
    /// Errors: [`LicenseError`].
    pub fn open(
        &self,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Option<OpenedLicense>>, LicenseError> {
        let ckcs = Shape::Many.read_answers(answer)?;
        if ckcs.len() != self.0.len() {
            return Err(LicenseError::Malformed);
        }
        let pairs = ckcs.iter().zip(&self.0);
        pairs.map(|(ckc, own)| ckc.as_ref().map(|ckc| own.open(ckc, now)).transpose()).collect()
    }
}

/// A request that is not closed yet: its blocks may be changed, as tests of refusals do.
#[derive(Debug)]
pub struct Draft {
    session: DeviceSession,
    seed: [u8; 16],
    /// Tag and value of each block, in the order of the payload.
    pub blocks: Vec<(u64, Vec<u8>)>,
}

impl Draft {
    /// What `device` would send.
    pub fn new(device: &ClientDevice, ask: &Ask<'_>, entropy: &mut dyn Entropy) -> Self {
        let session = DeviceSession::generate(&device.hardware, entropy);
        let (mut r2, mut seed, mut iv, mut transaction) = ([0; R2_BYTES], [0; 16], [0; 16], [0; 8]);
        for drawn in [&mut r2[..], &mut seed, &mut iv, &mut transaction] {
            entropy.fill(drawn);
        }
        let sealed = device.secret.derive_standin(&r2).seal(&session, iv);
        let mut flags = [0; 16];
        let [.., last] = &mut flags;
        *last = (u8::from(device.capabilities.hdcp_type_1) * CAN_HDCP_TYPE_1)
            | (u8::from(device.capabilities.offline) * CAN_OFFLINE);
        let returned = [tag::TRANSACTION_ID, tag::CAPABILITIES].map(u64::to_be_bytes);
        let mut blocks = vec![
            (tag::SESSION, sealed.to_vec()),
            (tag::INTEGRITY, session.integrity().to_vec()),
            (tag::R2, r2.to_vec()),
            (tag::ANTI_REPLAY_SEED, seed.to_vec()),
            (tag::ASSET_ID, ask.asset_id.to_vec()),
            (tag::TRANSACTION_ID, transaction.to_vec()),
            (tag::VERSIONS_SUPPORTED, VERSION.to_be_bytes().to_vec()),
            (tag::VERSION_USED, VERSION.to_be_bytes().to_vec()),
            (tag::CAPABILITIES, flags.to_vec()),
            (tag::RETURN_REQUEST, returned.as_flattened().to_vec()),
        ];
        blocks.extend(ask.playback.map(|playback| (tag::PLAYBACK_STATE, value_of(playback))));
        let streaming = match ask.streaming {
            Streaming::Device => None,
            Streaming::AirPlay => Some(AIR_PLAY),
            Streaming::Adapter => Some(ADAPTER),
        };
        blocks.extend(streaming.map(|value| (tag::STREAMING, value.to_be_bytes().to_vec())));
        Self { session, seed, blocks }
    }

    /// The payload in the clear: blocks in random order, with random padding.
    #[must_use]
    pub fn payload(&self, entropy: &mut dyn Entropy) -> Zeroizing<Vec<u8>> {
        let mut blocks: Vec<Block<'_>> =
            self.blocks.iter().map(|(tag, value)| Block { tag: *tag, value }).collect();
        block::shuffle(&mut blocks, entropy);
        let room = blocks.iter().map(|block| block::room(block.value.len())).sum();
        let mut payload = Zeroizing::new(Vec::with_capacity(room));
        for one in blocks {
            block::write(&mut payload, one, entropy);
        }
        payload
    }

    /// Closes the request for an application; the SPC.
    fn close(
        self,
        certificate: &ApplicationCertificate,
        entropy: &mut dyn Entropy,
    ) -> (Exchange, Vec<u8>) {
        let spc = close_payload(&self.payload(entropy), certificate, entropy);
        let wanted = |named: &[u8; 8]| {
            let tag = u64::from_be_bytes(*named);
            let (_, value) = self.blocks.iter().find(|(own, _)| *own == tag)?;
            Some(Block { tag, value })
        };
        let named = self.blocks.iter().find(|(own, _)| *own == tag::RETURN_REQUEST);
        let named = named.map_or(&[][..], |(_, value)| value.as_chunks::<8>().0);
        let returned = Returned::of(&named.iter().filter_map(wanted).collect::<Vec<_>>());
        (Exchange { session: self.session, seed: self.seed, returned }, spc)
    }

    /// Closes the request, whatever its blocks are; what awaits its answer, and the SPC.
    pub fn send(
        self,
        certificate: &ApplicationCertificate,
        entropy: &mut dyn Entropy,
    ) -> (Pending, Vec<u8>) {
        let asset_id = self.blocks.iter().find(|(own, _)| *own == tag::ASSET_ID);
        let kid = asset_id.and_then(|(_, value)| Asset::read(value).ok()).map(|asset| asset.kid);
        let (exchange, spc) = self.close(certificate, entropy);
        (Pending { exchange, framing: Framing::Octets, kid }, spc)
    }
}

/// Closes any payload of whole AES blocks for an application, under a fresh key and IV; its SPC.
/// Bytes beyond the last whole AES block are left out.
///
/// Panics on a payload of 4 GiB.
pub fn close_payload(
    payload: &[u8],
    certificate: &ApplicationCertificate,
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let key = PayloadKey::generate(entropy);
    let mut iv = [0; 16];
    entropy.fill(&mut iv);
    let mut text = payload.as_chunks::<16>().0.as_flattened().to_vec();
    // An empty payload stays one, and is refused as such.
    let _ = key.encrypt(iv, &mut text);
    let wrapped = certificate.wrap(&key);
    let Some(wrapped) = wrapped.first_chunk() else { return vec![] };
    Container { iv, wrapped, digest: certificate.digest(), payload: &text }.to_bytes()
}

/// Shape: created u32, state u32, session id 8.
fn value_of(playback: Playback) -> Vec<u8> {
    let number = PlayerState::ALL.into_iter().find(|(_, state)| *state == playback.state);
    let number = number.map_or(0, |(number, _)| number);
    let fields = [playback.created_s.to_be_bytes(), number.to_be_bytes()];
    [fields.as_flattened(), &playback.session_id].concat()
}

/// Whether bytes are an asset id, and which key it names: what a player checks before it asks.
///
/// Errors: [`ChallengeError`].
pub fn kid_of(asset_id: &[u8]) -> Result<KeyId, ChallengeError> {
    Asset::read(asset_id).map(|asset| asset.kid)
}
