//! Widevine over HTTP: right licenses by level, one outer reason for every refusal, and nothing
//! that a client sends makes the service slow, large or wrong.

use crate::alone::is_alone;
use crate::house::*;
use crate::playing::*;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use dialect::terms::{KeyTerms, LicenseTerms};
use dialect::widevine::client::{
    Ask, AskedContent, ClientDevice, ClientSession, Pending, SERVICE_CERTIFICATE_REQUEST,
    ServiceCertificate,
};
use dialect::widevine::test_root::{CertificateDraft, CertificateKind, TestDevice, TestRoot};
use dialect::widevine::{Credentials, LicenseType, OpenedLicense, RenewalKind, RootFile};
use edge::signed_url;
use keys::SystemEntropy;
use model::{
    ContentId, Dialect, KeyId, PolicyName, Scheme, SecurityLevel, Subscription, TitlePolicy,
    TrackClass, TrackClasses,
};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

/// Keys take long to make: one root serves all tests.
pub static ROOT: LazyLock<TestRoot> =
    LazyLock::new(|| TestRoot::make("strongroom.test", &mut SystemEntropy));
static DEVICES: LazyLock<[ClientDevice; 3]> =
    LazyLock::new(|| [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3].map(device));

fn device(level: SecurityLevel) -> ClientDevice {
    ROOT.model(level).make_device(&mut SystemEntropy).client().unwrap()
}

pub fn l1() -> &'static ClientDevice {
    &DEVICES[0]
}

/// Account `ada`, title `film`, credentials of the test root.
async fn house() -> House {
    // One player of these tests sends what no viewer's would.
    let house = House::with(|config| config.limits.session_requests = 0, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    house.import_widevine(&ROOT).await;
    house
}

async fn playing(house: &House) -> Playing {
    Playing::begin(house, Dialect::Widevine).await
}

pub async fn send(house: &House, url: &str, body: &[u8]) -> Reply {
    let request = Request::post(path_of(url))
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(Body::from(body.to_vec()));
    house.send(request.unwrap()).await
}

pub fn payload(kids: &[KeyId]) -> Vec<u8> {
    let field = |kid: &KeyId| [&[0x12, 16][..], kid.as_bytes()].concat();
    kids.iter().flat_map(field).collect()
}

pub fn asked<'a>(content: AskedContent<'a>, privacy: Option<&'a ServiceCertificate>) -> Ask<'a> {
    Ask { content, license_type: LicenseType::Streaming, request_id: b"request", privacy }
}

pub fn ask<'a>(device: &'a ClientDevice, kids: &[KeyId]) -> (Pending<'a>, Vec<u8>) {
    let payload = payload(kids);
    let payloads = [&payload[..]];
    device.ask(&asked(AskedContent::PsshData(&payloads), None), NOW, &mut SystemEntropy)
}

#[track_caller]
pub fn opened(pending: Pending<'_>, reply: &Reply) -> (OpenedLicense, ClientSession) {
    reply.assert_granted();
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(reply.header("cache-control"), "no-store");
    pending.open(&reply.body).unwrap()
}

fn labels_of(license: &OpenedLicense) -> Vec<&'static str> {
    let is_in = |label: &&str| license.keys.iter().any(|key| key.kid == kid("film", label));
    ALL.into_iter().filter(is_in).collect()
}

#[tokio::test]
async fn each_level_gets_its_keys_and_no_other() {
    let house = house().await;
    for (device, given) in DEVICES.iter().zip([&ALL[..], &ALL, &ALL[..2]]) {
        let playing = playing(&house).await;
        let (pending, body) = ask(device, &kids(&ALL));
        let reply = send(&house, &playing.url, &body).await;
        let (license, _) = opened(pending, &reply);
        assert_eq!(labels_of(&license), given);
        assert_eq!(reply.header("x-strongroom-track-classes"), given.join(","));
        let policy = TitlePolicy::default();
        assert_eq!(license.terms, LicenseTerms::of(&policy, false));
        assert_eq!((license.scheme, license.started_s), (Some(Scheme::Cbcs), NOW.as_s()));
        for key in &license.keys {
            assert_eq!(key.terms, KeyTerms::of(&policy, key.terms.track_class));
        }
    }
}

