//! Until when a kept license plays (R114, R116), to the second, on a clock of the tests' own:
//! spans of its terms, restarts, clocks that are set back and forward.

use super::kept::{KINDS, Kind, NOW, kept_state, play, run, to_keep};
use super::{SERVER, terms};
use crate::sessions::*;
use dialect::terms::{LicenseTerms, RenewalTerms, Seconds, SpanEnd};
use dialect::widevine::{Issue, Request};
use keys::SystemEntropy;
use model::Scheme;
use std::num::NonZeroU32;

const fn s(seconds: u32) -> Seconds {
    NonZeroU32::new(seconds)
}

fn at(seconds: u64) -> Timestamp {
    NOW.plus_s(seconds)
}

/// What a run upon this state says at this time, and the state that it leaves.
fn status(kind: &Kind, state: &[u8], id: KeptId, seconds: u64) -> (KeyStatus, Vec<u8>) {
    let mut sessions = run(kind, Some(state));
    let restored = sessions.restore(id, at(seconds)).unwrap();
    let status = restored.keys[0].1;
    match status {
        KeyStatus::Usable => play(&mut sessions, at(seconds)).unwrap(),
        status => {
            assert_eq!(play(&mut sessions, at(seconds)), Err(CdmError::NotUsable(status)));
        }
    }
    let state = end(&mut sessions, seconds).unwrap_or_else(|| state.to_vec());
    (status, state)
}

/// Ends a run as its process does.
fn end(sessions: &mut Sessions, seconds: u64) -> Option<Vec<u8>> {
    let kept = sessions.unkept_state(&mut SystemEntropy);
    sessions.last_state(at(seconds), &mut SystemEntropy).or(kept)
}

#[test]
fn every_span_ends_to_the_second_in_every_system() {
    use KeyStatus::{Expired, Usable};
    let all = || KINDS.iter();
    for kind in all() {
        for terms in [
            LicenseTerms { license_s: s(600), ..to_keep() },
            LicenseTerms { license_s: s(3600), rental_s: s(600), ..to_keep() },
        ] {
            let (id, state) = kept_state(kind, &terms);
            for (seconds, expected) in [(599, Usable), (600, Expired), (601, Expired)] {
                let (status, _) = status(kind, &state, id, seconds);
                assert_eq!(status, expected, "{} at {seconds}", kind.name);
            }
        }
    }
    // The playback span, over a restart: from the first picture, wherever that was.
    for kind in all() {
        let terms = LicenseTerms { license_s: s(3600), playback_s: s(60), ..to_keep() };
        let (id, state) = kept_state(kind, &terms);
        // FairPlay's licenses say one span only: the shortest, from the start.
        let begins = if kind.name == "fairplay" { 0 } else { 1000 };
        let (first, state) = status(kind, &state, id, begins);
        assert_eq!(first, Usable, "{}", kind.name);
        for (seconds, expected) in [(59, Usable), (60, Expired), (61, Expired)] {
            let (status, _) = status(kind, &state, id, begins + seconds);
            assert_eq!(status, expected, "{} at {seconds}", kind.name);
        }
    }
}

#[test]
fn playback_that_began_within_the_rental_goes_on_as_the_license_says() {
    let kind = &KINDS[0];
    for (rental_end, expected) in
        [(SpanEnd::PlaysOn, KeyStatus::Usable), (SpanEnd::Stops, KeyStatus::Expired)]
    {
        let terms = LicenseTerms { rental_s: s(600), rental_end, ..to_keep() };
        let (id, state) = kept_state(kind, &terms);
        let (_, begun) = status(kind, &state, id, 599);
        assert_eq!(status(kind, &begun, id, 601).0, expected);
        assert_eq!(status(kind, &state, id, 601).0, KeyStatus::Expired, "it never began");
    }
}

#[test]
fn a_clock_that_is_set_back_extends_nothing() {
    for kind in &KINDS {
        let terms = LicenseTerms { license_s: s(600), ..to_keep() };
        let (id, state) = kept_state(kind, &terms);
        let (status_at_end, ended) = status(kind, &state, id, 601);
        assert_eq!(status_at_end, KeyStatus::Expired);
        for back in [0, 1, 300, 599] {
            assert_eq!(status(kind, &ended, id, back).0, KeyStatus::Expired, "{back}");
        }
        // Nor does it stand still: what passes while it plays is counted from what was known.
        let (_, played) = status(kind, &state, id, 590);
        let mut sessions = run(kind, Some(&played));
        sessions.restore(id, at(5)).unwrap();
        assert_eq!(play(&mut sessions, at(14)), Ok(()));
        let expired = CdmError::NotUsable(KeyStatus::Expired);
        assert_eq!(play(&mut sessions, at(16)), Err(expired), "590 and 11 seconds");
    }
}

