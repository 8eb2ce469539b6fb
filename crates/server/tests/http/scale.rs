//! With twelve thousand titles of ten keys each, control calls cost what they cost with a hundred
//! (R080). In processor time, which a busy machine does not change; with `STRONGROOM_LONG=1`.
//! That no statement looks at every row is asked in every run: `crates/store/tests/query_plans.rs`.

use crate::house::{House, cpu, get, post, put};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use std::time::Duration;

/// Titles in the catalog at first, and in the end.
const FEW: u32 = 100;
const MANY: u32 = 12_000;
/// Keys of each title.
const KEYS: u32 = 10;
/// Rounds of which the middle one counts, and the calls of a round: one alone is shorter than the
/// system counts.
const ROUNDS: usize = 5;
const CALLS: u32 = 60;
/// Less than this is noise.
const NOISE: Duration = Duration::from_micros(50);

/// Copies of the title `film` and of one of its keys, up to so many titles.
fn fill(house: &House, from: u32, to: u32) {
    let database = rusqlite::Connection::open(house.folder().join("strongroom.db")).unwrap();
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT {from} UNION ALL \
         SELECT n + 1 FROM numbers WHERE n + 1 < {to})"
    );
    let titles = columns(&database, "titles", &[("content_id", "printf('t%05d', n)")]);
    let own = [
        ("kid", "randomblob(16)"),
        ("fingerprint", "randomblob(32)"),
        ("content_id", "printf('t%05d', n)"),
    ];
    let keys = columns(&database, "content_keys", &own);
    let ten = format!(
        "(WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < {KEYS}) SELECT i FROM k)"
    );
    database
        .execute_batch(&format!(
            "BEGIN; {numbers} INSERT INTO titles ({0}) SELECT {1} FROM titles, numbers \
             WHERE content_id = 'film'; \
             {numbers} INSERT INTO content_keys ({2}) SELECT {3} FROM \
             (SELECT * FROM content_keys WHERE content_id = 'film' LIMIT 1), numbers, {ten}; \
             INSERT INTO title_descriptions (content_id, document) \
             SELECT content_id, '{{\"synopsis\":\"x\"}}' FROM titles WHERE content_id <> 'film' \
             ON CONFLICT DO NOTHING; COMMIT;",
            titles.0, titles.1, keys.0, keys.1,
        ))
        .unwrap();
}

/// The columns of a table, and what a copy of its row has in them.
fn columns(database: &rusqlite::Connection, table: &str, own: &[(&str, &str)]) -> (String, String) {
    let mut known =
        database.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    let names: Vec<String> =
        known.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let value = |name: &String| {
        let own = own.iter().find(|(column, _)| column == name);
        own.map_or_else(|| name.clone(), |(_, value)| (*value).to_owned())
    };
    (names.join(", "), names.iter().map(value).collect::<Vec<_>>().join(", "))
}

fn read(path: &str) -> Request<Body> {
    get(path).body(Body::empty()).unwrap()
}

/// Every control call, by name.
fn calls() -> Vec<(&'static str, Request<Body>)> {
    let ids: Vec<String> = (0..FEW).map(|n| format!("t{n:05}")).collect();
    vec![
        ("ping", read("/api/v1/control/ping")),
        ("account", read("/api/v1/account")),
        ("page", read("/api/v1/titles?limit=50&after=t00020")),
        ("title", read("/api/v1/titles/t00050")),
        ("batch", post("/api/v1/titles:batch", &json!({"content_ids": ids}))),
        ("my title", read("/api/v1/me/titles/t00050")),
        ("resume", put("/api/v1/me/titles/t00050", &json!({"resume_s": 5}))),
        ("queue", read("/api/v1/me/queue")),
        ("new queue", put("/api/v1/me/queue", &json!({"content_ids": ids}))),
        ("token", read("/api/v1/playback/token/t00050")),
        ("authorization", post("/api/v1/playback/t00050/authorization", &json!({}))),
    ]
}

/// What each call costs: of the middle round, divided by its calls.
async fn costs(house: &House, token: &str) -> Vec<(&'static str, Duration)> {
    let mut costs = Vec::new();
    for at in 0..calls().len() {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let before = cpu();
            for _ in 0..CALLS {
                let (_, request) = calls().swap_remove(at);
                // No session's limit is what is measured.
                house.clock.advance_ms(1000);
                house.send_as(token, request).await.assert_granted();
            }
            times.push(cpu().saturating_sub(before) / CALLS);
        }
        times.sort_unstable();
        let middle = times[ROUNDS / 2];
        assert!(!middle.is_zero(), "nothing was measured");
        costs.push((calls().swap_remove(at).0, middle));
    }
    costs
}

#[tokio::test]
async fn control_calls_cost_the_same_with_twelve_thousand_titles() {
    if std::env::var_os("STRONGROOM_LONG").is_none() {
        eprintln!("SKIPPED: takes a minute; STRONGROOM_LONG=1 runs it");
        return;
    }
    let house = House::with(|config| config.tokens.session_s = 30 * 86_400, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let token = house.sign_in("ada").await;
    fill(&house, 0, FEW);
    let few = costs(&house, &token).await;
    fill(&house, FEW, MANY);
    let many = costs(&house, &token).await;
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        println!("{name:<14} {few:>9.1?} with {FEW} titles, {many:>9.1?} with {MANY}");
    }
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(many <= few * 3 / 2 + NOISE, "{name}: {few:?}, then {many:?}");
    }
}
