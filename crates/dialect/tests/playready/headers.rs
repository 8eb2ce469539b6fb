//! WRMHEADER, all four versions, and what is none.

use crate::world::{WORLD, ask, kid, utf16};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::MAX_KEYS;
use dialect::playready::client::{Ask, AskError};
use dialect::playready::{Header, HeaderError, HeaderVersion, XmlError};
use keys::SystemEntropy;
use model::{KeyId, Scheme};

use crate::world::NOW;

/// Base64 of the key id as Windows writes a GUID.
pub fn guid(kid: KeyId) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *kid.as_bytes();
    STANDARD.encode([&[d, c, b, a, f, e, h, g], &rest[..]].concat())
}

pub fn header(version: &str, content: &str) -> String {
    format!(
        "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" \
         version=\"{version}.0.0\"><DATA>{content}</DATA></WRMHEADER>"
    )
}

pub fn v4_0(more: &str) -> String {
    let kid = guid(kid(1));
    header(
        "4.0",
        &format!(
            "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>\
             <KID>{kid}</KID>{more}"
        ),
    )
}

pub fn v4_1(attributes: &str) -> String {
    let kid = guid(kid(1));
    let tag = format!("<KID ALGID=\"AESCTR\" {attributes}VALUE=\"{kid}\"></KID>");
    header("4.1", &format!("<PROTECTINFO>{tag}</PROTECTINFO>"))
}

/// A header of several keys; each key its byte and its other attributes.
pub fn list(version: &str, keys: &[(u8, &str)]) -> String {
    let tags: String = keys
        .iter()
        .map(|(byte, more)| format!("<KID {more} VALUE=\"{}\"></KID>", guid(kid(*byte))))
        .collect();
    header(version, &format!("<PROTECTINFO><KIDS>{tags}</KIDS></PROTECTINFO>"))
}

/// A header of so many keys.
pub fn list_of(version: &str, count: usize, more: &str) -> String {
    let number = |at: usize| KeyId::from_bytes((at as u128 + 1).to_be_bytes());
    let tags: String =
        (0..count).map(|at| format!("<KID {more} VALUE=\"{}\"></KID>", guid(number(at)))).collect();
    header(version, &format!("<PROTECTINFO><KIDS>{tags}</KIDS></PROTECTINFO>"))
}

const CTR: &str = "ALGID=\"AESCTR\"";
const CBC: &str = "ALGID=\"AESCBC\"";

#[test]
fn each_version_names_its_keys() {
    let (v4_2, v4_3) = (list("4.2", &[(1, CTR), (2, CTR)]), list("4.3", &[(1, CBC), (2, CBC)]));
    let open = list("4.3", &[(1, ""), (2, "")]);
    for (text, version, count, scheme) in [
        (v4_0(""), HeaderVersion::V4_0, 1, Some(Scheme::Cenc)),
        (v4_1(""), HeaderVersion::V4_1, 1, Some(Scheme::Cenc)),
        (v4_2, HeaderVersion::V4_2, 2, Some(Scheme::Cenc)),
        (v4_3, HeaderVersion::V4_3, 2, Some(Scheme::Cbcs)),
        (open, HeaderVersion::V4_3, 2, None),
        (list("4.3", &[(1, CTR)]), HeaderVersion::V4_3, 1, Some(Scheme::Cenc)),
    ] {
        for bytes in [text.as_bytes().to_vec(), utf16(&text, u16::to_le_bytes)] {
            let read = Header::parse(&bytes).unwrap();
            let kids: Vec<KeyId> = read.keys.iter().map(|key| key.kid).collect();
            assert_eq!((read.version, read.scheme), (version, scheme), "{text}");
            assert_eq!(kids, [kid(1), kid(2)][..count], "{text}");
        }
        let (_, body) = ask(&WORLD.l1, &[text.as_bytes()]);
        let challenge = WORLD.challenge(&body);
        assert_eq!(challenge.kids(), &[kid(1), kid(2)][..count]);
        assert_eq!((challenge.scheme(), challenge.header().version), (scheme, version));
    }
}

