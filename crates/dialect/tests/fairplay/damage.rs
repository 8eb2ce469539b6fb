//! Damaged requests and licenses. Neither container has a MAC: what is still answered, or opened,
//! after a change is said here, byte by byte, and that it is of no more use.

use crate::world::*;
use dialect::fairplay::Issue;
use dialect::fairplay::client::{Pending, close_payload};
use keys::SystemEntropy;
use std::ops::Range;

/// What came of a request that was changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    /// It asks for another key, which is the grant's to refuse.
    AnotherKey,
    /// Its answer opens for the device that sent it, with the key, as if nothing were.
    Same,
    /// Its answer opens for the device that sent it, and the key in it is noise.
    Noise,
    /// Its answer does not open for the device that sent it.
    Closed,
}

fn outcome(body: &[u8], pending: &Pending) -> Outcome {
    let Ok(challenge) = WORLD.parse(body) else { return Outcome::Refused };
    assert!(!challenge.wants_persist());
    if challenge.kid() != kid(1) || challenge.content_id() != Some("film") {
        return Outcome::AnotherKey;
    }
    let terms = lease(3600);
    let mut key = licensed(1);
    // What the client can enforce may be noise: this much every client can.
    key.terms.hdcp = dialect::terms::Hdcp::V1;
    let issue = Issue { terms: &terms, now: NOW };
    let answer = challenge.answer(&issue, key, &mut SystemEntropy);
    assert!(answer.read_back().is_ok());
    let Ok(license) = pending.open(answer.as_bytes(), NOW) else { return Outcome::Closed };
    assert_eq!(license.terms, terms);
    if fingerprint(&license.keys[0].key) == fingerprint(&content_key(1)) {
        Outcome::Same
    } else {
        Outcome::Noise
    }
}

/// Where each block stands in an SPC, by its tag.
type Places = Vec<(u64, Range<usize>)>;

/// A request whose blocks stand in a known order: where, and the SPC.
fn laid_out() -> (Pending, Places, Vec<u8>) {
    let draft = draft(1);
    let (mut payload, mut places) = (vec![], vec![]);
    for (tag, value) in &draft.blocks {
        let from = 176 + payload.len();
        payload.extend(block(*tag, value));
        places.push((*tag, from..176 + payload.len()));
    }
    let spc = close_payload(&payload, &WORLD.certificate, &mut SystemEntropy);
    (sent(draft).0, places, spc)
}

/// CBC: a flip in a block of the payload makes noise of it, and the same flip in the next. The
/// blocks of the device's secrets are such blocks within such blocks.
#[test]
fn every_flipped_byte_of_a_request_is_refused_or_of_no_use() {
    let (pending, places, spc) = laid_out();
    let place = |tag: u64| places.iter().find(|(own, _)| *own == tag).unwrap().1.clone();
    let value = |tag: u64| place(tag).start + 16..place(tag).end;
    assert_eq!(outcome(&spc, &pending), Outcome::Same);
    let secrets = value(tag::SESSION);
    // What makes noise of the session key and the device's hash; then of R1 too.
    let session_key = secrets.start..secrets.start + 20;
    let r1 = session_key.end..secrets.start + 64;
    let mut counts = [0; 5];
    for at in 0..spc.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = spc.clone();
            changed[at] ^= flip;
            let found = outcome(&changed, &pending);
            counts[found as usize] += 1;
            let expected: &[Outcome] = match at {
                // Reserved.
                4..8 => &[Outcome::Same],
                at if session_key.contains(&at) => &[Outcome::Noise, Outcome::Refused],
                at if r1.contains(&at) => &[Outcome::Closed, Outcome::Refused],
                at if value(tag::SEED).contains(&at) => &[Outcome::Closed, Outcome::Refused],
                // They come back, and are not what was sent.
                at if value(tag::TRANSACTION).contains(&at) => &[Outcome::Closed, Outcome::Refused],
                at if value(tag::CAPABILITIES).contains(&at) => {
                    &[Outcome::Closed, Outcome::Refused]
                }
                _ => &[Outcome::Refused],
            };
            assert!(expected.contains(&found), "byte {at} ^ {flip:#x}: {found:?}, {places:x?}");
        }
    }
    println!("refused, another key, same, noise, closed: {counts:?}");
    assert_eq!(counts[Outcome::AnotherKey as usize], 0);
    assert_eq!(counts[Outcome::Same as usize], 4 * 3, "the reserved field");
}

