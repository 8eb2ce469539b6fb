//! PlayReady over HTTP: right licenses by level, one outer reason in a SOAP fault for every
//! refusal, and nothing that a client sends makes the service slow, large or wrong.

use crate::alone::is_alone;
use crate::house::*;
use crate::playing::*;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::playready::client::{Ask, ClientDevice, Pending, Service};
use dialect::playready::test_root::{
    CertificateDraft, TestDevice, TestRoot, chain_of, kind, usage,
};
use dialect::playready::{
    Header, MAX_BYTES, OpenedResponse, PERSISTENT, carried_key_terms, carried_terms,
};
use dialect::terms::{Hdcp, KeyTerms, LicenseTerms, Robustness};
use keys::{P256PrivateKey, SystemEntropy, sha256};
use model::{Dialect, KeyId, Scheme, SecurityLevel, TitlePolicy, TrackClass};
use server::config::Mode;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

pub static ROOT: LazyLock<TestRoot> = LazyLock::new(|| TestRoot::make(&mut SystemEntropy));
static STRANGER: LazyLock<TestRoot> = LazyLock::new(|| TestRoot::make(&mut SystemEntropy));
static SERVICE: LazyLock<Service> = LazyLock::new(|| service_of(&ROOT));
static DEVICES: LazyLock<[ClientDevice; 3]> =
    LazyLock::new(|| SecurityLevel::ALL.map(|level| device(&ROOT, level)));

fn service_of(root: &TestRoot) -> Service {
    Service::read(&root.root_public, &root.wmrm_public).unwrap()
}

fn client(device: &TestDevice) -> ClientDevice {
    ClientDevice::read(&device.chain, &device.signing_private_pem, &device.encryption_private_pem)
        .unwrap()
}

fn device(root: &TestRoot, level: SecurityLevel) -> ClientDevice {
    client(&root.device(level, &mut SystemEntropy))
}

fn of(level: SecurityLevel) -> &'static ClientDevice {
    DEVICES.iter().zip(SecurityLevel::ALL).find(|(_, own)| *own == level).unwrap().0
}

pub fn l1() -> &'static ClientDevice {
    of(SecurityLevel::L1)
}

/// Account `ada`, title `film` in cbcs, credentials of the test root.
async fn house() -> House {
    house_with(|_| {}).await
}

async fn house_with(edit: impl FnOnce(&mut server::Config)) -> House {
    let edit = |config: &mut server::Config| {
        config.limits.session_requests = 0;
        edit(config);
    };
    let house = House::with(edit, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    house.import_playready(&ROOT).await;
    house
}

async fn playing(house: &House) -> Playing {
    Playing::begin(house, Dialect::PlayReady).await
}

pub async fn send(house: &House, url: &str, body: &[u8]) -> Reply {
    // A media type that is wrong, as players send it.
    let request = Request::post(path_of(url)).header("content-type", "text/html; charset=utf-16");
    house.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

pub fn header(kids: &[KeyId]) -> String {
    Header::of(kids, Scheme::Cbcs)
}

fn ask_for<'a>(
    device: &'a ClientDevice,
    service: &Service,
    header: &str,
    custom_data: Option<&str>,
) -> (Pending<'a>, Vec<u8>) {
    let headers = &[header.as_bytes()][..];
    let ask = Ask { headers, custom_data, service };
    device.ask(&ask, NOW, &mut SystemEntropy).unwrap()
}

pub fn ask<'a>(device: &'a ClientDevice, kids: &[KeyId]) -> (Pending<'a>, Vec<u8>) {
    ask_for(device, &SERVICE, &header(kids), None)
}

#[track_caller]
pub fn opened(pending: Pending<'_>, reply: &Reply) -> (OpenedResponse, Option<Vec<u8>>) {
    reply.assert_granted();
    assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
    assert_eq!(reply.header("cache-control"), "no-store");
    pending.open(&reply.body).unwrap()
}

fn labels_of(license: &OpenedResponse) -> Vec<&'static str> {
    let is_in = |label: &&str| license.keys.iter().any(|key| key.kid == kid("film", label));
    ALL.into_iter().filter(is_in).collect()
}

