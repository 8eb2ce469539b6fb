//! FairPlay over HTTP: a license for one key in the framing of its request, one outer reason for
//! every refusal, and nothing that a client sends makes the service slow, large or wrong.

use crate::alone::is_alone;
use crate::house::*;
use crate::playing::*;
use axum::body::Body;
use axum::http::Request;
use dialect::fairplay::carried_terms;
use dialect::fairplay::client::{Ask, ClientDevice, Draft, Pending};
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{Framing, OpenedLicense, Playback, Streaming, carried_key_terms};
use dialect::terms::{Hdcp, KeyTerms, LicenseTerms};
use keys::SystemEntropy;
use keys::fairplay::ApplicationCertificate;
use model::{Dialect, Scheme, TitlePolicy, TrackClass};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::LazyLock;

pub static ROOT: LazyLock<TestRoot> = LazyLock::new(|| TestRoot::make(&mut SystemEntropy));
pub static CERTIFICATE: LazyLock<ApplicationCertificate> = LazyLock::new(|| certificate_of(&ROOT));
pub static DEVICE: LazyLock<ClientDevice> = LazyLock::new(|| device(&ROOT));

fn certificate_of(root: &TestRoot) -> ApplicationCertificate {
    ApplicationCertificate::parse(&root.certificate).unwrap()
}

fn device(root: &TestRoot) -> ClientDevice {
    root.make_device(&mut SystemEntropy).client().unwrap()
}

async fn house() -> House {
    let house = House::with(|config| config.limits.session_requests = 0, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    house.import_fairplay(&ROOT).await;
    house
}

async fn playing(house: &House) -> Playing {
    Playing::begin(house, Dialect::FairPlay).await
}

pub async fn send(house: &House, url: &str, body: &[u8]) -> Reply {
    let request = Request::post(path_of(url)).body(Body::from(body.to_vec()));
    house.send(request.unwrap()).await
}

fn asset(title: &str, label: &str) -> String {
    format!("skd://{title}?kid={}", kid(title, label))
}

pub fn asked<'a>(
    asset_id: &'a str,
    certificate: &'a ApplicationCertificate,
    playback: Playback,
) -> Ask<'a> {
    Ask {
        certificate,
        asset_id: asset_id.as_bytes(),
        framing: Framing::Octets,
        persist: false,
        playback: Some(playback),
        streaming: Streaming::Device,
    }
}

pub fn start() -> Playback {
    Playback::start(NOW, &mut SystemEntropy)
}

pub fn ask(asset_id: &str) -> (Pending, Vec<u8>) {
    DEVICE.ask(&asked(asset_id, &CERTIFICATE, start()), &mut SystemEntropy)
}

#[track_caller]
pub fn opened(pending: &Pending, reply: &Reply) -> OpenedLicense {
    reply.assert_granted();
    assert_eq!(reply.header("cache-control"), "no-store");
    pending.open(&reply.body, NOW).unwrap()
}

#[tokio::test]
async fn each_framing_is_answered_by_its_own() {
    let house = house().await;
    let policy = TitlePolicy::default();
    let types = ["application/octet-stream", "text/plain; charset=utf-8", "application/json"];
    for (framing, media_type) in Framing::ALL.into_iter().zip(types) {
        let playing = playing(&house).await;
        for (label, class) in [("AUDIO", TrackClass::Audio), ("HD", TrackClass::Hd)] {
            let asset_id = asset("film", label);
            let ask = Ask { framing, ..asked(&asset_id, &CERTIFICATE, start()) };
            let (pending, body) = DEVICE.ask(&ask, &mut SystemEntropy);
            let reply = send(&house, &playing.url, &body).await;
            let license = opened(&pending, &reply);
            assert_eq!(reply.header("content-type"), media_type);
            assert_eq!(reply.header("x-strongroom-security-level"), "L2");
            assert_eq!(reply.header("x-strongroom-track-classes"), label);
            assert_eq!(license.scheme, Some(Scheme::Cbcs));
            assert_eq!(license.terms, carried_terms(&LicenseTerms::of(&policy, false)));
            let [key] = &license.keys[..] else { unreachable!("one key") };
            assert_eq!(key.kid, kid("film", label));
            assert_eq!(key.terms, carried_key_terms(&KeyTerms::of(&policy, Some(class))));
        }
    }
}