#[test]
fn a_checksum_is_read_where_there_is_one() {
    let checksum = STANDARD.encode([7; 8]);
    let element = format!("<CHECKSUM>{checksum}</CHECKSUM>");
    for text in [v4_0(&element), v4_1(&format!("CHECKSUM=\"{checksum}\" "))] {
        assert_eq!(Header::parse(text.as_bytes()).unwrap().keys[0].checksum, Some([7; 8]));
    }
    for text in [v4_0(""), v4_0("<CHECKSUM></CHECKSUM>"), v4_1("")] {
        assert_eq!(Header::parse(text.as_bytes()).unwrap().keys[0].checksum, None);
    }
}

/// The classic bug: a key id in network order is another key's.
#[test]
fn a_key_id_in_network_order_is_another_key() {
    let network = STANDARD.encode(kid(1).as_bytes());
    let text = v4_0("").replace(&guid(kid(1)), &network);
    let read = Header::parse(text.as_bytes()).unwrap();
    assert_ne!(read.keys[0].kid, kid(1));
    assert_eq!(guid(read.keys[0].kid), network);
}

#[test]
fn what_is_no_header_is_refused_by_name() {
    use HeaderError as E;
    let value = guid(kid(1));
    let kid_tag = |attributes: &str| {
        let kids = format!("<PROTECTINFO><KIDS><KID {attributes}></KID></KIDS></PROTECTINFO>");
        header("4.3", &kids)
    };
    let short = STANDARD.encode([7; 15]);
    let own = v4_0("");
    let replaced = |from: &str, to: &str| own.replacen(from, to, 1);
    for (text, error) in [
        ("x".to_owned(), E::Xml(XmlError::NotWellFormed)),
        ("<WRMHEADER version=\"4.0.0.0\"/>".to_owned(), E::Malformed),
        (header("4.4", ""), E::Version),
        (header("5.0", ""), E::Version),
        (header("4.0", "").replace(" version=\"4.0.0.0\"", ""), E::Version),
        (header("4.0", "").replace("<DATA></DATA>", ""), E::KidMissing),
        (header("4.0", "").replace("</DATA>", "</DATA><DATA></DATA>"), E::Structure),
        (replaced("4.0.0.0", "4.1.0.0"), E::Structure),
        (replaced("4.0.0.0", "4.2.0.0"), E::Structure),
        (v4_1("").replace("4.1.0.0", "4.0.0.0"), E::Structure),
        (v4_1("").replace("4.1.0.0", "4.3.0.0"), E::Structure),
        (list("4.2", &[(1, CTR)]).replace("4.2.0.0", "4.1.0.0"), E::Structure),
        (v4_0("<KIDS></KIDS>"), E::Structure),
        (v4_0(&format!("<KID>{value}</KID>")), E::Structure),
        (kid_tag(&format!("VALUE=\"{value}\"")).replace("></KID>", ">x</KID>"), E::Structure),
        (replaced(&format!("<KID>{value}</KID>"), ""), E::KidMissing),
        (list("4.2", &[]), E::KidMissing),
        (replaced(&value, &short), E::Kid),
        (replaced(&value, "!"), E::Kid),
        (kid_tag(CBC), E::Kid),
        (list("4.2", &[(1, CTR), (1, CTR)]), E::KidTwice),
        (list_of("4.2", MAX_KEYS + 1, CTR), E::TooManyKids),
        (replaced("AESCTR", "COCKTAIL"), E::Algorithm),
        (replaced("AESCTR", ""), E::Algorithm),
        (replaced("<ALGID>AESCTR</ALGID>", ""), E::Algorithm),
        (list("4.2", &[(1, "")]), E::Algorithm),
        (replaced("AESCTR", "AESCBC"), E::AlgorithmVersion),
        (list("4.2", &[(1, CBC)]), E::AlgorithmVersion),
        (list("4.3", &[(1, CBC), (2, CTR)]), E::AlgorithmsMixed),
        (list("4.3", &[(1, CBC), (2, "")]), E::AlgorithmsMixed),
        (replaced(">16<", ">8<"), E::KeyLength),
        (v4_0("<CHECKSUM>AAAA</CHECKSUM>"), E::Checksum),
        (v4_1("CHECKSUM=\"!\" "), E::Checksum),
        (
            list("4.3", &[(1, &format!("{CBC} CHECKSUM=\"{}\"", STANDARD.encode([1; 8])))]),
            E::Checksum,
        ),
    ] {
        assert_eq!(Header::parse(text.as_bytes()), Err(error), "{text}");
    }
    let most = list_of("4.2", MAX_KEYS, CTR);
    assert_eq!(Header::parse(most.as_bytes()).unwrap().keys.len(), MAX_KEYS);
}

