//! `POST /api/v1/playback/{contentId}/authorization`: a token call that also says what there is to
//! download and which CDNs have it (R075). One decision, one stream slot, as with the token call.

use crate::front::playback_token::{self, ClientQuery, Playback};
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use crate::steering::{RankedCdn, steering_url};
use edge::EdgePass;
use model::{ContentId, PackagedEvent, PackagedText, PackagedVariant, Timestamp, TrackClass};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a playback needs, and where everything is.
#[derive(Serialize)]
pub struct Authorization {
    /// What the token call says.
    #[serde(flatten)]
    pub playback: Playback,
    /// The CDNs, the recommended one first; the others are its fallbacks.
    cdns: Vec<CdnPlace>,
    /// Where to ask later which CDN to use; only where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    steering_url: Option<String>,
    /// What the session may download; nothing where the media is elsewhere.
    downloadables: Vec<Downloadable>,
}

/// A CDN and where it has the package.
#[derive(Serialize)]
struct CdnPlace {
    name: String,
    weight: u32,
    /// 1 is the recommended one.
    rank: usize,
    /// What paths are relative to.
    base_url: String,
    /// What stands behind `?` of each URL, where the CDN wants that.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// The cookies that each request carries, by name, where the CDN wants that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    cookies: BTreeMap<String, String>,
    expires_at: Timestamp,
}

/// One rendition: in one file, or in segments that its playlist names.
#[derive(Serialize)]
struct Downloadable {
    id: String,
    kind: &'static str,
    /// Bytes of its init and media.
    size_bytes: u64,
    /// Average bits per second; subtitles have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate_bps: Option<u64>,
    /// RFC 6381: codec, profile and level.
    codecs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    track_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Null where it goes on.
    duration_ms: Option<u64>,
    urls: Vec<CdnUrl>,
}

#[derive(Serialize)]
struct CdnUrl {
    cdn: String,
    url: String,
    expires_at: Timestamp,
}

/// Authorizes a playback.
///
/// Errors: those of [`playback_token::playback_token`].
pub async fn authorize(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
    query: &ClientQuery,
) -> Result<Authorization, Refusal> {
    let playback = playback_token::playback_token(service, caller, content_id, query).await?;
    let pass = &playback.granted;
    let cdns = service.delivery.steering.ranked(caller, pass, &playback.pass).await;
    let package = playback.package.as_ref();
    let downloadables = package.map_or_else(Vec::new, |package| all(package, pass, &cdns));
    let is_steered = service.delivery.steering.is_steered();
    let expires_at = pass.expires;
    let steering_url = is_steered.then(|| steering_url(&caller.origin, content_id, &playback.pass));
    let cdns = cdns.into_iter().enumerate().map(|(at, cdn)| CdnPlace {
        name: cdn.name,
        weight: cdn.weight,
        rank: at + 1,
        base_url: cdn.place.base,
        query: cdn.place.query,
        cookies: cdn.place.cookies.into_iter().collect(),
        expires_at,
    });
    Ok(Authorization { cdns: cdns.collect(), steering_url, downloadables, playback })
}

/// What the session's manifests list, and its subtitles.
fn all(package: &PackagedEvent, pass: &EdgePass, cdns: &[RankedCdn]) -> Vec<Downloadable> {
    let variants = package.variants.iter().filter(|one| pass.classes.contains(one.track_class));
    let duration_ms = (!package.live).then_some(package.duration_ms);
    let urls = |playlist: &str| -> Vec<CdnUrl> {
        let object = file_of(playlist).unwrap_or_else(|| playlist.to_owned());
        let url = |cdn: &RankedCdn| CdnUrl {
            cdn: cdn.name.clone(),
            url: cdn.place.url(&object),
            expires_at: pass.expires,
        };
        cdns.iter().map(url).collect()
    };
    let variant = |one: &PackagedVariant| Downloadable {
        id: format!("{}/{}", one.scheme, one.name),
        kind: match (one.track_class, one.trick_of.is_some()) {
            (TrackClass::Audio, _) => "audio",
            (_, false) => "video",
            (_, true) => "trick",
        },
        size_bytes: one.size_bytes,
        bitrate_bps: Some(one.bandwidth),
        codecs: one.codecs.clone(),
        track_class: Some(one.track_class.name()),
        scheme: Some(one.scheme.name()),
        width: one.width,
        height: one.height,
        language: one.language.clone(),
        duration_ms,
        urls: urls(&one.playlist),
    };
    let text = |one: &PackagedText| Downloadable {
        id: format!("text/{}", one.name),
        kind: "subtitles",
        size_bytes: one.size_bytes,
        bitrate_bps: None,
        codecs: one.codecs.clone(),
        track_class: None,
        scheme: None,
        width: None,
        height: None,
        language: one.language.clone(),
        duration_ms,
        urls: urls(&one.playlist),
    };
    variants.map(variant).chain(package.texts.iter().map(text)).collect()
}

/// The one file of a rendition, where it is in one: its playlist lies beside it then, and in the
/// rendition's own folder otherwise.
fn file_of(playlist: &str) -> Option<String> {
    let (path, is_of_segments) =
        (playlist.strip_suffix(".m3u8")?, playlist.ends_with("/playlist.m3u8"));
    (!is_of_segments).then(|| format!("{path}.mp4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendition_in_one_file_is_that_file() {
        assert_eq!(file_of("cbcs/video-720p.m3u8").unwrap(), "cbcs/video-720p.mp4");
        assert_eq!(file_of("cbcs/video-720p/playlist.m3u8"), None);
        assert_eq!(file_of("cbcs/video-720p/iframes"), None);
    }
}
