//! Licenses of a live event whose keys change, in the dialects whose licenses have an end.

use crate::house::*;
use crate::playing::*;
use crate::rotating::{self, *};
use crate::{fairplay, playready, widevine};
use dialect::fairplay::client::PendingBatch;
use dialect::widevine::client::{Ask, AskedContent};
use dialect::widevine::{LicenseType, RenewalKind};
use keys::SystemEntropy;
use model::{ContentId, Dialect, KeyId, Subscription, TrackClass};
use std::collections::BTreeSet;

/// What an attested device of level 1 or 2 gets of a batch.
fn expected(periods: impl Iterator<Item = u32>) -> BTreeSet<KeyId> {
    let of_periods = periods.flat_map(|period| CLASSES.map(|class| period_kid(class, period)));
    kids(&ALL).into_iter().chain(of_periods).collect()
}

/// The event's house with the credentials of all systems.
async fn house() -> House {
    let house = rotating::house().await;
    house.import_widevine(&widevine::ROOT).await;
    house.import_playready(&playready::ROOT).await;
    house.import_fairplay(&fairplay::ROOT).await;
    house
}

async fn suspend(house: &House) {
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
}

/// The keys of a license, each checked, and until when they serve.
fn held(
    terms: &dialect::terms::LicenseTerms,
    keys: &[dialect::terms::LicensedKey],
) -> BTreeSet<KeyId> {
    assert_eq!(terms.license_s.map(std::num::NonZeroU32::get), Some(600), "to the horizon");
    let fingerprints = keys::FingerprintKey::from_bytes(&zeroize::Zeroizing::new([1; 32]));
    for key in keys {
        assert_eq!(key.key.fingerprint(&fingerprints), key_of(key.kid).fingerprint(&fingerprints));
    }
    keys.iter().map(|key| key.kid).collect()
}

#[tokio::test]
async fn widevine_reaches_to_the_horizon_and_ends_there() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (pending, body) = widevine::ask(widevine::l1(), &batch_kids(0..20));
    let reply = widevine::send(&house, &playing.url, &body).await;
    let (license, _) = widevine::opened(pending, &reply);
    // Period 15 begins within 600 s: the license ends before it does.
    assert_eq!(held(&license.terms, &license.keys), expected(0..16));
    assert!((10..=591).contains(&next_of(&reply).unwrap()));
    assert_eq!(reply.header("x-strongroom-license-expires"), NOW.plus_s(600).0.to_string());

    house.clock.advance_ms(60_000);
    let (pending, body) = widevine::ask(widevine::l1(), &batch_kids(10..30));
    let reply = send_in_session(&house, &playing, &body).await;
    assert_eq!(widevine::opened(pending, &reply).0.keys.len(), 3 + 3 * 7);
    assert_eq!(next_of(&reply), Some(591));

    suspend(&house).await;
    let (_, body) = widevine::ask(widevine::l1(), &batch_kids(10..30));
    send_in_session(&house, &playing, &body).await.assert_refused(403, "subscription_inactive");
}

#[tokio::test]
async fn who_asks_widevine_by_the_title_s_name_gets_the_periods_about_now() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let payload = [&[0x22, 4][..], b"film"].concat();
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let ask = widevine::asked(content, None);
    let (pending, body) = widevine::l1().ask(&ask, NOW, &mut SystemEntropy);
    let reply = widevine::send(&house, &playing.url, &body).await;
    let license = widevine::opened(pending, &reply).0;
    // Two minutes back, and ahead to the horizon.
    assert_eq!(held(&license.terms, &license.keys), expected(3..16));
}

#[tokio::test]
async fn a_widevine_license_has_as_many_keys_as_a_license_may() {
    let house = house().await;
    put_horizon(&house, 60, true).await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (pending, body) = widevine::ask(widevine::l1(), &batch_kids(0..PERIODS));
    let reply = widevine::send(&house, &playing.url, &body).await;
    let license = widevine::opened(pending, &reply).0;
    assert_eq!(license.keys.len(), 3 + 3 * 40);
    assert_eq!(license.terms.license_s.map(std::num::NonZeroU32::get), Some(86_400));
    assert_eq!(next_of(&reply), None);
}

