//! The contract of each version, and answers.

use super::*;
use crate::cpix::{Blob, Document};
use keys::ContentKey;
use model::Entropy;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const FAIRPLAY: &str = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2";

fn kid(n: u8) -> KeyId {
    KeyId::from_bytes([n; 16])
}

/// A request for one key a rule, each for every system.
struct Asks<'a> {
    head: &'a str,
    scheme: &'a str,
    systems: &'a [&'a str],
    rules: &'a [(&'a str, &'a str)],
}

const HEAD: &str = r#"contentId="film" version="2.3""#;
const SD: (&str, &str) = ("SD", r#"<VideoFilter maxPixels="589824"/>"#);
const HD: (&str, &str) = ("HD", r#"<VideoFilter minPixels="589825"/>"#);
const AUDIO: (&str, &str) = ("AUDIO", "<AudioFilter/>");

impl Default for Asks<'_> {
    fn default() -> Self {
        Self { head: HEAD, scheme: "cenc", systems: &[WIDEVINE], rules: &[SD, HD, AUDIO] }
    }
}

impl Asks<'_> {
    fn text(&self) -> String {
        let each = |write: &dyn Fn(String, &(&str, &str)) -> String| -> String {
            (1_u8..).zip(self.rules).map(|(n, rule)| write(kid(n).to_uuid(), rule)).collect()
        };
        let scheme = match self.scheme {
            "" => String::new(),
            scheme => format!(r#"commonEncryptionScheme="{scheme}""#),
        };
        let keys = each(&|kid, _| format!(r#"<ContentKey kid="{kid}" {scheme}/>"#));
        let systems: String = (self.systems.iter())
            .map(|system| {
                each(&|kid, _| {
                    let hls = r#"<HLSSignalingData playlist="media"/><HLSSignalingData playlist="master"/>"#;
                    format!(r#"<DRMSystem kid="{kid}" systemId="{system}"><PSSH/><ContentProtectionData/>{hls}</DRMSystem>"#)
                })
            })
            .collect();
        let rules = each(&|kid, (name, filters)| {
            format!(
                r#"<ContentKeyUsageRule kid="{kid}" intendedTrackType="{name}">{filters}</ContentKeyUsageRule>"#
            )
        });
        format!(
            r#"<CPIX xmlns="urn:dashif:org:cpix" {}><ContentKeyList>{keys}</ContentKeyList><DRMSystemList>{systems}</DRMSystemList><ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#,
            self.head
        )
    }

    fn check(&self, version: SpekeVersion) -> Result<Request, ContractError> {
        Request::check(Document::parse(self.text().as_bytes()).unwrap(), version, NOW)
    }

    fn refusal(&self) -> String {
        self.check(SpekeVersion::V2_0).unwrap_err().to_string()
    }
}

fn refusal_of(rules: &[(&str, &str)]) -> Option<ContractError> {
    Asks { rules, ..Asks::default() }.check(SpekeVersion::V2_0).err()
}

fn given(n: u8) -> GivenKey {
    let key = ContentKey::from_bytes(Zeroizing::new([n; 16]));
    GivenKey { kid: kid(n), key, explicit_iv: Some([n; 16]) }
}

fn signaling(system: SystemId, n: u8) -> Signaling {
    let blob = |text: &str| Blob::from_bytes(text.as_bytes().to_vec());
    Signaling {
        content_protection: blob("<ContentProtection/>"),
        hls_media: blob("#EXT-X-KEY"),
        hls_multivariant: blob("#EXT-X-SESSION-KEY"),
        pssh: if system == SystemId::FAIRPLAY { None } else { blob("pssh") },
        ..Signaling::new(system, kid(n))
    }
}

fn answer(request: Request, systems: &[SystemId], count: u8) -> String {
    let signaling: Vec<Signaling> =
        systems.iter().flat_map(|system| (1..=count).map(|n| signaling(*system, n))).collect();
    let keys = (1..=count).map(given).collect();
    let answer = request.answer(keys, &signaling, &mut Counter(0)).unwrap();
    String::from_utf8(answer.write().as_bytes().to_vec()).unwrap()
}

struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
    }
}

#[test]
fn versions_are_read_from_their_header() {
    assert_eq!(SpekeVersion::of_header(None), Ok(SpekeVersion::V1_0));
    assert_eq!(SpekeVersion::of_header(Some("2.0")), Ok(SpekeVersion::V2_0));
    assert_eq!(SpekeVersion::of_header(Some(" 2.1 ")), Ok(SpekeVersion::V2_1));
    for other in ["", "2", "3.0", "2.0, 2.1"] {
        let error = SpekeVersion::of_header(Some(other)).unwrap_err();
        assert_eq!(error.to_string(), "Unsupported SPEKE version");
    }
}

#[test]
fn a_request_tells_the_class_of_each_key() {
    let request = Asks::default().check(SpekeVersion::V2_0).unwrap();
    assert_eq!(request.content_id().as_str(), "film");
    let classes: Vec<Vec<&str>> = (request.asked().iter())
        .map(|key| key.classes.iter().map(model::TrackClass::name).collect())
        .collect();
    assert_eq!(classes, [["SD"], ["HD"], ["AUDIO"]]);
    assert!(request.asked().iter().all(|key| key.scheme == Some(Scheme::Cenc)));
    assert!(request.asked().iter().all(|key| key.systems == [SystemId::WIDEVINE]));
}

#[test]
fn what_is_missing_is_named_in_the_words_that_encryptors_know() {
    let refusal = |head, scheme| Asks { head, scheme, ..Asks::default() }.refusal();
    assert_eq!(refusal(r#"version="2.3""#, "cenc"), "Missing CPIX@contentId");
    assert_eq!(refusal(r#"contentId="" version="2.3""#, "cenc"), "Missing CPIX@contentId");
    assert_eq!(refusal(r#"contentId="film""#, "cenc"), "Missing CPIX@version");
    assert_eq!(refusal(r#"contentId="film" version="2.4""#, "cenc"), "Unsupported CPIX@version");
    let missing = format!("Missing ContentKey@commonEncryptionScheme for KID {}", kid(1).to_uuid());
    assert_eq!(refusal(HEAD, ""), missing);
    assert!(refusal(HEAD, "cens").starts_with("Unsupported ContentKey@commonEncryptionScheme"));
    let text = Asks::default().text().replace("version=\"2.3\"", "version=\"9.9\"");
    assert_eq!(
        Document::parse(text.as_bytes()).unwrap_err().to_string(),
        "Unsupported CPIX@version"
    );
}

#[test]
fn schemes_do_not_mix() {
    let expected = "Non compliant ContentKey@commonEncryptionScheme combination";
    let text = Asks::default().text().replacen("\"cenc\"", "\"cbcs\"", 1);
    let document = Document::parse(text.as_bytes()).unwrap();
    let refused = Request::check(document, SpekeVersion::V2_0, NOW).unwrap_err();
    assert_eq!(refused.to_string(), expected);
    let fairplay = Asks { systems: &[WIDEVINE, FAIRPLAY], ..Asks::default() };
    assert_eq!(fairplay.refusal(), expected);
    assert!(Asks { scheme: "cbcs", ..fairplay }.check(SpekeVersion::V2_0).is_ok());
}

#[test]
fn track_types_keep_the_contract() {
    let all = ("ALL", "<VideoFilter/><AudioFilter/>");
    assert_eq!(refusal_of(&[all]), None);
    assert_eq!(refusal_of(&[SD, ("HD1", HD.1), ("HD2", HD.1), AUDIO]), None);
    for rules in
        [&[all, AUDIO][..], &[SD, SD], &[HD, ("HD2", HD.1)], &[AUDIO, ("STEREO_AUDIO", AUDIO.1)]]
    {
        assert_eq!(refusal_of(rules), Some(ContractError::TrackTypes), "{rules:?}");
    }
    for rules in [("ALL", SD.1), ("ALL", AUDIO.1), ("SD", AUDIO.1), ("SD", ""), ("AUDIO", SD.1)] {
        assert_eq!(refusal_of(&[rules]), Some(ContractError::MissingFilter(kid(1))), "{rules:?}");
    }
    for name in ["UNENCRYPTED", "SHARED", "8K", ""] {
        assert_eq!(refusal_of(&[(name, SD.1)]), Some(ContractError::TrackType(kid(1))), "{name}");
    }
    let unknown = [("SD", r#"<VideoFilter/><ColorFilter/>"#)];
    assert_eq!(refusal_of(&unknown), Some(ContractError::UnknownFilter(kid(1))));
}

#[test]
fn the_same_track_type_may_come_again_in_another_period() {
    let (one, two) = (
        r#"<KeyPeriodFilter periodId="p1"/><VideoFilter/><AudioFilter/>"#,
        r#"<KeyPeriodFilter periodId="p2"/><VideoFilter/><AudioFilter/>"#,
    );
    let rules = [("ALL", one), ("ALL", two)];
    assert!(Asks { rules: &rules, ..Asks::default() }.check(SpekeVersion::V2_0).is_ok());
    let rules = [("ALL", one), ("ALL", one)];
    assert!(Asks { rules: &rules, ..Asks::default() }.check(SpekeVersion::V2_0).is_err());
}

#[test]
fn the_period_of_a_key_is_told() {
    let filters = r#"<KeyPeriodFilter periodId="p7"/><VideoFilter/><AudioFilter/>"#;
    let text = Asks { rules: &[("ALL", filters)], ..Asks::default() }.text().replace(
        "<ContentKeyUsageRuleList>",
        r#"<ContentKeyPeriodList><ContentKeyPeriod id="p7" index="4294967295"/></ContentKeyPeriodList><ContentKeyUsageRuleList>"#,
    );
    let document = Document::parse(text.as_bytes()).unwrap();
    let request = Request::check(document, SpekeVersion::V2_0, NOW).unwrap();
    assert_eq!(request.asked()[0].periods[0].index, Some(u32::MAX));
}

#[test]
fn each_part_of_a_request_is_needed() {
    let text = Asks::default().text();
    let without = |from: &str, to: &str| {
        let (start, end) = (text.find(from).unwrap(), text.rfind(to).unwrap() + to.len());
        let text = [&text[..start], &text[end..]].concat();
        match Document::parse(text.as_bytes()) {
            Ok(document) => {
                Request::check(document, SpekeVersion::V2_0, NOW).unwrap_err().to_string()
            }
            Err(error) => error.to_string(),
        }
    };
    assert!(without("<DRMSystem ", "</DRMSystem>").contains("DRMSystem"));
    assert!(without("<DRMSystemList>", "</DRMSystemList>").contains("DRMSystem"));
    assert!(without("<ContentKeyUsageRule ", "</ContentKeyUsageRule>").contains("UsageRule"));
    assert!(without("<ContentKeyList>", "</ContentKeyList>").contains("ContentKey"));
    let broken = text.replacen(" kid=", " kit=", 1);
    assert!(Document::parse(broken.as_bytes()).is_err());
}

#[test]
fn eight_keys_for_three_systems_are_answered_in_24_elements() {
    let names = [
        "SD",
        "HD1",
        "HD2",
        "UHD1",
        "UHD2",
        "STEREO_AUDIO",
        "MULTICHANNEL_AUDIO_3_6",
        "MULTICHANNEL_AUDIO_7",
    ];
    let rules = names.map(|name| (name, if name.contains("AUDIO") { AUDIO.1 } else { SD.1 }));
    let playready = SystemId::PLAYREADY.to_string();
    let systems = [WIDEVINE, &playready, FAIRPLAY];
    let asks = Asks { scheme: "cbcs", systems: &systems, rules: &rules, ..Asks::default() };
    let systems = [SystemId::WIDEVINE, SystemId::PLAYREADY, SystemId::FAIRPLAY];
    let text = answer(asks.check(SpekeVersion::V2_0).unwrap(), &systems, 8);
    assert_eq!(text.matches("</cpix:DRMSystem>").count(), 24);
    assert_eq!(text.matches("<pskc:PlainValue>").count(), 8);
    // FairPlay has no pssh: what was asked for is left out, not left empty.
    assert_eq!(text.matches("<cpix:PSSH>").count(), 16);
    assert_eq!(text.matches("<cpix:ContentProtectionData>").count(), 24);
    assert_eq!(text.matches("playlist=\"master\">").count(), 24);
    assert!(!text.contains("cpix:PSSH/") && !text.contains('\n'));
    let again = answer(asks.check(SpekeVersion::V2_0).unwrap(), &systems, 8);
    assert_eq!(text, again);
}

#[test]
fn keys_are_given_for_what_was_asked_and_for_nothing_else() {
    let check = || Asks::default().check(SpekeVersion::V2_0).unwrap();
    let known: Vec<Signaling> = (1..=3).map(|n| signaling(SystemId::WIDEVINE, n)).collect();
    let answer = |keys: &[u8], known: &[Signaling]| {
        check().answer(keys.iter().copied().map(given).collect(), known, &mut Counter(0)).err()
    };
    assert_eq!(answer(&[1, 2, 3], &known), None);
    assert_eq!(answer(&[3, 1], &known), Some(AnswerError::NoKey(kid(2))));
    assert_eq!(answer(&[1, 2, 3, 4], &known), Some(AnswerError::NotAsked(kid(4))));
    assert_eq!(answer(&[1, 2, 3, 3], &known), Some(AnswerError::NotAsked(kid(3))));
    assert_eq!(answer(&[1, 2, 3], &known[..2]), Some(AnswerError::System(SystemId::WIDEVINE)));
}

#[test]
fn an_iv_of_the_encryptor_stands() {
    let iv = r#"explicitIV="AAAAAAAAAAAAAAAAAAAAAA==" commonEncryptionScheme"#;
    let text = Asks::default().text().replacen("commonEncryptionScheme", iv, 1);
    let document = Document::parse(text.as_bytes()).unwrap();
    let request = Request::check(document, SpekeVersion::V2_0, NOW).unwrap();
    let text = answer(request, &[SystemId::WIDEVINE], 3);
    assert!(text.contains(r#"explicitIV="AAAAAAAAAAAAAAAAAAAAAA==""#));
    assert!(text.contains(r#"explicitIV="AgICAgICAgICAgICAgICAg==""#));
}

#[test]
fn a_request_brings_no_key() {
    let plain = r#"<p:Secret xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><p:PlainValue>AAAAAAAAAAAAAAAAAAAAAA==</p:PlainValue></p:Secret>"#;
    let data = format!(r#""cenc"><Data>{plain}</Data></ContentKey>"#);
    let text = Asks::default().text().replacen("\"cenc\"/>", &data, 1);
    let document = Document::parse(text.as_bytes()).unwrap();
    let refused = Request::check(document, SpekeVersion::V2_0, NOW).unwrap_err();
    assert_eq!(refused, ContractError::CarriesKey(kid(1)));
}

/// SPEKE 1.0: its elements in the order in which its clients send them.
const V1: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX id="film" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:speke="urn:aws:amazon:com:speke">
  <cpix:ContentKeyList><cpix:ContentKey kid="01010101-0101-0101-0101-010101010101"></cpix:ContentKey></cpix:ContentKeyList>
  <cpix:DRMSystemList>
    <cpix:DRMSystem kid="01010101-0101-0101-0101-010101010101" systemId="94ce86fb-07ff-4f43-adb8-93d2fa968ca2">
      <speke:KeyFormatVersions></speke:KeyFormatVersions><speke:KeyFormat/><cpix:URIExtXKey></cpix:URIExtXKey>
    </cpix:DRMSystem>
    <cpix:DRMSystem kid="01010101-0101-0101-0101-010101010101" systemId="9a04f079-9840-4286-ab92-e65be0885f95">
      <speke:ProtectionHeader/><cpix:PSSH/>
    </cpix:DRMSystem>
  </cpix:DRMSystemList>
  <cpix:ContentKeyUsageRuleList><cpix:ContentKeyUsageRule kid="01010101-0101-0101-0101-010101010101"><cpix:KeyPeriodFilter periodId="period_1"/></cpix:ContentKeyUsageRule></cpix:ContentKeyUsageRuleList>
  <cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id="period_1" index="3"/></cpix:ContentKeyPeriodList>
</cpix:CPIX>"#;

#[test]
fn version_1_is_answered_with_its_own_elements() {
    let check = |text: &str| {
        Request::check(Document::parse(text.as_bytes()).unwrap(), SpekeVersion::V1_0, NOW)
    };
    let request = check(V1).unwrap();
    assert_eq!((request.content_id().as_str(), request.asked()[0].scheme), ("film", None));
    assert_eq!(request.asked()[0].classes.iter().count(), 4);
    assert_eq!(request.asked()[0].periods[0].index, Some(3));
    let blob = |text: &str| Blob::from_bytes(text.as_bytes().to_vec());
    let fairplay = Signaling {
        uri_ext_x_key: blob("skd://film"),
        key_format: blob("com.apple.streamingkeydelivery"),
        key_format_versions: blob("1"),
        ..Signaling::new(SystemId::FAIRPLAY, kid(1))
    };
    let playready =
        Signaling { protection_header: blob("header"), ..signaling(SystemId::PLAYREADY, 1) };
    let answer = request.answer(vec![given(1)], &[fairplay, playready], &mut Counter(0)).unwrap();
    let text = String::from_utf8(answer.write().as_bytes().to_vec()).unwrap();
    for element in [
        "<cpix:URIExtXKey>c2tkOi8vZmlsbQ==</cpix:URIExtXKey>",
        "<speke:KeyFormatVersions>MQ==</speke:KeyFormatVersions>",
        "<speke:ProtectionHeader>aGVhZGVy</speke:ProtectionHeader>",
        "<cpix:PSSH>cHNzaA==</cpix:PSSH>",
        "<pskc:PlainValue>AQEBAQEBAQEBAQEBAQEBAQ==</pskc:PlainValue>",
    ] {
        assert!(text.contains(element), "{element}: {text}");
    }
    assert!(!text.contains("version=\"2"));
    let nameless = check(&V1.replace(" id=\"film\"", "")).unwrap_err();
    assert_eq!(nameless.to_string(), "Missing CPIX@id");
}

#[test]
fn recipients_are_checked_before_anything_else_happens() {
    let with = |certificate: &str| {
        let delivery = format!(
            r#"<DeliveryDataList><DeliveryData><DeliveryKey><d:X509Data xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:X509Certificate>{certificate}</d:X509Certificate></d:X509Data></DeliveryKey></DeliveryData></DeliveryDataList><ContentKeyList>"#
        );
        let text = Asks::default().text().replacen("<ContentKeyList>", &delivery, 1);
        Request::check(Document::parse(text.as_bytes()).unwrap(), SpekeVersion::V2_0, NOW)
    };
    macro_rules! certificate {
        ($name:literal) => {
            include_str!(concat!("../../../../../vectors/cpix/certificates/", $name, ".cert.b64"))
        };
    }
    for weak in [certificate!("rsa1024"), certificate!("sha1"), certificate!("expired"), "AAAA"] {
        assert!(matches!(with(weak), Err(ContractError::Recipient(_))));
    }
    let text = answer(with(certificate!("rsa2048")).unwrap(), &[SystemId::WIDEVINE], 3);
    assert!(!text.contains("PlainValue"));
    assert_eq!(text.matches("<pskc:ValueMAC>").count(), 3);
}