/// Who holds the device's secrets can ask for any key: the grant decides, as the vault's tests
/// show. What is read is what is answered.
#[test]
fn an_asset_id_of_ones_own_choice_is_another_question() {
    let (pending, spc) = ask_kid(&WORLD.device, 1);
    assert_eq!(outcome(&spc, &pending), Outcome::Same);
    let (pending, spc) = ask_kid(&WORLD.device, 2);
    assert_eq!(outcome(&spc, &pending), Outcome::AnotherKey);
    let answer = WORLD.answer(&spc, licensed(1));
    assert!(answer.read_back().is_err(), "the key that was granted is not the one that is asked");
}

#[test]
fn every_truncation_of_a_request_is_refused() {
    let asset = asset(1);
    for framing in dialect::fairplay::Framing::ALL {
        let asked = dialect::fairplay::client::Ask { framing, ..ask(&asset) };
        let (_, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
        // Of a form and of base64 the last character may be padding.
        let last = if framing == dialect::fairplay::Framing::Form { 6 } else { 0 };
        for end in 0..body.len() - last {
            assert!(WORLD.parse(&body[..end]).is_err(), "{framing:?} {end}");
        }
    }
}

/// A seeded source of numbers (xorshift64), so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    fn damage(&mut self, body: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let (from, length) = (self.below(body.len() + 1), self.below(9));
            let end = (from + length).min(body.len());
            match self.below(5) {
                0 => body.truncate(from),
                1 => drop(body.drain(from..end)),
                2 => {
                    let again = body[from..end].to_vec();
                    drop(body.splice(from..from, again));
                }
                3 => body[from..end].fill([0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
                _ => body[from..end].iter_mut().for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
    }
}

#[test]
fn ten_thousand_mutations_of_a_request_never_panic() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (pending, spc) = ask_kid(&WORLD.device, 1);
    let mut answered = 0;
    for round in 0..5_000 {
        let mut body = spc.clone();
        dice.damage(&mut body);
        let found = outcome(&body, &pending);
        assert!(found != Outcome::AnotherKey, "round {round}");
        answered += u32::from(found != Outcome::Refused);
    }
    // Within the encryption: what a device, or who took it over, can send.
    for round in 0..5_000 {
        let mut payload = draft(1).payload(&mut SystemEntropy).to_vec();
        dice.damage(&mut payload);
        payload.truncate(payload.len() / 16 * 16);
        let body = close_payload(&payload, &WORLD.certificate, &mut SystemEntropy);
        let Ok(challenge) = WORLD.parse(&body) else { continue };
        let byte = challenge.kid().as_bytes()[0];
        let issue = Issue { terms: &lease(60), now: NOW };
        let key = dialect::terms::LicensedKey { kid: challenge.kid(), ..licensed(byte) };
        let can_keep = challenge.can_keep(&key.terms);
        let answer = challenge.answer(&issue, key, &mut SystemEntropy);
        assert_eq!(answer.read_back().is_ok(), can_keep, "round {round}");
    }
    println!("{answered} of 5000 answered");
}

/// A license's payload has no MAC: but a change anywhere makes noise of a head, of R1, of the
/// duration or of HDCP, which are refused; or of the key or its IV, which is of no use.
#[test]
fn every_flipped_byte_of_a_license_is_refused_or_spoils_its_key() {
    let (pending, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, licensed(1));
    let honest = pending.open(answer.as_bytes(), NOW).unwrap();
    let mut spoiled = 0;
    for at in 0..answer.as_bytes().len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = answer.as_bytes().to_vec();
            changed[at] ^= flip;
            let Ok(license) = pending.open(&changed, NOW) else { continue };
            assert_eq!(license.terms, honest.terms, "byte {at}");
            assert_eq!(license.keys[0].terms, honest.keys[0].terms, "byte {at}");
            let is_same = fingerprint(&license.keys[0].key) == fingerprint(&content_key(1));
            assert_eq!(is_same, (4..8).contains(&at), "byte {at}: only the reserved field");
            spoiled += u32::from(!is_same);
        }
    }
    assert!((1..=32 * 3).contains(&spoiled), "{spoiled}: IV and key, two blocks");
}

#[test]
fn every_truncation_of_a_license_is_refused() {
    let (pending, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, licensed(1));
    for end in 0..answer.as_bytes().len() {
        assert!(pending.open(&answer.as_bytes()[..end], NOW).is_err(), "{end}");
    }
}

#[test]
fn ten_thousand_mutations_of_a_license_never_loosen_it() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (pending, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, licensed(1));
    let honest = pending.open(answer.as_bytes(), NOW).unwrap();
    for round in 0..10_000 {
        let mut changed = answer.as_bytes().to_vec();
        dice.damage(&mut changed);
        let Ok(license) = pending.open(&changed, NOW) else { continue };
        assert_eq!(license.terms, honest.terms, "round {round}");
        assert_eq!(license.keys[0].terms, honest.keys[0].terms, "round {round}");
    }
}