#[tokio::test]
async fn playready_reaches_to_the_horizon_and_ends_there() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::PlayReady).await;
    let (pending, body) = playready::ask(playready::l1(), &batch_kids(0..20));
    let reply = playready::send(&house, &playing.url, &body).await;
    let (license, _) = playready::opened(pending, &reply);
    assert_eq!(held(&license.terms, &license.keys), expected(0..16));
    assert_eq!(reply.text().matches("<License>").count(), 3 + 3 * 16);
    assert!((10..=591).contains(&next_of(&reply).unwrap()));

    let (_, body) = playready::ask(playready::l1(), &[period_kid(TrackClass::Sd, 30)]);
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "keys_beyond_the_horizon");

    suspend(&house).await;
    let (_, body) = playready::ask(playready::l1(), &batch_kids(10..30));
    send_in_session(&house, &playing, &body).await.assert_refused(403, "subscription_inactive");
}

#[tokio::test]
async fn a_license_is_renewed_to_the_horizon_without_the_keys_that_are_gone() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (pending, body) = widevine::ask(widevine::l1(), &batch_kids(0..20));
    let reply = widevine::send(&house, &playing.url, &body).await;
    let (_, mut session) = widevine::opened(pending, &reply);
    house.clock.advance_ms(60_000);
    let film = ContentId::parse("film").unwrap();
    assert_eq!(house.store.drop_period_keys(&film, NOW).await.unwrap(), 15, "five periods");
    let body = session.ask(RenewalKind::Renew, 60, 1, house.clock.now());
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_granted();
    let license = session.open(&reply.body).unwrap();
    assert_eq!(license.terms.license_s.map(std::num::NonZeroU32::get), Some(600));
    assert_eq!(next_of(&reply), None, "it brings no keys, and puts off none");
    // A key that may no longer be had takes the license with it: beyond a shorter horizon,
    let body = session.ask(RenewalKind::Renew, 61, 1, house.clock.now());
    put_horizon(&house, 60, false).await;
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_refused(403, "challenge_refused");
    put_horizon(&house, 600, false).await;
    send_in_session(&house, &playing, &body).await.assert_granted();
    // or compromised.
    let compromised = period_kid(TrackClass::Sd, 8);
    house.vault.compromise_key(compromised, house.clock.now()).await.unwrap();
    let body = session.ask(RenewalKind::Renew, 62, 1, house.clock.now());
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_refused(403, "challenge_refused");
    // It may be given back, whatever happened.
    let given_back = session.ask(RenewalKind::Release, 63, 1, house.clock.now());
    let reply = send_in_session(&house, &playing, &given_back).await;
    reply.assert_granted();
    assert_eq!(reply.header("x-strongroom-license-expires"), "", "nothing is issued");
    // A new request that names the keys that are gone is refused whole.
    let (_, body) = widevine::ask(widevine::l1(), &batch_kids(0..20));
    send_in_session(&house, &playing, &body).await.assert_refused(403, "kid_not_in_content");
}

/// The policy and the plan would let it; what is still being made is not taken away (R117).
#[tokio::test]
async fn a_live_event_is_not_kept() {
    let house = house().await;
    put_policy(&house, "license_s = 1000\n[offline]\nallowed = true\nlicense_s = 500\n").await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let payload = widevine::payload(&batch_kids(0..2));
    let payloads = [&payload[..]];
    let asked = widevine::asked(AskedContent::PsshData(&payloads), None);
    let keep = Ask { license_type: LicenseType::Offline, ..asked };
    let (_, body) = widevine::l1().ask(&keep, NOW, &mut SystemEntropy);
    let reply = widevine::send(&house, &playing.url, &body).await;
    reply.assert_refused(403, "offline_not_allowed");
    assert_eq!(reason_of(&house, &reply).await, "live_title_is_not_kept");
    assert!(kept_until(&house).await.is_empty());
    let (pending, body) = widevine::ask(widevine::l1(), &batch_kids(0..2));
    widevine::opened(pending, &widevine::send(&house, &playing.url, &body).await);
}

/// A request for the keys of these KIDs.
fn ask_fairplay(kids: &[KeyId]) -> (PendingBatch, Vec<u8>) {
    let assets: Vec<String> = kids.iter().map(|kid| format!("skd://film?kid={kid}")).collect();
    let asks: Vec<_> = assets
        .iter()
        .map(|asset| fairplay::asked(asset, &fairplay::CERTIFICATE, fairplay::start()))
        .collect();
    fairplay::DEVICE.ask_many(&asks, &mut SystemEntropy)
}

