//! A small XML tree: what a DASH manifest, a PlayReady header and TTML need (XML 1.0, no DTD).
//!
//! Names are kept with their prefix and compared without it: manifests bind prefixes freely.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::reader::Reader;
use quick_xml::writer::Writer;

/// Longest document.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// Deepest nesting; an MPD needs 7.
const MAX_DEPTH: usize = 32;
/// Most elements in a document; a `SegmentTimeline` has one per run of equal segments.
const MAX_ELEMENTS: usize = 200_000;
/// Most attributes of one element; quick-xml compares each new one with all before it.
const MAX_ATTRIBUTES: usize = 64;

/// Why text is not XML that we read. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Longer than 8 MiB.
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Too deep, or too many elements or attributes.
    #[error("deeper or larger than a manifest may be, at byte {offset}")]
    TooLarge {
        /// Where the limit was passed.
        offset: u64,
    },
    /// Not well-formed.
    #[error("not well-formed XML at byte {offset}")]
    NotWellFormed {
        /// Where reading stopped.
        offset: u64,
    },
    /// A document type or an entity of its own: neither belongs into a manifest.
    #[error("a document type or an own entity at byte {offset}")]
    DocumentType {
        /// Where it stands.
        offset: u64,
    },
}

/// An element with everything in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
    /// Where its tag stands in the document it was read from, in bytes; 0 in one that was made.
    pub(crate) offset: u64,
}

/// What stands in an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    Text(String),
}

/// A name without its namespace prefix.
pub(crate) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

impl Element {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same element with one more attribute.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// The same element with one more child.
    pub(crate) fn child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// The same element with more children.
    pub(crate) fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// The same element with more text.
    pub(crate) fn text(mut self, text: impl ToString) -> Self {
        self.children.push(Node::Text(text.to_string()));
        self
    }

    /// Whether it is called `name`, whatever its prefix.
    pub(crate) fn is(&self, name: &str) -> bool {
        local(&self.name) == name
    }

    /// The value of an attribute, whatever its prefix.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| local(key) == name).map(|(_, value)| value.as_str())
    }

    /// The elements directly in it.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The elements directly in it that are called `name`.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.elements().filter(move |element| element.is(name))
    }

    /// The text directly in it, trimmed.
    pub(crate) fn own_text(&self) -> String {
        let text: String = self
            .children
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect();
        text.trim().to_owned()
    }

    /// Keeps of the elements directly in it those that `keep` says yes to, and all text.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Self) -> bool) {
        self.children.retain_mut(|node| match node {
            Node::Element(element) => keep(element),
            Node::Text(_) => true,
        });
    }

    /// Like [`Self::retain`]; the first error is the answer.
    pub(crate) fn try_retain<E>(
        &mut self,
        mut keep: impl FnMut(&mut Self) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut answer = Ok(());
        self.retain(|element| match keep(element) {
            Ok(is_kept) => is_kept,
            Err(error) if answer.is_ok() => {
                answer = Err(error);
                false
            }
            Err(_) => false,
        });
        answer
    }
}

/// What becomes of white space that stands alone between two tags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Dropped,
    Kept,
}

/// Reads a document; comments, processing instructions and white space between tags are left
/// out.
///
/// Errors: [`XmlError`]. Limits: 8 MiB, 32 levels, 200 000 elements, 64 attributes an element.
pub(crate) fn parse(text: &str) -> Result<Element, XmlError> {
    read(text, Space::Dropped)
}

/// Like [`parse`], for documents in which white space between tags is text.
pub(crate) fn parse_mixed(text: &str) -> Result<Element, XmlError> {
    read(text, Space::Kept)
}

fn read(text: &str, space: Space) -> Result<Element, XmlError> {
    if text.len() > MAX_BYTES {
        return Err(XmlError::TooLong);
    }
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    // The open elements, outermost first; below them a holder of the root.
    let mut open = vec![Element::default()];
    let mut elements = 0_usize;
    loop {
        let offset = reader.buffer_position();
        let not_well_formed = XmlError::NotWellFormed { offset };
        let event = reader.read_event().map_err(|_| not_well_formed)?;
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                elements += 1;
                if open.len() > MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err(XmlError::TooLarge { offset });
                }
                open.push(start(tag, offset)?);
                if matches!(event, Event::Empty(_)) {
                    close(&mut open).ok_or(not_well_formed)?;
                }
            }
            Event::End(_) => close(&mut open).ok_or(not_well_formed)?,
            Event::Text(text) => add_text(&mut open, &text.xml10_content(), space),
            Event::CData(text) => add_text(&mut open, &text.xml10_content(), space),
            Event::GeneralRef(name) => {
                let code = name.resolve_char_ref().map_err(|_| not_well_formed)?;
                let named = quick_xml::escape::resolve_predefined_entity(&name);
                match (code, named) {
                    (Some(code), _) => add_text(&mut open, code.encode_utf8(&mut [0; 4]), space),
                    (None, Some(named)) => add_text(&mut open, named, space),
                    (None, None) => return Err(XmlError::DocumentType { offset }),
                }
            }
            Event::DocType(_) => return Err(XmlError::DocumentType { offset }),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return root(open).ok_or(not_well_formed),
        }
    }
}

