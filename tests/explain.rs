//! `explain`, asked beside the running service about what it answered, and after it was killed;
//! and a storm that is turned away without a database.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/rows.rs"]
#[expect(dead_code, reason = "other tests list columns")]
mod rows;
#[path = "support/service.rs"]
mod service;

use binary::{done, said, strongroom};
use serde_json::{Value, json};
use service::{Answer, Service};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOUND: &str = "0000000000000000000000000000000a";
const PICTURE: &str = "0000000000000000000000000000000b";
const LARGE: &str = "0000000000000000000000000000000c";

/// A service, a title with three keys, and someone who is signed in.
struct World {
    data: PathBuf,
    service: Service,
    bearer: String,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let account = done(strongroom(&data).args(["--json", "account", "add", "ada"]));
        let account: Value = serde_json::from_str(&account).unwrap();
        done(strongroom(&data).args(["title", "add", "film"]));
        let key = |kid: &str, label: &str| {
            let key = kid.replace('0', "d");
            json!({"kid": kid, "key": key, "content_id": "film", "label": label})
        };
        let keys = [key(SOUND, "AUDIO"), key(PICTURE, "SD"), key(LARGE, "HD")];
        let file = folder.path().join("keys.json");
        std::fs::write(&file, Value::from(keys.to_vec()).to_string()).unwrap();
        done(strongroom(&data).args(["keys", "import"]).arg(&file));
        // A window that no slow machine outlives.
        let mut serve = strongroom(&data);
        serve.env("STRONGROOM_LIMITS_SESSION_WINDOW_S", "300");
        let service = Service::start(&mut serve, &folder.path().join("serve.log"));
        let bearer = service.sign_in("ada", account["password"].as_str().unwrap());
        Self { data, service, bearer, _folder: folder }
    }

    fn token_call(&self) -> Answer {
        self.service.ask("GET", "/api/v1/playback/token/film", &[&self.bearer], b"")
    }

    fn license_url(&self) -> String {
        let answer = self.token_call();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["license"]["clearkey"].as_str().unwrap().to_owned()
    }

    fn license(&self, url: &str, kids: &[&str]) -> Answer {
        let kids = kids.iter().map(|kid| model::KeyId::parse(kid).unwrap().to_base64url());
        let challenge = json!({"kids": kids.collect::<Vec<_>>(), "type": "temporary"});
        self.service.ask("POST", url, &[], challenge.to_string().as_bytes())
    }

    /// Asks until the row is there: nobody waited for it.
    fn explain(&self, answer: &Answer) -> (Value, String) {
        let id = correlation(answer);
        for _ in 0..500 {
            let asked = strongroom(&self.data).args(["--json", "explain", &id]).output().unwrap();
            if asked.status.success() {
                let text = done(strongroom(&self.data).args(["explain", &id]));
                return (serde_json::from_slice(&asked.stdout).unwrap(), text);
            }
            assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("request {id} is never explained");
    }
}

fn correlation(answer: &Answer) -> String {
    header(answer, "x-correlation-id").expect("every answer has one")
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn result<'a>(explained: &'a Value, rule: &str) -> (&'a str, &'a str) {
    let rules = explained["request"]["rules"].as_array().unwrap();
    let line = rules.iter().find(|line| line["rule"] == rule).expect(rule);
    (line["result"].as_str().unwrap(), line["input"].as_str().unwrap_or(""))
}

