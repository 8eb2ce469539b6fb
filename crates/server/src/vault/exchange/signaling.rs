//! What each DRM system needs in media and manifests so that players ask for a key here: the
//! same boxes and lines that our own packager writes (CPIX 2.4, `DRMSystem`; RFC 8216, 4.3.2.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::cpix::speke::{AskedKey, Signaling};
use dialect::cpix::{Blob, SystemId};
use keys::ContentKey;
use media::pssh;
use model::{ContentId, KeyId, Scheme};

const FAIRPLAY_FORMAT: &str = "com.apple.streamingkeydelivery";
const PLAYREADY_FORMAT: &str = "com.microsoft.playready";

/// What the systems of one asked key say; a system that is not known here is left out, and the
/// answer refuses it by name.
pub fn of_key(content_id: &ContentId, asked: &AskedKey, key: &ContentKey) -> Vec<Signaling> {
    let kid = asked.kid;
    let known = asked.systems.iter().filter_map(|system| {
        let scheme = asked.scheme.unwrap_or_else(|| usual_scheme(*system));
        Some(match *system {
            SystemId::WIDEVINE => widevine(kid, scheme),
            SystemId::PLAYREADY => {
                let checksum = (scheme == Scheme::Cenc).then(|| key.playready_checksum(kid));
                playready(kid, scheme, checksum)
            }
            SystemId::FAIRPLAY => fairplay(content_id, kid),
            SystemId::COMMON => {
                let pssh = pssh::common(&[kid]);
                Signaling {
                    content_protection: pssh_element(&pssh),
                    pssh: Blob::from_bytes(pssh),
                    ..Signaling::new(SystemId::COMMON, kid)
                }
            }
            // It has neither box nor line; whoever asks gets the key.
            SystemId::CLEAR_KEY => Signaling::new(SystemId::CLEAR_KEY, kid),
            _ => return None,
        })
    });
    known.collect()
}

/// The first system of an asked key that is not known here.
pub fn unknown_system(asked: &AskedKey) -> Option<SystemId> {
    const KNOWN: [SystemId; 5] = [
        SystemId::WIDEVINE,
        SystemId::PLAYREADY,
        SystemId::FAIRPLAY,
        SystemId::COMMON,
        SystemId::CLEAR_KEY,
    ];
    asked.systems.iter().find(|system| !KNOWN.contains(system)).copied()
}

/// SPEKE 1.0 names no scheme: FairPlay plays `cbcs`, its other clients mean `cenc`.
const fn usual_scheme(system: SystemId) -> Scheme {
    match system {
        SystemId::FAIRPLAY => Scheme::Cbcs,
        _ => Scheme::Cenc,
    }
}

const fn method(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Cbcs => "SAMPLE-AES",
        Scheme::Cenc => "SAMPLE-AES-CTR",
    }
}

fn widevine(kid: KeyId, scheme: Scheme) -> Signaling {
    let pssh = pssh::widevine(&[kid], scheme);
    let uri = format!("data:text/plain;base64,{}", STANDARD.encode(&pssh));
    let format = pssh::SystemId::WIDEVINE.urn();
    let attributes = format!(
        "METHOD={},URI=\"{uri}\",KEYID=0x{kid},KEYFORMAT=\"{format}\",KEYFORMATVERSIONS=\"1\"",
        method(scheme)
    );
    Signaling {
        content_protection: pssh_element(&pssh),
        pssh: Blob::from_bytes(pssh),
        uri_ext_x_key: text(&uri),
        key_format: text(&format),
        key_format_versions: text("1"),
        ..in_playlists(SystemId::WIDEVINE, kid, &attributes)
    }
}

fn playready(kid: KeyId, scheme: Scheme, checksum: Option<[u8; 8]>) -> Signaling {
    let pssh = pssh::playready(kid, scheme, checksum);
    let object = pssh::playready_object(kid, scheme, checksum);
    let encoded = STANDARD.encode(&object);
    let uri = format!("data:text/plain;charset=UTF-16;base64,{encoded}");
    let attributes = format!(
        "METHOD={},URI=\"{uri}\",KEYID=0x{kid},KEYFORMAT=\"{PLAYREADY_FORMAT}\",\
         KEYFORMATVERSIONS=\"1\"",
        method(scheme)
    );
    Signaling {
        content_protection: text(&format!(
            "{}<pro xmlns=\"urn:microsoft:playready\">{encoded}</pro>",
            pssh_xml(&pssh)
        )),
        pssh: Blob::from_bytes(pssh),
        uri_ext_x_key: text(&uri),
        key_format: text(PLAYREADY_FORMAT),
        key_format_versions: text("1"),
        smooth_streaming: Blob::from_bytes(object.clone()),
        protection_header: Blob::from_bytes(object),
        ..in_playlists(SystemId::PLAYREADY, kid, &attributes)
    }
}