#[test]
fn a_clock_that_is_set_forward_and_back_again_extends_nothing() {
    let kind = &KINDS[0];
    let (id, state) = kept_state(kind, &LicenseTerms { license_s: s(600), ..to_keep() });
    let (forward, state) = status(kind, &state, id, 100_000);
    assert_eq!(forward, KeyStatus::Expired);
    for seconds in [1, 599, 601] {
        assert_eq!(status(kind, &state, id, seconds).0, KeyStatus::Expired);
    }
    // A license that is asked for while the clock is ahead has its span and no more.
    let mut sessions = run(kind, Some(&state));
    let opened =
        (kind.kept)(&mut sessions, &LicenseTerms { license_s: s(600), ..to_keep() }, at(700));
    let kept = opened.kept.unwrap();
    let state = end(&mut sessions, 700).unwrap();
    assert_eq!(status(kind, &state, kept, 700).0, KeyStatus::Usable);
    let mut sessions = run(kind, Some(&state));
    sessions.restore(kept, at(700)).unwrap();
    assert_eq!(play(&mut sessions, at(1299)), Ok(()));
    assert!(play(&mut sessions, at(1300)).is_err());
}

#[test]
fn a_run_that_is_killed_has_not_lost_a_second() {
    let kind = &KINDS[0];
    let terms = LicenseTerms { license_s: s(3600), playback_s: s(60), ..to_keep() };
    let (id, mut state) = kept_state(kind, &terms);
    // Killed again and again, with the clock set back each time: what plays is counted all the same.
    let mut played = 0;
    for _ in 0..100 {
        let mut sessions = run(kind, Some(&state));
        sessions.restore(id, at(0)).unwrap();
        for seconds in 1..=9 {
            let has_played = play(&mut sessions, at(seconds)).is_ok();
            // What is to be kept is kept before the picture leaves.
            state = sessions.unkept_state(&mut SystemEntropy).unwrap_or(state);
            played += u32::from(has_played);
        }
    }
    assert!((50..=60).contains(&played), "{played} seconds");
}

#[test]
fn the_servers_clock_counts_where_it_is_ahead() {
    let kind = &KINDS[0];
    let mut sessions = run(kind, None);
    let terms = LicenseTerms { license_s: s(600), ..to_keep() };
    // The device believes that it is an hour earlier.
    let early = Timestamp(NOW.0 - 3_600_000);
    let opened = (kind.kept)(&mut sessions, &terms, early);
    let id = opened.kept.unwrap();
    let state = sessions.unkept_state(&mut SystemEntropy).unwrap();
    assert_eq!(status(kind, &state, id, 599).0, KeyStatus::Usable, "its span is whole");
    assert_eq!(status(kind, &state, id, 600).0, KeyStatus::Expired, "and no longer");
    assert_eq!(play(&mut sessions, early.plus_s(599)), Ok(()), "by the wrong clock as well");
    assert!(play(&mut sessions, early.plus_s(600)).is_err());
}

#[test]
fn more_time_may_be_asked_for_when_the_license_has_ended() {
    let renewal = RenewalTerms { delay_s: s(60), ..RenewalTerms::default() };
    let terms = LicenseTerms { can_renew: true, license_s: s(60), renewal, ..terms() };
    let mut sessions = super::widevine();
    let (id, message) = super::asked(&mut sessions, &[1]);
    let license = SERVER.answer(&message, &terms, &[1]);
    super::update(&mut sessions, id, &license).unwrap();
    play(&mut sessions, at(59)).unwrap();
    let late = at(90);
    let expired = Err(CdmError::NotUsable(KeyStatus::Expired));
    assert_eq!(play(&mut sessions, late), expired);
    let due = sessions.renew(id, late, &mut SystemEntropy).unwrap().expect("it is due");
    assert_eq!(play(&mut sessions, late), expired, "asking gives nothing");
    let Request::Existing(renewal) = SERVER.read(&due) else { panic!("a renewal") };
    let issue = Issue {
        terms: &terms,
        scheme: Scheme::Cbcs,
        memo: b"note",
        sessions: &SERVER.seal,
        now: late,
    };
    let answer = renewal.answer(&issue, &mut SystemEntropy).as_bytes().to_vec();
    let updated = sessions.update(id, &answer, late, &mut SystemEntropy).unwrap();
    assert_eq!(updated.keys[0].1, KeyStatus::Usable);
    assert_eq!(play(&mut sessions, at(149)), Ok(()));
    assert_eq!(play(&mut sessions, at(150)), expired);
}