fn guide() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/explain.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn allowed_and_refused_requests_are_explained_as_they_were_decided() {
    let world = World::new();
    let allowed = world.token_call();
    let url = allowed.json()["license"]["clearkey"].as_str().unwrap().to_owned();
    let license = world.license(&url, &[SOUND, PICTURE, LARGE]);
    assert_eq!(license.status, 200);
    let replayed = world.license(&url, &[SOUND]);
    // From now on it would be decided otherwise.
    done(strongroom(&world.data).args([
        "title",
        "add",
        "film",
        "--plans",
        "gold",
        "--regions",
        "NL",
    ]));
    let refused = world.token_call();
    assert_eq!(refused.json()["correlation_id"], Value::from(correlation(&refused)));

    let (explained, text) = world.explain(&allowed);
    assert_eq!(explained["request"]["outcome"], "allowed");
    assert_eq!(result(&explained, "access"), ("passed", "the title is in every plan"));
    assert!(text.starts_with("allowed: token call for film, 20"), "{text}");
    let decision = explained["request"]["decision"].clone();

    let (explained, text) = world.explain(&license);
    let request = &explained["request"];
    assert_eq!((&request["outcome"], &request["level"]), (&json!("allowed"), &json!("L3")));
    assert_eq!(request["keys_given"], json!([SOUND, PICTURE]));
    assert_eq!(request["keys_withheld"], json!([LARGE]));
    assert_eq!(request["decision"], decision, "one decision links token, license and audit row");
    assert_eq!(result(&explained, "access").1, "the title is in every plan", "as decided then");
    assert_eq!(result(&explained, "resolution").1, "withheld 1 above the level: HD");
    assert_eq!(request["rules"].as_array().unwrap().len(), 13);
    assert!(text.contains(&format!("  withheld  {LARGE}\n")), "{text}");

    let (explained, text) = world.explain(&replayed);
    let request = &explained["request"];
    assert_eq!(
        (&request["code"], &request["decided_by"]),
        (&json!("token_replayed"), &json!("token"))
    );
    assert_eq!(request["reason"], "kid_answered_to_another_challenge");
    assert!(text.contains("used before  <- decided"), "{text}");
    assert!(!text.contains("eyJ") && !explained.to_string().contains("eyJ"), "no token");

    let (explained, text) = world.explain(&refused);
    assert_eq!(explained["request"]["code"], refused.json()["code"]);
    assert_eq!(result(&explained, "streams"), ("not_told", ""));
    // The guide shows this very request.
    let guide = guide();
    let shown: Vec<&str> = guide
        .lines()
        .skip_while(|line| !line.starts_with("refused: token call"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"))
        .filter(|line| !line.starts_with("  account") && !line.starts_with("  decision"))
        .collect();
    assert_eq!(shown.len(), 10, "{shown:?}");
    for line in shown {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }

    let exchange = world.service.ask("POST", "/cpix", &[], b"<x/>");
    assert_eq!(exchange.status, 401);
    let (explained, text) = world.explain(&exchange);
    assert_eq!(explained["audit"][0]["action"], "key_exchange.refused");
    assert!(text.contains("key_exchange.refused"), "{text}");
}

#[test]
fn what_nobody_knows_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("none");
    for (id, code, says) in [
        ("0".repeat(32), 1, "nothing is known of request 0000"),
        ("f".repeat(32), 1, "limits.outcomes_kept"),
        ("film".to_owned(), 2, "32 hex digits"),
    ] {
        let asked = strongroom(&data).args(["explain", &id]).output().unwrap();
        assert_eq!(asked.status.code(), Some(code), "{}", said(&asked));
        assert!(said(&asked).contains(says) && asked.stdout.is_empty(), "{}", said(&asked));
    }
    assert!(!data.exists(), "asking makes no home");
    let world = World::new();
    let asked = strongroom(&world.data).args(["explain", &"e".repeat(32)]).output().unwrap();
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
}

#[test]
fn the_guide_names_every_rule() {
    let guide = guide();
    for rule in playback::Rule::ALL {
        assert!(guide.contains(&format!("\n| `{rule}` | ")), "{rule}");
    }
}

#[test]
fn a_killed_service_leaves_what_it_had_written() {
    let mut world = World::new();
    let foreign = "000000000000000000000000000000ff";
    let url = world.license_url();
    let first = world.license(&url, &[foreign]);
    assert_eq!(first.json()["code"], "kid_not_in_content");
    world.explain(&first);
    for _ in 0..50 {
        world.license(&url, &[foreign]);
    }
    world.service.child.kill().unwrap();
    world.service.child.wait().unwrap();
    let (explained, _) = world.explain(&first);
    assert_eq!(explained["request"]["decided_by"], "content_keys");
    assert!(done(strongroom(&world.data).args(["keys", "verify-audit"])).contains("chain whole"));
    let log = world.data.with_file_name("again.log");
    world.service = Service::start(&mut strongroom(&world.data), &log);
    // The license URL is from before this start.
    let later = world.license(&url, &[foreign]);
    assert_eq!(world.explain(&later).0["request"]["reason"], "token_time_is_over");
}

#[test]
fn a_storm_is_turned_away_without_a_database() {
    let world = World::new();
    let (url, sd) = (world.license_url(), [PICTURE]);
    for _ in 0..100 {
        assert_eq!(world.license(&url, &sd).status, 200);
    }
    let second = world.license_url();
    let first_refused = world.license(&url, &sd);
    assert_eq!(first_refused.status, 429);
    // Rows are out of reach from now on: whoever needs one is told so.
    let tables = ["accounts", "sign_ins", "titles", "playback_sessions", "outcomes"];
    for table in tables {
        rows::change(&world.data, &format!("ALTER TABLE {table} RENAME TO away_{table}"));
    }
    let minted = world.token_call();
    assert!(minted.status >= 500, "a token call needs rows: {}", minted.status);
    for url in [&url, &second, &url, &second] {
        let refused = world.license(url, &sd);
        assert_eq!(refused.status, 429, "{}", String::from_utf8_lossy(&refused.body));
        assert_eq!(refused.json()["code"], "rate_limited");
        let wait: u32 = header(&refused, "retry-after").unwrap().parse().unwrap();
        assert!((1..=300).contains(&wait), "{wait}");
    }
    for table in tables {
        rows::change(&world.data, &format!("ALTER TABLE away_{table} RENAME TO {table}"));
    }
    let (explained, _) = world.explain(&first_refused);
    assert_eq!(explained["request"]["decided_by"], "rate");
    let metrics = world.service.ask("GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let counted = "strongroom_refusals_total{code=\"rate_limited\"} 5";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}
