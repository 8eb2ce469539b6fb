//! Canonical XML 1.0 and 1.1 without comments, of a whole document without its signature or of
//! the signature's `SignedInfo` (W3C Canonical XML 1.1, 2).
//!
//! Both versions differ in attributes of the `xml` namespace only; a document that has one, or
//! a processing instruction, has no canonical form here. Text was found well-formed before.

use super::sink::Sink;
use super::xml::Namespace;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What the canonical form is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The document without the `Signature` in its root.
    Unsigned,
    /// `SignedInfo` of that `Signature`.
    SignedInfo,
}

/// The canonical form; it may hold keys. `None` where there is none.
pub(super) fn canonical(text: &str, part: Part) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = Reader::from_str(text);
    let mut writer = Canonical { part, sink: Sink::bare(), open: Vec::new(), scope: Vec::new() };
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => writer.start(&tag)?,
            Event::Empty(tag) => {
                writer.start(&tag)?;
                writer.end()?;
            }
            Event::End(_) => writer.end()?,
            Event::Text(text) => writer.text(&text.xml10_content()),
            Event::CData(text) => writer.text(&text.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref().ok()? {
                Some(code) => writer.text(code.encode_utf8(&mut [0; 4])),
                None => writer.text(quick_xml::escape::resolve_predefined_entity(&name)?),
            },
            Event::Comment(_) | Event::Decl(_) => {}
            Event::PI(_) | Event::DocType(_) => return None,
            Event::Eof => return Some(writer.sink.into_bytes()),
        }
    }
}

struct Open {
    name: String,
    space: Namespace,
    is_written: bool,
}

struct Canonical {
    part: Part,
    sink: Sink,
    open: Vec<Open>,
    /// Bindings of prefixes: how many elements were open around the one that binds it, the
    /// prefix, the namespace.
    scope: Vec<(usize, String, String)>,
}

