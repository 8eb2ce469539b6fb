//! How requests ended: bounded, found by the request's id, beside the audit's chain.

use crate::home::*;
use crate::processes::{CHILD_URL, child};
use model::{AccountId, CorrelationId, DecisionId, Dialect, Entropy, PlaybackSessionId, Timestamp};
use playback::{Rule, Said, Trace};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use store::{
    AskedRoute, AuditEntry, AuditVerdict, Ended, OUTCOME_BATCH_MAX, RequestOutcome, Store,
    StoreError,
};

/// Random bytes that are a number.
struct Numbered(u32);

impl Entropy for Numbered {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
        for (byte, of_number) in out.iter_mut().rev().zip(self.0.to_be_bytes().iter().rev()) {
            *byte = *of_number;
        }
    }
}

fn request(number: u32, at: Timestamp) -> CorrelationId {
    CorrelationId::arriving(at, &mut Numbered(number))
}

/// A refusal with every part.
fn refused(number: u32) -> RequestOutcome {
    let mut trace = Trace::default();
    trace.note(Rule::Title, "published", Said::Passed);
    trace.note(Rule::Access, "plan discs; the title is in gold", Said::Refused);
    RequestOutcome {
        at: NOW,
        correlation: request(number, NOW),
        route: AskedRoute::License,
        dialect: Some(Dialect::Widevine),
        ended: Ended::Refused { code: "title_not_in_plan".to_owned(), reason: "why".to_owned() },
        decision: Some(DecisionId::from_bytes([1; 16])),
        account: Some(AccountId::from_bytes([2; 16])),
        session: Some(PlaybackSessionId::from_bytes([3; 16])),
        content_id: Some(content("film-1")),
        trace,
    }
}

/// An allowed token call with no part that may be missing.
fn allowed(number: u32) -> RequestOutcome {
    RequestOutcome {
        at: NOW,
        correlation: request(number, NOW),
        route: AskedRoute::Token,
        dialect: None,
        ended: Ended::Allowed,
        decision: None,
        account: None,
        session: None,
        content_id: None,
        trace: Trace::default(),
    }
}

async fn is_kept(store: &Store, number: u32) -> bool {
    store.outcome(request(number, NOW)).await.unwrap().is_some()
}

pub async fn an_outcome_reads_back_by_its_request(home: &Home) {
    let store = home.open().await;
    store.append_outcomes(&[], 10).await.unwrap();
    let rows = [refused(1), allowed(2), refused(3)];
    store.append_outcomes(&rows, 10).await.unwrap();
    for row in rows {
        assert_eq!(store.outcome(row.correlation).await.unwrap(), Some(row));
    }
    assert_eq!(store.outcome(request(4, NOW)).await.unwrap(), None);
    let many = vec![refused(9); OUTCOME_BATCH_MAX + 1];
    assert!(matches!(store.append_outcomes(&many, 10).await, Err(StoreError::Invalid(_))));
}

pub async fn the_newest_refusals_stay_and_push_out_nothing_else(home: &Home) {
    const KEEP: u32 = 50;
    let store = home.open().await;
    let starts: Vec<_> = (0..30).map(|number| allowed(1000 + number)).collect();
    store.append_outcomes(&starts, KEEP).await.unwrap();
    // Ten times as many refusals as are kept, in batches of every size.
    let rows: Vec<_> = (0..10 * KEEP).map(refused).collect();
    let mut rest = rows.as_slice();
    let mut size = 1;
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        store.append_outcomes(batch, KEEP).await.unwrap();
        (rest, size) = (later, size % OUTCOME_BATCH_MAX + 7);
    }
    for number in 0..10 * KEEP {
        assert_eq!(is_kept(&store, number).await, number >= 9 * KEEP, "{number}");
    }
    assert!(is_kept(&store, 1000).await, "allowed token calls have a bound of their own");
    // A setting that shrank, down to none.
    store.append_outcomes(&[refused(2000)], 3).await.unwrap();
    assert!(!is_kept(&store, 10 * KEEP - 3).await && is_kept(&store, 10 * KEEP - 2).await);
    store.append_outcomes(&[refused(2001)], 0).await.unwrap();
    assert!(!is_kept(&store, 2001).await);
}

