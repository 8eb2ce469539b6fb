//! What a DASH manifest or an HLS playlist lists.

use super::Defect;
use super::boxes::MAX_DEFECTS;
use crate::manifest::attribute_list::AttributeList;
use crate::manifest::xml::{self, Element, XmlError};
use crate::pssh::{self, PlayReadyObject, SystemData, SystemId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::KeyId;
use serde::Serialize;

/// Most renditions that are shown.
const MAX_RENDITIONS: usize = 10_000;

/// A manifest's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestReport {
    /// Which manifest it is.
    pub kind: ManifestKind,
    /// What it lists.
    pub renditions: Vec<RenditionReport>,
    /// Systems that it names for the whole title or, in a media playlist, for its track.
    pub systems: Vec<SystemReport>,
    /// License URLs in it; a packaged manifest has none.
    pub license_urls: Vec<String>,
    /// Media segments that it lists.
    pub segments: u64,
    /// What is wrong with it.
    pub defects: Vec<Defect>,
}

/// Which manifest it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestKind {
    /// DASH.
    Dash,
    /// HLS, the list of variants.
    HlsMultivariant,
    /// HLS, one track.
    HlsMedia,
}

/// One rendition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RenditionReport {
    /// Its id in DASH, its playlist in HLS.
    pub id: String,
    /// Codecs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codecs: Option<String>,
    /// `1920x1080`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<String>,
    /// Language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Scheme and key, in DASH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Keys.
    pub kids: Vec<KeyId>,
    /// Systems that can get them.
    pub systems: Vec<SystemReport>,
}

/// A system that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SystemReport {
    /// `Widevine`, or the URI of one that we do not know.
    pub name: String,
    /// Keys that its lines name.
    pub kids: Vec<KeyId>,
}

/// Reads a manifest; `None` for text of another kind.
pub(super) fn report(text: &str) -> Option<ManifestReport> {
    let mut report = ManifestReport {
        kind: ManifestKind::Dash,
        renditions: Vec::new(),
        systems: Vec::new(),
        license_urls: Vec::new(),
        segments: 0,
        defects: Vec::new(),
    };
    if text.trim_start_matches('\u{feff}').trim_start().starts_with("#EXTM3U") {
        report.playlist(text);
        return Some(report);
    }
    match xml::parse(text) {
        Ok(root) if root.is("MPD") => report.mpd(&root),
        Ok(_) => return None,
        // Other markup, a page say, is no manifest, however broken.
        Err(_) if !text.contains("<MPD") => return None,
        Err(error) => report.defect(xml_offset(error), "MPD", error.to_string()),
    }
    Some(report)
}

const fn xml_offset(error: XmlError) -> u64 {
    match error {
        XmlError::TooLong => 0,
        XmlError::TooLarge { offset }
        | XmlError::NotWellFormed { offset }
        | XmlError::DocumentType { offset } => offset,
    }
}

