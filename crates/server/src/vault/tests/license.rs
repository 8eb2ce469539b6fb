//! The license flow: right answers and every refusal.

use super::*;
use crate::vault_link::{Issued, LicenseRefused, LicenseReply};
use dialect::clearkey::read_license;
use model::{
    AccountId, CorrelationId, DecisionId, DeviceId, Dialect, GrantId, KeyState, PlaybackSessionId,
    SecurityLevel, TokenId, TrackClass, TrackClasses,
};
use playback::grant::{GRANT_S, GrantTerms, challenge_hash, seal};
use playback::{Covers, OfflineDenied, Trace};
use std::time::Duration;
use store::AuditVerdict;

const AUDIO: u8 = 1;
const SD: u8 = 2;
const HD: u8 = 3;

/// A house with three known keys: audio, SD and HD.
async fn house() -> House {
    let house = House::new().await;
    let label = |name: &str| format!(r#","label":"{name}""#);
    let labels = ["AUDIO", "SD", "HD"].map(label);
    let keys = key_file(&[
        (kid(AUDIO), AUDIO, &labels[0]),
        (kid(SD), SD, &labels[1]),
        (kid(HD), HD, &labels[2]),
    ]);
    house.vault().import_keys(keys, NOW).await.unwrap();
    house
}

/// A challenge for these keys. Another `nonce` makes other bytes that ask for the same.
fn challenge(keys: &[u8], nonce: usize) -> Vec<u8> {
    let kids: Vec<String> =
        keys.iter().map(|key| format!("\"{}\"", kid(*key).to_base64url())).collect();
    format!(r#"{{"kids":[{}],"type":"temporary","n":{nonce}}}"#, kids.join(",")).into_bytes()
}

/// Terms that cover all three keys, for this challenge, under token 1.
fn terms(challenge: &[u8]) -> GrantTerms {
    GrantTerms {
        grant: GrantId::random(&mut SystemEntropy),
        token: Some(TokenId::from_bytes([1; 16])),
        session: PlaybackSessionId::from_bytes([2; 16]),
        account: AccountId::from_bytes([3; 16]),
        device: DeviceId::from_bytes([4; 16]),
        content_id: film(),
        covers: Covers::Kids([AUDIO, SD, HD].map(kid).to_vec()),
        dialect: Dialect::ClearKey,
        policy: TitlePolicy::default(),
        max_offline: 25,
        credential_expires: NOW.plus_s(30),
        challenge_sha256: challenge_hash(challenge),
        issued: NOW,
        decision: DecisionId::from_bytes([5; 16]),
        correlation: CorrelationId::from_bytes([6; 16]),
        trace: Trace::default(),
    }
}

type Outcome = Result<LicenseReply, LicenseRefused>;

async fn ask_with(house: &House, vault: &Vault, terms: &GrantTerms, challenge: &[u8]) -> Outcome {
    let sealed = seal(&house.grant_key, terms, &mut SystemEntropy);
    vault.license(&sealed, challenge, NOW).await
}

async fn ask(house: &House, vault: &Vault, challenge: &[u8]) -> Outcome {
    ask_with(house, vault, &terms(challenge), challenge).await
}

/// The keys an answer carries, each checked to be the right one.
fn carried(reply: &Outcome) -> Vec<u8> {
    let reply = reply.as_ref().map_err(|refused| *refused).expect("answered");
    let keys = read_license(&reply.message).unwrap();
    let numbers = keys.iter().map(|(kid, key)| {
        let number = kid.as_bytes()[0];
        let right = ContentKey::from_bytes(Zeroizing::new([number; 16]));
        assert_eq!(fingerprint_of(key), fingerprint_of(&right), "the key of {kid}");
        number
    });
    numbers.collect()
}

#[track_caller]
fn assert_refused(outcome: Outcome, refused: LicenseRefused) {
    assert_eq!(outcome.map(|reply| reply.message.len()), Err(refused));
}

#[tokio::test]
async fn the_license_carries_the_right_keys_and_withholds_those_above_the_level() {
    let (house, body) = (house().await, challenge(&[HD, SD, AUDIO], 0));
    let reply = ask(&house, &house.vault(), &body).await;
    assert_eq!(carried(&reply), [AUDIO, SD]);
    let reply = reply.ok().unwrap();
    assert_eq!(reply.content_type, "application/json");
    let classes = TrackClasses::up_to(TrackClass::Sd);
    let (level, expires) = (SecurityLevel::L3, NOW.plus_s(86_400));
    let expected = Issued { level, classes, expires, event_period_s: None };
    assert_eq!(reply.issued, Some(expected));

    let policy = TitlePolicy::default().with_clearkey_max(TrackClass::Hd);
    let terms = GrantTerms { policy, ..terms(&body) };
    let reply = ask_with(&house, &house.vault(), &terms, &body).await;
    assert_eq!(carried(&reply), [AUDIO, SD, HD], "the title's policy says so");
}

#[tokio::test]
async fn only_what_is_asked_for_is_answered() {
    let (house, body) = (house().await, challenge(&[SD], 0));
    assert_eq!(carried(&ask(&house, &house.vault(), &body).await), [SD]);
    let body = challenge(&[HD], 0);
    assert!(carried(&ask(&house, &house.vault(), &body).await).is_empty(), "withheld");
}

#[tokio::test]
async fn a_key_for_every_class_needs_a_policy_for_every_class() {
    let house = House::new().await;
    house.vault().import_keys(key_file(&[(kid(SD), SD, "")]), NOW).await.unwrap();
    let body = challenge(&[SD], 0);
    assert!(carried(&ask(&house, &house.vault(), &body).await).is_empty());
    let terms = GrantTerms { policy: TitlePolicy::without_floor(), ..terms(&body) };
    let reply = ask_with(&house, &house.vault(), &terms, &body).await;
    assert_eq!(carried(&reply), [SD]);
    assert_eq!(reply.ok().unwrap().issued.unwrap().classes, TrackClasses::up_to(TrackClass::Uhd));
}

#[tokio::test]
async fn one_foreign_kid_refuses_the_whole_request() {
    let (house, vault) = (house().await, house().await.vault());
    for foreign in [4, 200] {
        let outcome = ask(&house, &vault, &challenge(&[SD, foreign], 0)).await;
        assert_refused(outcome, LicenseRefused::KidNotInContent);
    }
    let body = challenge(&[SD, HD], 0);
    let narrow = GrantTerms { covers: Covers::Kids(vec![kid(SD)]), ..terms(&body) };
    let outcome = ask_with(&house, &vault, &narrow, &body).await;
    assert_refused(outcome, LicenseRefused::KidNotInContent);
}

#[tokio::test]
async fn a_grant_serves_one_challenge_once_and_soon() {
    let house = house().await;
    let (vault, body, other) = (house.vault(), challenge(&[SD], 0), challenge(&[SD], 1));
    let sealed = seal(&house.grant_key, &terms(&body), &mut SystemEntropy);
    assert_refused(vault.license(&sealed, &other, NOW).await, LicenseRefused::Grant);
    let late = NOW.plus_s(GRANT_S);
    assert_refused(vault.license(&sealed, &body, late).await, LicenseRefused::Grant);
    let mut changed = sealed.clone();
    changed[20] ^= 1;
    assert_refused(vault.license(&changed, &body, NOW).await, LicenseRefused::Grant);
    assert_refused(vault.license(b"", &body, NOW).await, LicenseRefused::Grant);
    assert_eq!(carried(&vault.license(&sealed, &body, NOW).await), [SD]);
    assert_refused(vault.license(&sealed, &body, NOW).await, LicenseRefused::Grant);
}

/// All at once: what 64 uses of one token were answered with.
async fn answered_of_64(wishes: &[&'static [u8]]) -> Vec<u8> {
    let house = Arc::new(house().await);
    let vault = Arc::new(house.vault());
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let (house, vault) = (Arc::clone(&house), Arc::clone(&vault));
            let body = challenge(wishes[number % wishes.len()], number);
            tokio::spawn(async move { ask(&house, &vault, &body).await })
        })
        .collect();
    let mut answered = vec![];
    for task in tasks {
        match task.await.unwrap() {
            Err(refused) => assert_eq!(refused, LicenseRefused::TokenReplayed),
            answer => answered.extend(carried(&answer)),
        }
    }
    answered.sort_unstable();
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_parallel_uses_each_kid_is_answered_once() {
    assert_eq!(answered_of_64(&[&[SD, AUDIO], &[AUDIO, SD]]).await, [AUDIO, SD]);
    assert_eq!(answered_of_64(&[&[SD]]).await, [SD]);
    let mixed = answered_of_64(&[&[SD, AUDIO], &[SD], &[AUDIO]]).await;
    assert!(mixed.windows(2).all(|pair| pair[0] != pair[1]), "{mixed:?}");
}

#[tokio::test]
async fn the_same_bytes_are_answered_anew_and_others_are_a_replay() {
    let house = house().await;
    let (vault, body) = (house.vault(), challenge(&[SD], 0));
    for _ in 0..3 {
        assert_eq!(carried(&ask(&house, &vault, &body).await), [SD]);
    }
    let other = challenge(&[SD], 1);
    assert_refused(ask(&house, &vault, &other).await, LicenseRefused::TokenReplayed);
    let both = challenge(&[AUDIO, SD], 0);
    assert_refused(ask(&house, &vault, &both).await, LicenseRefused::TokenReplayed);
    let audio = challenge(&[AUDIO], 0);
    assert_eq!(carried(&ask(&house, &vault, &audio).await), [AUDIO], "a refusal uses nothing up");
    let another = GrantTerms { token: Some(TokenId::from_bytes([9; 16])), ..terms(&other) };
    assert_eq!(carried(&ask_with(&house, &vault, &another, &other).await), [SD]);
}

#[tokio::test]
async fn a_session_credential_may_ask_again() {
    let house = house().await;
    let vault = house.vault();
    for nonce in 0..3 {
        let body = challenge(&[SD], nonce);
        let terms = GrantTerms { token: None, ..terms(&body) };
        assert_eq!(carried(&ask_with(&house, &vault, &terms, &body).await), [SD]);
    }
}

#[tokio::test]
async fn a_missing_row_is_an_alert_and_leaves_the_token_unused() {
    let (alerts, _guard) = alerts();
    let house = house().await;
    let gone = house.rewritten(|rows| rows.retain(|row| row.kid != kid(SD))).await;
    let vault = gone.vault();
    let body = challenge(&[AUDIO, SD], 0);
    assert_refused(ask(&gone, &vault, &body).await, LicenseRefused::CekNotFound);
    let said = String::from_utf8(alerts.lock().unwrap().clone()).unwrap();
    assert!(said.contains("cek_not_found") && said.contains(&kid(SD).to_string()), "{said}");
    assert_eq!(gone.store.keys_of(&film()).await.unwrap().len(), 2, "no key is made instead");
    let audio = challenge(&[AUDIO], 0);
    assert_eq!(carried(&ask(&gone, &vault, &audio).await), [AUDIO]);
}

#[tokio::test]
async fn without_the_kms_there_is_no_license_and_the_token_stays_good() {
    let house = house().await;
    for mood in [Mood::Away, Mood::Silent, Mood::Refusing] {
        let (vault, body) = (house.vault(), challenge(&[SD], 0));
        house.kms.set(mood);
        let outcome = tokio::time::timeout(Duration::from_secs(1), ask(&house, &vault, &body));
        let outcome = outcome.await.expect("told within a second");
        assert_refused(outcome, LicenseRefused::KmsUnavailable);
        house.kms.set(Mood::Well);
        let other = challenge(&[SD], 1);
        assert_eq!(carried(&ask(&house, &vault, &other).await), [SD], "{mood:?} is over");
    }
}

#[tokio::test]
async fn rewritten_rows_give_no_license() {
    let house = house().await;
    let swapped = house
        .rewritten(|rows| {
            let first = rows[0].wrapped.clone();
            rows[0].wrapped = std::mem::replace(&mut rows[1].wrapped, first);
        })
        .await;
    for number in [AUDIO, SD] {
        let outcome = ask(&swapped, &swapped.vault(), &challenge(&[number], 0)).await;
        assert_refused(outcome, LicenseRefused::Integrity);
    }
    // The HD key, told to be the SD key so that the level lets it through.
    let relabeled = house
        .rewritten(|rows| {
            rows.retain(|row| row.kid == kid(HD));
            rows[0].track_class = Some(TrackClass::Sd);
        })
        .await;
    let outcome = ask(&relabeled, &relabeled.vault(), &challenge(&[HD], 0)).await;
    assert_refused(outcome, LicenseRefused::Integrity);
}

#[tokio::test]
async fn a_compromised_key_leaves_in_no_license_and_alone_is_not_found() {
    let house = house().await;
    let marked = house
        .rewritten(|rows| {
            for row in rows {
                if row.kid == kid(SD) {
                    row.state = KeyState::Compromised;
                }
            }
        })
        .await;
    let reply = ask(&marked, &marked.vault(), &challenge(&[AUDIO, SD], 0)).await;
    assert_eq!(carried(&reply), [AUDIO]);
    let alone = ask(&marked, &marked.vault(), &challenge(&[SD], 0)).await;
    assert_refused(alone, LicenseRefused::KeyCompromised);
    let above = ask(&marked, &marked.vault(), &challenge(&[HD], 0)).await;
    assert!(carried(&above).is_empty(), "withheld by its level, as before");
}

#[tokio::test]
async fn challenges_that_are_none_are_refused() {
    let house = house().await;
    let vault = house.vault();
    for (body, refused) in [
        (&b""[..], LicenseRefused::Malformed),
        (b"{\"kids\":[]}", LicenseRefused::Malformed),
        (&[b' '; 1 << 20], LicenseRefused::Malformed),
    ] {
        assert_refused(ask(&house, &vault, body).await, refused);
    }
    let keep = challenge(&[SD], 0);
    let keep = String::from_utf8(keep).unwrap().replace("temporary", "persistent-license");
    let outcome = ask(&house, &vault, keep.as_bytes()).await;
    assert_refused(outcome, LicenseRefused::OfflineNotAllowed(OfflineDenied::Dialect));
    let body = challenge(&[SD], 0);
    for dialect in [Dialect::Widevine, Dialect::PlayReady, Dialect::FairPlay] {
        let terms = GrantTerms { dialect, ..terms(&body) };
        let outcome = ask_with(&house, &vault, &terms, &body).await;
        assert_refused(outcome, LicenseRefused::DialectNotAnswered);
    }
}

#[tokio::test]
async fn a_license_is_in_the_audit_before_it_leaves_and_without_audit_none_does() {
    let house = house().await;
    let rows = async || match house.store.verify_audit().await.unwrap() {
        AuditVerdict::Whole { rows } => rows,
        AuditVerdict::Broken(bad) => panic!("{bad:?}"),
    };
    let before = rows().await;
    let mut vault = house.vault();
    let audit = std::mem::replace(&mut vault.audit, crate::vault::AuditWriter::closed());
    let body = challenge(&[SD], 0);
    assert_refused(ask(&house, &vault, &body).await, LicenseRefused::StoreUnavailable);
    assert_eq!(rows().await, before);
    vault.audit = audit;
    let other = challenge(&[SD], 1);
    assert_eq!(carried(&ask(&house, &vault, &other).await), [SD], "the token was given back");
    assert_eq!(rows().await, before + 1);
}
