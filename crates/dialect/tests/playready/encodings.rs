//! A challenge comes in UTF-8 or UTF-16, in a browser's key message or not, and calls itself
//! whatever its player calls it.

use crate::world::{WORLD, acquisition, asked, kid, replace, utf16};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::playready::{ChallengeError, XmlError};

fn marked(mark: &[u8], bytes: &[u8]) -> Vec<u8> {
    [mark, bytes].concat()
}

/// A browser's key message around a challenge.
fn key_message(inner: &[u8]) -> String {
    format!(
        "<PlayReadyKeyMessage type=\"LicenseAcquisition\"><LicenseAcquisition Version=\"1\">\
         <Challenge encoding=\"base64encoded\">{}</Challenge><HttpHeaders><HttpHeader>\
         <name>Content-Type</name><value>text/xml; charset=utf-8</value></HttpHeader>\
         <HttpHeader><name>SOAPAction</name><value>x</value></HttpHeader></HttpHeaders>\
         </LicenseAcquisition></PlayReadyKeyMessage>",
        STANDARD.encode(inner)
    )
}

#[test]
fn the_bytes_tell_the_encoding() {
    let text = asked();
    let (le, be) = (utf16(&text, u16::to_le_bytes), utf16(&text, u16::to_be_bytes));
    for bytes in [
        text.as_bytes().to_vec(),
        marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
        marked(&[0xff, 0xfe], &le),
        marked(&[0xfe, 0xff], &be),
        le.clone(),
        be.clone(),
    ] {
        assert_eq!(WORLD.challenge(&bytes).kids(), [kid(1)]);
    }
    let mislabelled = replace(&text, "encoding=\"utf-8\"", "encoding=\"utf-16\"");
    assert_eq!(WORLD.challenge(mislabelled.as_bytes()).kids(), [kid(1)]);
    let undeclared = replace(&text, "<?xml version=\"1.0\" encoding=\"utf-8\"?>", "");
    assert_eq!(WORLD.challenge(undeclared.as_bytes()).kids(), [kid(1)]);
}

#[test]
fn a_key_message_is_unwrapped() {
    let text = asked();
    let (le, message) = (utf16(&text, u16::to_le_bytes), key_message(text.as_bytes()));
    for bytes in [
        message.as_bytes().to_vec(),
        utf16(&message, u16::to_le_bytes),
        marked(&[0xff, 0xfe], &utf16(&message, u16::to_le_bytes)),
        utf16(&key_message(&le), u16::to_le_bytes),
    ] {
        assert_eq!(WORLD.challenge(&bytes).kids(), [kid(1)]);
    }
    for (from, to) in [
        (" encoding=\"base64encoded\"", ""),
        ("<Challenge ", "<Other></Other><Challenge x=\"\" "),
        ("<LicenseAcquisition ", "<Domain "),
    ] {
        let other = message.replace(from, to).replace(
            "</LicenseAcquisition>",
            match from {
                "<LicenseAcquisition " => "</Domain>",
                _ => "</LicenseAcquisition>",
            },
        );
        let result = WORLD.parse(other.as_bytes());
        match from {
            "<Challenge " => assert!(result.is_ok()),
            _ => assert_eq!(result.unwrap_err(), ChallengeError::KeyMessage),
        }
    }
    let nested = key_message(message.as_bytes());
    assert_eq!(WORLD.refusal(nested.as_bytes()), ChallengeError::Envelope);
    let twice = message.replace("<HttpHeaders>", "<Challenge>x</Challenge><HttpHeaders>");
    assert_eq!(WORLD.refusal(twice.as_bytes()), ChallengeError::KeyMessage);
}

#[test]
fn other_encodings_are_refused() {
    let text = asked();
    let le = utf16(&text, u16::to_le_bytes);
    let encoding = ChallengeError::Xml(XmlError::Encoding);
    assert_eq!(WORLD.refusal(&le[..le.len() - 1]), encoding);
    let lone = marked(&[0xff, 0xfe], &[&[0x3c, 0, 0, 0xd8][..], &le].concat());
    assert_eq!(WORLD.refusal(&lone), encoding);
    assert_eq!(WORLD.refusal(&marked(&[0xff], text.as_bytes())), encoding);
    let latin = text.replacen("utf-8", "\u{e9}", 1);
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(WORLD.refusal(&latin), encoding);
    let utf32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert!(WORLD.parse(&utf32).is_err());
}

/// As Microsoft's documentation shows a challenge (PlayReady License Server, samples), and with
/// what else it shows there.
#[test]
fn white_space_between_elements_means_nothing() {
    let text = asked();
    let lists = "<RevocationLists><RevListInfo><ListID>ioydTlK2p0WXkWklprR5Hw==</ListID>\
        <Version>0</Version></RevListInfo></RevocationLists><CustomData>User=Roland</CustomData>";
    let signed = replace(acquisition(&text), "<LicenseNonce>", &format!("{lists}<LicenseNonce>"));
    let signed = signed.replace("><", ">\n\t\t<");
    let body = String::from_utf8(WORLD.l1.sign(&signed)).unwrap();
    let spaces = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
        xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:soap=";
    let body = replace(&body, "xmlns:soap=", spaces);
    // Inside of what was hashed or signed it is a change like any other.
    let places = [("<soap:Body>", true), ("<challenge>", true), ("<SignatureValue>", true)];
    let inside = [("</LA>", false), ("</SignedInfo>", false), ("<KeyValue>", true)];
    for (around, is_read) in places.into_iter().chain(inside) {
        let spread = replace(&body, around, &format!("\n\t{around}\n\t"));
        assert_eq!(WORLD.parse(spread.as_bytes()).is_ok(), is_read, "{around}");
    }
    assert_eq!(WORLD.challenge(body.as_bytes()).kids(), [kid(1)]);
}
