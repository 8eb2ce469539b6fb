//! The filter over an MPD (ISO/IEC 23009-1:2022, 5.3 and 5.8.4.1).

use super::{Filter, FilterError, check_playready};
use crate::manifest::dash::{CLEARKEY_NAME, MP4_PROTECTION, SWITCHING};
use crate::manifest::xml::{self, Element, Node};
use crate::pssh::{self, PlayReadyObject, SystemData, SystemId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Dialect, KeyId};
use std::collections::BTreeSet;

/// `schemeIdUri` of a clock that answers with a date in the format of ISO 8601 (5.8.4.11).
const CLOCK: &str = "urn:mpeg:dash:utc:http-iso:2014";

/// What an MPD may hold.
const IN_MPD: [&str; 6] = [
    "ProgramInformation",
    "BaseURL",
    "Period",
    "EssentialProperty",
    "SupplementalProperty",
    "ServiceDescription",
];
/// What a period may hold.
const IN_PERIOD: [&str; 6] = [
    "BaseURL",
    "AssetIdentifier",
    "EventStream",
    "AdaptationSet",
    "EssentialProperty",
    "SupplementalProperty",
];
/// What an adaptation set or a representation may hold.
const IN_SET: [&str; 18] = [
    "FramePacking",
    "AudioChannelConfiguration",
    "ContentProtection",
    "EssentialProperty",
    "SupplementalProperty",
    "InbandEventStream",
    "GroupLabel",
    "Label",
    "ProducerReferenceTime",
    "Accessibility",
    "Role",
    "Rating",
    "Viewpoint",
    "BaseURL",
    "SegmentBase",
    "SegmentList",
    "SegmentTemplate",
    "Representation",
];

/// Writes the MPD as the session may see it.
///
/// Errors: [`FilterError`]; [`FilterError::NothingLeft`] when no representation is left.
pub fn mpd(text: &str, filter: &Filter) -> Result<String, FilterError> {
    let mut root = xml::parse(text)?;
    if !root.is("MPD") {
        return Err(FilterError::Kind);
    }
    strip(&mut root);
    retain_known(&mut root, &IN_MPD);
    root.try_retain(|child| if child.is("Period") { period(child, filter) } else { Ok(true) })?;
    if root.named("Period").next().is_none() {
        return Err(FilterError::NothingLeft);
    }
    let is_live = root.attribute("type") == Some("dynamic");
    if let Some(url) = filter.clock_url.as_ref().filter(|_| is_live) {
        let timing = Element::new("UTCTiming").with("schemeIdUri", CLOCK).with("value", url);
        root = root.child(timing);
    }
    if let Some(steering) = &filter.steering {
        steering.put_into_mpd(&mut root);
    }
    Ok(xml::write(&root))
}

/// Takes out license URLs wherever they stand, descriptors where no rendition is, and elements
/// that are elsewhere: what a player fetches there would pass by the filter.
fn strip(element: &mut Element) {
    element.attributes.retain(|(name, _)| !is_license_url(name));
    let has_descriptors = element.is("AdaptationSet") || element.is("Representation");
    element.retain(|child| {
        let is_remote = child.attributes.iter().any(|(name, _)| xml::local(name) == "href");
        let is_stray = child.is("ContentProtection") && !has_descriptors;
        let is_kept = !is_remote && !is_stray && !is_license_url(&child.name);
        if is_kept {
            strip(child);
        }
        is_kept
    });
}

fn retain_known(element: &mut Element, names: &[&str]) {
    element.retain(|child| names.iter().any(|name| child.is(name)));
}

/// `Laurl`, `laurl`, `LA_URL`, `clearkey:Laurl`, `dashif:authzurl` and the like.
fn is_license_url(name: &str) -> bool {
    let plain: String = xml::local(name)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    plain.contains("laurl") || plain.contains("authzurl") || plain.contains("licenseurl")
}

/// Whether anything to play is left in it.
fn period(period: &mut Element, filter: &Filter) -> Result<bool, FilterError> {
    retain_known(period, &IN_PERIOD);
    period.try_retain(|child| {
        if child.is("AdaptationSet") { adaptation_set(child, filter) } else { Ok(true) }
    })?;
    let ids: BTreeSet<String> = period
        .named("AdaptationSet")
        .filter_map(|set| set.attribute("id").map(str::to_owned))
        .collect();
    period.retain(|child| {
        child.retain(|property| !is_switching(property) || keep_ids(property, &ids));
        true
    });
    Ok(period.named("AdaptationSet").next().is_some())
}

fn is_switching(property: &Element) -> bool {
    property.is("SupplementalProperty") && property.attribute("schemeIdUri") == Some(SWITCHING)
}

/// Takes the sets that are gone out of a list of switchable sets; whether any is left.
fn keep_ids(property: &mut Element, ids: &BTreeSet<String>) -> bool {
    let Some((_, value)) = property.attributes.iter_mut().find(|(name, _)| name == "value") else {
        return false;
    };
    let kept: Vec<&str> = value.split(',').map(str::trim).filter(|id| ids.contains(*id)).collect();
    *value = kept.join(",");
    !value.is_empty()
}