fn fairplay(content_id: &ContentId, kid: KeyId) -> Signaling {
    let uri = format!("skd://{content_id}?kid={kid}");
    let attributes = format!(
        "METHOD=SAMPLE-AES,URI=\"{uri}\",KEYFORMAT=\"{FAIRPLAY_FORMAT}\",KEYFORMATVERSIONS=\"1\""
    );
    Signaling {
        uri_ext_x_key: text(&uri),
        key_format: text(FAIRPLAY_FORMAT),
        key_format_versions: text("1"),
        ..in_playlists(SystemId::FAIRPLAY, kid, &attributes)
    }
}

fn in_playlists(system: SystemId, kid: KeyId, attributes: &str) -> Signaling {
    Signaling {
        hls_media: text(&format!("#EXT-X-KEY:{attributes}")),
        hls_multivariant: text(&format!("#EXT-X-SESSION-KEY:{attributes}")),
        ..Signaling::new(system, kid)
    }
}

fn pssh_element(pssh: &[u8]) -> Option<Blob> {
    text(&pssh_xml(pssh))
}

/// XML that stands alone: players' manifests bind no prefix for it.
fn pssh_xml(pssh: &[u8]) -> String {
    format!("<pssh xmlns=\"urn:mpeg:cenc:2013\">{}</pssh>", STANDARD.encode(pssh))
}

fn text(text: &str) -> Option<Blob> {
    Blob::from_bytes(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::TrackClasses;
    use zeroize::Zeroizing;

    fn asked(scheme: Option<Scheme>, systems: &[SystemId]) -> AskedKey {
        AskedKey {
            kid: KeyId::from_bytes([0x21; 16]),
            classes: TrackClasses::NONE,
            scheme,
            periods: vec![],
            systems: systems.to_vec(),
            explicit_iv: None,
        }
    }

    fn said(scheme: Option<Scheme>, systems: &[SystemId]) -> Vec<Signaling> {
        let key = ContentKey::from_bytes(Zeroizing::new([7; 16]));
        of_key(&ContentId::parse("film").unwrap(), &asked(scheme, systems), &key)
    }

    fn words(blob: Option<&Blob>) -> String {
        String::from_utf8(blob.unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_boxes_are_read_back_with_their_kid() {
        for (system, scheme) in [
            (SystemId::WIDEVINE, Scheme::Cenc),
            (SystemId::WIDEVINE, Scheme::Cbcs),
            (SystemId::PLAYREADY, Scheme::Cenc),
            (SystemId::PLAYREADY, Scheme::Cbcs),
            (SystemId::COMMON, Scheme::Cenc),
        ] {
            let said = said(Some(scheme), &[system]);
            let pssh = pssh::parse(said[0].pssh.as_ref().unwrap().as_bytes()).unwrap();
            assert_eq!(pssh.all_kids(), [KeyId::from_bytes([0x21; 16])], "{system}");
            assert_eq!(pssh.system.to_string(), system.to_string());
            let fragment = words(said[0].content_protection.as_ref());
            let encoded = STANDARD.encode(said[0].pssh.as_ref().unwrap().as_bytes());
            let element = format!("<pssh xmlns=\"urn:mpeg:cenc:2013\">{encoded}</pssh>");
            assert!(fragment.starts_with(&element), "{fragment}");
            let has_object = fragment.contains("<pro xmlns=\"urn:microsoft:playready\">");
            assert_eq!(has_object, system == SystemId::PLAYREADY);
        }
    }

    #[test]
    fn fairplay_has_lines_and_no_box() {
        let said = said(Some(Scheme::Cbcs), &[SystemId::FAIRPLAY]);
        assert!(said[0].pssh.is_none() && said[0].content_protection.is_none());
        let line = words(said[0].hls_media.as_ref());
        assert!(line.starts_with("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://film?kid=2121"));
        assert!(words(said[0].hls_multivariant.as_ref()).starts_with("#EXT-X-SESSION-KEY:"));
    }

    #[test]
    fn version_1_means_the_usual_scheme_of_each_system() {
        let said = said(None, &[SystemId::FAIRPLAY, SystemId::PLAYREADY]);
        assert!(words(said[0].hls_media.as_ref()).contains("METHOD=SAMPLE-AES,"));
        assert!(words(said[1].hls_media.as_ref()).contains("METHOD=SAMPLE-AES-CTR,"));
        assert_eq!(said[1].protection_header, said[1].smooth_streaming);
    }

    #[test]
    fn a_system_that_is_not_known_says_nothing() {
        let other = SystemId::parse(&"01".repeat(16)).unwrap();
        assert!(said(None, &[other]).is_empty());
        let asked = asked(None, &[SystemId::WIDEVINE, SystemId::COMMON, other]);
        assert_eq!(unknown_system(&asked), Some(other));
    }
}
