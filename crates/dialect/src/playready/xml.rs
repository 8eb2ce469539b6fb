//! A small XML tree for PlayReady's messages (XML 1.0 without document types; Namespaces in
//! XML 1.0), and bytes to text: UTF-8 or UTF-16, told by the bytes themselves.
//!
//! What is signed is hashed as it was sent, so each element knows where it stands in the text.
//! Comments, processing instructions and entities of one's own are refused: no client writes
//! them, and they only help two readers to read two things. CDATA is text like any other.

use super::MAX_ANSWER_BYTES;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::collections::HashSet;
use std::ops::Range;

/// Deepest nesting; a challenge needs 13.
pub(super) const MAX_DEPTH: usize = 24;
/// Most elements and attributes in a message; the longest list of key ids needs 600.
pub(super) const MAX_NODES: usize = 4096;
/// Most attributes of one element: each is compared with all before it.
pub(super) const MAX_ATTRIBUTES: usize = 16;
/// Most namespace prefixes that are bound at one place.
const MAX_BINDINGS: usize = 32;

/// Why bytes are not XML that is read here. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Longer than [`super::MAX_BYTES`], or an answer than four times that.
    #[error("the message is too long")]
    TooLarge,
    /// Neither UTF-8 nor UTF-16.
    #[error("the message is neither UTF-8 nor UTF-16")]
    Encoding,
    /// Not well-formed, or of undeclared prefixes.
    #[error("the message is not well-formed XML")]
    NotWellFormed,
    /// A document type.
    #[error("the message has a document type")]
    DocumentType,
    /// An entity that is not one of XML's five.
    #[error("the message has an entity of its own")]
    Entity,
    /// A processing instruction, or a comment.
    #[error("the message has a processing instruction or a comment")]
    Markup,
    /// Deeper than elements may nest.
    #[error("the message nests more than {MAX_DEPTH} elements")]
    TooDeep,
    /// Too many elements, attributes or prefixes.
    #[error("the message has too many elements, attributes or prefixes")]
    TooManyNodes,
    /// An attribute that stands twice in one element.
    #[error("an element has an attribute twice")]
    AttributeTwice,
    /// Two elements of one Id.
    #[error("two elements have the same Id")]
    IdTwice,
}

impl XmlError {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::NotWellFormed => "not_well_formed",
            Self::DocumentType => "document_type",
            Self::Entity => "entity",
            Self::Markup => "markup",
            Self::TooDeep => "too_deep",
            Self::TooManyNodes => "too_many_nodes",
            Self::AttributeTwice => "attribute_twice",
            Self::IdTwice => "id_twice",
        }
    }
}

/// The namespaces of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Namespace {
    None,
    /// SOAP 1.1, 4.
    Soap,
    /// The SOAP operations, the license acquisition and its answer.
    Protocols,
    /// The envelope of a signed challenge or response.
    Messages,
    /// WRMHEADER.
    Header,
    XmlEnc,
    XmlDsig,
    Other,
}

impl Namespace {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Soap => "http://schemas.xmlsoap.org/soap/envelope/",
            Self::Protocols => "http://schemas.microsoft.com/DRM/2007/03/protocols",
            Self::Messages => "http://schemas.microsoft.com/DRM/2007/03/protocols/messages",
            Self::Header => "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader",
            Self::XmlEnc => "http://www.w3.org/2001/04/xmlenc#",
            Self::XmlDsig => "http://www.w3.org/2000/09/xmldsig#",
            Self::None | Self::Other => "",
        }
    }

    fn of(name: &str) -> Self {
        let known = [
            Self::None,
            Self::Soap,
            Self::Protocols,
            Self::Messages,
            Self::Header,
            Self::XmlEnc,
            Self::XmlDsig,
        ];
        known.into_iter().find(|space| space.name() == name).unwrap_or(Self::Other)
    }
}

/// An element with everything in it. Attributes that stand in a namespace are left out: none
/// means anything here.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) space: Namespace,
    pub(super) name: Box<str>,
    pub(super) attributes: Box<[(Box<str>, Box<str>)]>,
    pub(super) children: Vec<Self>,
    /// The text directly in it, in one piece.
    pub(super) text: String,
    /// Where it stands in the text, from `<` to `>`.
    pub(super) span: Range<usize>,
}