#[tokio::test]
async fn each_level_gets_its_keys_and_each_key_its_license() {
    let house = house().await;
    let policy = TitlePolicy::default();
    for level in SecurityLevel::ALL {
        let playing = playing(&house).await;
        let (pending, body) = ask(of(level), &kids(&ALL));
        let reply = send(&house, &playing.url, &body).await;
        let (license, acknowledgement) = opened(pending, &reply);
        let given = if level == SecurityLevel::L3 { &ALL[..2] } else { &ALL[..] };
        assert_eq!(labels_of(&license), given);
        assert_eq!(reply.text().matches("<License>").count(), given.len());
        assert_eq!(reply.header("x-strongroom-track-classes"), given.join(","));
        assert_eq!(reply.header("x-strongroom-security-level"), level.name());
        assert_eq!(license.terms, carried_terms(&LicenseTerms::of(&policy, false)));
        assert_eq!((license.scheme, license.started_s), (Some(Scheme::Cbcs), NOW.as_s()));
        assert!(acknowledgement.is_none(), "nothing is kept");
        for key in &license.keys {
            let label = ALL.into_iter().find(|label| key.kid == kid("film", label)).unwrap();
            let class = TrackClass::ALL.into_iter().find(|class| class.name() == label);
            assert_eq!(key.terms, carried_key_terms(&KeyTerms::of(&policy, class)));
        }
    }
}

#[tokio::test]
async fn without_credentials_the_dialect_is_not_answered() {
    let house = House::furnished().await;
    let signed_in = house.sign_in("ada").await;
    let playback = house.playback(&signed_in, "film").await.json();
    assert!(playback["license"]["playready"].is_null());
    let url = playback["license"]["clearkey"].as_str().unwrap().replace("/clearkey", "/playready");
    let reply = send(&house, &url, &ask(l1(), &kids(&["SD"])).1).await;
    reply.assert_fault(404, "dialect_not_answered");
}

#[tokio::test]
async fn a_challenge_serves_one_credential() {
    let house = house().await;
    house.get("/license/playready").await.assert_refused(405, "method_not_allowed");
    let (first, body) = (playing(&house).await, ask(l1(), &kids(&["SD"])).1);
    for _ in 0..2 {
        send(&house, &first.url, &body).await.assert_granted();
    }
    let second = playing(&house).await;
    send(&house, &second.url, &body).await.assert_fault(401, "token_replayed");
    send_in_session(&house, &first, &body).await.assert_fault(401, "token_replayed");
    house.clock.advance_ms(31_000);
    send(&house, &first.url, &body).await.assert_fault(401, "token_expired");
    let third = playing(&house).await;
    send(&house, &third.url, &body).await.assert_fault(401, "token_replayed");
    send(&house, &third.url, &ask(l1(), &kids(&["SD"])).1).await.assert_granted();
}

#[tokio::test]
async fn a_license_of_another_device_or_request_does_not_open() {
    let house = house().await;
    let playing = playing(&house).await;
    let other = device(&ROOT, SecurityLevel::L1);
    let (pending, body) = ask(l1(), &kids(&["SD"]));
    let nonce = pending.nonce();
    let reply = send(&house, &playing.url, &body).await;
    assert!(other.await_answer(*SERVICE, nonce, NOW).open(&reply.body).is_err(), "another device");
    let (later, _) = ask(l1(), &kids(&["SD"]));
    assert!(later.open(&reply.body).is_err(), "another request of the same device");
    opened(pending, &reply);
}

#[tokio::test]
async fn a_key_of_another_title_or_byte_order_refuses_the_whole_request() {
    let house = house().await;
    house.title("other").await;
    let playing = playing(&house).await;
    let foreign = [kid("film", "SD"), kid("other", "SD")];
    let reply = send(&house, &playing.url, &ask(l1(), &foreign).1).await;
    reply.assert_fault(403, "kid_not_in_content");
    // The GUID as it stands, where its first three fields are to be turned round.
    let mut turned = *kid("film", "SD").as_bytes();
    turned[..4].reverse();
    turned[4..6].reverse();
    turned[6..8].reverse();
    let reply = send(&house, &playing.url, &ask(l1(), &[KeyId::from_bytes(turned)]).1).await;
    reply.assert_fault(403, "kid_not_in_content");
    send(&house, &playing.url, &ask(l1(), &kids(&["SD"])).1).await.assert_granted();
}

