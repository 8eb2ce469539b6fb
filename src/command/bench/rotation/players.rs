//! What viewers' players send and read: a challenge for the keys that the media names, and the
//! license that comes back.

use super::event::{Event, Named};
use anyhow::Context as _;
use clap::ValueEnum;
use dialect::clearkey::{self, SessionType};
use dialect::widevine::client::{Ask, AskedContent, ClientDevice};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{LicenseType, named_kids};
use keys::SystemEntropy;
use model::{Dialect, Entropy as _, KeyId, SecurityLevel, Timestamp};
use serde::Serialize;
use server::Home;
use server::vault::WidevineFiles;
use std::path::Path;

/// What the players speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spoken {
    /// W3C Clear Key, whose licenses have no end.
    Clearkey,
    /// Widevine, the device's certificate in the clear.
    Widevine,
}

impl Spoken {
    /// Whether its licenses have an end.
    pub const fn carries_end(self) -> bool {
        matches!(self, Self::Widevine)
    }

    /// The dialect of its license URLs.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Clearkey => Dialect::ClearKey,
            Self::Widevine => Dialect::Widevine,
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Clearkey => "Clear Key",
            Self::Widevine => "Widevine",
        }
    }

    /// The type of a challenge's body.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Clearkey => "application/json",
            Self::Widevine => "application/octet-stream",
        }
    }
}

/// The players of all viewers: of one make.
pub enum Players {
    /// Of Clear Key.
    ClearKey,
    /// Of Widevine: one device stands for all, because each has a request id of its own.
    Widevine(Box<ClientDevice>),
}

/// A license that was asked for.
pub struct Asked {
    /// The challenge.
    pub body: Vec<u8>,
    /// What Widevine's player has to keep to open the answer, of the few that open it.
    opens: Option<(Vec<u8>, [u8; 16])>,
}

/// Of so many Widevine licenses one is opened as a device does, with its private key; of the
/// others the player reads which keys they carry.
const OPENED: u32 = 64;

impl Players {
    /// Players of a self-made root, which the home takes in; its files lie in `work`.
    ///
    /// Errors: the home does not take them.
    pub async fn of(spoken: Spoken, home: &Home, work: &Path) -> anyhow::Result<Self> {
        if spoken == Spoken::Clearkey {
            return Ok(Self::ClearKey);
        }
        let folder = work.join("root");
        std::fs::create_dir_all(&folder)?;
        let root = TestRoot::make("bench", &mut SystemEntropy);
        for (name, contents) in root.files() {
            std::fs::write(folder.join(name), contents)?;
        }
        home.vault.import_widevine(WidevineFiles::read(&folder)?, home.clock.now()).await?;
        let device = root.model(SecurityLevel::L1).make_device(&mut SystemEntropy);
        Ok(Self::Widevine(Box::new(device.client()?)))
    }

    /// A challenge for what the media names.
    pub fn ask(&self, named: &Named, viewer: u32, now: Timestamp) -> Asked {
        match self {
            Self::ClearKey => {
                let body = clearkey::request(&named.kids, SessionType::Temporary);
                Asked { body, opens: None }
            }
            Self::Widevine(device) => {
                let mut request_id = [0; 16];
                SystemEntropy.fill(&mut request_id);
                let ask = Ask {
                    content: AskedContent::Boxes(&named.widevine),
                    license_type: LicenseType::Streaming,
                    request_id: &request_id,
                    privacy: None,
                };
                let (pending, body) = device.ask(&ask, now, &mut SystemEntropy);
                let is_opened = viewer.is_multiple_of(OPENED);
                Asked { body, opens: is_opened.then(|| (pending.into_request(), request_id)) }
            }
        }
    }

    /// The places of the keys that a license carries.
    ///
    /// Errors: it is none, or carries a key that is not the event's.
    pub fn keys_in(
        &self,
        event: &Event,
        asked: &Asked,
        license: &[u8],
    ) -> anyhow::Result<Vec<usize>> {
        let kids: Vec<KeyId> = match self {
            Self::ClearKey => {
                let keys = clearkey::read_license(license).context("a Clear Key license")?;
                keys.into_iter().map(|(kid, _)| kid).collect()
            }
            Self::Widevine(device) => match &asked.opens {
                None => named_kids(license).context("a Widevine license")?,
                Some((request, request_id)) => {
                    let (opened, _) = device.await_answer(request, request_id).open(license)?;
                    opened.keys.into_iter().map(|key| key.kid).collect()
                }
            },
        };
        let place = |kid| event.place_of(kid).context("a key of another title");
        kids.into_iter().map(place).collect()
    }
}
