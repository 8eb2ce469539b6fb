//! The encryptor's side: which keys a contract needs, and the request for them.

use super::{SpekeVersion, TrackType};
use crate::cpix::document::{
    Delivery, Document, DocumentError, KeyEntry, KeyRole, KeyValue, Parts, ProtectionScheme,
};
use crate::cpix::drm_system::{
    ContentProtection, DrmSystem, Hls, MediaName, MultivariantName, Slot, SystemId,
};
use crate::cpix::period::KeyPeriod;
use crate::cpix::rule::{Filters, UsageRule};
use crate::cpix::value::{Blob, Text};
use model::{KeyId, Scheme};

/// What an encryption contract says of video, or of audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractPart {
    /// A key for each of these track types.
    Keys(Vec<TrackType>),
    /// One key for video and audio.
    Shared,
    /// No key.
    Unencrypted,
}

/// Why two parts are no contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// Nothing would be encrypted.
    #[error("video and audio cannot both be unencrypted")]
    NothingEncrypted,
    /// One part shares a key that the other does not have.
    #[error("a shared key is shared by video and audio")]
    SharedByOne,
    /// A track type of the wrong kind, two that share tracks, or none.
    #[error("the track types of a contract are of its kind, each track in one of them")]
    TrackTypes,
}

/// The track types that keys are needed for.
///
/// Errors: [`PresetError`].
pub fn contract(video: &ContractPart, audio: &ContractPart) -> Result<Vec<TrackType>, PresetError> {
    use ContractPart::{Keys, Shared, Unencrypted};
    match (video, audio) {
        (Unencrypted, Unencrypted) => Err(PresetError::NothingEncrypted),
        (Shared, Shared) => Ok(vec![TrackType::ALL]),
        (Shared, _) | (_, Shared) => Err(PresetError::SharedByOne),
        (Keys(video), Unencrypted) => types(video, &[]),
        (Unencrypted, Keys(audio)) => types(&[], audio),
        (Keys(video), Keys(audio)) if video.is_empty() || audio.is_empty() => {
            Err(PresetError::TrackTypes)
        }
        (Keys(video), Keys(audio)) => types(video, audio),
    }
}

fn types(video: &[TrackType], audio: &[TrackType]) -> Result<Vec<TrackType>, PresetError> {
    let all = [video, audio].concat();
    let are_of_kind =
        !video.iter().any(|one| one.has_audio()) && !audio.iter().any(|one| one.has_video());
    let mut rest = all.as_slice();
    let mut is_shared = false;
    while let [first, after @ ..] = rest {
        is_shared |= after.iter().any(|other| first.shares_tracks(*other));
        rest = after;
    }
    if are_of_kind && !is_shared && !all.is_empty() {
        Ok(all)
    } else {
        Err(PresetError::TrackTypes)
    }
}

/// A key that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey {
    /// Its name, which the encryptor chooses.
    pub kid: KeyId,
    /// Its tracks.
    pub track_type: TrackType,
    /// The id of its period; absent: it does not rotate.
    pub period: Option<Text>,
}

/// A request of SPEKE 2, before it is a document.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The version, 2.0 or 2.1; a key service of 1.0 gets what 2.0 asks for.
    pub version: SpekeVersion,
    /// The content.
    pub content_id: Text,
    /// The scheme of every key.
    pub scheme: Scheme,
    /// Each key.
    pub keys: Vec<WantedKey>,
    /// The DRM systems that signal each key.
    pub systems: Vec<SystemId>,
    /// The periods that keys are for; each needs an id.
    pub periods: Vec<KeyPeriod>,
    /// Certificates of those who may read the keys, DER; none: keys come in the clear.
    pub recipients: Vec<Blob>,
}

impl Ask {
    /// The document of the request.
    ///
    /// Errors: [`DocumentError`].
    pub fn document(self) -> Result<Document, DocumentError> {
        let delivery =
            |certificate| Delivery { id: None, name: None, certificate, delivered: None };
        let key = |wanted: &WantedKey| KeyEntry {
            id: None,
            kid: wanted.kid,
            explicit_iv: None,
            role: KeyRole::root(Some(ProtectionScheme::Common(self.scheme))),
            value: KeyValue::Absent,
        };
        let keys = self.keys.iter().map(key).collect();
        let of_system = |id: &SystemId| -> Vec<DrmSystem> {
            self.keys.iter().map(|wanted| self.system(*id, wanted.kid)).collect()
        };
        let systems = self.systems.iter().flat_map(of_system).collect();
        let rules = self.keys.iter().map(rule).collect();
        Document::new(Parts {
            version: self.version.document_version().or(SpekeVersion::V2_0.document_version()),
            content_id: Some(self.content_id),
            deliveries: self.recipients.into_iter().map(delivery).collect(),
            keys,
            systems,
            periods: self.periods,
            rules,
            ..Parts::default()
        })
    }

