//! Damaged challenges: refused, or provably the same request.

use crate::wire;
use crate::world::*;
use dialect::terms::LicenseTerms;
use dialect::widevine::Request;
use keys::SystemEntropy;
use model::Scheme;

/// A damaged body that is not refused must still be the request that the device signed: its
/// license opens for the one that the device sent.
fn is_refused_or_the_same(body: &[u8], request: &[u8]) -> bool {
    let Ok(read) = WORLD.parse(body) else { return true };
    let Request::New(challenge) = read else { return matches!(read, Request::ServiceCertificate) };
    let terms = LicenseTerms::default();
    let issue = WORLD.issue(&terms, Scheme::Cbcs);
    let answer = challenge.answer(&issue, vec![licensed(1)], &mut SystemEntropy);
    WORLD.l1.await_answer(request, b"request 1").open(answer.as_bytes()).is_ok()
}

fn bodies() -> [Vec<u8>; 2] {
    [ask_kids(&WORLD.l1, &[1]).1, ask_privately(&WORLD.l1, &[1]).1]
}

#[test]
fn every_flipped_byte_is_refused_or_the_same_request() {
    for body in bodies() {
        let request = wire::bytes_of(&body, 2);
        let mut accepted = 0;
        for at in 0..body.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = body.clone();
                changed[at] ^= flip;
                assert!(is_refused_or_the_same(&changed, &request), "byte {at} ^ {flip:#x}");
                accepted += u32::from(matches!(WORLD.parse(&changed), Ok(Request::New(_))));
            }
        }
        assert_eq!(accepted, 0, "the envelope holds nothing but type, request and signature");
        assert!(is_refused_or_the_same(&body, &request));
    }
}

#[test]
fn every_truncation_is_refused() {
    for body in bodies() {
        for end in 0..body.len() {
            let read = WORLD.parse(&body[..end]);
            assert!(!matches!(read, Ok(Request::New(_) | Request::Existing(_))), "{end}");
        }
    }
}

#[test]
fn ten_thousand_mutations_never_panic() {
    let bodies = bodies();
    let requests = bodies.each_ref().map(|body| wire::bytes_of(body, 2));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % limit.max(1)
    };
    for round in 0..10_000 {
        // Privacy mode costs a private operation each time: one in ten.
        let which = usize::from(round % 10 == 0);
        let mut body = bodies[which].clone();
        for _ in 0..=below(4) {
            let (from, length) = (below(body.len() + 1), below(9));
            let end = (from + length).min(body.len());
            match below(5) {
                0 => body.truncate(from),
                1 => drop(body.drain(from..end)),
                2 => {
                    let again = body[from..end].to_vec();
                    drop(body.splice(from..from, again));
                }
                3 => body[from..end].fill([0, 1, 0x7f, 0x80, 0xff][below(5)]),
                _ => body[from..end].iter_mut().for_each(|byte| *byte ^= 1 << below(8)),
            }
        }
        assert!(is_refused_or_the_same(&body, &requests[which]), "round {round}");
    }
}