impl Element {
    pub(super) fn is(&self, space: Namespace, name: &str) -> bool {
        self.space == space && &*self.name == name
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }

    pub(super) fn named<'a>(
        &'a self,
        space: Namespace,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(space, name))
    }

    /// The one child of this name; `None` where there is none, or more than one.
    pub(super) fn only<'a>(&'a self, space: Namespace, name: &'a str) -> Option<&'a Self> {
        let mut found = self.named(space, name);
        found.next().filter(|_| found.next().is_none())
    }

    /// The one child, which has this name.
    pub(super) fn sole<'a>(&'a self, space: Namespace, name: &'a str) -> Option<&'a Self> {
        match self.children.as_slice() {
            [child] if child.is(space, name) => Some(child),
            _ => None,
        }
    }

    /// Its text, where nothing else is in it.
    pub(super) fn leaf(&self) -> Option<&str> {
        self.children.is_empty().then_some(self.text.as_str())
    }

    /// The element as it was sent, in the text that it was read from.
    pub(super) fn as_sent<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.span.clone()).unwrap_or_default()
    }
}

/// Bytes to text. A byte order mark tells the encoding; without one, a zero byte beside the
/// first character does. What a declaration or a media type says is not looked at: players
/// mislabel both.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, XmlError> {
    if bytes.len() > MAX_ANSWER_BYTES {
        return Err(XmlError::TooLarge);
    }
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units = pairs.iter().map(|pair| unit(*pair));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty()).ok_or(XmlError::Encoding)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [1..=255, 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, 1..=255, ..] => utf16(bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, XmlError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| XmlError::Encoding)
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Element, XmlError> {
    if text.contains(|c| !is_xml(c)) {
        return Err(XmlError::NotWellFormed);
    }
    Tree::default().read(text)
}

/// Whether XML 1.0 (2.2) can carry the character.
const fn is_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[derive(Default)]
struct Tree {
    /// The open elements, outermost first.
    open: Vec<Element>,
    /// Each bound prefix and how many elements were open around the one that binds it.
    bindings: Vec<(usize, String, String)>,
    ids: HashSet<String>,
    /// Elements and attributes so far.
    nodes: usize,
    root: Option<Element>,
}

impl Tree {
    fn read(mut self, text: &str) -> Result<Element, XmlError> {
        let mut reader = Reader::from_str(text);
        loop {
            let start = position(&reader)?;
            let event = reader.read_event().map_err(|_| XmlError::NotWellFormed)?;
            let end = position(&reader)?;
            match event {
                Event::Start(ref tag) => self.start(tag, start)?,
                Event::Empty(ref tag) => {
                    self.start(tag, start)?;
                    self.close(end)?;
                }
                Event::End(_) => self.close(end)?,
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(text) if !self.open.is_empty() => self.text(&text.xml10_content())?,
                Event::CData(_) => return Err(XmlError::NotWellFormed),
                Event::GeneralRef(name) => {
                    let code = name.resolve_char_ref().map_err(|_| XmlError::NotWellFormed)?;
                    let named = quick_xml::escape::resolve_predefined_entity(&name);
                    match (code, named) {
                        (Some(code), _) if is_xml(code) => {
                            self.text(code.encode_utf8(&mut [0; 4]))?;
                        }
                        (Some(_), _) => return Err(XmlError::NotWellFormed),
                        (None, Some(named)) => self.text(named)?,
                        (None, None) => return Err(XmlError::Entity),
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                // Only at the very start: elsewhere it is a processing instruction.
                Event::Decl(_) if start == 0 => {}
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => return Err(XmlError::Markup),
                Event::Eof => {
                    let is_whole = self.open.is_empty();
                    return self.root.filter(|_| is_whole).ok_or(XmlError::NotWellFormed);
                }
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<(), XmlError> {
        self.count()?;
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlError::NotWellFormed);
        }
        let (mut attributes, mut prefixed) = (Vec::new(), Vec::new());
        for (number, attribute) in tag.attributes().enumerate() {
            self.count()?;
            if number == MAX_ATTRIBUTES {
                return Err(XmlError::TooManyNodes);
            }
            let attribute = attribute.map_err(|error| match error {
                quick_xml::events::attributes::AttrError::Duplicated(..) => {
                    XmlError::AttributeTwice
                }
                _ => XmlError::NotWellFormed,
            })?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| XmlError::Entity)?;
            if value.contains(|c| !is_xml(c)) {
                return Err(XmlError::NotWellFormed);
            }
            match attribute.key.0.split_once(':') {
                None if attribute.key.0 == "xmlns" => self.bind("", &value)?,
                None => {
                    self.take_id(attribute.key.0, &value)?;
                    attributes.push((attribute.key.0.into(), value.into()));
                }
                Some(("xmlns", prefix)) if !prefix.is_empty() && !value.is_empty() => {
                    self.bind(prefix, &value)?;
                }
                Some(("xmlns" | "", _) | (_, "")) => return Err(XmlError::NotWellFormed),
                Some((prefix, local)) => {
                    self.take_id(local, &value)?;
                    prefixed.push((prefix.to_owned(), local.to_owned()));
                }
            }
        }
        self.check_prefixed(&prefixed)?;
        let name = tag.name();
        let (prefix, local) = name.0.split_once(':').unwrap_or(("", name.0));
        let space = self.resolve(prefix).map(|(space, _)| space);
        let space = space.ok_or(XmlError::NotWellFormed)?;
        if local.is_empty() || local.contains(':') || name.0.starts_with(':') {
            return Err(XmlError::NotWellFormed);
        }
        let (name, attributes) = (local.into(), attributes.into());
        let (children, text, span) = (Vec::new(), String::new(), at..at);
        self.open.push(Element { space, name, attributes, children, text, span });
        Ok(())
    }

    const fn count(&mut self) -> Result<(), XmlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(XmlError::TooManyNodes) } else { Ok(()) }
    }