#[tokio::test]
async fn a_kept_license_needs_the_right_and_is_acknowledged() {
    let house = house().await;
    let keep = |kids: &[KeyId]| ask_for(l1(), &SERVICE, &header(kids), Some(PERSISTENT));
    let first = playing(&house).await;
    let reply = send(&house, &first.url, &keep(&kids(&["SD"])).1).await;
    reply.assert_fault(403, "offline_not_allowed");
    let document = "license_s = 1000\n[offline]\nallowed = true\nlicense_s = 500\n";
    let policy = put_policy(&house, document).await;
    let playing = playing(&house).await;
    let (pending, body) = keep(&kids(&["SD"]));
    let reply = send(&house, &playing.url, &body).await;
    assert_eq!(reply.header("x-strongroom-license-expires"), NOW.plus_s(500).0.to_string());
    let (license, acknowledgement) = opened(pending, &reply);
    assert_eq!(kept_until(&house).await, [NOW.plus_s(500)]);
    assert_eq!(license.terms, carried_terms(&LicenseTerms::of(&policy, true)));
    assert!(license.terms.can_persist);
    // The same URL: an acknowledgement claims no key, and carries none away.
    let reply = send(&house, &playing.url, &acknowledgement.unwrap()).await;
    reply.assert_granted();
    assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
    assert!(reply.text().contains("AcknowledgeLicenseResponse"), "{}", reply.text());
    assert_eq!(reply.header("x-strongroom-security-level"), "");
    send(&house, &playing.url, &body).await.assert_granted();
}

/// A browser's key message in UTF-16, around SOAP in UTF-16, of a player that says much.
#[tokio::test]
async fn a_wrapped_challenge_of_eighty_kib_is_answered() {
    let house = house().await;
    let playing = playing(&house).await;
    let custom_data = "x".repeat(12_000);
    let header = header(&kids(&["SD"]));
    let (pending, body) = ask_for(l1(), &SERVICE, &header, Some(&custom_data));
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let inner = utf16(&String::from_utf8(body).unwrap());
    let wrapped = utf16(&format!(
        "<PlayReadyKeyMessage type=\"LicenseAcquisition\"><LicenseAcquisition Version=\"1\">\
         <Challenge encoding=\"base64encoded\">{}</Challenge></LicenseAcquisition>\
         </PlayReadyKeyMessage>",
        STANDARD.encode(inner)
    ));
    assert!((80 << 10..MAX_BYTES).contains(&wrapped.len()), "{}", wrapped.len());
    let reply = send(&house, &playing.url, &wrapped).await;
    assert_eq!(labels_of(&opened(pending, &reply).0), ["SD"]);
}

#[tokio::test]
async fn cbcs_goes_only_to_who_decrypts_it() {
    let house = house().await;
    let playing = playing(&house).await;
    let mut old = device(&ROOT, SecurityLevel::L1);
    old.plays_cbcs = false;
    let reply = send(&house, &playing.url, &ask(&old, &kids(&["SD"])).1).await;
    reply.assert_fault(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "cbcs_unsupported");
}

/// A flagged title's keys say HDCP, and their level, or do not leave (R113).
#[tokio::test]
async fn a_capture_protected_title_says_so_in_its_licenses() {
    let house = house().await;
    let policy = put_policy(&house, "license_s = 1000\ncapture_protected = true\n").await;
    let playing = playing(&house).await;
    let (pending, body) = ask(l1(), &kids(&ALL));
    let (license, _) = opened(pending, &send(&house, &playing.url, &body).await);
    let pictures: Vec<_> =
        license.keys.iter().filter(|key| key.kid != kid("film", "AUDIO")).collect();
    assert!(!pictures.is_empty());
    for key in pictures {
        let asked = KeyTerms::of(&policy, Some(TrackClass::Sd));
        assert!(key.terms.hdcp >= asked.hdcp && key.terms.hdcp >= Hdcp::V1, "{:?}", key.terms);
        assert!(key.terms.robustness >= Robustness::HardwareKeys, "{:?}", key.terms);
    }
    let body = ask(of(SecurityLevel::L3), &kids(&["SD"])).1;
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_fault(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "no_key_for_the_level");
}

