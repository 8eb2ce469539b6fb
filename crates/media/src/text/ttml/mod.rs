//! TTML (W3C TTML2; text profile of IMSC 1.1): reading a document, writing what of it is shown
//! in a span of time as a document of its own.
//!
//! Head, styles and regions are kept as they are. In the body every time becomes absolute, so
//! that a part can stand alone: elements that are not shown in the span are left out, and those
//! that reach beyond it are cut at its ends, as ISO/IEC 14496-30 (5.3) has a player do anyway.

mod time;
mod timing;

use super::error::TextError;
use super::{MAX_AT_ONCE, MAX_CUE_BYTES, MAX_CUES, MAX_TTML_HEAD_BYTES};
use crate::input::{Fault, Place, Unsupported, language};
use crate::manifest::XmlError;
use crate::manifest::xml::{self, Element, Node};
use time::{Rates, clock, parameter};
use timing::{Child, ENDLESS, Timed};

/// The namespace of TTML.
pub const NAMESPACE: &str = "http://www.w3.org/ns/ttml";

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ttml {
    /// `tt` without what is in it.
    root: Element,
    head: Option<Element>,
    body: Option<Timed>,
    language: Option<String>,
}

/// A run of text and when it is shown, milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    pub begin_ms: u64,
    pub end_ms: u64,
    pub text: String,
}

/// Whether bytes begin like XML with a root `tt`.
pub(super) fn is_signed(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mut rest = text.trim_start();
    // Declaration, comments, processing instructions.
    while rest.starts_with("<?") || rest.starts_with("<!") {
        let end = if rest.starts_with("<!--") { "-->" } else { ">" };
        let Some((_, behind)) = rest.split_once(end) else { return false };
        rest = behind.trim_start();
    }
    let name = rest.strip_prefix('<').map(|rest| rest.split([' ', '\t', '\r', '\n', '>', '/']));
    name.and_then(|mut parts| parts.next()).is_some_and(|name| xml::local(name) == "tt")
}

impl Ttml {
    /// Reads a document.
    ///
    /// Errors: [`TextError`] and [`Unsupported`] with the line.
    /// Limits: 8 MiB, 32 levels, 200 000 elements, 50 000 paragraphs of 16 KiB, 64 of them at
    /// the same time, a head of 256 KiB.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = super::utf8(bytes)?;
        let place = |offset: u64| place_of(text, offset);
        let mut root = xml::parse_mixed(text).map_err(|error| match error {
            XmlError::TooLong => Place::File.fault(TextError::Xml(error)),
            XmlError::TooLarge { offset }
            | XmlError::NotWellFormed { offset }
            | XmlError::DocumentType { offset } => place(offset).fault(TextError::Xml(error)),
        })?;
        let at_root = place(root.offset);
        if !is_tt(&root) {
            return Err(at_root.fault(TextError::NotTtml));
        }
        if parameter(&root, "timeBase").is_some_and(|base| base.trim() != "media") {
            return Err(
                at_root.fault(Unsupported::Feature("TTML with times that are not media times"))
            );
        }
        let profiles = ["profile", "contentProfiles", "processorProfiles"];
        if profiles.iter().any(|name| parameter(&root, name).is_some_and(is_image_profile)) {
            return Err(at_root.fault(timing::IMAGES));
        }
        let rates = Rates::parse(&root).map_err(|error| at_root.fault(error))?;
        let head = root.named("head").next().cloned();
        let body = root.named("body").next().cloned();
        root.children.clear();
        if let Some(head) = &head {
            check_head(head, &place)?;
        }
        let resolved = |body: &Element| timing::resolve(body, &rates, &|at| place(at.offset));
        let body = body.as_ref().map(resolved).transpose()?;
        if let Some(body) = &body {
            check_amount(body, &place)?;
        }
        let language = root.attribute("lang").and_then(language::of_tag);
        Ok(Self { root, head, body, language })
    }

    /// Its language (`xml:lang` of the root), unless undetermined.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// What is shown from `from` to `to`, cut there, in the order of the document.
    pub(crate) fn shown(&self, from: u64, to: u64) -> Vec<Shown> {
        let mut found = Vec::new();
        if let Some(body) = &self.body {
            collect(body, (from, to), &mut found);
        }
        found
    }

    /// Writes what is shown from `from` to `to` as a document whose times are later by
    /// `shift_ms`; where nothing is shown it has no body.
    #[must_use]
    pub fn write_part(&self, from: u64, to: u64, shift_ms: i64) -> String {
        let part = Part { from, to, shift_ms };
        let body = self.body.as_ref().and_then(|body| part.structure(body));
        let mut root = self.root.clone();
        root.children.extend(self.head.iter().cloned().chain(body).map(Node::Element));
        xml::write_mixed(&root)
    }
}

fn place_of(text: &str, offset: u64) -> Place {
    let before = usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(..offset));
    let lines = before.unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    Place::Line(u32::try_from(lines + 1).unwrap_or(u32::MAX))
}

fn is_tt(root: &Element) -> bool {
    let namespace = match root.name.split_once(':') {
        Some((prefix, _)) => format!("xmlns:{prefix}"),
        None => "xmlns".to_owned(),
    };
    let mut names = root.attributes.iter();
    root.is("tt") && names.any(|(name, value)| *name == namespace && value == NAMESPACE)
}

/// `http://www.w3.org/ns/ttml/profile/imsc1/image` and its later versions.
fn is_image_profile(profiles: &str) -> bool {
    profiles.contains("/imsc1") && profiles.contains("/image")
}

