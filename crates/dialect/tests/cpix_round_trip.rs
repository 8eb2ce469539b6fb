//! What is written reads back as it was; what is encrypted opens for its recipient and for
//! nobody else.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what a test makes itself fits")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::cpix::*;
use keys::{ContentKey, DocumentKeyError, RecipientKey};
use model::{Entropy, KeyId, Scheme, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

macro_rules! vector {
    ($name:literal) => {{
        let text = include_str!(concat!("../../../vectors/cpix/certificates/", $name, ".b64"));
        STANDARD.decode(text.trim()).unwrap()
    }};
}

/// Predictable bytes, so that a failure can be had again.
struct Dice(u64);

impl Entropy for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

fn text() -> impl Strategy<Value = Text> {
    "[a-zA-Z0-9 <>&\"'é\u{4e16}_-]{1,12}".prop_map(|text| Text::parse(&text).unwrap())
}

fn blob() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 1..40).prop_map(|bytes| Blob::from_bytes(bytes).unwrap())
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::Absent), Just(Slot::Asked), blob().prop_map(Slot::Filled)]
}

fn kid(n: usize) -> KeyId {
    KeyId::from_bytes((n as u128 + 1).to_be_bytes())
}

/// `n` makes ids unique.
fn id(element: &str, n: usize) -> Option<Text> {
    Text::parse(&format!("{element}{n}"))
}

fn role(n: usize) -> impl Strategy<Value = KeyRole> {
    let scheme = prop_oneof![
        Just(ProtectionScheme::Common(Scheme::Cenc)),
        Just(ProtectionScheme::Common(Scheme::Cbcs)),
        Just(ProtectionScheme::SampleAes),
    ];
    let root = (option::of(scheme), option::of(text()), option::of(blob())).prop_map(
        |(scheme, hls_hdcp_level, hdcp_output_protection)| KeyRole::Root {
            scheme,
            content_id: None,
            hls_hdcp_level,
            hdcp_output_protection,
        },
    );
    // The first key is a root; a later one may hang below it.
    if n == 0 {
        root.boxed()
    } else {
        prop_oneof![4 => root, 1 => Just(KeyRole::Leaf { depends_on: kid(0) })].boxed()
    }
}

fn key(n: usize) -> impl Strategy<Value = KeyEntry> {
    (role(n), option::of(any::<[u8; 16]>()), option::of(any::<[u8; 16]>())).prop_map(
        move |(role, explicit_iv, key)| KeyEntry {
            id: id("key", n),
            kid: kid(n),
            explicit_iv,
            role,
            value: key.map_or(KeyValue::Absent, |key| {
                KeyValue::Clear(ContentKey::from_bytes(Zeroizing::new(key)))
            }),
        },
    )
}

fn system(n: usize) -> impl Strategy<Value = DrmSystem> {
    let hls = || option::of((any::<bool>(), option::of(blob())));
    let protection = option::of((option::of(blob()), option::of(text())));
    (option::of(text()), slot(), protection, (hls(), hls()), slot(), slot()).prop_map(
        move |(name, pssh, protection, (media, multivariant), smooth, v1)| DrmSystem {
            id: id("system", n),
            name,
            pssh,
            content_protection: protection
                .map(|(value, robustness)| ContentProtection { value, robustness }),
            hls_media: media.map(|(is_named, value)| Hls {
                name: if is_named { MediaName::Media } else { MediaName::Absent },
                value,
            }),
            hls_multivariant: multivariant.map(|(is_old, value)| Hls {
                name: if is_old {
                    MultivariantName::Master
                } else {
                    MultivariantName::MultiVariant
                },
                value,
            }),
            smooth_streaming: smooth,
            key_format: v1.clone(),
            uri_ext_x_key: v1,
            ..DrmSystem::new(SystemId::WIDEVINE, kid(n))
        },
    )
}

fn period(n: usize) -> impl Strategy<Value = KeyPeriod> {
    let start = n as u64 * 10_000_000;
    (option::of(text()), option::of(any::<u32>()), option::of((any::<bool>(), 1..10_000_000_u64)))
        .prop_map(move |(label, index, span)| KeyPeriod {
            id: id("period", n),
            label,
            index,
            span: span.and_then(|(is_wall, length)| {
                let clock = if is_wall { Clock::Wall } else { Clock::Offset };
                let form = if is_wall { SpanForm::End } else { SpanForm::Duration };
                Span::from_us(clock, start, start + length, form)
            }),
        })
}

fn range() -> impl Strategy<Value = Range> {
    (option::of(0..1000_u64), option::of(1000..9999_u64))
        .prop_map(|(min, max)| Range::from_ends(min, max).unwrap())
}

fn video() -> impl Strategy<Value = VideoFilter> {
    let frames = (option::of(0..30_u32), option::of(30..99_u32))
        .prop_map(|(above, max)| FrameRange::from_ends(above, max).unwrap());
    (range(), frames, option::of(any::<bool>()), option::of(any::<bool>()))
        .prop_map(|(pixels, frames, hdr, wcg)| VideoFilter { pixels, frames, hdr, wcg })
}