/// Whether any representation is left in it.
fn adaptation_set(set: &mut Element, filter: &Filter) -> Result<bool, FilterError> {
    retain_known(set, &IN_SET);
    let of_set = protection(set);
    let is_clear_set = is_clear_kind(set);
    keep_protections(set, filter)?;
    set.try_retain(|child| -> Result<bool, FilterError> {
        if !child.is("Representation") {
            return Ok(true);
        }
        retain_known(child, &IN_SET);
        // What a representation says itself goes before what its set says.
        let own = protection(child);
        let stated = if own.is_empty() { &of_set } else { &own };
        keep_protections(child, filter)?;
        let is_clear = stated.is_empty() && (is_clear_set || is_clear_kind(child));
        Ok(is_clear || is_allowed(stated, filter))
    })?;
    Ok(set.named("Representation").next().is_some())
}

/// Subtitles and thumbnails are not encrypted; picture and sound always are.
fn is_clear_kind(element: &Element) -> bool {
    let kind = element.attribute("contentType").or(element.attribute("mimeType")).unwrap_or("");
    ["text", "image"].contains(&kind.split('/').next().unwrap_or(""))
}

/// Scheme and KIDs that the `mp4protection` descriptors directly in an element state.
fn protection(element: &Element) -> Vec<(String, String)> {
    element
        .named("ContentProtection")
        .filter(|descriptor| scheme_of(descriptor).as_deref() == Some(MP4_PROTECTION))
        .map(|descriptor| {
            let text = |name| descriptor.attribute(name).unwrap_or_default().to_owned();
            (text("value"), text("default_KID"))
        })
        .collect()
}

/// Allowed is what states the wanted scheme and only KIDs that the session may get.
fn is_allowed(stated: &[(String, String)], filter: &Filter) -> bool {
    !stated.is_empty()
        && stated.iter().all(|(scheme, kids)| {
            let kids: Vec<_> = kids.split_ascii_whitespace().map(KeyId::parse).collect();
            scheme.eq_ignore_ascii_case(filter.scheme.name())
                && !kids.is_empty()
                && kids.iter().all(|kid| kid.is_ok_and(|kid| filter.kids.contains(&kid)))
        })
}

fn scheme_of(descriptor: &Element) -> Option<String> {
    descriptor.attribute("schemeIdUri").map(|uri| uri.trim().to_ascii_lowercase())
}

/// Keeps `mp4protection` and the asking system's descriptor, each with what we know in it.
fn keep_protections(element: &mut Element, filter: &Filter) -> Result<(), FilterError> {
    element.try_retain(|child| {
        if !child.is("ContentProtection") {
            return Ok(true);
        }
        let uri = scheme_of(child).unwrap_or_default();
        let is_system = is_system(child, &uri, filter.dialect);
        let content: &[&str] = match filter.dialect {
            Dialect::Widevine if is_system => &["pssh"],
            Dialect::PlayReady if is_system => &["pssh", "pro"],
            // A `pssh` in the Clear Key descriptor stops dash.js.
            Dialect::ClearKey | Dialect::FairPlay | Dialect::Widevine | Dialect::PlayReady => &[],
        };
        child.children.retain(|inner| match inner {
            Node::Element(inner) => content.iter().any(|name| inner.is(name)),
            Node::Text(_) => false,
        });
        child.attributes.retain(|(name, _)| {
            name.starts_with("xmlns")
                || ["schemeIdUri", "value", "default_KID", "robustness"].contains(&xml::local(name))
        });
        check_content(child)?;
        Ok(is_system || uri == MP4_PROTECTION)
    })
}

/// Whether a descriptor is of the asking system. Where keys change in band, the common system
/// stands for Clear Key.
fn is_system(descriptor: &Element, uri: &str, dialect: Dialect) -> bool {
    let system = SystemId::parse_urn(uri);
    let stands_for_clearkey = dialect == Dialect::ClearKey
        && system == Some(SystemId::COMMON)
        && descriptor.attribute("value") == Some(CLEARKEY_NAME);
    stands_for_clearkey || system == Some(system_of(dialect))
}

const fn system_of(dialect: Dialect) -> SystemId {
    match dialect {
        Dialect::ClearKey => SystemId::CLEARKEY,
        Dialect::Widevine => SystemId::WIDEVINE,
        Dialect::PlayReady => SystemId::PLAYREADY,
        Dialect::FairPlay => SystemId::FAIRPLAY,
    }
}

/// Refuses boxes that we cannot read, and license URLs inside PlayReady headers.
fn check_content(descriptor: &Element) -> Result<(), FilterError> {
    for inner in descriptor.elements() {
        let text: String = inner.own_text().split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| pssh::PsshError::Size)?;
        if inner.is("pro") {
            check_playready(&PlayReadyObject::parse(&bytes)?)?;
        } else if let SystemData::PlayReady(object) = pssh::parse(&bytes)?.data {
            check_playready(&object)?;
        }
    }
    Ok(())
}
