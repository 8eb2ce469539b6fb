//! Hostile documents are refused, cheaply.

use dialect::cpix::*;
use std::fmt::Write as _;
use std::time::Duration;

const HEAD: &str = r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="film" version="2.3">"#;

/// What one refusal may cost; the build of the tests is not optimized, and machines are busy.
const BOUND: Duration = Duration::from_millis(500);

/// The processor time of this thread: a busy machine does not make a refusal slow.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

fn refusal(text: &str) -> ReadError {
    let before = cpu();
    let error = Document::parse(text.as_bytes()).expect_err("a refusal");
    let taken = cpu().saturating_sub(before);
    assert!(taken < BOUND, "{taken:?}: {error}");
    error
}

fn is_too_large(error: &ReadError) -> bool {
    matches!(error, ReadError::Xml(XmlError::TooLarge { .. }))
}

fn kid(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

fn keys(count: usize) -> String {
    let keys: String = (0..count).map(|n| format!(r#"<ContentKey kid="{}"/>"#, kid(n))).collect();
    format!("<ContentKeyList>{keys}</ContentKeyList>")
}

#[test]
fn a_document_of_32_mib_is_refused_by_its_size() {
    let text = "<".repeat(32 << 20);
    assert_eq!(refusal(&text), ReadError::Xml(XmlError::TooLong));
}

#[test]
fn a_flood_of_attributes_is_refused() {
    for attribute in ["a{}=''", "xmlns:a{}='u'", "a:b{}=''", "a=''"] {
        let mut text = HEAD.replace('>', "");
        for n in 0..100_000 {
            let _ = write!(text, " {}", attribute.replace("{}", &n.to_string()));
        }
        text.push_str("/>");
        assert!(matches!(refusal(&text), ReadError::Xml(_)));
    }
}

#[test]
fn deep_and_wide_documents_are_refused() {
    assert!(is_too_large(&refusal(&"<a>".repeat(1_000_000))));
    assert!(is_too_large(&refusal(&format!("{HEAD}{}", "<a/>".repeat(1_000_000)))));
    let text = format!("{HEAD}{}</CPIX>", "x".repeat(4_000_000));
    assert!(is_too_large(&refusal(&text)));
    // Text in very many pieces: each piece must not copy all before it.
    let pieces = format!("{HEAD}{}</CPIX>", "x<!---->".repeat(500_000));
    assert!(is_too_large(&refusal(&pieces)));
}

#[test]
fn every_list_has_its_end() {
    let refused = |body: &str| refusal(&format!("{HEAD}{body}</CPIX>")).to_string();
    assert!(Document::parse(format!("{HEAD}{}</CPIX>", keys(MAX_KEYS)).as_bytes()).is_ok());
    assert_eq!(refused(&keys(MAX_KEYS + 1)), "more than 1024 content keys");
    let periods: String =
        (0..5000).map(|n| format!(r#"<ContentKeyPeriod index="{n}"/>"#)).collect();
    let periods = format!("<ContentKeyPeriodList>{periods}</ContentKeyPeriodList>");
    assert_eq!(refused(&periods), "more than 1024 key periods");
    let system = r#"<DRMSystem systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed" kid="00000000-0000-4000-8000-000000000000"/>"#;
    let systems = format!("<DRMSystemList>{}</DRMSystemList>", system.repeat(MAX_SYSTEMS + 1));
    assert_eq!(refused(&systems), "more than 4096 DRM systems");
    let filters = r#"<LabelFilter label="a"/>"#.repeat(MAX_FILTERS + 1);
    let rules = format!(
        r#"<ContentKeyUsageRuleList><ContentKeyUsageRule kid="{}">{filters}</ContentKeyUsageRule></ContentKeyUsageRuleList>"#,
        kid(0)
    );
    assert_eq!(refused(&[keys(1), rules].concat()), "more than 1024 filters in one usage rule");
}

#[test]
fn as_many_periods_as_there_may_be_are_compared_in_time() {
    let mut body = keys(MAX_KEYS);
    body.push_str("<ContentKeyPeriodList>");
    for n in 0..MAX_PERIODS {
        let _ =
            write!(body, r#"<ContentKeyPeriod id="p{n}" startOffset="PT{n}S" duration="PT1S"/>"#);
    }
    body.push_str("</ContentKeyPeriodList><ContentKeyUsageRuleList>");
    for key in 0..24 {
        let _ = write!(body, r#"<ContentKeyUsageRule kid="{}">"#, kid(key));
        for n in 0..MAX_PERIODS {
            let _ = write!(body, r#"<KeyPeriodFilter periodId="p{n}"/>"#);
        }
        body.push_str("</ContentKeyUsageRule>");
    }
    body.push_str("</ContentKeyUsageRuleList>");
    let before = cpu();
    assert!(Document::parse(format!("{HEAD}{body}</CPIX>").as_bytes()).is_ok());
    assert!(cpu().saturating_sub(before) < BOUND * 4);
    let overlapping = body.replacen(r#"duration="PT1S""#, r#"duration="PT1.000001S""#, 1);
    let error = refusal(&format!("{HEAD}{overlapping}</CPIX>"));
    assert!(matches!(error, ReadError::Document(DocumentError::PeriodsOverlap(_))));
}

#[test]
fn other_encodings_do_not_hide_a_document_type() {
    let text = "<!DOCTYPE CPIX [<!ENTITY a 'b'>]><CPIX xmlns='urn:dashif:org:cpix'/>";
    let wide = |unit: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect()
    };
    let seven = b"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE CPIX+AD4-<CPIX/>".to_vec();
    for bytes in [
        wide(u16::to_le_bytes, [0xff, 0xfe]),
        wide(u16::to_be_bytes, [0xfe, 0xff]),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        seven,
        text.as_bytes().to_vec(),
    ] {
        assert!(matches!(Document::parse(&bytes), Err(ReadError::Xml(_))));
    }
}
