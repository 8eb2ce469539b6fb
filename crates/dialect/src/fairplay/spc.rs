//! The SPC's container, version 1, and the blocks of its payload.
//!
//! Shape: version u32 = 1, reserved u32, IV 16, the payload's key under RSA-1024-OAEP 128, SHA-1
//! of the application certificate 20, length u32, payload under AES-128-CBC. Big endian.

use super::block::{Block, BlockError, read, tag};
use super::module::{Asked, Capabilities, Playback, PlayerState, Streaming};
use super::{ChallengeError, MAX_CONTAINER_BYTES};
use keys::fairplay::{R2_BYTES, SEALED_BYTES};

pub(super) const VERSION: u32 = 1;
pub(super) const WRAPPED_BYTES: usize = 128;
/// Longest list of protocol versions.
const MAX_VERSIONS: usize = 32;

/// A container, its payload still closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    pub(super) iv: [u8; 16],
    pub(super) wrapped: &'a [u8; WRAPPED_BYTES],
    pub(super) digest: &'a [u8; 20],
    pub(super) payload: &'a [u8],
}

impl<'a> Container<'a> {
    /// Errors: [`ChallengeError::TooLarge`], [`ChallengeError::UnsupportedVersion`],
    /// [`ChallengeError::Malformed`] where the payload is not whole AES blocks up to the end.
    pub(super) fn parse(spc: &'a [u8]) -> Result<Self, ChallengeError> {
        if spc.len() > MAX_CONTAINER_BYTES {
            return Err(ChallengeError::TooLarge);
        }
        let (version, rest) = spc.split_first_chunk().ok_or(ChallengeError::Malformed)?;
        if u32::from_be_bytes(*version) != VERSION {
            return Err(ChallengeError::UnsupportedVersion);
        }
        Self::after_version(rest).ok_or(ChallengeError::Malformed)
    }

    fn after_version(rest: &'a [u8]) -> Option<Self> {
        let (_reserved, rest) = rest.split_first_chunk::<4>()?;
        let (iv, rest) = rest.split_first_chunk()?;
        let (wrapped, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (length, payload) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let is_whole = length == payload.len() && length > 0 && length.is_multiple_of(16);
        is_whole.then_some(Self { iv: *iv, wrapped, digest, payload })
    }

    /// The container for the wire.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a payload of one message");
        [
            &VERSION.to_be_bytes()[..],
            &[0; 4],
            &self.iv,
            self.wrapped,
            self.digest,
            &length.to_be_bytes(),
            self.payload,
        ]
        .concat()
    }
}

/// What an open payload says.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pub(super) sealed: &'a [u8; SEALED_BYTES],
    pub(super) integrity: &'a [u8; 16],
    pub(super) r2: &'a [u8; R2_BYTES],
    pub(super) seed: &'a [u8; 16],
    pub(super) asked: Asked,
    blocks: Vec<Block<'a>>,
}

/// Every tag that has a meaning here: it stands once.
const KNOWN: [u64; 12] = [
    tag::SESSION,
    tag::INTEGRITY,
    tag::R2,
    tag::ANTI_REPLAY_SEED,
    tag::RETURN_REQUEST,
    tag::ASSET_ID,
    tag::TRANSACTION_ID,
    tag::VERSIONS_SUPPORTED,
    tag::VERSION_USED,
    tag::STREAMING,
    tag::PLAYBACK_STATE,
    tag::CAPABILITIES,
];

impl<'a> Payload<'a> {
    /// Reads a payload, whole. What a block says is not checked against anything yet.
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, ChallengeError> {
        let blocks = read(payload).map_err(|error| match error {
            BlockError::Damaged => ChallengeError::Blocks,
            BlockError::TooMany => ChallengeError::TooManyBlocks,
        })?;
        let is_twice = |tag: &u64| blocks.iter().filter(|block| block.tag == *tag).count() > 1;
        if KNOWN.iter().any(is_twice) {
            return Err(ChallengeError::BlockTwice);
        }
        let found = Found(&blocks);
        found.check_versions()?;
        let asked = Asked {
            asset_id: found.value(tag::ASSET_ID).ok_or(ChallengeError::BlockMissing)?.to_vec(),
            playback: found.playback()?,
            streaming: found.streaming()?,
            capabilities: found.capabilities()?,
            transaction_id: found.value(tag::TRANSACTION_ID).map(<[u8]>::to_vec),
            ..Asked::default()
        };
        Ok(Self {
            sealed: found.must(tag::SESSION)?,
            integrity: found.must(tag::INTEGRITY)?,
            r2: found.must(tag::R2)?,
            seed: found.must(tag::ANTI_REPLAY_SEED)?,
            asked,
            blocks,
        })
    }