fn check_head(head: &Element, place: &dyn Fn(u64) -> Place) -> Result<(), Fault> {
    let mut open = vec![head];
    let mut bytes = 0_usize;
    while let Some(element) = open.pop() {
        if timing::is_picture(element) {
            return Err(place(element.offset).fault(timing::IMAGES));
        }
        if element.is("profile") && element.attribute("use").is_some_and(is_image_profile) {
            return Err(place(element.offset).fault(timing::IMAGES));
        }
        if timing::has_times(element) {
            let what = Unsupported::Feature("a time in the head of TTML");
            return Err(place(element.offset).fault(what));
        }
        bytes += weight(element);
        for child in &element.children {
            match child {
                Node::Element(child) => open.push(child),
                Node::Text(text) => bytes += text.len(),
            }
        }
    }
    if bytes > MAX_TTML_HEAD_BYTES {
        let limit = MAX_TTML_HEAD_BYTES as u64;
        let what = Unsupported::Limit { what: "bytes in the head of TTML", limit };
        return Err(place(head.offset).fault(what));
    }
    Ok(())
}

/// About how many bytes a tag takes.
fn weight(tag: &Element) -> usize {
    let attributes = tag.attributes.iter().map(|(name, value)| name.len() + value.len() + 4);
    2 * tag.name.len() + 5 + attributes.sum::<usize>()
}

/// What repeats in each part must be small, and there must not be much of it at a time.
fn check_amount(body: &Timed, place: &dyn Fn(u64) -> Place) -> Result<(), Fault> {
    let mut paragraphs = Vec::new();
    find_paragraphs(body, &mut paragraphs);
    let fault = |of: &Timed, what, limit: usize| {
        place(of.tag.offset).fault(Unsupported::Limit { what, limit: limit as u64 })
    };
    if let Some(beyond) = paragraphs.get(MAX_CUES) {
        return Err(fault(beyond, "paragraphs", MAX_CUES));
    }
    if let Some(large) = paragraphs.iter().find(|one| weight_inside(one) > MAX_CUE_BYTES) {
        return Err(fault(large, "bytes in a paragraph", MAX_CUE_BYTES));
    }
    paragraphs.retain(|one| one.shown.0 < one.shown.1);
    let spans: Vec<_> = paragraphs.iter().map(|one| one.shown).collect();
    match super::crowd(&spans).and_then(|at| paragraphs.get(at)) {
        Some(crowded) => Err(fault(crowded, "subtitles at the same time", MAX_AT_ONCE)),
        None => Ok(()),
    }
}

fn find_paragraphs<'t>(timed: &'t Timed, found: &mut Vec<&'t Timed>) {
    for child in &timed.children {
        if let Child::Timed(child) = child {
            if is_structure(child) {
                find_paragraphs(child, found);
            } else {
                found.push(child);
            }
        }
    }
}

fn weight_inside(timed: &Timed) -> usize {
    let inside = timed.children.iter().map(|child| match child {
        Child::Timed(child) => weight_inside(child),
        Child::Text(text) => text.len(),
        Child::Other(_) => 0,
    });
    weight(&timed.tag) + inside.sum::<usize>()
}

fn is_structure(timed: &Timed) -> bool {
    timed.tag.is("body") || timed.tag.is("div")
}

fn collect(timed: &Timed, (from, to): (u64, u64), found: &mut Vec<Shown>) {
    let (begin_ms, end_ms) = (timed.begin.max(from), timed.end.min(to));
    for child in &timed.children {
        match child {
            Child::Timed(child) if child.shown.0 < to && child.shown.1 > from => {
                collect(child, (from, to), found);
            }
            Child::Text(text) if begin_ms < end_ms && !text.trim().is_empty() => {
                found.push(Shown { begin_ms, end_ms, text: text.clone() });
            }
            _ => {}
        }
    }
}

/// A span of time that becomes a document.
struct Part {
    from: u64,
    to: u64,
    shift_ms: i64,
}

impl Part {
    /// `body` or `div`, without times of its own; `None` where nothing of it is shown.
    fn structure(&self, timed: &Timed) -> Option<Element> {
        let mut element = timed.tag.clone();
        for child in &timed.children {
            let Child::Timed(child) = child else { continue };
            let written = if is_structure(child) {
                self.structure(child)
            } else if child.tag.is("set") {
                self.content(child, 0, true)
            } else {
                let is_shown = child.shown.0 < self.to && child.shown.1 > self.from;
                is_shown.then(|| self.content(child, 0, true)).flatten()
            };
            element.children.extend(written.map(Node::Element));
        }
        let has_text = element.elements().any(|child| !child.is("set"));
        has_text.then_some(element)
    }

    /// `p` and what is in it; `from_ms` is where the times of this element count from.
    fn content(&self, timed: &Timed, from_ms: u64, has_times: bool) -> Option<Element> {
        let mut element = timed.tag.clone();
        let (begin, end) = (timed.begin.max(self.from), timed.end.min(self.to));
        let mut inner_from = from_ms;
        if has_times {
            if begin >= end {
                return None;
            }
            inner_from = begin.saturating_add_signed(self.shift_ms);
            let end = end.saturating_add_signed(self.shift_ms);
            element = element
                .with("begin", clock(inner_from.saturating_sub(from_ms)))
                .with("end", clock(end.saturating_sub(from_ms)));
        }
        for child in &timed.children {
            let node = match child {
                Child::Text(text) => Node::Text(text.clone()),
                Child::Other(_) => continue,
                Child::Timed(child) => match self.content(child, inner_from, child.has_times) {
                    Some(child) => Node::Element(child),
                    None => continue,
                },
            };
            element.children.push(node);
        }
        Some(element)
    }
}

/// Where a document ends that lasts as long as its track.
pub(crate) const NO_END: u64 = ENDLESS;

#[cfg(test)]
mod tests;
