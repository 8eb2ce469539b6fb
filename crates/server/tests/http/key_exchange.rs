//! SPEKE and CPIX over the whole router: what is answered, what is refused, who may ask.

use crate::house::{House, Reply, with_bearer};
use axum::body::Body;
use axum::http::Request;
use dialect::cpix::{Document, KeyEntry, KeyValue};
use model::{ContentId, KeyId};
use playback::{ContentLimit, Scope, VaultToken};
use server::config::Mode;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::AuditVerdict;

const V1: &str = "/speke/v1.0/copyProtection";
pub const V2: &str = "/speke/v2.0/copyProtection";
pub const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";
const FAIRPLAY: &str = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2";
const SD: &str = r#"<VideoFilter maxPixels="589824"/>"#;

/// A question of SPEKE 2: each key for each system.
#[derive(Clone)]
pub struct Question<'a> {
    pub content: &'a str,
    pub version: &'a str,
    pub scheme: &'a str,
    /// Number of the KID, track type, filters.
    pub keys: &'a [(u8, &'a str, &'a str)],
    pub systems: &'a [&'a str],
    pub certificates: &'a [&'a str],
    /// Attributes of the one period.
    pub period: Option<&'a str>,
}

const KEYS: &[(u8, &str, &str)] = &[(1, "SD", SD), (2, "AUDIO", "<AudioFilter/>")];

impl Default for Question<'_> {
    fn default() -> Self {
        Self {
            content: "film",
            version: "2.3",
            scheme: "cbcs",
            keys: KEYS,
            systems: &[WIDEVINE, PLAYREADY, FAIRPLAY],
            certificates: &[],
            period: None,
        }
    }
}

pub fn kid(n: u8) -> KeyId {
    KeyId::from_bytes([n; 16])
}