fn rule(n: usize) -> impl Strategy<Value = UsageRule> {
    (
        option::of(text()),
        vec(0..4_usize, 0..2),
        vec(text(), 0..2),
        vec(video(), 0..3),
        vec(range(), 0..2),
        vec(range(), 0..2),
    )
        .prop_map(move |(track_type, periods, labels, videos, audios, bitrates)| UsageRule {
            id: id("rule", n),
            // The first key may be a root, which has no rules.
            kid: kid(n + 1),
            track_type,
            filters: Filters::Known(KnownFilters {
                periods: periods.iter().filter_map(|n| id("period", *n)).collect(),
                labels,
                videos,
                audios: audios.into_iter().map(|channels| AudioFilter { channels }).collect(),
                bitrates: bitrates
                    .into_iter()
                    .map(|bits_per_s| BitrateFilter { bits_per_s })
                    .collect(),
            }),
        })
}

fn parts() -> impl Strategy<Value = Parts> {
    let versions = [None, Some(Version::V2_0), Some(Version::V2_3), Some(Version::V2_4)];
    let head = (proptest::sample::select(versions.to_vec()), text(), option::of(text()));
    let keys = (key(0), key(1), key(2), key(3));
    let systems = (system(0), system(1), system(2));
    let periods = (period(0), period(1), period(2));
    (head, keys, systems, periods, (rule(0), rule(1)), 0..5_usize).prop_map(
        |((version, content_id, name), keys, systems, periods, rules, kept)| {
            let keys = vec![keys.0, keys.1, keys.2, keys.3];
            let is_leaf = |n: usize| matches!(keys[n].role, KeyRole::Leaf { .. });
            let mut systems = vec![systems.0, systems.1, systems.2];
            systems.retain(|system| !(0..3).any(|n| system.kid == kid(n) && is_leaf(n)));
            Parts {
                version,
                content_id: Some(content_id),
                name,
                keys,
                systems,
                periods: [periods.0, periods.1, periods.2].into_iter().take(kept).collect(),
                rules: [rules.0, rules.1].into_iter().take(kept).collect(),
                ..Parts::default()
            }
        },
    )
}

fn delivery(certificate: Vec<u8>) -> Delivery {
    let certificate = Blob::from_bytes(certificate).unwrap();
    Delivery { id: None, name: Text::parse("packager"), certificate, delivered: None }
}

fn own_key() -> RecipientKey {
    RecipientKey::parse(&Zeroizing::new(vector!("rsa2048.key"))).unwrap()
}

fn other_key() -> RecipientKey {
    RecipientKey::parse(&Zeroizing::new(vector!("rsa3072.key"))).unwrap()
}

/// A sealed document for `rsa2048` and its text.
fn sealed(seed: u64, count: usize) -> String {
    let mut dice = Dice(seed);
    let keys = (0..count).map(|n| KeyEntry {
        id: None,
        kid: kid(n),
        explicit_iv: None,
        role: KeyRole::root(None),
        value: KeyValue::Clear(ContentKey::generate(&mut dice)),
    });
    let keys = keys.collect();
    let deliveries = vec![delivery(vector!("rsa2048.cert"))];
    let document = Document::new(Parts { deliveries, keys, ..Parts::default() }).unwrap();
    let written = document.seal(NOW, &mut dice).unwrap().write();
    String::from_utf8(written.as_bytes().to_vec()).unwrap()
}

fn open(text: &str, key: &RecipientKey) -> Result<Document, OpenError> {
    Document::parse(text.as_bytes()).expect("a document").open(key)
}

proptest! {
    #[test]
    fn a_written_document_reads_back(parts in parts()) {
        let document = Document::new(parts).unwrap();
        let written = document.write();
        let read = Document::parse(written.as_bytes()).unwrap();
        let again = read.write();
        prop_assert_eq!(again.as_bytes(), written.as_bytes());
        let (before, after) = (document.parts(), read.parts());
        prop_assert_eq!(&before.systems, &after.systems);
        prop_assert_eq!(&before.periods, &after.periods);
        prop_assert_eq!(&before.rules, &after.rules);
        prop_assert_eq!((before.version, &before.content_id), (after.version, &after.content_id));
        for (before, after) in before.keys.iter().zip(&after.keys) {
            prop_assert_eq!((before.kid, &before.role), (after.kid, &after.role));
        }
    }

    #[test]
    fn a_sealed_document_opens_for_each_recipient(parts in parts(), seed: u64) {
        let clear = Document::new(parts).unwrap();
        let expected = clear.write();
        let mut parts = clear.into_parts();
        parts.deliveries = vec![delivery(vector!("rsa3072.cert")), delivery(vector!("rsa2048.cert"))];
        let sealed = Document::new(parts).unwrap().seal(NOW, &mut Dice(seed)).unwrap();
        let written = sealed.write();
        for key in [own_key(), other_key()] {
            let opened = Document::parse(written.as_bytes()).unwrap().open(&key).unwrap();
            let opened = opened.write();
            prop_assert_eq!(opened.as_bytes(), expected.as_bytes());
        }
    }
}