fn start(tag: &BytesStart<'_>, offset: u64) -> Result<Element, XmlError> {
    let mut element = Element { offset, ..Element::new(tag.name().0) };
    for attribute in tag.attributes() {
        if element.attributes.len() == MAX_ATTRIBUTES {
            return Err(XmlError::TooLarge { offset });
        }
        let not_well_formed = XmlError::NotWellFormed { offset };
        let attribute = attribute.map_err(|_| not_well_formed)?;
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| not_well_formed)?;
        element.attributes.push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// Moves the innermost open element into the one around it; `None` when only the holder is open.
fn close(open: &mut Vec<Element>) -> Option<()> {
    if open.len() < 2 {
        return None;
    }
    let element = open.pop()?;
    open.last_mut()?.children.push(Node::Element(element));
    Some(())
}

fn add_text(open: &mut [Element], text: &str, space: Space) {
    // Around the root there is none in any case.
    let is_dropped = space == Space::Dropped || open.len() < 2;
    let Some(element) = open.last_mut() else { return };
    match element.children.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ if text.is_empty() || (is_dropped && text.trim().is_empty()) => {}
        _ => element.children.push(Node::Text(text.to_owned())),
    }
}

/// The one root, when every element is closed and nothing but it is there.
fn root(mut open: Vec<Element>) -> Option<Element> {
    let mut holder = open.pop().filter(|_| open.is_empty())?;
    match (holder.children.pop(), holder.children.is_empty()) {
        (Some(Node::Element(root)), true) => Some(root),
        _ => None,
    }
}

/// Writes a document, indented, with its XML declaration.
pub(crate) fn write(root: &Element) -> String {
    write_with(root, Writer::new_with_indent(Vec::new(), b' ', 2))
}

/// Writes a document, with its XML declaration, without a space of its own.
pub(crate) fn write_mixed(root: &Element) -> String {
    write_with(root, Writer::new(Vec::new()))
}

fn write_with(root: &Element, mut writer: Writer<Vec<u8>>) -> String {
    let written = writer
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| write_element(&mut writer, root));
    debug_assert!(written.is_ok(), "a Vec takes every write");
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    text
}

fn write_element(writer: &mut Writer<Vec<u8>>, element: &Element) -> std::io::Result<()> {
    let mut tag = BytesStart::new(element.name.as_str());
    for (key, value) in &element.attributes {
        tag.push_attribute((key.as_str(), allowed(value).as_str()));
    }
    if element.children.is_empty() {
        return writer.write_event(Event::Empty(tag));
    }
    writer.write_event(Event::Start(tag))?;
    for child in &element.children {
        match child {
            Node::Element(child) => write_element(writer, child)?,
            Node::Text(text) => writer.write_event(Event::Text(BytesText::new(&allowed(text))))?,
        }
    }
    writer.write_event(Event::End(BytesEnd::new(element.name.as_str())))
}

/// Leaves out the characters that XML 1.0 (2.2) cannot carry in any form.
fn allowed(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}'))
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_same_tree() {
        let root = Element::new("MPD")
            .with("xmlns:a", "u:<\"'&>\n")
            .child(Element::new("a:x").text("1 < 2 & \u{e9}"))
            .child(Element::new("y").child(Element::new("z")));
        let text = write(&root);
        let read = parse(&text).unwrap();
        assert_eq!(read.elements().next().unwrap().own_text(), "1 < 2 & é");
        assert_eq!(write(&read), text);
        assert_eq!(read.named("x").count(), 1);
    }

    #[test]
    fn white_space_between_tags_is_kept_where_it_is_text() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a> <b>x</b> <b/>&amp;\n</a>\n\n";
        let read = parse_mixed(text).unwrap();
        let written = write_mixed(&read);
        assert!(written.ends_with("<a> <b>x</b> <b/>&amp;\n</a>\n"), "{written}");
        assert_eq!(read.elements().map(|element| element.offset).collect::<Vec<_>>(), [43, 52]);
        assert_eq!(parse_mixed("<a/>x"), Err(XmlError::NotWellFormed { offset: 5 }));
    }

    #[test]
    fn references_and_cdata_become_text() {
        let root =
            parse("<?xml version='1.0'?><!-- c --><a>x&#65;&amp;<![CDATA[<b>]]></a>").unwrap();
        assert_eq!(root.own_text(), "xA&<b>");
    }

    #[test]
    fn what_is_not_one_well_formed_document_is_refused() {
        let broken = [
            "",
            "x",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b=1/>",
            "<a b='1' b='2'/>",
        ];
        for text in broken {
            assert!(matches!(parse(text), Err(XmlError::NotWellFormed { .. })), "{text}");
        }
        let entities =
            ["<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a>&b;</a>", "<!DOCTYPE a><a/>"];
        for text in entities {
            assert!(matches!(parse(text), Err(XmlError::DocumentType { .. })), "{text}");
        }
    }

    #[test]
    fn the_limits_hold() {
        let nest = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(parse(&nest(MAX_DEPTH)).is_ok());
        assert!(matches!(parse(&nest(MAX_DEPTH + 1)), Err(XmlError::TooLarge { .. })));
        assert!(matches!(parse(&nest(100_000)), Err(XmlError::TooLarge { .. })));
        let wide = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
        assert!(parse(&wide(MAX_ELEMENTS - 1)).is_ok());
        assert!(matches!(parse(&wide(MAX_ELEMENTS)), Err(XmlError::TooLarge { .. })));
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
        assert!(matches!(parse(&format!("<a{attributes}/>")), Err(XmlError::TooLarge { .. })));
        assert_eq!(parse(&" ".repeat(MAX_BYTES + 1)), Err(XmlError::TooLong));
    }

    #[test]
    fn characters_that_xml_cannot_carry_are_left_out() {
        let text = write(&Element::new("a").with("b", "x\u{0}\u{1f}y").text("\u{b}z\u{ffff}"));
        assert!(text.contains("<a b=\"xy\">z</a>"), "{text}");
    }
}