#[tokio::test]
async fn privacy_mode_begins_with_the_certificate_by_either_method() {
    let house = house().await;
    let playing = playing(&house).await;
    let by_post = send(&house, &playing.url, &SERVICE_CERTIFICATE_REQUEST).await;
    by_post.assert_granted();
    assert_eq!(by_post.header("x-strongroom-security-level"), "");
    let by_get = house.get("/license/widevine").await;
    by_get.assert_granted();
    assert_eq!(by_get.body, by_post.body);
    let root = RootFile::PublicKey(&ROOT.root_public);
    let service = ServiceCertificate::open(&by_post.body, root, NOW).unwrap();
    let payload = payload(&kids(&["SD"]));
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let (pending, body) = l1().ask(&asked(content, Some(&service)), NOW, &mut SystemEntropy);
    let reply = send(&house, &playing.url, &body).await;
    assert_eq!(labels_of(&opened(pending, &reply).0), ["SD"], "the exchange used nothing up");
    house.get("/license/clearkey").await.assert_refused(405, "method_not_allowed");
    house.get("/license/nothing").await.assert_refused(404, "not_found");
}

#[tokio::test]
async fn without_credentials_the_dialect_is_not_answered() {
    let house = House::furnished().await;
    let signed_in = house.sign_in("ada").await;
    let playback = house.playback(&signed_in, "film").await.json();
    assert!(
        playback["license"]["widevine"].is_null() && playback["license"]["clearkey"].is_string()
    );
    let clearkey = playback["license"]["clearkey"].as_str().unwrap();
    let url = clearkey.replace("/clearkey", "/widevine");
    send(&house, &url, &ask(l1(), &kids(&["SD"])).1)
        .await
        .assert_refused(404, "dialect_not_answered");
    house.get("/license/widevine").await.assert_refused(404, "dialect_not_answered");
}

#[tokio::test]
async fn a_challenge_serves_one_credential() {
    let house = house().await;
    let (first, body) = (playing(&house).await, ask(l1(), &kids(&["SD"])).1);
    for _ in 0..2 {
        send(&house, &first.url, &body).await.assert_granted();
    }
    let second = playing(&house).await;
    send(&house, &second.url, &body).await.assert_refused(401, "token_replayed");
    send_in_session(&house, &first, &body).await.assert_refused(401, "token_replayed");
    house.clock.advance_ms(31_000);
    send(&house, &first.url, &body).await.assert_refused(401, "token_expired");
    let third = playing(&house).await;
    send(&house, &third.url, &body).await.assert_refused(401, "token_replayed");
    let fresh = ask(l1(), &kids(&["SD"])).1;
    send(&house, &third.url, &fresh).await.assert_granted();
    // What the viewer's session brings may come again for as long as a license URL lives.
    let renewed = ask(l1(), &kids(&["SD"])).1;
    send_in_session(&house, &third, &renewed).await.assert_granted();
    send_in_session(&house, &third, &renewed).await.assert_granted();
    house.clock.advance_ms(30_000);
    send_in_session(&house, &third, &renewed).await.assert_refused(401, "token_replayed");
}

#[tokio::test]
async fn a_license_of_another_device_or_request_does_not_open() {
    let house = house().await;
    let playing = playing(&house).await;
    let other = device(SecurityLevel::L1);
    let (pending, body) = ask(l1(), &kids(&["SD"]));
    let reply = send(&house, &playing.url, &body).await;
    reply.assert_granted();
    let (foreign, _) = ask(&other, &kids(&["SD"]));
    assert!(foreign.open(&reply.body).is_err(), "another device");
    let (later, _) = ask(l1(), &kids(&["SD"]));
    assert!(later.open(&reply.body).is_err(), "another request of the same device");
    opened(pending, &reply);
}