#[tokio::test]
async fn fairplay_answers_many_at_once_and_says_null_to_what_is_withheld() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::FairPlay).await;
    let asked: Vec<KeyId> = (4..24).map(|period| period_kid(TrackClass::Sd, period)).collect();
    let (pending, body) = ask_fairplay(&asked);
    let reply = fairplay::send(&house, &playing.url, &body).await;
    reply.assert_granted();
    assert_eq!(reply.header("content-type"), "application/json");
    let licenses = pending.open(&reply.body, NOW).unwrap();
    let given: Vec<bool> = licenses.iter().map(Option::is_some).collect();
    assert_eq!(given, (4..24).map(|period| period < 16).collect::<Vec<_>>());
    for (kid, license) in asked.iter().zip(&licenses) {
        let Some(license) = license else { continue };
        assert_eq!(held(&license.terms, &license.keys), BTreeSet::from([*kid]));
    }
    assert!((10..=591).contains(&next_of(&reply).unwrap()));
    // One grant, one audit row; the address is used up for these keys and no others.
    let again = ask_fairplay(&asked[..2]).1;
    fairplay::send(&house, &playing.url, &again).await.assert_refused(401, "token_replayed");
    let audio = ask_fairplay(&[period_kid(TrackClass::Audio, 5)]).1;
    fairplay::send(&house, &playing.url, &audio).await.assert_granted();
}

#[tokio::test]
async fn a_fairplay_request_is_refused_whole() {
    let house = house().await;
    let playing = Playing::begin(&house, Dialect::FairPlay).await;
    let good = period_kid(TrackClass::Sd, 5);
    let send = async |body: &[u8]| send_in_session(&house, &playing, body).await;
    for foreign in [period_kid(TrackClass::Sd, PERIODS), KeyId::from_bytes([7; 16])] {
        let body = ask_fairplay(&[good, foreign]).1;
        send(&body).await.assert_refused(403, "kid_not_in_content");
    }
    let mut json: serde_json::Value = serde_json::from_slice(&ask_fairplay(&[good]).1).unwrap();
    for (spc, reason) in [("AAAAAgAAAAA=", "unsupported_version"), ("!", "base64")] {
        let mut body = json.clone();
        body["spc"].as_array_mut().unwrap().push(spc.into());
        let reply = send(body.to_string().as_bytes()).await;
        reply.assert_refused(403, "challenge_refused");
        assert_eq!(reason_of(&house, &reply).await, reason);
    }
    let one = json["spc"][0].clone();
    json["spc"].as_array_mut().unwrap().push(one);
    let reply = send(json.to_string().as_bytes()).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "kid_twice");
    // All of them too early is too early.
    let body = ask_fairplay(&[period_kid(TrackClass::Sd, 30), period_kid(TrackClass::Sd, 31)]).1;
    let reply = send(&body).await;
    reply.assert_refused(403, "challenge_refused");
    assert_eq!(reason_of(&house, &reply).await, "keys_beyond_the_horizon");
    let many: Vec<KeyId> = (0..65).map(|number| KeyId::from_bytes([number; 16])).collect();
    let reply = send(&ask_fairplay(&many).1).await;
    assert_eq!(reason_of(&house, &reply).await, "too_many_spcs");
    send(&vec![b'{'; 256 * 1024 + 1]).await.assert_refused(413, "body_too_large");
    suspend(&house).await;
    send(&ask_fairplay(&[good]).1).await.assert_refused(403, "subscription_inactive");
}

#[tokio::test]
async fn sixty_four_fairplay_keys_at_once_are_answered_in_their_order() {
    let house = house().await;
    put_horizon(&house, 60, true).await;
    let playing = Playing::begin(&house, Dialect::FairPlay).await;
    let asked = &batch_kids(0..PERIODS)[3..67];
    let (pending, body) = ask_fairplay(asked);
    let began = cpu();
    let reply = fairplay::send(&house, &playing.url, &body).await;
    let taken = cpu().saturating_sub(began);
    reply.assert_granted();
    assert!(taken < std::time::Duration::from_secs(5), "{taken:?} in a debug build");
    let licenses = pending.open(&reply.body, NOW).unwrap();
    let given: Vec<KeyId> = licenses.iter().flatten().map(|license| license.keys[0].kid).collect();
    assert_eq!(given, asked);
}