/// What the author of the content adds is not the header's.
#[test]
fn custom_attributes_name_no_keys() {
    let other = format!("<PROTECTINFO><KID>{}</KID></PROTECTINFO>", guid(kid(9)));
    let custom = format!("<CUSTOMATTRIBUTES>{other}<KID>{}</KID></CUSTOMATTRIBUTES>", guid(kid(8)));
    let read = Header::parse(v4_0(&custom).as_bytes()).unwrap();
    assert_eq!(read.keys.len(), 1);
    assert_eq!(read.keys[0].kid, kid(1));
}

/// A PlayReady object: its length, the number of records, each with type and length.
pub fn object(records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = u16::try_from(records.len()).unwrap().to_le_bytes().to_vec();
    for (kind, record) in records {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(u16::try_from(record.len()).unwrap().to_le_bytes());
        bytes.extend(*record);
    }
    let length = u32::try_from(bytes.len() + 4).unwrap();
    [&length.to_le_bytes()[..], &bytes].concat()
}

#[test]
fn the_header_is_found_in_a_playready_object() {
    let text = utf16(&v4_0(""), u16::to_le_bytes);
    let ended = [&text[..], &[0, 0]].concat();
    for bytes in [
        object(&[(1, &text)]),
        object(&[(3, &[7; 9]), (1, &text), (2, &[])]),
        object(&[(1, &ended)]),
    ] {
        assert_eq!(Header::parse(&bytes).unwrap().keys[0].kid, kid(1));
        let (_, body) = ask(&WORLD.l1, &[&bytes]);
        assert_eq!(WORLD.challenge(&body).kids(), [kid(1)]);
    }
    let mut long = object(&[(1, &text)]);
    long[4] = 2;
    for bytes in [object(&[]), object(&[(1, &text), (1, &text)]), object(&[(3, &text)]), long] {
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Malformed));
    }
}

#[test]
fn keys_of_several_headers_are_asked_for_in_one() {
    let one = v4_0("");
    let two = list("4.2", &[(1, CTR), (2, CTR)]);
    let (_, body) = ask(&WORLD.l1, &[one.as_bytes(), two.as_bytes()]);
    let challenge = WORLD.challenge(&body);
    assert_eq!(challenge.kids(), [kid(1), kid(2)]);
    assert_eq!(challenge.header().version, HeaderVersion::V4_2);
    let cbc = list("4.3", &[(3, CBC)]);
    let refusal = |headers: &[&[u8]]| {
        let ask = Ask { headers, custom_data: None, service: &WORLD.service };
        WORLD.l1.ask(&ask, NOW, &mut SystemEntropy).unwrap_err()
    };
    assert_eq!(refusal(&[]), AskError::Nothing);
    let mixed = refusal(&[one.as_bytes(), cbc.as_bytes()]);
    assert_eq!(mixed, AskError::Header(HeaderError::AlgorithmsMixed));
    let open = list("4.3", &[(4, "")]);
    let undecided = refusal(&[open.as_bytes(), open.as_bytes()]);
    assert_eq!(undecided, AskError::Header(HeaderError::Algorithm));
}