impl ManifestReport {
    fn defect(&mut self, at: u64, within: &str, what: String) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { at, within: within.to_owned(), what });
        }
    }

    fn mpd(&mut self, root: &Element) {
        self.collect_license_urls(root);
        for set in root.named("Period").flat_map(|period| period.named("AdaptationSet")) {
            for one in set.named("Representation").take(MAX_RENDITIONS) {
                let attribute =
                    |name| one.attribute(name).or(set.attribute(name)).map(str::to_owned);
                let mut rendition = RenditionReport {
                    id: attribute("id").unwrap_or_default(),
                    codecs: attribute("codecs"),
                    resolution: attribute("width")
                        .zip(attribute("height"))
                        .map(|(width, height)| format!("{width}x{height}")),
                    bandwidth: attribute("bandwidth"),
                    language: attribute("lang"),
                    ..RenditionReport::default()
                };
                for descriptor in
                    one.named("ContentProtection").chain(set.named("ContentProtection"))
                {
                    self.descriptor(descriptor, &mut rendition);
                }
                self.segments = self.segments.saturating_add(timeline_len(one));
                self.renditions.push(rendition);
            }
        }
        if self.renditions.is_empty() {
            self.defect(0, "MPD", "lists no representation".to_owned());
        }
    }

    fn collect_license_urls(&mut self, element: &Element) {
        for child in element.elements() {
            let name = xml::local(&child.name).to_ascii_lowercase();
            if name.contains("laurl") || name.contains("la_url") {
                self.license_urls.push(child.own_text());
            }
            self.collect_license_urls(child);
        }
    }

    fn descriptor(&mut self, descriptor: &Element, rendition: &mut RenditionReport) {
        let uri = descriptor.attribute("schemeIdUri").unwrap_or_default();
        if uri.eq_ignore_ascii_case("urn:mpeg:dash:mp4protection:2011") {
            rendition.scheme = descriptor.attribute("value").map(str::to_owned);
            for kid in descriptor.attribute("default_KID").unwrap_or_default().split_whitespace() {
                match KeyId::parse(kid) {
                    Ok(kid) if rendition.kids.contains(&kid) => {}
                    Ok(kid) => rendition.kids.push(kid),
                    Err(error) => {
                        self.defect(0, &rendition.id, format!("a default_KID has {error}"))
                    }
                }
            }
            return;
        }
        let mut kids = Vec::new();
        for inner in descriptor.elements().filter(|inner| inner.is("pssh") || inner.is("pro")) {
            let text: String = inner.own_text().split_ascii_whitespace().collect();
            let read = STANDARD.decode(text).map_err(|error| error.to_string());
            let read = read.and_then(|bytes| self.kids_of(inner, &bytes));
            match read {
                Ok(more) => kids.extend(more),
                Err(what) => self.defect(0, &rendition.id, format!("{}: {what}", inner.name)),
            }
        }
        kids.sort_unstable();
        kids.dedup();
        let name = SystemId::parse_urn(uri).and_then(SystemId::name).unwrap_or(uri);
        rendition.systems.push(SystemReport { name: name.to_owned(), kids });
    }

    fn kids_of(&mut self, inner: &Element, bytes: &[u8]) -> Result<Vec<KeyId>, String> {
        let (kids, object) = if inner.is("pro") {
            let object = PlayReadyObject::parse(bytes).map_err(|error| error.to_string())?;
            (object.kids.clone(), Some(object))
        } else {
            let pssh = pssh::parse(bytes).map_err(|error| error.to_string())?;
            let kids = pssh.all_kids();
            match pssh.data {
                SystemData::PlayReady(object) => (kids, Some(object)),
                SystemData::Widevine(_) | SystemData::Opaque(_) => (kids, None),
            }
        };
        self.license_urls.extend(object.and_then(|object| object.license_url));
        Ok(kids)
    }

    fn playlist(&mut self, text: &str) {
        self.kind = ManifestKind::HlsMedia;
        let mut variant = None;
        let mut has_end = false;
        for (number, line) in (1_u64..).zip(text.lines()) {
            let line = line.trim();
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let list = match tag {
                "#EXT-X-STREAM-INF"
                | "#EXT-X-I-FRAME-STREAM-INF"
                | "#EXT-X-IMAGE-STREAM-INF"
                | "#EXT-X-MEDIA"
                | "#EXT-X-KEY"
                | "#EXT-X-SESSION-KEY" => AttributeList::parse(value),
                "#EXT-X-ENDLIST" => {
                    has_end = true;
                    continue;
                }
                _ if line.starts_with('#') || line.is_empty() => continue,
                _ => {
                    self.uri(line, variant.take());
                    continue;
                }
            };
            match list {
                None => self.defect(number, tag, "malformed attributes".to_owned()),
                Some(list) if tag.ends_with("KEY") => self.key(number, &list),
                Some(list) => {
                    self.kind = ManifestKind::HlsMultivariant;
                    let text = |name| list.value(name).map(str::to_owned);
                    let rendition = RenditionReport {
                        id: text("URI").unwrap_or_default(),
                        codecs: text("CODECS"),
                        resolution: text("RESOLUTION"),
                        bandwidth: text("BANDWIDTH"),
                        language: text("LANGUAGE"),
                        ..RenditionReport::default()
                    };
                    if tag == "#EXT-X-STREAM-INF" {
                        variant = Some(rendition);
                    } else if self.renditions.len() < MAX_RENDITIONS {
                        self.renditions.push(rendition);
                    }
                }
            }
        }
        if self.kind == ManifestKind::HlsMedia && !has_end {
            self.defect(0, "playlist", "has no end; it is live or cut off".to_owned());
        }
    }

    fn uri(&mut self, uri: &str, variant: Option<RenditionReport>) {
        match variant {
            Some(variant) if self.renditions.len() < MAX_RENDITIONS => {
                self.renditions.push(RenditionReport { id: uri.to_owned(), ..variant });
            }
            Some(_) => {}
            None => self.segments = self.segments.saturating_add(1),
        }
    }

    fn key(&mut self, number: u64, list: &AttributeList<'_>) {
        if list.value("METHOD") == Some("NONE") {
            return;
        }
        let uri = list.value("URI").unwrap_or_default();
        if uri.starts_with("http") {
            self.license_urls.push(uri.to_owned());
        }
        let format = list.value("KEYFORMAT").unwrap_or("identity");
        let name = match format {
            "com.apple.streamingkeydelivery" => "FairPlay",
            "com.microsoft.playready" => "PlayReady",
            "org.w3.clearkey" => "ClearKey",
            other => SystemId::parse_urn(other).and_then(SystemId::name).unwrap_or(other),
        };
        let kid = list.value("KEYID").and_then(|kid| kid.strip_prefix("0x"));
        let kid =
            match kid.or_else(|| uri.split_once("?kid=").map(|(_, kid)| kid)).map(KeyId::parse) {
                Some(Ok(kid)) => Some(kid),
                Some(Err(error)) => {
                    self.defect(number, name, format!("the key's id has {error}"));
                    None
                }
                None => None,
            };
        match self.systems.iter_mut().find(|system| system.name == name) {
            Some(system) => system.kids.extend(kid.filter(|kid| !system.kids.contains(kid))),
            None => self
                .systems
                .push(SystemReport { name: name.to_owned(), kids: kid.into_iter().collect() }),
        }
    }
}

/// Segments of a representation's `SegmentTimeline`.
fn timeline_len(representation: &Element) -> u64 {
    let runs = representation
        .named("SegmentTemplate")
        .flat_map(|template| template.named("SegmentTimeline"))
        .flat_map(|timeline| timeline.named("S"));
    runs.map(|run| {
        let repeats = run.attribute("r").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        repeats.saturating_add(1)
    })
    .fold(0, u64::saturating_add)
}