#[tokio::test]
async fn the_certificate_is_public_and_older_ones_are_understood() {
    let empty = House::furnished().await;
    empty.get("/license/fairplay").await.assert_refused(404, "dialect_not_answered");
    let house = house().await;
    let reply = house.get("/license/fairplay").await;
    reply.assert_granted();
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(reply.body, ROOT.certificate);
    let newer = TestRoot::make(&mut SystemEntropy);
    house.import_fairplay(&newer).await;
    assert_eq!(house.get("/license/fairplay").await.body, newer.certificate);
    let playing = playing(&house).await;
    let asset_id = asset("film", "SD");
    for (root, device) in [(&*ROOT, &*DEVICE), (&newer, &device(&newer))] {
        let certificate = certificate_of(root);
        let ask = asked(&asset_id, &certificate, start());
        let (pending, body) = device.ask(&ask, &mut SystemEntropy);
        opened(&pending, &send_in_session(&house, &playing, &body).await);
    }
    let serial: String = CERTIFICATE.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    let dialect = Dialect::FairPlay;
    house.vault.remove_credentials(dialect, Some(&serial), NOW).await.unwrap();
    house.vault.look_at_credentials(NOW).await;
    let reply = send(&house, &playing.url, &ask(&asset_id).1).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "unknown_certificate");
}

#[tokio::test]
async fn a_challenge_serves_one_credential_and_a_license_one_request() {
    let house = house().await;
    let (first, (pending, body)) = (playing(&house).await, ask(&asset("film", "SD")));
    let reply = send(&house, &first.url, &body).await;
    // The answer to one request is of no use to another (R096).
    let (other, _) = ask(&asset("film", "SD"));
    assert!(other.open(&reply.body, NOW).is_err());
    opened(&pending, &reply);
    send(&house, &first.url, &body).await.assert_granted();
    let second = playing(&house).await;
    send(&house, &second.url, &body).await.assert_refused(401, "token_replayed");
    house.clock.advance_ms(31_000);
    send(&house, &first.url, &body).await.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn an_asset_of_another_title_is_refused() {
    let house = house().await;
    house.title("other").await;
    let playing = playing(&house).await;
    let mixed = [
        asset("other", "SD"),
        format!("skd://other?kid={}", kid("film", "SD")),
        format!("skd://film?kid={}", kid("other", "SD")),
        kid("other", "SD").to_string(),
    ];
    for asset_id in &mixed {
        let reply = send(&house, &playing.url, &ask(asset_id).1).await;
        reply.assert_refused(403, "kid_not_in_content");
    }
    let (pending, body) = ask(&kid("film", "SD").to_string());
    opened(&pending, &send(&house, &playing.url, &body).await);
}

/// A renewal gives no second more than the rental and the playback span (R114).
#[tokio::test]
async fn a_renewal_ends_with_the_rental_and_the_playback() {
    let house = house().await;
    put_policy(&house, "license_s = 1000\nrental_s = 100\nplayback_s = 60\n").await;
    let playing = playing(&house).await;
    let began = start();
    let asset_id = asset("film", "SD");
    let renew = || {
        let ask = asked(&asset_id, &CERTIFICATE, began.renewing());
        DEVICE.ask(&ask, &mut SystemEntropy)
    };
    let (pending, body) = DEVICE.ask(&asked(&asset_id, &CERTIFICATE, began), &mut SystemEntropy);
    let license = opened(&pending, &send(&house, &playing.url, &body).await);
    assert_eq!(license.terms.license_s, NonZeroU32::new(60), "the shortest span");
    house.clock.advance_ms(59_000);
    let (pending, body) = renew();
    let license = opened(&pending, &send_in_session(&house, &playing, &body).await);
    assert_eq!(license.terms.license_s, NonZeroU32::new(1));
    house.clock.advance_ms(2000);
    let reply = send_in_session(&house, &playing, &renew().1).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "key_no_longer_allowed");
}

#[tokio::test]
async fn a_kept_license_needs_the_right() {
    let house = house().await;
    let asset_id = asset("film", "SD");
    let keep = || {
        let ask = Ask {
            framing: Framing::Json,
            persist: true,
            ..asked(&asset_id, &CERTIFICATE, start())
        };
        DEVICE.ask(&ask, &mut SystemEntropy)
    };
    let first = playing(&house).await;
    send(&house, &first.url, &keep().1).await.assert_refused(403, "offline_not_allowed");
    put_policy(&house, "license_s = 9\n[offline]\nallowed = true\nlicense_s = 500\n").await;
    let playing = playing(&house).await;
    let (pending, body) = keep();
    let reply = send(&house, &playing.url, &body).await;
    assert_eq!(reply.header("x-strongroom-license-expires"), NOW.plus_s(500).0.to_string());
    assert_eq!(kept_until(&house).await, [NOW.plus_s(500)]);
    let license = opened(&pending, &reply);
    assert_eq!((license.terms.can_persist, license.terms.license_s), (true, NonZeroU32::new(500)));
}