#[tokio::test]
async fn a_key_of_another_title_refuses_the_whole_request() {
    let house = house().await;
    house.title("other").await;
    let playing = playing(&house).await;
    let foreign = [kid("film", "SD"), kid("other", "SD")];
    send(&house, &playing.url, &ask(l1(), &foreign).1)
        .await
        .assert_refused(403, "kid_not_in_content");
    let named = |name: &str| {
        let payload = [&[0x22, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        let payloads = [&payload[..]];
        let (pending, body) =
            l1().ask(&asked(AskedContent::PsshData(&payloads), None), NOW, &mut SystemEntropy);
        (pending, body)
    };
    let (_, body) = named("other");
    send(&house, &playing.url, &body).await.assert_refused(403, "kid_not_in_content");
    let (pending, body) = named("film");
    let reply = send(&house, &playing.url, &body).await;
    assert_eq!(labels_of(&opened(pending, &reply).0), ALL, "a title's own name asks for all");
}

#[tokio::test]
async fn a_license_to_keep_needs_the_right() {
    let house = house().await;
    let playing = playing(&house).await;
    let payload = payload(&kids(&["SD"]));
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let asked = Ask { license_type: LicenseType::Offline, ..asked(content, None) };
    let (_, body) = l1().ask(&asked, NOW, &mut SystemEntropy);
    send(&house, &playing.url, &body).await.assert_refused(403, "offline_not_allowed");
}

#[tokio::test]
async fn a_license_is_renewed_by_its_own_session_and_given_back() {
    let house = house().await;
    let playing = playing(&house).await;
    let (pending, body) = ask(l1(), &kids(&["AUDIO", "SD"]));
    let (_, mut session) = opened(pending, &send(&house, &playing.url, &body).await);
    for since in [60, 120] {
        house.clock.advance_ms(60_000);
        let body = session.ask(RenewalKind::Renew, since, 1, house.clock.now());
        let reply = send_in_session(&house, &playing, &body).await;
        reply.assert_granted();
        let license = session.open(&reply.body).unwrap();
        assert_eq!(license.terms, LicenseTerms::of(&TitlePolicy::default(), false));
        assert_eq!((license.keys.len(), license.started_s), (0, house.clock.now().as_s()));
        assert_eq!(reply.header("x-strongroom-track-classes"), "AUDIO,SD");
    }
    // Another playback of the same viewer may not renew it.
    house.account("grace", "standard").await;
    let signed_in = house.sign_in("grace").await;
    let reply = house.playback(&signed_in, "film").await.json();
    let other = Playing {
        dialect: Dialect::Widevine,
        url: reply["license"]["widevine"].as_str().unwrap().to_owned(),
        session: reply["session_id"].as_str().unwrap().to_owned(),
        signed_in,
    };
    let body = session.ask(RenewalKind::Renew, 180, 1, house.clock.now());
    send_in_session(&house, &other, &body).await.assert_refused(403, "challenge_refused");
    send(&house, &other.url, &body).await.assert_refused(403, "challenge_refused");
    // What may no longer be had is not renewed; it may be given back.
    house.vault.compromise_key(kid("film", "SD"), house.clock.now()).await.unwrap();
    let body = session.ask(RenewalKind::Renew, 181, 1, house.clock.now());
    send_in_session(&house, &playing, &body).await.assert_refused(403, "challenge_refused");
    let body = session.ask(RenewalKind::Release, 200, 1, house.clock.now());
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_granted();
    assert!(!session.open(&reply.body).unwrap().terms.can_play);
}

/// A policy's rental, to the second: renewals give no more of it than is left (R114).
#[tokio::test]
async fn a_renewal_ends_with_the_rental() {
    let house = house().await;
    let document = "license_s = 1000\nrental_s = 100\n[renewal]\nallowed = true\ndelay_s = 10\n";
    let rental = PolicyName::parse("rental").unwrap();
    let policy = TitlePolicy::parse(rental.clone(), document).unwrap();
    house.store.put_policy(&policy, NOW).await.unwrap();
    house.store.assign_policy(&ContentId::parse("film").unwrap(), &rental).await.unwrap();
    let playing = playing(&house).await;
    let (pending, body) = ask(l1(), &kids(&["SD"]));
    let (license, mut session) = opened(pending, &send(&house, &playing.url, &body).await);
    assert_eq!(license.terms.rental_s, NonZeroU32::new(100));
    house.clock.advance_ms(99_000);
    let body = session.ask(RenewalKind::Renew, 0, 0, house.clock.now());
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_granted();
    let license = session.open(&reply.body).unwrap();
    assert_eq!((license.terms.rental_s, license.terms.can_play), (NonZeroU32::new(1), true));
    house.clock.advance_ms(1000);
    let body = session.ask(RenewalKind::Renew, 0, 0, house.clock.now());
    send_in_session(&house, &playing, &body).await.assert_refused(403, "challenge_refused");
}

/// Who signs out or is suspended renews nothing (R106).
#[tokio::test]
async fn a_renewal_needs_the_viewer_and_his_subscription() {
    let house = house().await;
    let playing = playing(&house).await;
    let (pending, body) = ask(l1(), &kids(&["SD"]));
    let (_, session) = opened(pending, &send(&house, &playing.url, &body).await);
    let renew = |since| session.ask(RenewalKind::Renew, since, 1, NOW);
    send_in_session(&house, &playing, &renew(1)).await.assert_granted();
    let ada = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(ada, Subscription::Suspended).await.unwrap();
    let refused = send_in_session(&house, &playing, &renew(2)).await;
    refused.assert_refused(403, "subscription_inactive");
    house.store.set_subscription(ada, Subscription::Active).await.unwrap();
    send_in_session(&house, &playing, &renew(3)).await.assert_granted();
    let sign_out = Request::delete("/api/v1/sessions");
    let sign_out = with_bearer(sign_out, &playing.signed_in).body(Body::empty()).unwrap();
    assert_eq!(house.send(sign_out).await.status, StatusCode::NO_CONTENT);
    send_in_session(&house, &playing, &renew(4)).await.assert_refused(401, "token_expired");
}

/// A thousand licenses for one device and title: no two messages are the same (R094).
#[tokio::test]
async fn no_two_challenges_or_licenses_are_alike() {
    let house = house().await;
    let playing = playing(&house).await;
    send(&house, &playing.url, &ask(l1(), &kids(&["SD"])).1).await.assert_granted();
    let (mut challenges, mut licenses) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..1000 {
        let body = ask(l1(), &kids(&["SD"])).1;
        let reply = send_in_session(&house, &playing, &body).await;
        reply.assert_granted();
        challenges.insert(body);
        licenses.insert(reply.body);
    }
    assert_eq!((challenges.len(), licenses.len()), (1000, 1000));
}

/// A player's word about itself chooses what its manifests list; keys go by attestation.
#[tokio::test]
async fn a_claimed_level_lists_renditions_and_gives_no_key() {
    let house = house().await;
    let signed_in = house.sign_in("ada").await;
    let token = async |query: &str| {
        let path = format!("/api/v1/playback/token/film?{query}");
        house.send(with_bearer(get(&path), &signed_in).body(Body::empty()).unwrap()).await
    };
    let film = ContentId::parse("film").unwrap();
    let mut url = String::new();
    for (query, highest, dialect) in [
        ("dialect=widevine&level=L1", TrackClass::Uhd, Dialect::Widevine),
        ("dialect=widevine&level=L2", TrackClass::Hd, Dialect::Widevine),
        ("dialect=widevine", TrackClass::Sd, Dialect::Widevine),
        ("dialect=clearkey&level=L1", TrackClass::Sd, Dialect::ClearKey),
        ("", TrackClass::Sd, Dialect::ClearKey),
        ("dialect=widevine&level=L1&v=2", TrackClass::Uhd, Dialect::Widevine),
    ] {
        let reply = token(query).await;
        reply.assert_granted();
        let playback = reply.json();
        let manifest = playback["manifest"]["dash"].as_str().unwrap();
        let pass = manifest.split('/').find_map(|part| part.strip_prefix('~')).unwrap();
        let pass = signed_url::open(&house.service.delivery.key, pass, &film, NOW).unwrap();
        assert_eq!(
            (pass.classes, pass.dialect),
            (TrackClasses::up_to(highest), dialect),
            "{query}"
        );
        url = playback["license"]["widevine"].as_str().unwrap().to_owned();
    }
    let (pending, body) = ask(&DEVICES[2], &kids(&ALL));
    let reply = send(&house, &url, &body).await;
    assert_eq!(labels_of(&opened(pending, &reply).0), ["AUDIO", "SD"]);
    for query in ["dialect=nothing", "dialect=widevine&level=L0", "level=1"] {
        token(query).await.assert_refused(400, "malformed_request");
    }
    token("dialect=fairplay").await.assert_refused(404, "dialect_not_answered");
    // A platform chooses what the player does not name (R105).
    for (query, dialect) in [("platform=android", "widevine"), ("platform=other", "clearkey")] {
        let drm = token(query).await.json()["drm"].clone();
        assert_eq!((&drm["dialect"], &drm["scheme"]), (&dialect.into(), &"cbcs".into()), "{drm}");
        let manifest = drm["manifest"].as_str().unwrap();
        assert!(manifest.ends_with("/manifest.mpd?scheme=cbcs"), "{manifest}");
    }
    token("platform=apple").await.assert_refused(404, "dialect_not_answered");
    token("platform=toaster").await.assert_refused(400, "malformed_request");
}

/// What a client could send, each wrong in one way.
fn denials() -> Vec<(&'static str, Vec<u8>)> {
    let model = ROOT.model(SecurityLevel::L1);
    let stranger = TestRoot::make("stranger.test", &mut SystemEntropy);
    let strange = stranger.model(SecurityLevel::L1).make_device(&mut SystemEntropy);
    let own = model.make_device(&mut SystemEntropy);
    let key = own.client().unwrap().key;
    let draft = || CertificateDraft {
        system_id: Some(model.system_id),
        ..CertificateDraft::new(CertificateKind::Device, &key.public_key(), &mut SystemEntropy)
    };
    let ask_as = |certificate: Vec<u8>| {
        let private_pem = own.private_pem.clone();
        ask(&TestDevice { certificate, private_pem }.client().unwrap(), &kids(&["SD"])).1
    };
    let expired = CertificateDraft { expires_s: Some(1), ..draft() };
    let strange_root = RootFile::PublicKey(&stranger.root_public);
    let credentials = Credentials::import(
        strange_root,
        &stranger.service_certificate,
        &stranger.service_private_pem,
        NOW,
    );
    let service = credentials.unwrap().service_certificate();
    let service = ServiceCertificate::open(&service, strange_root, NOW).unwrap();
    let payload = payload(&kids(&["SD"]));
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let good = ask(l1(), &kids(&["SD"])).1;
    vec![
        // The signature is the last field: its tag, two bytes of length, 256 bytes.
        ("unsigned", good[..good.len() - 259].to_vec()),
        ("wrong root", ask(&strange.client().unwrap(), &kids(&["SD"])).1),
        ("broken chain", ask_as(draft().sign(&ROOT.key, Some(&model.certificate)))),
        ("leaf issues leaf", ask_as(draft().sign(&l1().key, Some(&l1().certificate)))),
        ("expired", ask_as(expired.sign(&model.key, Some(&model.certificate)))),
        (
            "encrypted for another service",
            l1().ask(&asked(content, Some(&service)), NOW, &mut SystemEntropy).1,
        ),
        ("no message", b"not a message".to_vec()),
        ("empty", vec![]),
        ("a license", vec![8, 2, 0x12, 0]),
        ("nested", nested()),
        ("a length of 2^31", vec![0x12, 0x80, 0x80, 0x80, 0x80, 0x08]),
    ]
}

/// A message in a message and so on, as deep as a body goes.
fn nested() -> Vec<u8> {
    let mut message = vec![];
    while message.len() < 60_000 {
        let mut length = message.len();
        let mut head = vec![0x12];
        while length > 0x7f {
            head.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        head.push(u8::try_from(length).unwrap());
        message.splice(0..0, head);
    }
    [&[8, 1][..], &message].concat()
}

/// Sends, and asserts what holds for any bytes: a 4xx with the one outer reason, soon.
async fn assert_denied(house: &House, url: &str, what: &str, body: &[u8]) -> Reply {
    let began = cpu();
    let reply = send(house, url, body).await;
    let taken = cpu().saturating_sub(began);
    assert!(taken < Duration::from_secs(1), "{what}: {taken:?}");
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{what}: {}", reply.text());
    reply.assert_refused(403, "challenge_refused");
    reply
}

#[tokio::test]
async fn every_denial_has_one_outer_reason_and_uses_nothing_up() {
    let house = house().await;
    let playing = playing(&house).await;
    let mut reasons = BTreeSet::new();
    for (what, body) in denials() {
        let reply = assert_denied(&house, &playing.url, what, &body).await;
        reasons.insert(reason_of(&house, &reply).await);
    }
    assert!(reasons.len() > 5, "{reasons:?}");
    // Revoked, and unlisted where the operator refuses such.
    let system = ROOT.model(SecurityLevel::L1).system_id;
    let software = ROOT.provisioning.system_id;
    let row = format!(r#"{{"system_id": {software}, "security_level": 3, "status": "active"}}"#);
    let list = |rest: &str| format!(r#"{{"systems": [{row}], {rest}}}"#);
    let body = ask(l1(), &kids(&["SD"])).1;
    for (rest, reason) in [
        (&*format!(r#""revoked_system_ids": [{system}]"#), "revoked"),
        (r#""unlisted": "refuse""#, "unlisted"),
    ] {
        house.put_device_list(&list(rest)).await;
        let reply = assert_denied(&house, &playing.url, rest, &body).await;
        assert_eq!(reason_of(&house, &reply).await, reason);
    }
    // Unlisted, and the operator lets such play as L3.
    house.put_device_list(&list(r#""unlisted": "L3""#)).await;
    let (pending, body) = ask(l1(), &kids(&ALL));
    let reply = send(&house, &playing.url, &body).await;
    assert_eq!(labels_of(&opened(pending, &reply).0), ["AUDIO", "SD"], "a claim is no level");
    let too_long = vec![0; 64 * 1024 + 1];
    send(&house, &playing.url, &too_long).await.assert_refused(413, "body_too_large");
}

/// Every byte of a challenge, each flipped alone: refused, or it changed nothing that counts.
#[tokio::test]
async fn a_flipped_byte_gives_no_license_that_the_device_did_not_ask_for() {
    let house = house().await;
    let playing = playing(&house).await;
    let good = ask(l1(), &kids(&["SD"])).1;
    for at in 0..good.len() {
        let mut body = good.clone();
        body[at] ^= 1 << (at % 8);
        assert_denied(&house, &playing.url, &format!("byte {at}"), &body).await;
    }
    for length in 0..good.len() {
        assert_denied(&house, &playing.url, "truncated", &good[..length]).await;
    }
    send(&house, &playing.url, &good).await.assert_granted();
}

#[tokio::test]
async fn ten_thousand_mutations_bring_nothing_that_was_not_signed() {
    if !is_alone(module_path!(), "ten_thousand_mutations_bring_nothing_that_was_not_signed") {
        return;
    }
    let house = house().await;
    let playing = playing(&house).await;
    let (pending, good) = ask(l1(), &kids(&["SD"]));
    let request = pending.into_request();
    let mut answered = 0;
    ten_thousand_mutations(&house, &playing, &good, |reply, what| {
        if reply.status == StatusCode::OK {
            answered += 1;
            // Around the signed request a message may change and say the same, as with a field
            // that stands twice; or it has become a question for the public certificate.
            if !reply.header("x-strongroom-security-level").is_empty() {
                let pending = l1().await_answer(&request, b"request");
                assert_eq!(labels_of(&opened(pending, reply).0), ["SD"], "{what}");
            }
        } else {
            reply.assert_refused(403, "challenge_refused");
        }
    })
    .await;
    assert!(answered < 100, "{answered}");
    send(&house, &playing.url, &good).await.assert_granted();
}