#[test]
fn a_sealed_document_has_no_key_in_the_clear() {
    let text = sealed(1, 3);
    assert!(!text.contains("PlainValue"));
    let clear = open(&text, &own_key()).unwrap().write();
    let clear = std::str::from_utf8(clear.as_bytes()).unwrap();
    assert_eq!(clear.matches("<pskc:PlainValue>").count(), 3);
    for value in clear.split("<pskc:PlainValue>").skip(1) {
        assert!(!text.contains(value.split('<').next().unwrap()));
    }
    assert_ne!(sealed(1, 1), sealed(2, 1));
}

#[test]
fn a_foreign_recipient_reads_nothing() {
    assert_eq!(open(&sealed(1, 1), &other_key()).unwrap_err(), OpenError::ForeignRecipient);
    // A certificate that is swapped for ours does not make the document key ours.
    let (ours, theirs) = (vector!("rsa2048.cert"), vector!("rsa3072.cert"));
    let swapped = sealed(1, 1).replace(&STANDARD.encode(ours), &STANDARD.encode(theirs));
    let problem = DocumentKeyError::NotOurs;
    assert_eq!(open(&swapped, &other_key()).unwrap_err(), OpenError::Key { kid: kid(0), problem });
}

#[test]
fn every_changed_byte_of_a_value_or_its_mac_is_refused() {
    let text = sealed(7, 1);
    let keys = text.find("<cpix:ContentKeyList>").unwrap();
    let mut count = 0;
    for tag in ["<enc:CipherValue>", "<pskc:ValueMAC>"] {
        let start = keys + text[keys..].find(tag).unwrap() + tag.len();
        let end = start + text[start..].find('<').unwrap();
        let bytes = STANDARD.decode(&text[start..end]).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let changed = [&text[..start], &STANDARD.encode(changed), &text[end..]].concat();
            let problem = DocumentKeyError::Mac;
            let expected = OpenError::Key { kid: kid(0), problem };
            assert_eq!(open(&changed, &own_key()).unwrap_err(), expected, "byte {at} of {tag}");
            count += 1;
        }
    }
    assert_eq!(count, 48 + 64);
}

#[test]
fn the_other_name_of_the_mac_key_is_read() {
    let text = sealed(3, 1).replace("pskc:MACKey>", "cpix:Key>");
    assert!(open(&text, &own_key()).is_ok());
}

#[test]
fn several_document_keys_name_their_keys() {
    let two = |first: &str, second: &str| {
        let (a, b) = (sealed(1, 2), sealed(2, 2));
        let key = |text: &str| {
            let start = text.find("<cpix:DocumentKey>").unwrap();
            let end = text.find("<cpix:MACMethod").unwrap();
            text[start..end].to_owned()
        };
        let name = |key: String, kids: &str| {
            key.replace(
                "<cpix:DocumentKey>",
                &format!(r#"<cpix:DocumentKey encryptsKey="{kids}">"#),
            )
        };
        let keys = [name(key(&b), second), name(key(&a), first)].concat();
        a.replace(&key(&a), &keys)
    };
    let (one, both) = (kid(0).to_uuid(), format!("{} {}", kid(0).to_uuid(), kid(1).to_uuid()));
    let other = kid(1).to_uuid();
    // The first document key is of another document: its MAC key is not this document's, so
    // only the key that is named for it fails.
    assert!(
        open(&two(&both, &one).replace(&format!("encryptsKey=\"{one}\""), ""), &own_key()).is_ok()
    );
    let error = open(&two(&one, &one), &own_key()).unwrap_err();
    assert!(matches!(error, OpenError::Key { .. } | OpenError::NoDocumentKey(_)), "{error}");
    let error = open(&two(&other, &other), &own_key()).unwrap_err();
    assert!(matches!(error, OpenError::NoDocumentKey(_)), "{error}");
    let unknown = kid(9).to_uuid();
    assert!(Document::parse(two(&unknown, &one).as_bytes()).is_err());
}

#[test]
fn nothing_is_sealed_for_nobody_or_twice() {
    let clear = Document::new(Parts::default()).unwrap();
    assert_eq!(clear.seal(NOW, &mut Dice(1)).unwrap_err(), SealError::NoRecipient);
    let again = Document::parse(sealed(1, 1).as_bytes()).unwrap().seal(NOW, &mut Dice(1));
    assert_eq!(again.unwrap_err(), SealError::Encrypted(kid(0)));
    for weak in
        [vector!("rsa1024.cert"), vector!("sha1.cert"), vector!("expired.cert"), vector!("ec.cert")]
    {
        let deliveries = vec![delivery(vector!("rsa2048.cert")), delivery(weak)];
        let document = Document::new(Parts { deliveries, ..Parts::default() }).unwrap();
        let refused = document.seal(NOW, &mut Dice(1)).unwrap_err();
        assert!(matches!(refused, SealError::Recipient { number: 2, .. }), "{refused}");
    }
}