/// A flagged title's pictures need what this system does not prove, and stay (R113); what a policy
/// asks of outputs the license says, or the key stays as well.
#[tokio::test]
async fn what_a_policy_asks_of_outputs_is_said_or_the_key_stays() {
    let house = house().await;
    put_policy(&house, "license_s = 1000\ncapture_protected = true\n").await;
    let first = playing(&house).await;
    let reply = send(&house, &first.url, &ask(&asset("film", "SD")).1).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "no_key_for_the_level");
    let (pending, body) = ask(&asset("film", "AUDIO"));
    opened(&pending, &send(&house, &first.url, &body).await);

    put_policy(&house, "license_s = 1000\n[outputs.SD]\nhdcp = \"2.2\"\n").await;
    let second = playing(&house).await;
    let (pending, body) = ask(&asset("film", "SD"));
    let license = opened(&pending, &send(&house, &second.url, &body).await);
    assert!(license.keys.iter().all(|key| key.terms.hdcp == Hdcp::V2_2));

    put_policy(&house, "license_s = 1000\n[outputs.SD]\nhdcp = \"2.3\"\n").await;
    let third = playing(&house).await;
    let reply = send(&house, &third.url, &ask(&asset("film", "SD")).1).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "outputs_unsupported");
}

/// What a client could send, each wrong in one way.
fn denials() -> Vec<(&'static str, Vec<u8>)> {
    let asset_id = asset("film", "SD");
    let good = ask(&asset_id).1;
    let changed = |at: usize, value: u8| {
        let mut body = good.clone();
        body[at] = value;
        body
    };
    let stranger = TestRoot::make(&mut SystemEntropy);
    let stranger_certificate = certificate_of(&stranger);
    let without = |tag: u64| {
        let ask = asked(&asset_id, &CERTIFICATE, start());
        let mut draft = Draft::new(&DEVICE, &ask, &mut SystemEntropy);
        draft.blocks.retain(|(own, _)| *own != tag);
        draft.send(&CERTIFICATE, &mut SystemEntropy).1
    };
    vec![
        ("unknown certificate", {
            let ask = asked(&asset_id, &stranger_certificate, start());
            device(&stranger).ask(&ask, &mut SystemEntropy).1
        }),
        ("another application's device", {
            let ask = asked(&asset_id, &CERTIFICATE, start());
            device(&stranger).ask(&ask, &mut SystemEntropy).1
        }),
        ("version 2", changed(3, 2)),
        ("version 3", changed(3, 3)),
        ("a key that does not open", changed(30, good[30] ^ 1)),
        ("no playback state", without(0xeb8e_fdf2_b25a_b3a0)),
        ("no asset", without(0x1bf7_f53f_5d5d_5a1f)),
        ("an asset that names no key", ask("skd://film").1),
        ("cut", good[..good.len() - 1].to_vec()),
        ("empty", vec![]),
        ("no base64", br#"{"spc":"?"}"#.to_vec()),
    ]
}

#[tokio::test]
async fn every_denial_has_one_outer_reason_and_uses_nothing_up() {
    let house = house().await;
    let playing = playing(&house).await;
    let mut reasons = BTreeSet::new();
    for (what, body) in denials() {
        let reply = send(&house, &playing.url, &body).await;
        assert_eq!(reply.status.as_u16(), 403, "{what}: {}", reply.text());
        reply.assert_refused(403, "challenge_refused");
        let reason = reason_of(&house, &reply).await;
        assert!(!reply.text().contains(&format!("\"{reason}\"")), "{what}: {}", reply.text());
        reasons.insert(reason);
    }
    assert!(reasons.contains("unsupported_version") && reasons.len() > 6, "{reasons:?}");
    let (pending, body) = ask(&asset("film", "SD"));
    opened(&pending, &send(&house, &playing.url, &body).await);
}

#[tokio::test]
async fn a_title_without_cbcs_is_refused_by_name() {
    let house = house().await;
    let key = keys::key_file::parse(
        format!(
            r#"[{{"content_id":"film","kid":"{}","key":"{}","label":"SD","scheme":"cenc"}}]"#,
            "77".repeat(16),
            "78".repeat(16)
        )
        .as_bytes(),
    );
    house.vault.import_keys(key.unwrap(), NOW).await.unwrap();
    let playing = playing(&house).await;
    let reply = send(&house, &playing.url, &ask(&"77".repeat(16)).1).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "cenc_unsupported");
}

#[tokio::test]
async fn ten_thousand_mutations_bring_no_other_key() {
    if !is_alone(module_path!(), "ten_thousand_mutations_bring_no_other_key") {
        return;
    }
    let house = house().await;
    let playing = playing(&house).await;
    let (pending, good) = ask(&asset("film", "SD"));
    ten_thousand_mutations(&house, &playing, &good, |reply, what| {
        if reply.status.is_success() {
            // A block that nobody needs, or padding, may have changed: the key is the same one, or
            // what opens it is not.
            if let Ok(license) = pending.open(&reply.body, NOW) {
                assert!(license.keys.iter().all(|key| key.kid == kid("film", "SD")), "{what}");
            }
        } else {
            let code = reply.json()["code"].as_str().unwrap().to_owned();
            let codes = ["challenge_refused", "kid_not_in_content", "offline_not_allowed"];
            assert!(reply.status.as_u16() == 403 && codes.contains(&&*code), "{what}: {code}");
        }
    })
    .await;
    opened(&pending, &send_in_session(&house, &playing, &good).await);
}
