//! ClearKey: nothing is attested, and a license says nothing but keys.

use super::{Ask, Body, ReadBack, Wanted, Wish};
use crate::vault_link::LicenseRefused;
use dialect::clearkey::{Challenge, ChallengeError, License, Offline, read_license};
use model::{SecurityLevel, TitlePolicy};
use playback::OfflineDenied;

/// L3, and the classes that the policy gives to such clients.
pub(super) fn ask(challenge: &[u8], policy: &TitlePolicy) -> Result<Ask, LicenseRefused> {
    let parsed = Challenge::parse(challenge, Offline::Refused)?;
    Ok(Ask {
        wish: Wish::License,
        wanted: Wanted::Kids(parsed.kids().to_vec()),
        level: SecurityLevel::L3,
        allowed: policy.clearkey_track_classes(),
        scheme: None,
        persist: false,
        running: None,
        existing: None,
        is_unique: false,
        proof: "nothing attested".to_owned(),
        body: Body::ClearKey(parsed),
    })
}

/// Reads a license back. `None`: it does not read.
pub(super) fn read_back(license: &License) -> Option<ReadBack> {
    let keys = read_license(license.as_bytes()).ok()?;
    let keys = keys.into_iter().map(|(kid, key)| (kid, key, None)).collect();
    Some(ReadBack { keys, whole: None })
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        use ChallengeError as E;
        match error {
            E::Malformed | E::TooLarge | E::SessionType => Self::Malformed,
            E::OfflineNotAllowed => Self::OfflineNotAllowed(OfflineDenied::Dialect),
        }
    }
}
