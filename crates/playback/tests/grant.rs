//! Grants: opened by their own key, for their own challenge, at their own moment only.

#![expect(clippy::unwrap_used, reason = "a helper of tests may panic")]

use model::{
    AccountId, ContentId, CorrelationId, DecisionId, DeviceId, Dialect, Entropy, GrantId, KeyId,
    PlaybackSessionId, PolicyName, Timestamp, TitlePolicy, TokenId, TrackClass,
};
use playback::grant::{GRANT_S, GrantRefused, GrantTerms, challenge_hash, open, seal};
use playback::trace::INPUT_MAX;
use playback::{Covers, GrantKey, Rule, Said, Trace};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const CHALLENGE: &[u8] = b"{\"kids\":[\"AAAA\"]}";

struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

fn key(byte: u8) -> GrantKey {
    GrantKey::from_bytes(&[byte; 32])
}

fn terms() -> GrantTerms {
    GrantTerms {
        grant: GrantId::from_bytes([1; 16]),
        token: Some(TokenId::from_bytes([2; 16])),
        session: PlaybackSessionId::from_bytes([3; 16]),
        account: AccountId::from_bytes([4; 16]),
        device: DeviceId::from_bytes([5; 16]),
        content_id: ContentId::parse("film").unwrap(),
        covers: Covers::Kids(vec![KeyId::from_bytes([6; 16])]),
        dialect: Dialect::ClearKey,
        policy: TitlePolicy::default(),
        max_offline: 25,
        credential_expires: NOW.plus_s(30),
        challenge_sha256: challenge_hash(CHALLENGE),
        issued: NOW,
        decision: DecisionId::from_bytes([7; 16]),
        correlation: CorrelationId::from_bytes([8; 16]),
        trace: longest_trace(),
    }
}

/// Every field written at its longest.
fn longest_policy() -> TitlePolicy {
    let mut text = String::new();
    for field in ["license_s", "rental_s", "playback_s", "play_start_grace_s"] {
        text += &format!("{field} = 4294967295\n");
    }
    text += "rental_end = \"plays-on\"\nplayback_end = \"plays-on\"\n";
    for class in ["AUDIO", "SD", "HD", "UHD"] {
        text += &format!("[outputs.{class}]\nhdcp = \"no-digital-output\"\nanalog = \"refused\"\n");
        text += "robustness = \"software-decoding\"\n";
    }
    text += "[renewal]\nallowed = true\non_first_use = true\nwith_identity = true\n";
    text += "delay_s = 4294967294\nretry_s = 4294967295\nrecovery_s = 4294967295\n";
    text += "[offline]\nallowed = true\nlicense_s = 4294967295\n";
    text += "rental_s = 4294967295\nplayback_s = 4294967295\n";
    text += "[rotation]\nhorizon_s = 4294967295\nwhole_event = true\n";
    let name = PolicyName::parse(&"p".repeat(64)).unwrap();
    TitlePolicy::parse(name, &text).unwrap().with_clearkey_max(TrackClass::Audio)
}

/// Every rule with as long an input as there is.
fn longest_trace() -> Trace {
    let mut trace = Trace::default();
    for rule in Rule::ALL {
        trace.note(rule, "\"".repeat(INPUT_MAX), Said::Refused);
    }
    trace
}

#[test]
fn a_grant_reads_back() {
    let mut entropy = Counting(0);
    let sealed = seal(&key(1), &terms(), &mut entropy);
    assert_eq!(open(&key(1), &sealed, CHALLENGE, NOW).unwrap().terms(), &terms());
    assert_ne!(seal(&key(1), &terms(), &mut entropy), sealed, "each sealing has its own nonce");
    let full = GrantTerms {
        token: None,
        covers: Covers::Kids(vec![KeyId::from_bytes([6; 16]); playback::MAX_KIDS]),
        policy: longest_policy(),
        ..terms()
    };
    let of_periods = GrantTerms { covers: Covers::Periods, ..terms() };
    let sealed = seal(&key(1), &of_periods, &mut entropy);
    assert_eq!(open(&key(1), &sealed, CHALLENGE, NOW).unwrap().terms(), &of_periods);
    let sealed = seal(&key(1), &full, &mut entropy);
    assert!(sealed.len() < 12_288, "{}", sealed.len());
    assert_eq!(open(&key(1), &sealed, CHALLENGE, NOW).unwrap().terms(), &full);
}

#[test]
fn a_grant_lives_five_seconds() {
    let sealed = seal(&key(1), &terms(), &mut Counting(0));
    let at = |now| open(&key(1), &sealed, CHALLENGE, now).map(drop);
    assert_eq!(at(Timestamp(NOW.0 + GRANT_S * 1000 - 1)), Ok(()));
    assert_eq!(at(NOW.plus_s(GRANT_S)), Err(GrantRefused::Expired));
    assert_eq!(at(Timestamp(NOW.0 - 1)), Err(GrantRefused::Expired), "not from the future");
    assert_eq!(at(Timestamp(u64::MAX)), Err(GrantRefused::Expired));
}

#[test]
fn another_challenge_is_refused() {
    let sealed = seal(&key(1), &terms(), &mut Counting(0));
    for challenge in [&b""[..], b"{\"kids\":[\"AAAB\"]}", b"{\"kids\":[\"AAAA\"]} "] {
        assert_eq!(open(&key(1), &sealed, challenge, NOW), Err(GrantRefused::OtherChallenge));
    }
}

#[test]
fn another_key_or_any_changed_byte_is_refused() {
    let sealed = seal(&key(1), &terms(), &mut Counting(0));
    assert_eq!(open(&key(2), &sealed, CHALLENGE, NOW), Err(GrantRefused::Invalid));
    for at in 0..sealed.len() {
        let mut other = sealed.clone();
        other[at] ^= 1;
        assert_eq!(open(&key(1), &other, CHALLENGE, NOW), Err(GrantRefused::Invalid), "{at}");
        assert_eq!(open(&key(1), &sealed[..at], CHALLENGE, NOW), Err(GrantRefused::Invalid));
    }
    let longer = [&sealed[..], b"\0"].concat();
    assert_eq!(open(&key(1), &longer, CHALLENGE, NOW), Err(GrantRefused::Invalid));
    assert_eq!(open(&key(1), &vec![1; 1 << 20], CHALLENGE, NOW), Err(GrantRefused::Invalid));
}

#[test]
fn the_terms_are_not_readable_on_the_way() {
    let sealed = seal(&key(1), &terms(), &mut Counting(0));
    assert!(!sealed.windows(4).any(|window| window == b"film"));
    assert_eq!(format!("{:?}", key(1)), "GrantKey(..)");
}
