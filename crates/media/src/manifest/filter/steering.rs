//! Several CDNs in one manifest: DASH content steering (ETSI TS 103 998, clause 6) and HLS content
//! steering (RFC 8216bis, 4.4.6.6 and clause 7). A CDN is a service location here, a pathway there.

use crate::manifest::attribute_list::AttributeList;
use crate::manifest::xml::{Element, Node};

/// The attributes that name a group of renditions.
const GROUPS: [&str; 4] = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];

/// The CDNs that have a session's media. Names and URLs are made of characters that need no escape
/// in XML attributes and in quoted strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steering {
    /// Where a player asks which CDN to use.
    pub server_url: String,
    /// The name of the CDN to begin with: one of `pathways`.
    pub first: String,
    /// Names, and the URLs below which each CDN has the package, with a slash at the end.
    pub pathways: Vec<(String, String)>,
}

impl Steering {
    /// Writes `BaseURL` and `ContentSteering` where an MPD has them. What the package itself says
    /// of its place goes: it is below each of these.
    pub(super) fn put_into_mpd(&self, root: &mut Element) {
        root.retain(|child| !child.is("BaseURL"));
        let bases = self.pathways.iter().map(|(name, url)| {
            let mut base = Element::new("BaseURL").with("serviceLocation", name);
            base.children.push(Node::Text(url.clone()));
            base
        });
        let mut steering = Element::new("ContentSteering")
            .with("defaultServiceLocation", &self.first)
            .with("queryBeforeStart", "true");
        steering.children.push(Node::Text(self.server_url.clone()));
        let is_before =
            |node: &Node| matches!(node, Node::Element(e) if !e.is("ProgramInformation"));
        let at = root.children.iter().position(is_before).unwrap_or(root.children.len());
        let new = bases.chain([steering]).map(Node::Element);
        root.children.splice(at..at, new);
    }

    /// The line that tells where to ask.
    pub(super) fn line(&self) -> String {
        let Self { server_url, first, .. } = self;
        format!("#EXT-X-CONTENT-STEERING:SERVER-URI=\"{server_url}\",PATHWAY-ID=\"{first}\"")
    }

    /// Writes a rendition once for each CDN, each time in a group of that CDN's own.
    pub(super) fn put_rendition(&self, out: &mut String, media: &AttributeList<'_>) {
        for (at, (name, base)) in self.pathways.iter().enumerate() {
            let attributes = media.with_changed(|attribute, value| match attribute {
                "URI" => Some(absolute(base, value)),
                "GROUP-ID" => group(at, name, value),
                _ => None,
            });
            out.push_str(&format!("#EXT-X-MEDIA:{attributes}\n"));
        }
    }

    /// Writes a variant once for each CDN; `uri` is on the next line, or in the attributes.
    pub(super) fn put_variant(
        &self,
        out: &mut String,
        tag: &str,
        variant: &AttributeList<'_>,
        uri: Option<&str>,
    ) {
        for (at, (name, base)) in self.pathways.iter().enumerate() {
            let attributes = variant.with_changed(|attribute, value| match attribute {
                "URI" => Some(absolute(base, value)),
                _ if GROUPS.contains(&attribute) => group(at, name, value),
                _ => None,
            });
            out.push_str(&format!("#{tag}:{attributes},PATHWAY-ID=\"{name}\"\n"));
            if let Some(uri) = uri {
                out.push_str(&format!("{base}{uri}\n"));
            }
        }
    }
}

/// A rendered media playlist whose segments carry a CDN's signature: what a player adds to the
/// playlist's own URL does not reach the relative URLs in it.
#[must_use]
pub fn hls_signed(playlist: &str, query: &str) -> String {
    let mut out = String::with_capacity(playlist.len());
    for line in playlist.lines() {
        let map = line.strip_prefix("#EXT-X-MAP:").and_then(AttributeList::parse);
        let line = match map {
            Some(map) => {
                let signed = |uri: &str| format!("\"{}?{query}\"", uri.trim_matches('"'));
                let map = map.with_changed(|name, uri| (name == "URI").then(|| signed(uri)));
                format!("#EXT-X-MAP:{map}")
            }
            None if line.is_empty() || line.starts_with('#') => line.to_owned(),
            None => format!("{line}?{query}"),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// A quoted URI below a CDN's place.
fn absolute(base: &str, quoted: &str) -> String {
    format!("\"{base}{}\"", quoted.trim_matches('"'))
}

/// The quoted name of a group as a CDN has it; the first one keeps the packaged name. `NONE` is
/// no name.
fn group(at: usize, pathway: &str, value: &str) -> Option<String> {
    let id = value.strip_prefix('"')?.strip_suffix('"')?;
    (at > 0).then(|| format!("\"{id}@{pathway}\""))
}