impl Canonical {
    fn start(&mut self, tag: &BytesStart<'_>) -> Option<()> {
        let depth = self.open.len();
        let mut attributes = Vec::new();
        let mut declared = BTreeMap::new();
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned();
            match attribute.key.0.split_once(':') {
                None if attribute.key.0 == "xmlns" => drop(declared.insert(String::new(), value)),
                Some(("xmlns", prefix)) => drop(declared.insert(prefix.to_owned(), value)),
                Some(("xml", _)) => return None,
                _ => attributes.push((attribute.key.0.to_owned(), value)),
            }
        }
        // An inherited binding that is only repeated is not written.
        let mut written = declared.clone();
        written.retain(|prefix, name| self.bound(prefix) != Some(name.as_str()));
        if self.bound("").is_none() && written.get("").is_some_and(String::is_empty) {
            written.remove("");
        }
        self.scope.extend(declared.into_iter().map(|(prefix, name)| (depth, prefix, name)));
        let name = tag.name().0.to_owned();
        let (prefix, local) = name.split_once(':').unwrap_or(("", &name));
        let space = Namespace::of(self.bound(prefix).unwrap_or_default());
        let is_apex = self.is_apex(space, local);
        let around = self.open.last();
        let is_written = match self.part {
            Part::Unsigned => around.is_none_or(|around| around.is_written) && !is_apex,
            Part::SignedInfo => around.is_some_and(|around| around.is_written) || is_apex,
        };
        if is_written {
            if self.part == Part::SignedInfo && is_apex {
                written = self.in_scope();
            }
            self.write_start(&name, &written, attributes)?;
        }
        self.open.push(Open { name, space, is_written });
        Some(())
    }

    /// `Signature` in the root, for the document; `SignedInfo` in it, for itself.
    fn is_apex(&self, space: Namespace, local: &str) -> bool {
        let is_signature = |open: &Open| {
            let local = open.name.rsplit(':').next().unwrap_or_default();
            open.space == Namespace::XmlDsig && local == "Signature"
        };
        match (self.part, self.open.as_slice()) {
            (Part::Unsigned, [_]) => space == Namespace::XmlDsig && local == "Signature",
            (Part::SignedInfo, [_, signature]) => {
                is_signature(signature) && space == Namespace::XmlDsig && local == "SignedInfo"
            }
            _ => false,
        }
    }

    fn write_start(
        &mut self,
        name: &str,
        namespaces: &BTreeMap<String, String>,
        attributes: Vec<(String, String)>,
    ) -> Option<()> {
        self.sink.push("<");
        self.sink.push(name);
        for (prefix, value) in namespaces {
            let name =
                if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            self.write_attribute(&name, value);
        }
        let mut sorted = BTreeMap::new();
        for (name, value) in attributes {
            let key = match name.split_once(':') {
                None => (String::new(), name.clone()),
                Some((prefix, local)) => (self.bound(prefix)?.to_owned(), local.to_owned()),
            };
            // The same attribute by two prefixes is not well-formed.
            if sorted.insert(key, (name, value)).is_some() {
                return None;
            }
        }
        for (name, value) in sorted.values() {
            self.write_attribute(name, value);
        }
        self.sink.push(">");
        Some(())
    }

    fn write_attribute(&mut self, name: &str, value: &str) {
        self.sink.push(" ");
        self.sink.push(name);
        self.sink.push("=\"");
        self.escaped(value, |c| match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '"' => Some("&quot;"),
            '\t' => Some("&#x9;"),
            '\n' => Some("&#xA;"),
            '\r' => Some("&#xD;"),
            _ => None,
        });
        self.sink.push("\"");
    }

    fn text(&mut self, text: &str) {
        if self.open.last().is_some_and(|open| open.is_written) {
            self.escaped(text, |c| match c {
                '&' => Some("&amp;"),
                '<' => Some("&lt;"),
                '>' => Some("&gt;"),
                '\r' => Some("&#xD;"),
                _ => None,
            });
        }
    }

    fn escaped(&mut self, mut text: &str, escape: impl Fn(char) -> Option<&'static str>) {
        while let Some((at, escaped)) =
            text.char_indices().find_map(|(at, c)| escape(c).map(|escaped| (at, escaped)))
        {
            let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
            self.sink.push(before);
            self.sink.push(escaped);
            // Every character that is escaped is one byte.
            text = after.get(1..).unwrap_or_default();
        }
        self.sink.push(text);
    }

    fn end(&mut self) -> Option<()> {
        let open = self.open.pop()?;
        let depth = self.open.len();
        self.scope.retain(|(around, _, _)| *around < depth);
        if open.is_written {
            self.sink.push("</");
            self.sink.push(&open.name);
            self.sink.push(">");
        }
        Some(())
    }

    fn bound(&self, prefix: &str) -> Option<&str> {
        let bound = self.scope.iter().rev().find(|(_, bound, _)| bound == prefix);
        bound.map(|(_, _, name)| name.as_str())
    }

    /// Every binding that holds here; an element without ancestors writes them all.
    fn in_scope(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> =
            self.scope.iter().map(|(_, prefix, name)| (prefix.clone(), name.clone())).collect();
        all.retain(|_, name| !name.is_empty());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsigned(text: &str) -> Option<String> {
        canonical(text, Part::Unsigned).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn tags_text_and_attributes_have_one_form() {
        for (text, expected) in [
            ("<?xml version='1.0'?>\n<!-- c --><a/>\n", "<a></a>"),
            ("<a  b = '1'   a=\"2\" />", "<a a=\"2\" b=\"1\"></a>"),
            ("<a>x<!-- c -->y<![CDATA[<&>]]>&#65;&gt;</a>", "<a>xy&lt;&amp;&gt;A&gt;</a>"),
            ("<a>1\r\n2\r3&#13;</a>", "<a>1\n2\n3&#xD;</a>"),
            ("<a b='&lt;&quot;&apos;&#9;&#10;\t>'/>", "<a b=\"&lt;&quot;'&#x9;&#xA; >\"></a>"),
            ("<a> <b> </b></a >", "<a> <b> </b></a>"),
        ] {
            assert_eq!(unsigned(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn namespaces_are_written_where_they_change() {
        for (text, expected) in [
            (
                "<a xmlns:z='z' xmlns='d' xmlns:b='b'><b:c xmlns:b='b' xmlns='d'/><c xmlns=''/></a>",
                "<a xmlns=\"d\" xmlns:b=\"b\" xmlns:z=\"z\"><b:c></b:c><c xmlns=\"\"></c></a>",
            ),
            ("<a xmlns=''><b xmlns=''/></a>", "<a><b></b></a>"),
            (
                "<a xmlns:x='2' xmlns:y='1' x:k='' y:k='' k=''/>",
                "<a xmlns:x=\"2\" xmlns:y=\"1\" k=\"\" y:k=\"\" x:k=\"\"></a>",
            ),
        ] {
            assert_eq!(unsigned(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_canonical_form_here_is_refused() {
        let twice = "<a xmlns:x='1' xmlns:y='1' x:k='' y:k=''/>";
        for text in ["<a xml:id='b'/>", "<a xml:base='b'/>", "<a><?pi?></a>", "<?pi?><a/>", twice] {
            assert_eq!(unsigned(text), None, "{text}");
        }
    }

    #[test]
    fn a_signature_is_left_out_and_its_info_taken_out() {
        let text = "<a xmlns='d' xmlns:s='http://www.w3.org/2000/09/xmldsig#'> <b/><s:Signature><s:SignedInfo><s:x/></s:SignedInfo></s:Signature> </a>";
        let space = "xmlns:s=\"http://www.w3.org/2000/09/xmldsig#\"";
        let expected = format!("<a xmlns=\"d\" {space}> <b></b> </a>");
        assert_eq!(unsigned(text), Some(expected));
        let info = canonical(text, Part::SignedInfo).unwrap();
        let expected = format!("<s:SignedInfo xmlns=\"d\" {space}><s:x></s:x></s:SignedInfo>");
        assert_eq!(std::str::from_utf8(&info).unwrap(), expected);
    }
}
