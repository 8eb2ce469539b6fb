//! When the elements of a TTML body are active (W3C TTML2, 12.4; SMIL 3.0, 5.4): `begin`, `end`
//! and `dur` against the parent's, in parallel or one behind the other, as absolute times.

use super::time::Rates;
use crate::input::{Fault, Place, Unsupported};
use crate::manifest::xml::{Element, Node, local};
use crate::text::error::TextError;

/// Behind every time that can be written: active until something around it ends.
pub(super) const ENDLESS: u64 = u64::MAX;

/// An element that time passes through: `body`, `div`, `p`, `span`, `br`, `set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    /// Its tag, without the attributes of time and without children.
    pub tag: Element,
    /// When it becomes active, milliseconds.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
    /// Whether its times are its own and not its parent's.
    pub has_times: bool,
    /// From the first to the last of its text; empty where it has none.
    pub shown: (u64, u64),
    /// What is in it.
    pub children: Vec<Child>,
}

/// What is in a timed element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Child {
    Timed(Timed),
    Text(String),
    /// Metadata and what else time does not concern.
    Other(Element),
}

/// The parent as a child sees it.
#[derive(Clone, Copy)]
struct Around {
    /// From where the child's `begin` counts.
    from: u64,
    end: u64,
    is_sequence: bool,
}

/// Resolves a body.
///
/// Errors: a time that is none, an image, with the element's offset turned into a place by
/// `place`.
pub(super) fn resolve(
    body: &Element,
    rates: &Rates,
    place: &dyn Fn(&Element) -> Place,
) -> Result<Timed, Fault> {
    let all = Around { from: 0, end: ENDLESS, is_sequence: false };
    Resolver { rates, place }.element(body, all)
}

struct Resolver<'r> {
    rates: &'r Rates,
    place: &'r dyn Fn(&Element) -> Place,
}

/// The attributes of time.
const BEGIN: &str = "begin";
const END: &str = "end";
const DUR: &str = "dur";
const CONTAINER: &str = "timeContainer";

impl Resolver<'_> {
    fn time(&self, element: &Element, name: &'static str) -> Result<Option<u64>, Fault> {
        let Some(text) = own(element, name) else { return Ok(None) };
        let ms = self.rates.ms(text);
        ms.map(Some).ok_or_else(|| (self.place)(element).fault(TextError::Time(name)))
    }

    fn element(&self, element: &Element, around: Around) -> Result<Timed, Fault> {
        if is_picture(element) {
            return Err((self.place)(element).fault(IMAGES));
        }
        let begin = self.time(element, BEGIN)?;
        let (end, dur) = (self.time(element, END)?, self.time(element, DUR)?);
        let has_times = around.is_sequence || begin.is_some() || end.is_some() || dur.is_some();
        let begin = around.from.saturating_add(begin.unwrap_or(0)).min(around.end);
        let told_end = [
            end.map(|end| around.from.saturating_add(end)),
            dur.map(|dur| begin.saturating_add(dur)),
        ];
        let told_end = told_end.into_iter().flatten().min();
        let latest = told_end.unwrap_or(ENDLESS).min(around.end).max(begin);
        let is_sequence = own(element, CONTAINER) == Some("seq");
        let mut timed = Timed {
            tag: tag_of(element),
            begin,
            end: latest,
            has_times,
            shown: (ENDLESS, 0),
            children: Vec::new(),
        };
        let content_end = self.children(element, &mut timed, is_sequence)?;
        if told_end.is_none() && matters(element) {
            timed.end = content_end.clamp(begin, latest);
        }
        Ok(timed)
    }

    /// Resolves what is in an element; returns when the last of it ends.
    fn children(
        &self,
        element: &Element,
        timed: &mut Timed,
        is_sequence: bool,
    ) -> Result<u64, Fault> {
        let mut inside = Around { from: timed.begin, end: timed.end, is_sequence };
        let mut content_end = timed.begin;
        let show = |begin: u64, end: u64, shown: &mut (u64, u64)| {
            if begin < end {
                *shown = (shown.0.min(begin), shown.1.max(end));
            }
        };
        for child in &element.children {
            let child = match child {
                // In a sequence text that stands alone lasts no time.
                Node::Text(_) if is_sequence => continue,
                Node::Text(text) => {
                    if !text.trim().is_empty() {
                        show(timed.begin, timed.end, &mut timed.shown);
                        content_end = timed.end;
                    }
                    Child::Text(text.clone())
                }
                Node::Element(child) if is_timed(child) => {
                    let child = self.element(child, inside)?;
                    show(child.shown.0, child.shown.1, &mut timed.shown);
                    if matters(&child.tag) {
                        content_end = content_end.max(child.end);
                        if is_sequence {
                            inside.from = child.end.min(timed.end);
                        }
                    }
                    Child::Timed(child)
                }
                Node::Element(child) => Child::Other(child.clone()),
            };
            timed.children.push(child);
        }
        Ok(content_end)
    }
}

/// The element without the attributes of time and without what is in it.
fn tag_of(element: &Element) -> Element {
    let is_kept = |name: &str| ![BEGIN, END, DUR, CONTAINER].contains(&name);
    let attributes = element.attributes.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
    Element { attributes, offset: element.offset, ..Element::new(&element.name) }
}

fn own<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    let mut all = element.attributes.iter();
    all.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn is_timed(element: &Element) -> bool {
    ["body", "div", "p", "span", "br", "set", "image"].contains(&local(&element.name))
}

/// Whether an element's end is one that its parent waits for.
fn matters(element: &Element) -> bool {
    ["body", "div", "p", "span"].contains(&local(&element.name))
}

/// What an image profile is refused with: its subtitles are pictures, which text would lose.
pub(super) const IMAGES: Unsupported =
    Unsupported::Feature("TTML with images (IMSC image profile)");

/// Whether an element shows a picture.
pub(super) fn is_picture(element: &Element) -> bool {
    element.is("image") || element.attribute("backgroundImage").is_some()
}

/// Whether an element has a time of its own.
pub(super) fn has_times(element: &Element) -> bool {
    [BEGIN, END, DUR, CONTAINER].iter().any(|name| own(element, name).is_some())
}
