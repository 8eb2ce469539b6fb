//! Answering a request: keys, and what each DRM system signals for them.

use super::Request;
use crate::cpix::delivery::SealError;
use crate::cpix::document::{Document, KeyEntry, KeyValue};
use crate::cpix::drm_system::{DrmSystem, SystemId};
use crate::cpix::value::Blob;
use keys::ContentKey;
use model::{Entropy, KeyId};
use std::collections::HashMap;

/// A key for a request.
#[derive(Debug)]
pub struct GivenKey {
    /// The key's public name.
    pub kid: KeyId,
    /// The key.
    pub key: ContentKey,
    /// The IV that all samples begin with, where the service chooses it. The encryptor's own
    /// stands, where the request names one.
    pub explicit_iv: Option<[u8; 16]>,
}

/// What one DRM system signals for one key, ready to be written. What a request did not ask
/// for is not written; what was asked for and is absent here is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signaling {
    /// The DRM system.
    pub system: SystemId,
    /// The key.
    pub kid: KeyId,
    /// A whole `pssh` box.
    pub pssh: Option<Blob>,
    /// XML for a DASH manifest.
    pub content_protection: Option<Blob>,
    /// Tags of the HLS media playlist.
    pub hls_media: Option<Blob>,
    /// Tags of the HLS multivariant playlist.
    pub hls_multivariant: Option<Blob>,
    /// The header of a Smooth Streaming manifest.
    pub smooth_streaming: Option<Blob>,
    /// `URIExtXKey` of SPEKE 1.0.
    pub uri_ext_x_key: Option<Blob>,
    /// `KEYFORMAT` of SPEKE 1.0.
    pub key_format: Option<Blob>,
    /// `KEYFORMATVERSIONS` of SPEKE 1.0.
    pub key_format_versions: Option<Blob>,
    /// The PlayReady header of SPEKE 1.0.
    pub protection_header: Option<Blob>,
}

impl Signaling {
    /// Signaling that says nothing yet.
    #[must_use]
    pub const fn new(system: SystemId, kid: KeyId) -> Self {
        Self {
            system,
            kid,
            pssh: None,
            content_protection: None,
            hls_media: None,
            hls_multivariant: None,
            smooth_streaming: None,
            uri_ext_x_key: None,
            key_format: None,
            key_format_versions: None,
            protection_header: None,
        }
    }
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A key that was asked for was not given.
    #[error("no key was given for KID {}", .0.to_uuid())]
    NoKey(KeyId),
    /// A key that was not asked for was given.
    #[error("a key was given for KID {}, which was not asked for", .0.to_uuid())]
    NotAsked(KeyId),
    /// Nothing is known of a DRM system that was asked for.
    #[error("Unsupported DRMSystem@systemId {0}")]
    System(SystemId),
    /// The answer could not be encrypted for its recipients.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Request {
    /// Fills the document: every key that was asked for, and of every DRM system what was
    /// asked for. Where the request names recipients, the keys are encrypted for them.
    ///
    /// Errors: [`AnswerError`].
    pub fn answer(
        self,
        keys: Vec<GivenKey>,
        signaling: &[Signaling],
        entropy: &mut (impl Entropy + ?Sized),
    ) -> Result<Document, AnswerError> {
        let mut parts = self.document.into_parts();
        give_keys(&mut parts.keys, keys)?;
        let known: HashMap<(SystemId, KeyId), &Signaling> =
            signaling.iter().map(|one| ((one.system, one.kid), one)).collect();
        for system in &mut parts.systems {
            let key = (system.system, system.kid);
            let one = known.get(&key).ok_or(AnswerError::System(system.system))?;
            signal(system, one);
        }
        // The parts fit together as they did in the request.
        let answer = Document { parts };
        if answer.parts().deliveries.is_empty() {
            return Ok(answer);
        }
        Ok(answer.seal(self.now, entropy)?)
    }
}

fn give_keys(entries: &mut [KeyEntry], keys: Vec<GivenKey>) -> Result<(), AnswerError> {
    let mut places: HashMap<KeyId, &mut KeyEntry> =
        entries.iter_mut().map(|entry| (entry.kid, entry)).collect();
    for given in keys {
        let entry = places.remove(&given.kid).ok_or(AnswerError::NotAsked(given.kid))?;
        entry.value = KeyValue::Clear(given.key);
        entry.explicit_iv = entry.explicit_iv.or(given.explicit_iv);
    }
    match places.into_keys().min() {
        Some(kid) => Err(AnswerError::NoKey(kid)),
        None => Ok(()),
    }
}

fn signal(system: &mut DrmSystem, known: &Signaling) {
    for (slot, value) in [
        (&mut system.pssh, &known.pssh),
        (&mut system.smooth_streaming, &known.smooth_streaming),
        (&mut system.uri_ext_x_key, &known.uri_ext_x_key),
        (&mut system.key_format, &known.key_format),
        (&mut system.key_format_versions, &known.key_format_versions),
        (&mut system.protection_header, &known.protection_header),
    ] {
        *slot = std::mem::take(slot).answered(value.as_ref());
    }
    if let Some(protection) = &mut system.content_protection {
        protection.value.clone_from(&known.content_protection);
    }
    if let Some(media) = &mut system.hls_media {
        media.value.clone_from(&known.hls_media);
    }
    if let Some(multivariant) = &mut system.hls_multivariant {
        multivariant.value.clone_from(&known.hls_multivariant);
    }
    system.content_protection.take_if(|protection| protection.value.is_none());
    system.hls_media.take_if(|media| media.value.is_none());
    system.hls_multivariant.take_if(|multivariant| multivariant.value.is_none());
}