pub async fn parallel_writers_share_the_numbers(home: &Home) {
    let (first, second) = (home.open().await, home.open().await);
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let store = if task % 2 == 0 { first.clone() } else { second.clone() };
            let rows: Vec<_> = (0..20).map(|number| refused(task * 100 + number)).collect();
            tokio::spawn(async move { store.append_outcomes(&rows, 1000).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for task in 0..20 {
        assert!(is_kept(&second, task * 100).await && is_kept(&first, task * 100 + 19).await);
    }
}

/// An audit row of a license, at its moment.
fn issued(number: u32, at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        actor: "vault".to_owned(),
        action: "license.issued".to_owned(),
        content_id: None,
        kid: None,
        session: None,
        decision: None,
        detail: format!("clearkey L3 correlation {} kids a,b", request(number, at)),
    }
}

pub async fn an_audit_row_is_found_by_its_request(home: &Home) {
    let store = home.open().await;
    let asked = |number, at| {
        let store = store.clone();
        async move { store.audit_of_request(request(number, at)).await.unwrap() }
    };
    assert_eq!(asked(1, NOW).await, [], "an empty chain");
    // Two thousand rows over hours; parallel requests stand a little out of order.
    let at = |number: u32| {
        NOW.plus_s(u64::from(number * 7 + if number.is_multiple_of(3) { 5 } else { 0 }))
    };
    let rows: Vec<_> = (0..2000).map(|number| issued(number, at(number))).collect();
    for batch in rows.chunks(500) {
        store.append_audit(batch).await.unwrap();
    }
    for number in [0, 1, 2, 3, 999, 1000, 1001, 1997, 1998, 1999] {
        let expected = [issued(number, at(number))];
        assert_eq!(asked(number, at(number)).await, expected, "{number}");
    }
    assert_eq!(asked(2000, at(1000)).await, [], "nobody's request");
    assert_eq!(asked(1, Timestamp(0)).await, [], "before the first");
    assert_eq!(asked(1, NOW.plus_s(10_000_000)).await, [], "after the last");
    // A request that waited long for its row, and one with two.
    let mut late = issued(3000, at(1999));
    late.at = at(1999).plus_s(50);
    store.append_audit(&[late.clone(), late.clone()]).await.unwrap();
    assert_eq!(asked(3000, at(1999)).await, [late.clone(), late]);
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Whole { rows: 2002 });
}

/// Not a promise of its own: the victim of the test below.
#[tokio::test]
async fn child_that_notes_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let store = Store::open(&url).await.unwrap();
    for number in 0.. {
        store.append_outcomes(&[refused(2 * number), refused(2 * number + 1)], 40).await.unwrap();
        println!("\nwritten");
    }
}

pub async fn a_killed_writer_leaves_whole_batches_within_the_bound(home: &Home) {
    let mut victim = child("outcomes::child_that_notes_until_it_is_killed", home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut written = 0;
    for line in lines.map_while(Result::ok).filter(|line| line == "written") {
        written += u32::from(!line.is_empty());
        if written == 60 {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    let store = home.open().await;
    assert!(written >= 60 && is_kept(&store, 2 * written - 1).await, "{written} batches");
    let mut kept = 0;
    for number in 0..2 * written + 10 {
        let is_whole = is_kept(&store, number).await == is_kept(&store, number ^ 1).await;
        assert!(is_whole, "half a batch: {number}");
        kept += u32::from(is_kept(&store, number).await);
    }
    assert_eq!(kept, 40);
    store.append_outcomes(&[refused(1_000_000)], 40).await.unwrap();
    assert!(is_kept(&store, 1_000_000).await);
}