/// A device with a chain of this draft, which `issuer` signs.
fn drafted(edit: impl FnOnce(&mut CertificateDraft), issuer: &P256PrivateKey) -> ClientDevice {
    let (signing, signing_pkcs8) = P256PrivateKey::generate();
    let (encryption, encryption_pkcs8) = P256PrivateKey::generate();
    let mut draft = CertificateDraft {
        keys: vec![
            (signing.public_key().to_bytes(), vec![usage::SIGN]),
            (encryption.public_key().to_bytes(), vec![usage::ENCRYPT]),
        ],
        ..CertificateDraft::new(kind::DEVICE, 3000, &mut SystemEntropy)
    };
    edit(&mut draft);
    client(&TestDevice {
        chain: chain_of(&[&draft.sign(issuer), &ROOT.issuer_certificate]),
        signing_private_pem: P256PrivateKey::pem_of(&signing_pkcs8),
        encryption_private_pem: P256PrivateKey::pem_of(&encryption_pkcs8),
    })
}

fn denials() -> Vec<(&'static str, Vec<u8>)> {
    let good = String::from_utf8(ask(l1(), &kids(&["SD"])).1).unwrap();
    let from = good.find("<Signature").unwrap();
    let to = good.find("</Signature>").unwrap() + "</Signature>".len();
    let (stranger, issuer) = (P256PrivateKey::generate().0, &ROOT.issuer_key);
    let asks = |device: &ClientDevice| ask(device, &kids(&["SD"])).1;
    let other = String::from_utf8(ask(l1(), &kids(&["HD"])).1).unwrap();
    let (other_from, other_to) =
        (other.find("<Signature").unwrap(), other.find("</Signature>").unwrap() + 12);
    let bomb = format!("<!DOCTYPE a [<!ENTITY b \"{}\">]><a>&b;</a>", "b".repeat(1000));
    vec![
        ("unsigned", [&good[..from], &good[to..]].concat().into_bytes()),
        (
            "another's signature",
            [&good[..from], &other[other_from..other_to], &good[to..]].concat().into_bytes(),
        ),
        ("unknown root", asks(&device(&STRANGER, SecurityLevel::L1))),
        ("broken chain", asks(&drafted(|_| {}, &stranger))),
        ("expired", asks(&drafted(|draft| draft.expires_s = 1, issuer))),
        ("above its issuer", asks(&drafted(|draft| draft.level = 5000, issuer))),
        ("for another service", {
            let service = service_of(&STRANGER);
            ask_for(l1(), &service, &header(&kids(&["SD"])), None).1
        }),
        ("entities", bomb.into_bytes()),
        ("deep", "<a>".repeat(20_000).into_bytes()),
        ("empty", vec![]),
        ("no message", b"not a message".to_vec()),
    ]
}

async fn assert_denied(house: &House, url: &str, what: &str, body: &[u8]) -> Reply {
    let began = cpu();
    let reply = send(house, url, body).await;
    let taken = cpu().saturating_sub(began);
    assert!(taken < Duration::from_secs(1), "{what}: {taken:?}");
    assert_eq!(reply.status.as_u16(), 403, "{what}: {}", reply.text());
    reply.assert_fault(403, "challenge_refused");
    reply
}