    /// FairPlay is signaled in HLS only.
    fn system(&self, system: SystemId, kid: KeyId) -> DrmSystem {
        let name = match self.version {
            SpekeVersion::V1_0 | SpekeVersion::V2_0 => MultivariantName::Master,
            SpekeVersion::V2_1 => MultivariantName::MultiVariant,
        };
        let is_in_dash = system != SystemId::FAIRPLAY;
        DrmSystem {
            pssh: if is_in_dash { Slot::Asked } else { Slot::Absent },
            content_protection: is_in_dash.then(ContentProtection::default),
            hls_media: Some(Hls { name: MediaName::Media, value: None }),
            hls_multivariant: Some(Hls { name, value: None }),
            ..DrmSystem::new(system, kid)
        }
    }
}

fn rule(wanted: &WantedKey) -> UsageRule {
    let mut filters = wanted.track_type.filters();
    filters.periods.extend(wanted.period.clone());
    UsageRule {
        id: None,
        kid: wanted.kid,
        track_type: Text::parse(&wanted.track_type.name()),
        filters: Filters::Known(filters),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;
    use crate::cpix::Document;
    use model::Timestamp;

    fn track_type(text: &str) -> TrackType {
        TrackType::parse(text).unwrap()
    }

    fn keys(types: &[&str]) -> ContractPart {
        ContractPart::Keys(types.iter().map(|text| track_type(text)).collect())
    }

    #[test]
    fn a_contract_encrypts_something_and_shares_on_both_sides() {
        use ContractPart::{Shared, Unencrypted};
        assert_eq!(contract(&Shared, &Shared), Ok(vec![TrackType::ALL]));
        assert_eq!(contract(&keys(&["SD", "HD"]), &Unencrypted).map(|types| types.len()), Ok(2));
        assert_eq!(contract(&Unencrypted, &keys(&["AUDIO"])).map(|types| types.len()), Ok(1));
        assert_eq!(contract(&Unencrypted, &Unencrypted), Err(PresetError::NothingEncrypted));
        for other in [Unencrypted, keys(&["AUDIO"])] {
            assert_eq!(contract(&Shared, &other), Err(PresetError::SharedByOne));
            assert_eq!(contract(&other, &Shared), Err(PresetError::SharedByOne));
        }
        for (video, audio) in [
            (&["AUDIO"][..], &["AUDIO"][..]),
            (&["VIDEO"], &["SD"]),
            (&["HD", "HD1"], &["AUDIO"]),
            (&[], &["AUDIO"]),
            (&["ALL"], &["AUDIO"]),
        ] {
            assert_eq!(contract(&keys(video), &keys(audio)), Err(PresetError::TrackTypes));
        }
    }

    #[test]
    fn what_is_asked_keeps_the_contract() {
        let video = keys(&["SD", "HD1", "HD2", "UHD1", "UHD2"]);
        let audio = keys(&["STEREO_AUDIO", "MULTICHANNEL_AUDIO"]);
        let types = contract(&video, &audio).unwrap();
        for version in [SpekeVersion::V2_0, SpekeVersion::V2_1] {
            let id = |index| Text::parse(&format!("p{index}"));
            let period =
                |index| KeyPeriod { id: id(index), label: None, index: Some(index), span: None };
            let wanted = |index: u32| {
                (0_u8..).zip(&types).map(move |(n, track_type)| WantedKey {
                    kid: KeyId::from_bytes([10 * index.to_be_bytes()[3] + n; 16]),
                    track_type: *track_type,
                    period: id(index),
                })
            };
            let ask = Ask {
                version,
                content_id: Text::parse("film").unwrap(),
                scheme: Scheme::Cbcs,
                keys: (0..3).flat_map(wanted).collect(),
                systems: vec![SystemId::WIDEVINE, SystemId::FAIRPLAY],
                periods: (0..3).map(period).collect(),
                recipients: vec![],
            };
            let written = ask.document().unwrap().write();
            let document = Document::parse(written.as_bytes()).unwrap();
            let request = Request::check(document, version, Timestamp(0)).unwrap();
            assert_eq!(request.asked().len(), 21);
            for (asked, index) in request.asked().iter().zip([0; 7].into_iter().chain([1; 7])) {
                assert_eq!(asked.periods, [period(index)]);
            }
            assert!(request.asked().iter().all(|key| key.systems.len() == 2));
        }
    }
}
