//! Damaged and hostile challenges: refused, or provably the same request; in little time and
//! little memory.

use crate::mutation::Dice;
use crate::world::{WORLD, acquisition, ask_kids, asked, changed, kid, replace, utf16};
use dialect::playready::{ChallengeError, MAX_BYTES, Request, XmlError};
use std::time::Duration;

/// A damaged body that is not refused must still carry what the device signed, to the byte.
fn is_refused_or_the_same(body: &[u8], signed: &str) -> bool {
    match WORLD.parse(body) {
        Err(_) => true,
        Ok(Request::Acknowledgement(_)) => false,
        Ok(Request::License(challenge)) => {
            let carries = body.windows(signed.len()).any(|window| window == signed.as_bytes());
            carries && challenge.kids() == [kid(1)]
        }
    }
}

#[test]
fn every_flipped_byte_is_refused_or_the_same_request() {
    let text = asked();
    let signed = acquisition(&text);
    let (body, from) = (text.as_bytes(), text.find(signed).unwrap());
    let mut accepted = Vec::new();
    for at in 0..body.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = body.to_vec();
            changed[at] ^= flip;
            assert!(is_refused_or_the_same(&changed, signed), "byte {at} ^ {flip:#x}");
            if WORLD.parse(&changed).is_ok() {
                accepted.push(at);
            }
        }
    }
    let inside = from..from + signed.len();
    assert!(accepted.iter().all(|at| !inside.contains(at)));
    // Outside of what is signed, what does not matter are the declaration's two values, and the
    // one namespace that is declared again, where its name may be any.
    let head = text.find("<soap:Envelope").unwrap();
    let again = text.rfind("xmlns=\"http://www.w3.org/2000/09/xmldsig#\"").unwrap();
    let known = |at: &usize| *at < head || (again..again + "xmlns".len()).contains(at);
    assert!(accepted.iter().all(known), "{accepted:?}");
}

#[test]
fn every_truncation_is_refused() {
    let body = ask_kids(&WORLD.l1, &[1]).1;
    for end in 0..body.len() {
        assert!(WORLD.parse(&body[..end]).is_err(), "{end}");
    }
}

#[test]
fn ten_thousand_mutations_give_nothing_else() {
    let text = asked();
    let signed = acquisition(&text);
    let mut dice = Dice::default();
    for round in 0..10_000 {
        let body = dice.damaged(text.as_bytes());
        assert!(is_refused_or_the_same(&body, signed), "round {round}");
    }
}

/// The same in UTF-16, where one byte is half a character.
#[test]
fn every_flipped_byte_of_utf_16_is_refused_or_the_same_request() {
    let text = asked();
    let signed = acquisition(&text);
    let body = utf16(&text, u16::to_le_bytes);
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 0x01;
        if let Ok(Request::License(challenge)) = WORLD.parse(&changed) {
            let (units, _) = changed.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
            assert!(String::from_utf16(&units).unwrap().contains(signed), "byte {at}");
            assert_eq!(challenge.kids(), [kid(1)]);
        }
    }
}

/// The processor time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

/// Runs far below the time that it would take to follow what is asked for.
fn refused_at_once(body: &[u8], error: XmlError) {
    let start = cpu();
    assert_eq!(WORLD.refusal(body), ChallengeError::Xml(error));
    assert!(cpu() - start < Duration::from_secs(1), "{:?}", cpu() - start);
}

#[test]
fn entities_are_not_followed() {
    let laughs: String = (1..10)
        .map(|level| {
            let inner = format!("&l{};", level - 1).repeat(10);
            format!("<!ENTITY l{level} \"{inner}\">")
        })
        .collect();
    for (doctype, entity) in [
        (format!("<!DOCTYPE x [<!ENTITY l0 \"ha\">{laughs}]>"), "&l9;"),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>".to_owned(), "&e;"),
        ("<!DOCTYPE x [<!ENTITY % e SYSTEM \"http://127.0.0.1/e.dtd\"> %e;]>".to_owned(), ""),
        ("<!DOCTYPE x SYSTEM \"http://127.0.0.1/e.dtd\">".to_owned(), ""),
        ("<!DOCTYPE x>".to_owned(), ""),
    ] {
        let bomb = replace(&asked(), "<soap:Envelope", &format!("{doctype}<soap:Envelope"));
        let bomb = replace(&bomb, "<ClientTime>", &format!("<ClientTime>{entity}"));
        refused_at_once(bomb.as_bytes(), XmlError::DocumentType);
        refused_at_once(&utf16(&bomb, u16::to_le_bytes), XmlError::DocumentType);
    }
    for own in ["&x;", "&nbsp;", "&xxe;"] {
        let body = changed("<ClientTime>", &format!("<ClientTime>{own}"));
        refused_at_once(&body, XmlError::Entity);
        let body = changed("<challenge>", &format!("<challenge a=\"{own}\">"));
        refused_at_once(&body, XmlError::Entity);
    }
    for code in ["&#0;", "&#x1;", "&#xffff;", "&#xd800;", "&#x110000;", "&#99999999999;"] {
        let body = changed("<ClientTime>", &format!("<ClientTime>{code}"));
        refused_at_once(&body, XmlError::NotWellFormed);
    }
    // The five are read.
    let body = changed("<soap:Body>", "<soap:Body>&lt;&gt;&amp;&quot;&apos;&#65;");
    assert!(WORLD.parse(&body).is_ok());
}

#[test]
fn size_depth_and_number_are_bounded() {
    let nest = |depth: usize| "<a>".repeat(depth);
    refused_at_once(nest(100_000).as_bytes(), XmlError::TooLarge);
    refused_at_once(nest(40_000).as_bytes(), XmlError::TooDeep);
    let attributes: String = (0..1_000_000).map(|at| format!(" a{at}=\"\"")).collect();
    refused_at_once(format!("<a{attributes}/>").as_bytes(), XmlError::TooLarge);
    let attributes: String = (0..12_000).map(|at| format!(" a{at}=\"\"")).collect();
    refused_at_once(format!("<a{attributes}/>").as_bytes(), XmlError::TooManyNodes);
    let spaces: String = (0..40).map(|at| format!("<a xmlns:a{at}=\"u\">")).collect();
    refused_at_once(spaces.as_bytes(), XmlError::TooDeep);
    let spaces: String = (0..10).map(|at| format!(" xmlns:a{at}=\"u\"")).collect();
    refused_at_once(format!("<a{spaces}>").repeat(4).as_bytes(), XmlError::TooManyNodes);
    let flat = format!("<a>{}</a>", "<b/>".repeat(30_000));
    refused_at_once(flat.as_bytes(), XmlError::TooManyNodes);
    let one = format!("<{}>", "a".repeat(MAX_BYTES - 2));
    refused_at_once(one.as_bytes(), XmlError::NotWellFormed);
    let open = format!("<a b=\"{}", "x".repeat(MAX_BYTES - 10));
    refused_at_once(open.as_bytes(), XmlError::NotWellFormed);
    let cdata = format!("<a><![CDATA[{}", "]".repeat(MAX_BYTES - 20));
    refused_at_once(cdata.as_bytes(), XmlError::NotWellFormed);
    let text = format!("<a>{}</a>", "&amp;".repeat(26_000));
    assert_eq!(WORLD.refusal(text.as_bytes()), ChallengeError::Envelope);
}