    /// An Id names one element of the message, however it is spelled.
    fn take_id(&mut self, name: &str, value: &str) -> Result<(), XmlError> {
        let is_new = !name.eq_ignore_ascii_case("id") || self.ids.insert(value.to_owned());
        if is_new { Ok(()) } else { Err(XmlError::IdTwice) }
    }

    /// Two prefixes of one namespace may not name one attribute twice.
    fn check_prefixed(&self, prefixed: &[(String, String)]) -> Result<(), XmlError> {
        let mut seen = HashSet::new();
        for (prefix, local) in prefixed {
            let (_, name) = self.resolve(prefix).ok_or(XmlError::NotWellFormed)?;
            if !seen.insert((name, local)) {
                return Err(XmlError::AttributeTwice);
            }
        }
        Ok(())
    }

    fn bind(&mut self, prefix: &str, name: &str) -> Result<(), XmlError> {
        if self.bindings.len() == MAX_BINDINGS {
            return Err(XmlError::TooManyNodes);
        }
        if ["xml", "xmlns"].contains(&prefix) {
            return Err(XmlError::NotWellFormed);
        }
        self.bindings.push((self.open.len(), prefix.to_owned(), name.to_owned()));
        Ok(())
    }

    /// The namespace that a prefix is bound to, and its full name.
    fn resolve(&self, prefix: &str) -> Option<(Namespace, &str)> {
        let bound = self.bindings.iter().rev().find(|(_, bound, _)| bound == prefix);
        match (bound, prefix) {
            (Some((_, _, name)), _) => Some((Namespace::of(name), name)),
            (None, "") => Some((Namespace::None, "")),
            (None, "xml") => Some((Namespace::Other, "xml")),
            (None, _) => None,
        }
    }

    fn close(&mut self, end: usize) -> Result<(), XmlError> {
        let mut element = self.open.pop().ok_or(XmlError::NotWellFormed)?;
        element.span.end = end;
        let depth = self.open.len();
        self.bindings.retain(|(around, _, _)| *around < depth);
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, more: &str) -> Result<(), XmlError> {
        let is_blank = more.bytes().all(|byte| byte.is_ascii_whitespace());
        match self.open.last_mut() {
            Some(element) if !is_blank || !element.text.is_empty() => element.text.push_str(more),
            None if !is_blank => return Err(XmlError::NotWellFormed),
            _ => {}
        }
        Ok(())
    }
}

fn position(reader: &Reader<&[u8]>) -> Result<usize, XmlError> {
    usize::try_from(reader.buffer_position()).map_err(|_| XmlError::TooLarge)
}
