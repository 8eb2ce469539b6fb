//! What the key exchange does when something behind it is away.

use super::*;
use crate::http::problem::Refusal;
use crate::vault::AuditWriter;
use crate::vault::exchange::{Asker, ExchangeRefused, Protocol};
use crate::vault_link::LicenseRefused;
use axum::body::Bytes;
use dialect::cpix::speke::SpekeVersion;
use model::{CorrelationId, KeyState, TrackClass};
use playback::{ContentLimit, Scope};
use store::AuditVerdict;

const CERTIFICATE: &str = include_str!("../../../../../vectors/cpix/certificates/rsa2048.cert.b64");
/// Within the dates of the certificate.
const AT: Timestamp = Timestamp(1_811_808_000_000);

fn question(number: u8, track_type: &str, scheme: &str) -> Bytes {
    let kid = kid(number).to_uuid();
    let filters = if track_type == "AUDIO" { "<AudioFilter/>" } else { "<VideoFilter/>" };
    let recipient = format!(
        r#"<DeliveryDataList><DeliveryData><DeliveryKey><X509Data xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Certificate>{CERTIFICATE}</X509Certificate></X509Data></DeliveryKey></DeliveryData></DeliveryDataList>"#
    );
    Bytes::from(format!(
        r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="film" version="2.3">{recipient}<ContentKeyList><ContentKey kid="{kid}" commonEncryptionScheme="{scheme}"/></ContentKeyList><DRMSystemList><DRMSystem kid="{kid}" systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><PSSH/></DRMSystem></DRMSystemList><ContentKeyUsageRuleList><ContentKeyUsageRule kid="{kid}" intendedTrackType="{track_type}">{filters}</ContentKeyUsageRule></ContentKeyUsageRuleList></CPIX>"#
    ))
}

async fn ask(vault: &Vault, question: Bytes) -> Result<Vec<u8>, ExchangeRefused> {
    let asker = Asker {
        name: "token:test".to_owned(),
        scopes: [Scope::Speke].into_iter().collect(),
        content: ContentLimit::Every,
    };
    let correlation = CorrelationId::from_bytes([1; 16]);
    let protocol = Protocol::Speke(SpekeVersion::V2_0);
    vault.exchange(&asker, protocol, question, correlation, AT).await
}

async fn audited(house: &House) -> u64 {
    match house.store.verify_audit().await.unwrap() {
        AuditVerdict::Whole { rows } => rows,
        AuditVerdict::Broken(_) => 0,
    }
}

#[tokio::test]
async fn without_its_audit_no_key_is_made_and_none_leaves() {
    let house = House::new().await;
    let (vault, mut deaf) = (house.vault(), house.vault());
    deaf.audit = AuditWriter::closed();
    // The key is made, and audited so; that it leaves cannot be written, so it does not.
    let refused = ask(&deaf, question(1, "SD", "cbcs")).await;
    let away = |refused: &Result<Vec<u8>, ExchangeRefused>| {
        let away = LicenseRefused::StoreUnavailable;
        matches!(refused, Err(ExchangeRefused::Service(Refusal::License(why))) if *why == away)
    };
    assert!(away(&refused), "{refused:?}");
    let before = audited(&house).await;
    assert!(ask(&vault, question(1, "SD", "cbcs")).await.is_ok());
    assert_eq!(audited(&house).await, before + 1);
    deaf.keys.audit = AuditWriter::closed();
    let refused = ask(&deaf, question(2, "SD", "cbcs")).await;
    assert!(away(&refused), "{refused:?}");
    assert_eq!(house.store.keys_of(&film()).await.unwrap().len(), 1, "nor is one made");
}

#[tokio::test]
async fn without_its_kms_a_question_is_to_be_asked_again() {
    let house = House::new().await;
    house.kms.set(Mood::Away);
    let refused = ask(&house.vault(), question(1, "SD", "cbcs")).await;
    let why = LicenseRefused::KmsUnavailable;
    assert!(
        matches!(&refused, Err(ExchangeRefused::Service(Refusal::License(other))) if *other == why),
        "{refused:?}"
    );
    house.kms.set(Mood::Well);
    assert!(ask(&house.vault(), question(1, "SD", "cbcs")).await.is_ok());
}

#[tokio::test]
async fn a_compromised_key_is_not_given_again() {
    let house = House::new().await;
    ask(&house.vault(), question(1, "SD", "cbcs")).await.unwrap();
    let marked = house
        .rewritten(|rows| rows.iter_mut().for_each(|row| row.state = KeyState::Compromised))
        .await;
    let refused = ask(&marked.vault(), question(1, "SD", "cbcs")).await;
    assert!(
        matches!(&refused, Err(ExchangeRefused::Contract(words)) if words.contains("may not be used")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_row_that_a_stranger_changed_gives_no_key() {
    let house = House::new().await;
    ask(&house.vault(), question(1, "HD", "cbcs")).await.unwrap();
    let changed = house
        .rewritten(|rows| rows.iter_mut().for_each(|row| row.track_class = Some(TrackClass::Sd)))
        .await;
    let refused = ask(&changed.vault(), question(1, "SD", "cbcs")).await;
    let why = LicenseRefused::Integrity;
    assert!(
        matches!(&refused, Err(ExchangeRefused::Service(Refusal::License(other))) if *other == why),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_key_for_several_classes_is_kept_under_the_highest() {
    let house = House::new().await;
    let vault = house.vault();
    for (number, track_type) in [(1, "SD+HD1"), (2, "VIDEO"), (3, "SD"), (4, "HD1+HD2")] {
        ask(&vault, question(number, track_type, "cbcs")).await.unwrap();
    }
    let rows = house.store.keys_of(&film()).await.unwrap();
    let classes: Vec<_> = rows.iter().map(|row| row.track_class).collect();
    let (sd, hd, uhd) = (Some(TrackClass::Sd), Some(TrackClass::Hd), Some(TrackClass::Uhd));
    assert_eq!(classes, [hd, uhd, sd, hd]);
}

#[tokio::test]
async fn an_imported_key_answers_for_its_own_use_only() {
    let house = House::new().await;
    let vault = house.vault();
    let keys = key_file(&[
        (kid(1), 1, r#","label":"SD","scheme":"cbcs""#),
        (kid(2), 2, r#","label":"HD""#),
    ]);
    vault.import_keys(keys, AT).await.unwrap();
    assert!(ask(&vault, question(1, "SD", "cbcs")).await.is_ok());
    assert!(ask(&vault, question(2, "HD", "cenc")).await.is_ok());
    for (number, track_type, scheme) in [(1, "SD", "cenc"), (1, "HD", "cbcs"), (2, "SD", "cbcs")] {
        let refused = ask(&vault, question(number, track_type, scheme)).await;
        assert!(matches!(refused, Err(ExchangeRefused::Contract(_))), "{refused:?}");
    }
    assert_eq!(house.store.keys_of(&film()).await.unwrap().len(), 2);
}
