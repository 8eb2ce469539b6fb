//! Every refusal by its name.

use crate::headers::{guid, header, list, list_of, v4_0};
use crate::world::{
    NOW, WORLD, acquisition, ask_kids, asked, changed, client, credentials, cut, kid, replace,
    rewritten,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::playready::client::{Ask, Service};
use dialect::playready::{
    ChainError, ChallengeError, Desk, MAX_BYTES, Request, RevocationList, VerifiedChains,
};
use keys::{P256PublicKey, PointSecret, SystemEntropy};
use model::{SecurityLevel, Timestamp};
use std::collections::BTreeSet;

fn names(source: &str) -> impl Iterator<Item = &str> {
    let quoted = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    quoted.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

/// The names of all refusals but the chain's, from where they are given.
fn all_names() -> BTreeSet<&'static str> {
    let sources = [
        include_str!("../../src/playready/error.rs"),
        include_str!("../../src/playready/xml.rs"),
        include_str!("../../src/playready/header.rs"),
        include_str!("../../src/playready/signature.rs"),
    ];
    let all: Vec<&str> = sources.iter().flat_map(|source| names(source)).collect();
    let set: BTreeSet<&str> = all.iter().copied().filter(|name| !name.is_empty()).collect();
    assert_eq!(set.len(), all.iter().filter(|name| !name.is_empty()).count(), "a name twice");
    assert!(set.len() > 50, "{set:?}");
    set
}

/// A challenge whose header is another.
fn with_header(other: &str) -> Vec<u8> {
    let text = asked();
    let own = cut(&text, "<WRMHEADER", "</WRMHEADER>");
    WORLD.l1.sign(&replace(acquisition(&text), own, other))
}

/// A challenge whose first element of a name holds something else.
fn with_text(name: &str, to: &str) -> Vec<u8> {
    let text = asked();
    let acquisition = acquisition(&text);
    let own = cut(acquisition, &format!("<{name}>"), &format!("</{name}>"));
    WORLD.l1.sign(&acquisition.replacen(own, &format!("<{name}>{to}</{name}>"), 1))
}

fn without(name: &str) -> Vec<u8> {
    let text = asked();
    let acquisition = acquisition(&text);
    let own = cut(acquisition, &format!("<{name}"), &format!("</{name}>"));
    WORLD.l1.sign(&replace(acquisition, own, ""))
}

/// A challenge with an identity of any text.
fn with_identity(plain: &str) -> Vec<u8> {
    let service = P256PublicKey::parse(&WORLD.root.wmrm_public).unwrap();
    let secret = PointSecret::draw(&mut SystemEntropy);
    let (iv, key) = secret.transport();
    let sealed = [&iv, &*key.encrypt(plain.as_bytes(), iv)].concat();
    let wrapped = service.encrypt_secret(&secret, &mut SystemEntropy);
    let text = asked();
    let acquisition = acquisition(&text);
    let values: Vec<&str> = acquisition
        .split("<CipherValue>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    let [own_key, own_text] = values[..] else { panic!("two cipher values") };
    let acquisition = replace(acquisition, own_text, &STANDARD.encode(sealed));
    WORLD.l1.sign(&replace(&acquisition, own_key, &STANDARD.encode(wrapped)))
}

fn xml() -> Vec<(Vec<u8>, &'static str)> {
    let deep = format!("{}{}", "<a>".repeat(30), "</a>".repeat(30));
    let wide = "<a></a>".repeat(5000);
    vec![
        (vec![b'<'; MAX_BYTES + 1], "too_large"),
        (vec![b'<', 0xff], "encoding"),
        (Vec::new(), "not_well_formed"),
        (changed("<soap:Envelope", "<!DOCTYPE x><soap:Envelope"), "document_type"),
        (changed("<soap:Body>", "<soap:Body>&x;"), "entity"),
        (changed("<soap:Body>", "<soap:Body><!-- -->"), "markup"),
        (changed("<soap:Body>", "<soap:Body><?x y?>"), "markup"),
        (changed("<soap:Body>", "<soap:Body><?xml version=\"1.0\"?>"), "markup"),
        (changed("<soap:Body>", &format!("<soap:Body>{deep}")), "too_deep"),
        (changed("<soap:Body>", &format!("<soap:Body>{wide}")), "too_many_nodes"),
        (changed("<challenge>", "<challenge a=\"1\" a=\"1\">"), "attribute_twice"),
        (changed("<challenge>", "<challenge Id=\"SignedData\">"), "id_twice"),
    ]
}

fn structure() -> Vec<(Vec<u8>, &'static str)> {
    let text = asked();
    let signed = acquisition(&text);
    vec![
        (b"<PlayReadyKeyMessage></PlayReadyKeyMessage>".to_vec(), "key_message"),
        (b"<Envelope></Envelope>".to_vec(), "envelope"),
        (changed("<soap:Body>", "<soap:Body><x></x>"), "operation"),
        (text.replace("AcquireLicense", "JoinDomain").into_bytes(), "operation"),
        (text.replace("<challenge>", "<challenge><x></x>").into_bytes(), "challenge"),
        (replace(&text, signed, "").into_bytes(), "acquisition_missing"),
        (replace(&text, signed, &format!("{signed}<x></x>")).into_bytes(), "acquisition_twice"),
        (rewritten("Id=\"SignedData\"", "Id=\"Other\""), "signed_id"),
        (rewritten(" Id=\"SignedData\"", ""), "signed_id"),
        (without("Version"), "version"),
        (with_text("Version", "2"), "version"),
        (with_text("Version", "1"), "version_mismatch"),
        (with_text("Version", "4"), "version_mismatch"),
        (with_header(&list("4.2", &[(1, "ALGID=\"AESCTR\"")])), "version_mismatch"),
        (without("ContentHeader"), "content_header"),
        (rewritten("</ContentHeader>", "<x></x></ContentHeader>"), "content_header"),
        (without("LicenseNonce"), "nonce"),
        (with_text("LicenseNonce", ""), "nonce"),
        (with_text("LicenseNonce", &STANDARD.encode([1; 15])), "nonce"),
        (with_text("LicenseNonce", &STANDARD.encode([1; 17])), "nonce"),
        (with_text("LicenseNonce", &format!("<x></x>{}", STANDARD.encode([1; 16]))), "nonce"),
        (with_text("Version", "5<x></x>"), "version"),
        (without("EncryptedData"), "identity_missing"),
    ]
}

fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let cbc = "ALGID=\"AESCBC\"";
    let checksum = format!("{cbc} CHECKSUM=\"AAAA\"");
    vec![
        (with_header(&header("4.4", "")), "header_version"),
        (with_header(&v4_0("<KIDS></KIDS>")), "header_structure"),
        (with_header(&header("4.3", "")), "kid_missing"),
        (with_header(&v4_0("").replace(&guid(kid(1)), "AAAA")), "kid"),
        (with_header(&v4_0("").replace("<KID>", "<KID><x></x>")), "kid"),
        (with_header(&list("4.3", &[(1, cbc), (1, cbc)])), "kid_twice"),
        (with_header(&list_of("4.3", dialect::MAX_KEYS + 1, cbc)), "too_many_kids"),
        (with_header(&list("4.3", &[(1, "ALGID=\"COCKTAIL\"")])), "algorithm"),
        (with_header(&list("4.2", &[(1, cbc)])), "algorithm_version"),
        (with_header(&list("4.3", &[(1, cbc), (2, "ALGID=\"AESCTR\"")])), "algorithms_mixed"),
        (with_header(&v4_0("").replace(">16<", ">7<")), "key_length"),
        (with_header(&list("4.3", &[(1, &checksum)])), "checksum"),
    ]
}

fn signatures() -> Vec<(Vec<u8>, &'static str)> {
    let text = asked();
    let key = cut(&text, "<PublicKey>", "</PublicKey>");
    let value = cut(&text, "<SignatureValue>", "</SignatureValue>");
    let info = cut(&text, "<SignedInfo", "</SignedInfo>");
    let to = |own: &str, name: &str, bytes: &[u8]| {
        let new = format!("<{name}>{}</{name}>", STANDARD.encode(bytes));
        replace(&text, own, &new).into_bytes()
    };
    let c14n = "REC-xml-c14n-20010315";
    let transforms =
        "<Transforms><Transform Algorithm=\"x\"></Transform></Transforms><DigestMethod";
    vec![
        (replace(&text, cut(&text, "<Signature ", "</Signature>"), "").into_bytes(), "unsigned"),
        (replace(&text, info, "").into_bytes(), "signature_structure"),
        (changed(c14n, "REC-xml-c14n-20010315#WithComments"), "canonicalization"),
        (changed("protocols#ecdsa-sha256", "protocols#ecdsa-sha1"), "signature_algorithm"),
        (changed("URI=\"#SignedData\"", "URI=\"#Other\""), "reference"),
        (changed("<DigestMethod", transforms), "transforms"),
        (changed("protocols#sha256", "protocols#sha1"), "digest_algorithm"),
        (to(value, "SignatureValue", &[1; 63]), "signature_length"),
        (changed("<ClientTime>", "<ClientTime>1"), "digest"),
        (to(key, "PublicKey", &[1; 64]), "signature_key"),
        (to(key, "PublicKey", &[0; 64]), "signature_key"),
        (to(value, "SignatureValue", &[1; 64]), "signature"),
        (to(value, "SignatureValue", &[0; 64]), "signature"),
        (to(key, "PublicKey", &WORLD.l1.encryption.public_key().to_bytes()), "signature"),
        (WORLD.other_l1.sign(acquisition(&text)), "foreign_key"),
    ]
}

fn identities() -> Vec<(Vec<u8>, &'static str)> {
    let text = asked();
    let acquisition = acquisition(&text);
    let first = cut(acquisition, "<CipherValue>", "</CipherValue>");
    let off_curve = format!("<CipherValue>{}</CipherValue>", STANDARD.encode([1; 128]));
    let infinity = format!("<CipherValue>{}</CipherValue>", STANDARD.encode([0; 128]));
    let sealed = cut(acquisition, "<EncryptedData", "</EncryptedData>");
    let service = Service::read(&WORLD.root.root_public, &WORLD.stranger.wmrm_public).unwrap();
    let header = list("4.3", &[(1, "ALGID=\"AESCBC\"")]);
    let ask = Ask { headers: &[header.as_bytes()], custom_data: None, service: &service };
    let mut closed = None;
    // One in 256 opens to padding by chance.
    for _ in 0..8 {
        let (_, body) = WORLD.l1.ask(&ask, NOW, &mut SystemEntropy).unwrap();
        if WORLD.refusal(&body) == ChallengeError::IdentityClosed {
            closed = Some(body);
        }
    }
    let chain = STANDARD.encode(&WORLD.l1.chain);
    let chains = |inner: &str| {
        with_identity(&format!("<Data><CertificateChains>{inner}</CertificateChains></Data>"))
    };
    let one = format!("<CertificateChain>{chain}</CertificateChain>");
    vec![
        (WORLD.l1.sign(&replace(acquisition, sealed, &sealed.repeat(2))), "identity_structure"),
        (with_text("CipherValue", "AAAA"), "identity_structure"),
        (
            WORLD.l1.sign(&acquisition.replace("<CipherData>", "<x></x><CipherData>")),
            "identity_structure",
        ),
        (rewritten("xmlenc#aes128-cbc", "xmlenc#aes256-cbc"), "identity_algorithm"),
        (rewritten("protocols#ecc256", "protocols#ecc384"), "identity_algorithm"),
        (rewritten("WMRMServer", "Other"), "unknown_service"),
        (WORLD.l1.sign(&replace(acquisition, first, &off_curve)), "identity_key"),
        (WORLD.l1.sign(&replace(acquisition, first, &infinity)), "identity_key"),
        (closed.unwrap(), "identity_closed"),
        (with_identity("x"), "identity_malformed"),
        (with_identity("<!DOCTYPE Data><Data></Data>"), "identity_malformed"),
        (chains(""), "identity_malformed"),
        (chains("<CertificateChain>!</CertificateChain>"), "identity_malformed"),
        (chains(&one.repeat(2)), "identity_malformed"),
        (chains("<CertificateChain>AAAA</CertificateChain>"), "chain_malformed"),
    ]
}

#[test]
fn each_refusal_has_its_name() {
    let mut reached = BTreeSet::new();
    let all = [xml(), structure(), headers(), signatures(), identities()].concat();
    for (body, name) in &all {
        let refusal = WORLD.refusal(body);
        let text = String::from_utf8_lossy(&body[..body.len().min(3000)]);
        assert_eq!(refusal.name(), *name, "{text}");
        assert!(refusal.to_string().len() > 10);
        reached.insert(*name);
    }
    // Of the acknowledgement, and of headers outside a challenge.
    reached.extend(["transaction", "header_malformed"]);
    let unreached: Vec<_> =
        all_names().into_iter().filter(|name| !reached.contains(name)).collect();
    assert!(unreached.is_empty(), "{unreached:?}");
}

#[test]
fn a_device_is_believed_under_its_root_its_date_and_the_lists() {
    let (_, body) = ask_kids(&WORLD.strange, &[1]);
    assert_eq!(WORLD.refusal(&body), ChainError::UnknownRoot.into());
    let (_, body) = ask_kids(&WORLD.l3, &[1]);
    assert_eq!(WORLD.challenge(&body).device().level, SecurityLevel::L3);
    let production = Desk { allows_test_level: false, ..WORLD.desk() };
    let refused = Request::parse(&body, &production, NOW).unwrap_err();
    assert_eq!(refused, ChainError::TestLevel.into());
    let (_, body) = ask_kids(&WORLD.l2, &[1]);
    let challenge = WORLD.challenge(&body);
    let device = challenge.device();
    assert_eq!((device.level, device.security_level), (SecurityLevel::L2, 2000));
    let hex: String = device.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{{\"revoked_public_key_digests\": [\"{hex}\"]}}");
    let revoked = RevocationList::parse(&list).unwrap();
    let desk = Desk { revoked: &revoked, ..WORLD.desk() };
    let refused = Request::parse(&body, &desk, NOW).unwrap_err();
    assert_eq!(refused, ChainError::Revoked.into());
    // Also where nothing is remembered.
    let desk = Desk { chains: &VerifiedChains::default(), ..desk };
    assert_eq!(Request::parse(&body, &desk, NOW).unwrap_err(), ChainError::Revoked.into());
    assert!(Request::parse(&body, &WORLD.desk(), Timestamp(0)).is_ok(), "without an end");
}

#[test]
fn the_feature_is_the_clients_word() {
    let mut device = client(&WORLD.root.device(SecurityLevel::L1, &mut SystemEntropy));
    assert!(WORLD.challenge(&ask_kids(&device, &[1]).1).plays_cbcs());
    device.plays_cbcs = false;
    assert!(!WORLD.challenge(&ask_kids(&device, &[1]).1).plays_cbcs());
    let chain = STANDARD.encode(&WORLD.l1.chain);
    let data = |features: &str| {
        with_identity(&format!(
            "<Data><CertificateChains><CertificateChain>{chain}</CertificateChain>\
             </CertificateChains>{features}</Data>"
        ))
    };
    for (features, plays) in [
        ("", false),
        ("<Features></Features>", false),
        ("<Features><Feature Name=\"AESCTR\"></Feature></Features>", false),
        ("<Feature Name=\"AESCBC\"></Feature>", false),
        ("<Features><Feature Name=\"X\"/><Feature Name=\"AESCBC\">\"\"</Feature></Features>", true),
    ] {
        assert_eq!(WORLD.challenge(&data(features)).plays_cbcs(), plays, "{features}");
    }
}

/// Text in CDATA is text: what is signed are the bytes, and they are read one way.
#[test]
fn custom_data_is_signed_and_not_read() {
    let service = &WORLD.service;
    let header = list("4.3", &[(1, "ALGID=\"AESCBC\"")]);
    let custom = "</LA><LA Id=\"SignedData\">&\"'";
    let ask = Ask { headers: &[header.as_bytes()], custom_data: Some(custom), service };
    let (_, body) = WORLD.l1.ask(&ask, NOW, &mut SystemEntropy).unwrap();
    assert_eq!(WORLD.challenge(&body).kids(), [kid(1)]);
    let other = format!("<CustomData><![CDATA[{custom}]]></CustomData><ClientTime>");
    assert_eq!(WORLD.challenge(&rewritten("<ClientTime>", &other)).kids(), [kid(1)]);
    let element = "<CustomData><LA xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\">\
        </LA></CustomData><ClientTime>";
    assert_eq!(WORLD.challenge(&rewritten("<ClientTime>", element)).kids(), [kid(1)]);
}

#[test]
fn another_service_opens_nothing() {
    let other = credentials(&WORLD.stranger);
    let (_, body) = ask_kids(&WORLD.l1, &[1]);
    let desk = Desk { credentials: &other, ..WORLD.desk() };
    let refused = Request::parse(&body, &desk, NOW).unwrap_err();
    use ChallengeError::{IdentityClosed, IdentityMalformed};
    assert!([IdentityClosed, IdentityMalformed].contains(&refused), "{refused:?}");
}