    /// The blocks that are to be brought back, each with its value as it came.
    ///
    /// Errors: [`ChallengeError::ReturnRequest`] on a tag that is named twice, is not there or
    /// there twice, or belongs to the device's secrets.
    pub(super) fn to_return(&self) -> Result<Vec<Block<'a>>, ChallengeError> {
        let Some(named) = Found(&self.blocks).value(tag::RETURN_REQUEST) else {
            return Ok(vec![]);
        };
        let (tags, []) = named.as_chunks::<8>() else {
            return Err(ChallengeError::BlockLength);
        };
        let mut returned: Vec<Block<'a>> = Vec::with_capacity(tags.len().min(self.blocks.len()));
        for tag in tags.iter().map(|bytes| u64::from_be_bytes(*bytes)) {
            let mut having = self.blocks.iter().filter(|block| block.tag == tag);
            let (Some(block), None) = (having.next(), having.next()) else {
                return Err(ChallengeError::ReturnRequest);
            };
            let is_secret = [tag::SESSION, tag::INTEGRITY].contains(&tag);
            let is_ours = OF_ANSWERS.contains(&tag);
            if is_secret || is_ours || returned.iter().any(|earlier| earlier.tag == tag) {
                return Err(ChallengeError::ReturnRequest);
            }
            returned.push(*block);
        }
        Ok(returned)
    }
}

/// Tags that have a meaning in an answer: one that came from the client would be a second voice.
const OF_ANSWERS: [u64; 5] =
    [tag::CONTENT_KEY, tag::R1, tag::DURATION, tag::HDCP, tag::SECURITY_LEVEL];

/// The blocks, by tag.
#[derive(Clone, Copy)]
struct Found<'b, 'a>(&'b [Block<'a>]);

impl<'a> Found<'_, 'a> {
    fn value(self, tag: u64) -> Option<&'a [u8]> {
        self.0.iter().find(|block| block.tag == tag).map(|block| block.value)
    }

    fn may<const N: usize>(self, tag: u64) -> Result<Option<&'a [u8; N]>, ChallengeError> {
        let value = self.value(tag);
        value.map(|value| value.try_into().map_err(|_| ChallengeError::BlockLength)).transpose()
    }

    fn must<const N: usize>(self, tag: u64) -> Result<&'a [u8; N], ChallengeError> {
        self.may(tag)?.ok_or(ChallengeError::BlockMissing)
    }

    /// The version that is used is among those that the client supports, and ours. A client that
    /// says nothing of versions speaks the container's.
    fn check_versions(self) -> Result<(), ChallengeError> {
        let used: Option<&[u8; 4]> = self.may(tag::VERSION_USED)?;
        let supported = self.value(tag::VERSIONS_SUPPORTED);
        let (Some(used), Some(supported)) = (used, supported) else {
            let says_nothing = used.is_none() && supported.is_none();
            return if says_nothing { Ok(()) } else { Err(ChallengeError::ProtocolVersion) };
        };
        let (versions, []) = supported.as_chunks::<4>() else {
            return Err(ChallengeError::BlockLength);
        };
        if versions.len() > MAX_VERSIONS {
            return Err(ChallengeError::BlockLength);
        }
        let is_ours = u32::from_be_bytes(*used) == VERSION;
        let fits = is_ours && versions.contains(used);
        if fits { Ok(()) } else { Err(ChallengeError::ProtocolVersion) }
    }

    fn playback(self) -> Result<Option<Playback>, ChallengeError> {
        let Some(value) = self.may::<16>(tag::PLAYBACK_STATE)? else { return Ok(None) };
        let [c0, c1, c2, c3, s0, s1, s2, s3, session_id @ ..] = *value;
        let number = u32::from_be_bytes([s0, s1, s2, s3]);
        let state = PlayerState::ALL.into_iter().find(|(known, _)| *known == number);
        let (_, state) = state.ok_or(ChallengeError::PlaybackState)?;
        Ok(Some(Playback { created_s: u32::from_be_bytes([c0, c1, c2, c3]), state, session_id }))
    }

    fn streaming(self) -> Result<Streaming, ChallengeError> {
        let value = self.may::<8>(tag::STREAMING)?.map(|value| u64::from_be_bytes(*value));
        Ok(match value {
            Some(AIR_PLAY) => Streaming::AirPlay,
            Some(ADAPTER) => Streaming::Adapter,
            _ => Streaming::Device,
        })
    }

    fn capabilities(self) -> Result<Capabilities, ChallengeError> {
        let value = self.may::<16>(tag::CAPABILITIES)?;
        let [.., flags] = value.copied().unwrap_or_default();
        Ok(Capabilities {
            hdcp_type_1: flags & CAN_HDCP_TYPE_1 != 0,
            offline: flags & CAN_OFFLINE != 0,
        })
    }
}

/// Values of the streaming indicator.
pub(super) const AIR_PLAY: u64 = 0xabb0_256a_3184_3974;
pub(super) const ADAPTER: u64 = 0x5f9c_8132_b59f_2fde;
/// Bits of the capabilities' last byte.
pub(super) const CAN_HDCP_TYPE_1: u8 = 1;
pub(super) const CAN_OFFLINE: u8 = 2;