impl Question<'_> {
    pub fn text(&self) -> String {
        let each = |write: &dyn Fn(&(u8, &str, &str)) -> String| -> String {
            self.keys.iter().map(write).collect()
        };
        let uuid = |n: &u8| kid(*n).to_uuid();
        let scheme = self.scheme;
        let keys = each(&|(n, ..)| {
            format!(r#"<ContentKey kid="{}" commonEncryptionScheme="{scheme}"/>"#, uuid(n))
        });
        let hls = r#"<HLSSignalingData playlist="media"/><HLSSignalingData playlist="master"/>"#;
        let systems: String = (self.systems.iter())
            .map(|system| {
                each(&|(n, ..)| {
                    format!(
                        r#"<DRMSystem kid="{}" systemId="{system}"><PSSH/><ContentProtectionData/>{hls}</DRMSystem>"#,
                        uuid(n)
                    )
                })
            })
            .collect();
        let filter = self.period.map_or("", |_| r#"<KeyPeriodFilter periodId="p"/>"#);
        let periods = self.period.map_or_else(String::new, |period| {
            format!(
                r#"<ContentKeyPeriodList><ContentKeyPeriod id="p" {period}/></ContentKeyPeriodList>"#
            )
        });
        let rules = each(&|(n, track_type, filters)| {
            format!(
                r#"<ContentKeyUsageRule kid="{}" intendedTrackType="{track_type}">{filter}{filters}</ContentKeyUsageRule>"#,
                uuid(n)
            )
        });
        let recipients: String = (self.certificates.iter())
            .map(|certificate| {
                format!(
                    r#"<DeliveryData><DeliveryKey><d:X509Data xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:X509Certificate>{certificate}</d:X509Certificate></d:X509Data></DeliveryKey></DeliveryData>"#
                )
            })
            .collect();
        let recipients = match recipients.as_str() {
            "" => String::new(),
            list => format!("<DeliveryDataList>{list}</DeliveryDataList>"),
        };
        format!(
            r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="{}" version="{}">{recipients}<ContentKeyList>{keys}</ContentKeyList><DRMSystemList>{systems}</DRMSystemList>{periods}<ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#,
            self.content, self.version
        )
    }
}

macro_rules! certificate {
    ($name:literal) => {
        include_str!(concat!("../../../../vectors/cpix/certificates/", $name, ".cert.b64"))
    };
}

impl House {
    pub fn vault_token(&self, scopes: &[Scope], content: ContentLimit) -> String {
        let token = VaultToken {
            id: model::TokenId::from_bytes([3; 16]),
            scopes: scopes.iter().copied().collect(),
            content,
            issued: self.clock.now(),
            expires: self.clock.now().plus_s(3600),
        };
        self.vault.issue_token(&token)
    }

    pub async fn ask(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let request = headers
            .iter()
            .fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
        let token = self.vault_token(&[Scope::Speke, Scope::Cpix], ContentLimit::Every);
        let request = with_bearer(request, &token).header("content-type", "application/xml");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn speke_2(&self, question: &Question<'_>) -> Reply {
        self.ask(V2, &[("X-Speke-Version", "2.0")], &question.text()).await
    }

    async fn rows(&self) -> usize {
        self.store.keys_of(&ContentId::parse("film").unwrap()).await.unwrap().len()
    }

    async fn audited(&self) -> u64 {
        let verdict = self.store.verify_audit().await.unwrap();
        assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
        let AuditVerdict::Whole { rows } = verdict else { return 0 };
        rows
    }
}

/// KIDs and clear keys of an answer.
pub fn keys_of(reply: &Reply) -> BTreeSet<(KeyId, [u8; 16])> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let document = Document::parse(&reply.body).unwrap();
    let clear = |entry: &KeyEntry| {
        let KeyValue::Clear(key) = &entry.value else { return None };
        #[expect(clippy::disallowed_methods, reason = "the test compares keys")]
        let key = *key.reveal();
        Some((entry.kid, key))
    };
    let keys: Option<_> = document.parts().keys.iter().map(clear).collect();
    keys.expect("every key is in the clear")
}

/// A refusal in the words that encryptors know.
#[track_caller]
fn assert_words(reply: &Reply, words: &str) {
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(reply.text(), format!("{words}\n"));
    assert!(reply.header("content-type").starts_with("text/plain"));
    assert_eq!(
        (reply.header("x-correlation-id").len(), reply.header("cache-control")),
        (32, "no-store")
    );
}

#[tokio::test]
async fn a_question_of_speke_2_is_answered_whole_and_again_the_same() {
    let house = House::new().await;
    for (header, version) in [("2.0", "2.3"), ("2.1", "2.4")] {
        let keys: &[_] =
            if header == "2.0" { KEYS } else { &[(9, "ALL", "<VideoFilter/><AudioFilter/>")] };
        let question = Question { version, keys, ..Question::default() };
        let ask = async || house.ask(V2, &[("X-Speke-Version", header)], &question.text()).await;
        let reply = ask().await;
        assert_eq!(reply.header("content-type"), "application/xml");
        assert_eq!(reply.header("x-speke-version"), header);
        assert!(reply.header("x-speke-user-agent").starts_with("Strongroom/"));
        assert_eq!(reply.header("cache-control"), "no-store");
        let text = reply.text();
        assert_eq!(text.matches("</cpix:DRMSystem>").count(), keys.len() * 3);
        assert_eq!(text.matches("explicitIV=").count(), keys.len(), "cbcs has a constant IV");
        assert_eq!(keys_of(&reply).len(), keys.len());
        assert_eq!(ask().await.body, reply.body);
    }
    assert_eq!(house.rows().await, 3);
}

#[tokio::test]
async fn eight_keys_for_three_systems_are_24_whole_elements() {
    let house = House::new().await;
    let types = ["SD", "HD1", "HD2", "UHD1", "UHD2"].map(|name| (name, "<VideoFilter/>"));
    let audio = ["STEREO_AUDIO", "MULTICHANNEL_AUDIO_3_6", "MULTICHANNEL_AUDIO_7"];
    let types = types.into_iter().chain(audio.map(|name| (name, "<AudioFilter/>")));
    let keys: Vec<_> = (1..).zip(types).map(|(n, (name, filter))| (n, name, filter)).collect();
    let reply = house.speke_2(&Question { keys: &keys, ..Question::default() }).await;
    let document = Document::parse(&reply.body).unwrap();
    let systems = &document.parts().systems;
    assert_eq!(systems.len(), 24);
    for one in systems {
        let is_fairplay = one.system.to_string() == FAIRPLAY;
        assert_eq!(one.pssh.value().is_some(), !is_fairplay);
        assert_eq!(one.content_protection.is_some(), !is_fairplay);
        assert!(one.hls_media.as_ref().is_some_and(|hls| hls.value.is_some()));
        assert!(one.hls_multivariant.as_ref().is_some_and(|hls| hls.value.is_some()));
    }
    let keys = keys_of(&reply);
    assert_eq!(keys.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len(), 8);
}

/// As the public pages of SPEKE 1.0 show a request, with elements in their order there.
const V1_REQUEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX id="abc123" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:speke="urn:aws:amazon:com:speke">
 <cpix:ContentKeyList><cpix:ContentKey kid="98ee5596-cd3e-a20d-163a-e382420c6eff"></cpix:ContentKey></cpix:ContentKeyList>
 <cpix:DRMSystemList>
  <cpix:DRMSystem kid="98ee5596-cd3e-a20d-163a-e382420c6eff" systemId="94ce86fb-07ff-4f43-adb8-93d2fa968ca2"><cpix:URIExtXKey></cpix:URIExtXKey><speke:KeyFormat></speke:KeyFormat><speke:KeyFormatVersions></speke:KeyFormatVersions></cpix:DRMSystem>
  <cpix:DRMSystem kid="98ee5596-cd3e-a20d-163a-e382420c6eff" systemId="9a04f079-9840-4286-ab92-e65be0885f95"><speke:ProtectionHeader></speke:ProtectionHeader><cpix:PSSH></cpix:PSSH></cpix:DRMSystem>
 </cpix:DRMSystemList>
 <cpix:ContentKeyUsageRuleList><cpix:ContentKeyUsageRule kid="98ee5596-cd3e-a20d-163a-e382420c6eff"><cpix:KeyPeriodFilter periodId="keyPeriod_1"/></cpix:ContentKeyUsageRule></cpix:ContentKeyUsageRuleList>
 <cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id="keyPeriod_1" index="1"/></cpix:ContentKeyPeriodList>
</cpix:CPIX>"#;

#[tokio::test]
async fn a_client_of_speke_1_is_answered_and_told_its_errors() {
    let house = House::new().await;
    let reply = house.ask(V1, &[], V1_REQUEST).await;
    assert!(reply.header("speke-user-agent").starts_with("Strongroom/"));
    assert_eq!(reply.header("x-speke-version"), "");
    let text = reply.text();
    for element in [
        "URIExtXKey>c2tkOi8v",
        "KeyFormat>",
        "KeyFormatVersions>MQ==",
        "ProtectionHeader>",
        "PSSH>",
    ] {
        assert!(text.contains(element), "{element}: {text}");
    }
    assert_eq!(house.ask(V1, &[], V1_REQUEST).await.body, reply.body);
    let nameless = V1_REQUEST.replace(" id=\"abc123\"", "");
    let refused = house.ask(V1, &[], &nameless).await;
    assert_words(&refused, "Missing CPIX@id");
    assert!(refused.header("speke-user-agent").starts_with("Strongroom/"));
    let refused = house.ask(V1, &[("X-Speke-Version", "2.0")], V1_REQUEST).await;
    assert_words(&refused, "Unsupported SPEKE version");
    let alive = house.get("/speke/v1.0/heartbeat").await;
    assert_eq!((alive.status.as_u16(), alive.text().as_str()), (200, "alive\n"));
}

#[tokio::test]
async fn contracts_that_are_not_kept_are_refused_in_known_words() {
    let house = House::new().await;
    let whole = Question::default().text();
    let refusal = async |text: &str| house.ask(V2, &[("X-Speke-Version", "2.0")], text).await;
    for (from, to, words) in [
        (r#" contentId="film""#, "", "Missing CPIX@contentId"),
        (r#" version="2.3""#, "", "Missing CPIX@version"),
        (r#"version="2.3""#, r#"version="2.4""#, "Unsupported CPIX@version"),
        (r#"version="2.3""#, r#"version="9.9""#, "Unsupported CPIX@version"),
    ] {
        assert_words(&refusal(&whole.replacen(from, to, 1)).await, words);
    }
    let mixed = "Non compliant ContentKey@commonEncryptionScheme combination";
    assert_words(&refusal(&whole.replacen("\"cbcs\"", "\"cenc\"", 1)).await, mixed);
    let schemeless = whole.replacen(r#" commonEncryptionScheme="cbcs""#, "", 1);
    let missing = format!("Missing ContentKey@commonEncryptionScheme for KID {}", kid(1).to_uuid());
    assert_words(&refusal(&schemeless).await, &missing);
    let other = "11111111-2222-3333-4444-555555555555";
    let unknown = Question { systems: &[WIDEVINE, other], ..Question::default() };
    assert_words(
        &house.speke_2(&unknown).await,
        &format!("Unsupported DRMSystem@systemId {other}"),
    );
    let path = Question { content: "../film", ..Question::default() };
    assert!(house.speke_2(&path).await.text().starts_with("Unsupported CPIX@contentId"));
    for header in ["1.0", "3.0", "", "2.0, 2.1"] {
        let refused = house.ask(V2, &[("X-Speke-Version", header)], "not even XML").await;
        assert_words(&refused, "Unsupported SPEKE version");
    }
    assert_words(&house.ask(V2, &[], &whole).await, "Unsupported SPEKE version");
    assert_eq!(house.rows().await, 0, "no key was made");
}

#[tokio::test]
async fn cpix_alone_has_the_contract_without_the_headers() {
    let house = House::new().await;
    let (old, new) = (Question::default(), Question { version: "2.4", ..Question::default() });
    let reply = house.ask("/cpix", &[], &old.text()).await;
    assert_eq!((reply.header("x-speke-version"), reply.header("x-speke-user-agent")), ("", ""));
    assert_eq!(keys_of(&reply), keys_of(&house.ask("/cpix", &[], &new.text()).await));
    assert_eq!(keys_of(&reply), keys_of(&house.speke_2(&old).await));
    let unversioned = old.text().replacen(r#" version="2.3""#, "", 1);
    assert_words(&house.ask("/cpix", &[], &unversioned).await, "Missing CPIX@version");
    let earlier = Question { version: "2.0", ..Question::default() };
    assert_words(&house.ask("/cpix", &[], &earlier.text()).await, "Unsupported CPIX@version");
}

#[tokio::test]
async fn a_kid_never_gets_a_second_key() {
    let house = House::new().await;
    let first = keys_of(&house.speke_2(&Question::default()).await);
    let words = format!(
        "KID {} is known for another content, scheme, track type, period or IV",
        kid(1).to_uuid()
    );
    let systems = &[WIDEVINE][..];
    for question in [
        Question { content: "other", ..Question::default() },
        Question { scheme: "cenc", systems, ..Question::default() },
        Question { keys: &[(1, "HD", "<VideoFilter/>")], ..Question::default() },
        Question { keys: &[(1, "SD+HD1", "<VideoFilter/>")], ..Question::default() },
        Question { period: Some(r#"index="1""#), ..Question::default() },
    ] {
        assert_words(&house.speke_2(&question).await, &words);
    }
    let own_iv = Question::default().text().replacen(
        "commonEncryptionScheme",
        r#"explicitIV="AAAAAAAAAAAAAAAAAAAAAA==" commonEncryptionScheme"#,
        1,
    );
    assert_words(&house.ask(V2, &[("X-Speke-Version", "2.0")], &own_iv).await, &words);
    assert_eq!(keys_of(&house.speke_2(&Question::default()).await), first);
    assert_eq!(house.rows().await, 2);
}

#[tokio::test]
async fn periods_have_keys_of_their_own() {
    let house = House::new().await;
    let ask = async |n: u8, period: &str| {
        let keys = [(n, "ALL", "<VideoFilter/><AudioFilter/>")];
        let question = Question { keys: &keys, period: Some(period), ..Question::default() };
        house.speke_2(&question).await
    };
    let (one, two) = (ask(1, r#"index="1""#).await, ask(2, r#"index="2""#).await);
    assert!(keys_of(&one).is_disjoint(&keys_of(&two)));
    let key = |reply: &Reply| keys_of(reply).first().map(|(_, key)| *key);
    assert_ne!(key(&one), key(&two));
    assert_eq!(key(&one), key(&ask(1, r#"index="1""#).await));
    assert_eq!(ask(1, r#"index="2""#).await.status, 422, "not the key of another period");
    let (zero, none) = (ask(4, r#"index="0""#).await, Question::default());
    let keys = [(4, "ALL", "<VideoFilter/><AudioFilter/>")];
    let still = house.speke_2(&Question { keys: &keys, ..none }).await;
    assert_eq!(key(&zero), key(&still), "number 0 alone is no rotation");
    let timed = r#"start="2027-01-01T00:00:00Z" end="2027-01-01T00:05:00Z""#;
    let same = r#"start="2027-01-01T00:00:00Z" duration="PT5M""#;
    let reply = ask(3, timed).await;
    assert_eq!(key(&reply), key(&ask(3, same).await));
    assert!(reply.text().contains("2027-01-01T00:05:00Z"));
}

#[tokio::test]
async fn keys_are_encrypted_for_who_is_named() {
    let house = House::new().await;
    let clear = keys_of(&house.speke_2(&Question::default()).await);
    let certificates = &[certificate!("rsa2048"), certificate!("rsa3072")][..];
    let reply = house.speke_2(&Question { certificates, ..Question::default() }).await;
    assert!(!reply.text().contains("PlainValue"));
    for key in ["rsa2048", "rsa3072"] {
        let path =
            format!("{}/../../vectors/cpix/certificates/{key}.key.b64", env!("CARGO_MANIFEST_DIR"));
        use base64::Engine as _;
        let der = base64::engine::general_purpose::STANDARD
            .decode(std::fs::read_to_string(path).unwrap().trim())
            .unwrap();
        let own = keys::RecipientKey::parse(&zeroize::Zeroizing::new(der)).unwrap();
        let opened = Document::parse(&reply.body).unwrap().open(&own).unwrap();
        let body = opened.write().as_bytes().to_vec();
        let opened = Reply { status: reply.status, headers: reply.headers.clone(), body };
        assert_eq!(keys_of(&opened), clear, "{key}");
    }
    for weak in [
        certificate!("rsa1024"),
        certificate!("sha1"),
        certificate!("expired"),
        certificate!("ec"),
        "AAAA",
    ] {
        let weak = [weak];
        let reply = house.speke_2(&Question { certificates: &weak, ..Question::default() }).await;
        assert!(
            reply.status == 422 && reply.text().starts_with("DeliveryData 1: "),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn where_encryption_is_demanded_no_clear_key_leaves() {
    let strict = |config: &mut server::Config| {
        config.vault.require_encrypted_delivery = Some(true);
    };
    let house = House::with(strict, |_| {}).await;
    let reply = house.speke_2(&Question::default()).await;
    assert_words(
        &reply,
        "Encrypted key delivery is required: name a recipient in DeliveryDataList",
    );
    assert_eq!(house.rows().await, 0);
    let certificates = &[certificate!("rsa3072")][..];
    let reply = house.speke_2(&Question { certificates, ..Question::default() }).await;
    assert!(reply.status == 200 && !reply.text().contains("PlainValue"));
    assert_eq!(house.get("/readyz").await.text(), "ready\n");
    assert_eq!(House::new().await.get("/readyz").await.text(), "ready\ninsecure_mode\n");
}

#[tokio::test]
async fn strangers_are_unauthenticated_before_a_byte_of_the_body_is_read() {
    let house = House::furnished().await;
    let session = house.sign_in("ada").await;
    let expired = house.vault_token(&[Scope::Speke], ContentLimit::Every);
    house.clock.advance_ms(3_600_000);
    let before = house.audited().await;
    let body = || Body::from("x".repeat(3 << 20));
    for path in [V1, V2, "/cpix"] {
        for (token, code) in [
            ("", "token_invalid"),
            (session.as_str(), "token_invalid"),
            ("a.b.c", "token_invalid"),
            (expired.as_str(), "token_expired"),
        ] {
            let request = Request::post(path);
            let request = if token.is_empty() { request } else { with_bearer(request, token) };
            let reply = house.send(request.body(body()).unwrap()).await;
            reply.assert_refused(401, code);
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
        for odd in ["Basic YTpi", "Bearer", "bearer  ", "\u{e4}"] {
            let request = Request::post(path).header("authorization", odd.as_bytes());
            house.send(request.body(body()).unwrap()).await.assert_refused(401, "token_invalid");
        }
    }
    assert_eq!(house.audited().await - before, 3 * 8, "each has its audit row");
}

#[tokio::test]
async fn the_audit_of_strangers_is_bounded() {
    let house = House::new().await;
    for _ in 0..200 {
        let request = Request::post("/cpix").body(Body::empty()).unwrap();
        house.send(request).await.assert_refused(401, "token_invalid");
    }
    assert_eq!(house.audited().await, u64::from(server::vault::exchange::ROWS_A_MINUTE));
    house.clock.advance_ms(60_000);
    house.send(Request::post("/cpix").body(Body::empty()).unwrap()).await;
    assert_eq!(house.audited().await, u64::from(server::vault::exchange::ROWS_A_MINUTE) + 1);
}

#[tokio::test]
async fn a_token_is_for_its_routes_and_its_titles() {
    let house = House::new().await;
    let film = ContentLimit::Only(vec![ContentId::parse("film").unwrap()]);
    let (speke, cpix) =
        (house.vault_token(&[Scope::Speke], film.clone()), house.vault_token(&[Scope::Cpix], film));
    let ask = async |path: &str, token: &str, content: &str| {
        let question = Question { content, ..Question::default() };
        let request = with_bearer(Request::post(path), token).header("x-speke-version", "2.0");
        house.send(request.body(Body::from(question.text())).unwrap()).await
    };
    let before = house.audited().await;
    ask(V2, &cpix, "film").await.assert_refused(403, "scope_not_allowed");
    ask("/cpix", &speke, "film").await.assert_refused(403, "scope_not_allowed");
    ask(V2, &speke, "film2").await.assert_refused(403, "content_not_allowed");
    ask("/cpix", &cpix, "FILM").await.assert_refused(403, "content_not_allowed");
    assert_eq!(house.audited().await - before, 4);
    let others = house.vault_token(&[Scope::Admin, Scope::Keys], ContentLimit::Every);
    ask(V2, &others, "film").await.assert_refused(403, "scope_not_allowed");
    assert_eq!(house.rows().await, 0);
    let before = house.audited().await;
    assert_eq!(ask(V2, &speke, "film").await.status, 200);
    // A KEK, two keys made, two keys delivered.
    assert_eq!(house.audited().await - before, 5);
    assert_eq!(ask("/cpix", &cpix, "film").await.status, 200);
    assert_eq!(house.audited().await - before, 7);
}

#[tokio::test]
async fn a_vaults_token_opens_nothing_of_the_viewers() {
    let house = House::furnished().await;
    let token = house.vault_token(&Scope::ALL, ContentLimit::Every);
    for path in ["/api/v1/me", "/api/v1/playback/token/film"] {
        let request = with_bearer(Request::get(path), &token).body(Body::empty()).unwrap();
        house.send(request).await.assert_refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn a_proxy_names_clients_only_where_it_is_trusted() {
    let edit = |config: &mut server::Config| {
        config.vault.proxy_header = Some("x-client".to_owned());
        config.vault.trusted_proxies = vec!["10.1.0.0/16".parse().unwrap()];
        let text = r#"subject = "encoder-1"
            scopes = ["cpix"]
            content = ["film"]"#;
        config.vault.clients = vec![toml::from_str(text).unwrap()];
    };
    let house = House::with(edit, |_| {}).await;
    let ask = async |peer: &str, names: &[&str], path: &str, content: &str| {
        let question = Question { content, ..Question::default() };
        let request =
            (names.iter()).fold(Request::post(path), |r, name| r.header("x-client", *name));
        let request = request.header("x-speke-version", "2.0");
        house.send_from(peer, request.body(Body::from(question.text())).unwrap()).await
    };
    let proxy = "10.1.2.3:4000";
    assert_eq!(ask(proxy, &["encoder-1"], "/cpix", "film").await.status, 200);
    ask(proxy, &["encoder-1"], "/cpix", "other").await.assert_refused(403, "content_not_allowed");
    ask(proxy, &["encoder-1"], V2, "film").await.assert_refused(403, "scope_not_allowed");
    for (peer, names) in [
        ("10.2.0.1:4000", &["encoder-1"][..]),
        ("127.0.0.1:4000", &["encoder-1"]),
        (proxy, &["encoder-2"]),
        (proxy, &[""]),
        (proxy, &[]),
        (proxy, &["encoder-1", "encoder-1"]),
    ] {
        ask(peer, names, "/cpix", "film").await.assert_refused(401, "token_invalid");
    }
    let plain = House::new().await;
    let request = Request::post("/cpix").header("x-client", "encoder-1").body(Body::empty());
    plain.send_from(proxy, request.unwrap()).await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn viewers_never_reach_the_vault_in_production_or_beside_its_own_listener() {
    let production = |config: &mut server::Config| config.mode = Mode::Production;
    let apart = |config: &mut server::Config| {
        config.vault.address = Some("127.0.0.1:0".parse().unwrap());
    };
    let own = House::with(apart, |_| {}).await;
    let sealed = House::with(
        |config| {
            production(config);
            config.keys.allow_file_in_production = true;
        },
        |_| {},
    )
    .await;
    for house in [own, sealed] {
        for path in [V1, V2, "/cpix"] {
            house
                .ask(path, &[], &Question::default().text())
                .await
                .assert_refused(404, "not_found");
        }
        house.get("/speke/v1.0/heartbeat").await.assert_refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_equal_questions_at_once_make_one_row_and_equal_answers() {
    let house = Arc::new(House::new().await);
    let keys = [(1, "ALL", "<VideoFilter/><AudioFilter/>")];
    let text = Arc::new(Question { keys: &keys, ..Question::default() }.text());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (house, text) = (Arc::clone(&house), Arc::clone(&text));
            tokio::spawn(async move { house.ask("/cpix", &[], &text).await })
        })
        .collect();
    let mut answers = BTreeSet::new();
    for task in tasks {
        let reply = task.await.unwrap();
        assert_eq!(keys_of(&reply).len(), 1);
        answers.insert(reply.body);
    }
    assert_eq!((answers.len(), house.rows().await), (1, 1));
}

#[tokio::test]
async fn what_is_too_large_or_no_document_is_refused() {
    let house = House::new().await;
    let large = "x".repeat((2 << 20) + 1);
    house.ask("/cpix", &[], &large).await.assert_refused(413, "body_too_large");
    for text in
        ["", "{}", "<CPIX", "<a/>", "<CPIX xmlns=\"urn:dashif:org:cpix\"><!DOCTYPE a></CPIX>"]
    {
        assert_eq!(house.ask("/cpix", &[], text).await.status, 422, "{text}");
    }
}
