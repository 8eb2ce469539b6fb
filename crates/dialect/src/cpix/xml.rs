//! A small XML tree for CPIX (XML 1.0 without document types; Namespaces in XML 1.0).
//!
//! Text may be a key in the clear: it is wiped with its element.

use super::{
    MAX_ATTRIBUTES, MAX_BINDINGS, MAX_BYTES, MAX_CHILDREN, MAX_DEPTH, MAX_ELEMENT_TEXT_BYTES,
    MAX_NODES,
};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::reader::Reader;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Why bytes are not XML that is read here. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Longer than [`MAX_BYTES`].
    #[error("the document is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Too deep, or too many elements, attributes, prefixes or text.
    #[error("the document is deeper or larger than a CPIX document may be, at byte {offset}")]
    TooLarge {
        /// Where the limit was passed.
        offset: u64,
    },
    /// Not UTF-8, or declared as something else.
    #[error("the document is not in UTF-8")]
    Encoding,
    /// Not well-formed.
    #[error("the document is not well-formed XML, at byte {offset}")]
    NotWellFormed {
        /// Where reading stopped.
        offset: u64,
    },
    /// A document type, or an entity of its own.
    #[error("the document has a document type or an entity, at byte {offset}")]
    DocumentType {
        /// Where it stands.
        offset: u64,
    },
}

/// The namespaces that a document is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    None,
    Cpix,
    Pskc,
    XmlEnc,
    XmlDsig,
    Speke,
    Other,
}

impl Namespace {
    /// Those that a document is written with, and the prefix of each.
    pub(super) const WRITTEN: [(Self, &'static str); 5] = [
        (Self::Cpix, "cpix"),
        (Self::Pskc, "pskc"),
        (Self::XmlEnc, "enc"),
        (Self::XmlDsig, "ds"),
        (Self::Speke, "speke"),
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cpix => "urn:dashif:org:cpix",
            Self::Pskc => "urn:ietf:params:xml:ns:keyprov:pskc",
            Self::XmlEnc => "http://www.w3.org/2001/04/xmlenc#",
            Self::XmlDsig => "http://www.w3.org/2000/09/xmldsig#",
            Self::Speke => "urn:aws:amazon:com:speke",
            Self::None | Self::Other => "",
        }
    }

    pub(super) fn of(name: &str) -> Self {
        if name.is_empty() {
            return Self::None;
        }
        let known = Self::WRITTEN.into_iter().find(|(space, _)| space.name() == name);
        known.map_or(Self::Other, |(space, _)| space)
    }
}

/// An element with everything in it. Attributes that stand in a namespace are left out: CPIX
/// has none.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) space: Namespace,
    pub(super) name: Box<str>,
    pub(super) attributes: Box<[(Box<str>, Box<str>)]>,
    pub(super) children: Vec<Self>,
    /// The text directly in it, in one piece.
    pub(super) text: Zeroizing<String>,
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
}