#[tokio::test]
async fn every_denial_has_one_outer_reason_and_uses_nothing_up() {
    let house = house().await;
    let playing = playing(&house).await;
    let mut reasons = BTreeSet::new();
    for (what, body) in denials() {
        let reply = assert_denied(&house, &playing.url, what, &body).await;
        let reason = reason_of(&house, &reply).await;
        assert!(!reply.text().contains(&format!(">{reason}<")), "{what}: {}", reply.text());
        reasons.insert(reason);
    }
    assert!(reasons.len() > 7, "{reasons:?}");
    let longest = vec![b' '; MAX_BYTES];
    assert_denied(&house, &playing.url, "the longest", &longest).await;
    let too_long = vec![b' '; MAX_BYTES + 1];
    send(&house, &playing.url, &too_long).await.assert_fault(413, "body_too_large");
    send(&house, &playing.url, &ask(l1(), &kids(&["SD"])).1).await.assert_granted();
}

#[tokio::test]
async fn a_revoked_key_is_refused_without_a_restart() {
    let house = house().await;
    let playing = playing(&house).await;
    let revoke = async |keys: &[[u8; 64]]| {
        let hex = |key: &[u8; 64]| {
            let digits: String = sha256(key).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{digits}\"")
        };
        let keys: Vec<String> = keys.iter().map(hex).collect();
        let list = format!(r#"{{"revoked_public_key_digests": [{}]}}"#, keys.join(","));
        house.vault.replace_revocation_list(&list, NOW).await.unwrap();
        house.vault.look_at_credentials(NOW).await;
    };
    let body = || ask(l1(), &kids(&["SD"])).1;
    send_in_session(&house, &playing, &body()).await.assert_granted();
    for key in [l1().signing.public_key(), ROOT.issuer_key.public_key()] {
        revoke(&[key.to_bytes()]).await;
        let reply = assert_denied(&house, &playing.url, "revoked", &body()).await;
        assert_eq!(reason_of(&house, &reply).await, "revoked");
    }
    revoke(&[]).await;
    send(&house, &playing.url, &body()).await.assert_granted();
}

#[tokio::test]
async fn production_refuses_the_test_level() {
    let house = house_with(|config| {
        config.mode = Mode::Production;
        config.listen.behind_proxy = true;
        config.keys.allow_file_in_production = true;
    });
    let house = house.await;
    let playing = playing(&house).await;
    let body = ask(of(SecurityLevel::L3), &kids(&["SD"])).1;
    let reply = assert_denied(&house, &playing.url, "SL150", &body).await;
    assert_eq!(reason_of(&house, &reply).await, "test_level");
    let body = ask(of(SecurityLevel::L2), &kids(&["SD"])).1;
    send(&house, &playing.url, &body).await.assert_granted();
}

#[tokio::test]
async fn the_status_of_faults_may_be_what_clients_expect() {
    let house = house_with(|config| config.licenses.playready_fault_status = Some(500)).await;
    let playing = playing(&house).await;
    let reply = send(&house, &playing.url, b"").await;
    reply.assert_fault(500, "challenge_refused");
    let reply = send(&house, "/license/playready?token=none", &ask(l1(), &kids(&["SD"])).1).await;
    reply.assert_fault(500, "token_invalid");
    let clearkey = playing.url.replace("/playready", "/clearkey");
    send(&house, &clearkey, b"").await.assert_refused(400, "malformed_request");
    send(&house, &playing.url, &ask(l1(), &kids(&["SD"])).1).await.assert_granted();
}

#[tokio::test]
async fn ten_thousand_mutations_bring_nothing_that_was_not_signed() {
    if !is_alone(module_path!(), "ten_thousand_mutations_bring_nothing_that_was_not_signed") {
        return;
    }
    let house = house().await;
    let playing = playing(&house).await;
    let (pending, good) = ask(l1(), &kids(&["SD"]));
    let nonce = pending.nonce();
    let mut answered = 0;
    ten_thousand_mutations(&house, &playing, &good, |reply, what| {
        if reply.status.is_success() {
            answered += 1;
            // Around what is signed a message may change and say the same.
            let pending = l1().await_answer(*SERVICE, nonce, NOW);
            assert_eq!(labels_of(&opened(pending, reply).0), ["SD"], "{what}");
        } else {
            reply.assert_fault(403, "challenge_refused");
        }
    })
    .await;
    assert!(answered < 500, "{answered}");
    send(&house, &playing.url, &good).await.assert_granted();
}
