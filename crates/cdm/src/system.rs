//! The DRM system that a CDM speaks, and its part of initialization data (R162).

use crate::record::SessionType;
use crate::usage::Reach;
use crate::{fairplay, playready, widevine};
use dialect::terms::Hdcp;
use keys::RecordKey;
use media::pssh::{self, SystemData, SystemId};
use model::{KeyId, SecurityLevel};

/// Most boxes that one request names: what a license server reads.
const MAX_OWN_BOXES: usize = 16;
/// Most keys that one request names: beyond what any license carries.
const MAX_KIDS: usize = 1024;

/// A DRM system, with what a client needs to speak it.
#[derive(Debug)]
pub enum System {
    /// W3C Clear Key.
    ClearKey,
    /// Widevine.
    Widevine(Box<widevine::Device>),
    /// PlayReady.
    PlayReady(Box<playready::Device>),
    /// FairPlay.
    FairPlay(Box<fairplay::Device>),
}

impl System {
    /// Whose boxes it reads; FairPlay starts with the URI of a playlist.
    const fn id(&self) -> Option<SystemId> {
        match self {
            Self::ClearKey => Some(SystemId::COMMON),
            Self::Widevine(_) => Some(SystemId::WIDEVINE),
            Self::PlayReady(_) => Some(SystemId::PLAYREADY),
            Self::FairPlay(_) => None,
        }
    }

    /// The key under which its device keeps licenses; Clear Key has no device.
    pub(crate) fn record_key(&self) -> Option<RecordKey> {
        match self {
            Self::ClearKey => None,
            Self::Widevine(device) => Some(device.record_key()),
            Self::PlayReady(device) => Some(device.record_key()),
            Self::FairPlay(device) => Some(device.record_key()),
        }
    }

    /// Whether it has sessions of this type: usage records need a message that tells of them.
    pub(crate) const fn has(&self, session_type: SessionType) -> bool {
        match session_type {
            SessionType::Temporary => true,
            SessionType::PersistentLicense => !matches!(self, Self::ClearKey),
            SessionType::PersistentUsageRecord => matches!(self, Self::Widevine(_)),
        }
    }

    /// What the CDM can keep safe. Clear Key has no device: the least there is.
    pub(crate) const fn reach(&self) -> Reach {
        match self {
            Self::ClearKey => Reach::of_level(SecurityLevel::L3, Hdcp::V2_3),
            Self::Widevine(device) => device.reach(),
            Self::PlayReady(device) => device.reach(),
            Self::FairPlay(_) => fairplay::Device::reach(),
        }
    }
}

/// The system's own boxes out of initialization data: whole, each once. For FairPlay, the URI.
#[derive(Debug)]
pub(crate) struct Boxes {
    pub(crate) bytes: Vec<u8>,
    /// PlayReady's headers in them.
    pub(crate) headers: Vec<String>,
    /// Every key that they name, each once.
    pub(crate) kids: Vec<KeyId>,
}

impl Boxes {
    /// Finds them. Boxes of other systems are passed over, whatever is in them, and so are own
    /// ones that do not read, or that name no key; `None` where none is left, or where all of
    /// them name more keys than [`MAX_KIDS`].
    pub(crate) fn of(system: &System, init_data: &[u8]) -> Option<Self> {
        let Some(id) = system.id() else {
            let kids = vec![fairplay::asked_kid(init_data)?];
            return Some(Self { bytes: init_data.to_vec(), headers: vec![], kids });
        };
        let read = pssh::parse_all(init_data).ok()?;
        let mut found = Self { bytes: vec![], headers: vec![], kids: vec![] };
        let mut rest = init_data;
        let mut seen: Vec<&[u8]> = vec![];
        for one in read {
            let size = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
            let whole = rest.split_off(..size.max(8))?;
            let own = one.ok().filter(|one| one.system == id);
            let kids = own.as_ref().map(pssh::Pssh::all_kids).unwrap_or_default();
            if kids.is_empty() || seen.contains(&whole) || seen.len() == MAX_OWN_BOXES {
                continue;
            }
            seen.push(whole);
            found.bytes.extend(whole);
            found.kids.extend(kids);
            if let Some(SystemData::PlayReady(object)) = own.map(|own| own.data) {
                found.headers.push(object.header);
            }
        }
        found.kids.sort_unstable();
        found.kids.dedup();
        (1..=MAX_KIDS).contains(&found.kids.len()).then_some(found)
    }
}