/// Reads a document; comments and processing instructions are left out.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
    if bytes.len() > MAX_BYTES {
        return Err(XmlError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains(|c| !is_xml(c)) {
        return Err(XmlError::NotWellFormed { offset: 0 });
    }
    Tree::default().read(text)
}

/// Whether XML 1.0 (2.2) can carry the character.
pub(super) const fn is_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[derive(Default)]
struct Tree {
    /// The open elements, outermost first.
    open: Vec<Element>,
    /// Each bound prefix and how many elements were open around the one that binds it.
    bindings: Vec<(usize, String, Namespace)>,
    /// Elements and attributes so far.
    nodes: usize,
    root: Option<Element>,
}

impl Tree {
    fn read(mut self, text: &str) -> Result<Element, XmlError> {
        let mut reader = Reader::from_str(text);
        loop {
            let offset = reader.buffer_position();
            let not_well_formed = XmlError::NotWellFormed { offset };
            let event = reader.read_event().map_err(|_| not_well_formed)?;
            match event {
                Event::Start(ref tag) => self.start(tag, offset)?,
                Event::Empty(ref tag) => {
                    self.start(tag, offset)?;
                    self.close().ok_or(not_well_formed)?;
                }
                Event::End(_) => self.close().ok_or(not_well_formed)?,
                Event::Text(text) => self.text(text.xml10_content(), offset)?,
                Event::CData(text) => self.text(text.xml10_content(), offset)?,
                Event::GeneralRef(name) => {
                    let code = name.resolve_char_ref().map_err(|_| not_well_formed)?;
                    let named = quick_xml::escape::resolve_predefined_entity(&name);
                    match (code, named) {
                        (Some(code), _) if is_xml(code) => {
                            self.text(Cow::Borrowed(code.encode_utf8(&mut [0; 4])), offset)?;
                        }
                        (Some(_), _) => return Err(not_well_formed),
                        (None, Some(named)) => self.text(Cow::Borrowed(named), offset)?,
                        (None, None) => return Err(XmlError::DocumentType { offset }),
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocumentType { offset }),
                Event::Decl(declaration) => check_encoding(&declaration)?,
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => {
                    return self.root.filter(|_| self.open.is_empty()).ok_or(not_well_formed);
                }
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, offset: u64) -> Result<(), XmlError> {
        let (too_large, not_well_formed) =
            (XmlError::TooLarge { offset }, XmlError::NotWellFormed { offset });
        self.nodes += 1;
        let is_full = self.open.last().is_some_and(|own| own.children.len() == MAX_CHILDREN);
        if is_full || self.open.len() >= MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(too_large);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(not_well_formed);
        }
        let mut attributes = Vec::new();
        let mut prefixes = Vec::new();
        for (at, attribute) in tag.attributes().enumerate() {
            self.nodes += 1;
            if at == MAX_ATTRIBUTES || self.nodes > MAX_NODES {
                return Err(too_large);
            }
            let attribute = attribute.map_err(|_| not_well_formed)?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| XmlError::DocumentType { offset })?;
            if value.contains(|c| !is_xml(c)) {
                return Err(not_well_formed);
            }
            match attribute.key.0.split_once(':') {
                None if attribute.key.0 == "xmlns" => self.bind("", &value, offset)?,
                None => attributes.push((attribute.key.0.into(), value.into())),
                Some(("xmlns", prefix)) if !prefix.is_empty() && !value.is_empty() => {
                    self.bind(prefix, &value, offset)?;
                }
                Some(("xmlns", _)) => return Err(not_well_formed),
                Some(("", _) | (_, "")) => return Err(not_well_formed),
                Some((prefix, _)) => prefixes.push(prefix.to_owned()),
            }
        }
        if prefixes.iter().any(|prefix| self.resolve(prefix).is_none()) {
            return Err(not_well_formed);
        }
        let name = tag.name();
        let (prefix, local) = name.0.split_once(':').unwrap_or(("", name.0));
        let space = self.resolve(prefix).ok_or(not_well_formed)?;
        if local.is_empty() || local.contains(':') || name.0.starts_with(':') {
            return Err(not_well_formed);
        }
        // Boxes, because a document may have very many elements.
        let (name, attributes) = (local.into(), attributes.into());
        let (children, text) = (Vec::new(), Zeroizing::default());
        self.open.push(Element { space, name, attributes, children, text });
        Ok(())
    }

    fn bind(&mut self, prefix: &str, name: &str, offset: u64) -> Result<(), XmlError> {
        if self.bindings.len() == MAX_BINDINGS {
            return Err(XmlError::TooLarge { offset });
        }
        self.bindings.push((self.open.len(), prefix.to_owned(), Namespace::of(name)));
        Ok(())
    }

    fn resolve(&self, prefix: &str) -> Option<Namespace> {
        let bound = self.bindings.iter().rev().find(|(_, bound, _)| bound == prefix);
        match (bound, prefix) {
            (Some((_, _, space)), _) => Some(*space),
            (None, "") => Some(Namespace::None),
            (None, "xml") => Some(Namespace::Other),
            (None, _) => None,
        }
    }

    fn close(&mut self) -> Option<()> {
        let element = self.open.pop()?;
        let depth = self.open.len();
        self.bindings.retain(|(around, _, _)| *around < depth);
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Some(())
    }

    fn text(&mut self, more: Cow<'_, str>, offset: u64) -> Result<(), XmlError> {
        // What had to be rewritten (line ends) is a copy, and is wiped too.
        let more = match more {
            Cow::Borrowed(more) => Ok(more),
            Cow::Owned(more) => Err(Zeroizing::new(more)),
        };
        let more = more.as_ref().map_or_else(|owned| owned.as_str(), |borrowed| *borrowed);
        let is_blank = more.bytes().all(|byte| byte.is_ascii_whitespace());
        let Some(element) = self.open.last_mut() else {
            return if is_blank { Ok(()) } else { Err(XmlError::NotWellFormed { offset }) };
        };
        let text = &mut element.text;
        if is_blank && text.is_empty() {
            return Ok(());
        }
        let length = text.len() + more.len();
        if length > MAX_ELEMENT_TEXT_BYTES {
            return Err(XmlError::TooLarge { offset });
        }
        // A growing string would leave copies of a key behind.
        if length > text.capacity() {
            let room = if text.is_empty() { length } else { length * 2 };
            let mut larger = Zeroizing::new(String::with_capacity(room));
            larger.push_str(text);
            *text = larger;
        }
        text.push_str(more);
        Ok(())
    }
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    let is_utf8 = |name: &str| {
        ["utf-8", "utf8", "us-ascii"].iter().any(|utf8| name.eq_ignore_ascii_case(utf8))
    };
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if is_utf8(&name) => Ok(()),
        Some(_) => Err(XmlError::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Element, XmlError> {
        parse(text.as_bytes())
    }

    #[test]
    fn names_are_known_by_their_namespace_and_not_by_their_prefix() {
        for text in [
            "<CPIX xmlns='urn:dashif:org:cpix'><a/></CPIX>",
            "<x:CPIX xmlns:x='urn:dashif:org:cpix'><x:a/></x:CPIX>",
            "<pskc:CPIX xmlns:pskc='urn:dashif:org:cpix'><pskc:a xmlns:x='u'/></pskc:CPIX>",
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?><CPIX xmlns='urn:dashif:&#111;rg:cpix'><a/></CPIX>\n",
        ] {
            let root = read(text).unwrap();
            assert!(root.is(Namespace::Cpix, "CPIX") && root.children[0].is(Namespace::Cpix, "a"));
        }
        let root =
            read("<a xmlns='urn:dashif:org:cpix'><b xmlns=''/><c xmlns='u'/><d/></a>").unwrap();
        let spaces: Vec<Namespace> = root.children.iter().map(|child| child.space).collect();
        assert_eq!(spaces, [Namespace::None, Namespace::Other, Namespace::Cpix]);
    }

    #[test]
    fn text_is_read_in_one_piece() {
        let root = read("<a> x<!-- -->y&#65;&amp;<b/><![CDATA[<]]>\r\nz</a>").unwrap();
        assert_eq!(root.text.as_str(), " xyA&<\nz");
    }

    #[test]
    fn what_is_not_one_well_formed_document_is_refused() {
        for text in [
            "",
            "x",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "<x:a/>",
            "<a x:b='1'/>",
            "<a xmlns:x=''/>",
            "<a>&#0;</a>",
            "<a b='&#1;'/>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a:/>",
            "<:a/>",
            "<a:b:c xmlns:a='u'/>",
        ] {
            assert!(matches!(read(text), Err(XmlError::NotWellFormed { .. })), "{text}");
        }
    }

    #[test]
    fn there_are_no_document_types_and_no_entities() {
        for text in [
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
            "<!DOCTYPE a [<!ENTITY b SYSTEM 'http://127.0.0.1/'>]><a>&b;</a>",
            "<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;&b;&b;&b;&b;&b;&b;'>]><a>&d;</a>",
            "<a>&b;</a>",
            "<a b='&c;'/>",
        ] {
            assert!(matches!(read(text), Err(XmlError::DocumentType { .. })), "{text}");
        }
    }

    #[test]
    fn only_utf_8_is_read() {
        let utf_16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(parse(&utf_16).is_err());
        assert_eq!(parse(&[&[0xff, 0xfe][..], &utf_16].concat()).unwrap_err(), XmlError::Encoding);
        for name in ["UTF-7", "UTF-16", "ISO-8859-1"] {
            let text = format!("<?xml version='1.0' encoding='{name}'?><a/>");
            assert_eq!(read(&text).unwrap_err(), XmlError::Encoding);
        }
    }

    #[test]
    fn the_limits_hold() {
        let is_too_large = |text: String| matches!(read(&text), Err(XmlError::TooLarge { .. }));
        let nest = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(&nest(MAX_DEPTH)).is_ok());
        assert!(is_too_large(nest(MAX_DEPTH + 1)) && is_too_large(nest(100_000)));
        let wide = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
        assert!(read(&wide(MAX_CHILDREN)).is_ok() && is_too_large(wide(MAX_CHILDREN + 1)));
        let rows = |count: usize| wide(999).repeat(count);
        let table = |count: usize| format!("<t>{}</t>", rows(count));
        assert!(
            read(&table(MAX_NODES / 1000 - 1)).is_ok() && is_too_large(table(MAX_NODES / 1000))
        );
        let named = |count: usize| -> String { (0..count).map(|n| format!(" a{n}=''")).collect() };
        assert!(read(&format!("<a{}/>", named(MAX_ATTRIBUTES))).is_ok());
        assert!(is_too_large(format!("<a{}/>", named(MAX_ATTRIBUTES + 1))));
        let full = format!("<a{}/>", named(9)).repeat(MAX_NODES / 10);
        assert!(is_too_large(format!("<r>{full}</r>")));
        let bound =
            |count: usize| -> String { (0..count).map(|n| format!(" xmlns:a{n}='u'")).collect() };
        assert!(is_too_large(format!("<a{}><b{}/></a>", bound(20), bound(20))));
        assert!(read(&format!("<r><a{}/><a{}/></r>", bound(20), bound(20))).is_ok());
        let text = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes));
        assert!(read(&text(MAX_ELEMENT_TEXT_BYTES)).is_ok());
        assert!(is_too_large(text(MAX_ELEMENT_TEXT_BYTES + 1)));
        assert_eq!(read(&" ".repeat(MAX_BYTES + 1)).unwrap_err(), XmlError::TooLong);
    }
}
