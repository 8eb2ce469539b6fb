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
use dialect::fairplay::client as fairplay;
use dialect::playready::client as playready;
use keys::SystemEntropy;
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
        Self::with(|_| {})
    }

    /// With what is done to the data folder before the service starts.
    fn with(prepare: impl FnOnce(&Path)) -> Self {
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
        prepare(&data);
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

    fn license_url_of(&self, system: &str) -> String {
        self.token_call().json()["license"][system].as_str().unwrap().to_owned()
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

/// A device of a test root that `make-test-root` wrote asks the service of `own` for keys.
fn playready_challenge(root: &Path, own: &Path, kids: &[&str]) -> Vec<u8> {
    let read = |name: &str| std::fs::read(own.join(name)).unwrap();
    let own = |name: &str| std::fs::read(root.join("devices/L3").join(name)).unwrap();
    let text = |name: &str| String::from_utf8(own(name)).unwrap();
    let [signing, encryption] = ["signing_private.pem", "encryption_private.pem"].map(text);
    let device = playready::ClientDevice::read(&own("chain.bin"), &signing, &encryption).unwrap();
    let service = &playready::Service::read(&read("root_public.bin"), &read("wmrm_public.bin"));
    let kids: Vec<_> = kids.iter().map(|kid| model::KeyId::parse(kid).unwrap()).collect();
    let header = dialect::playready::Header::of(&kids, model::Scheme::Cbcs);
    let headers = &[header.as_bytes()][..];
    let service = service.as_ref().unwrap();
    let ask = playready::Ask { headers, custom_data: None, service };
    device.ask(&ask, now(), &mut SystemEntropy).unwrap().1
}

fn fairplay_challenge(root: &Path, kid: &str) -> Vec<u8> {
    let text = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let device = text("devices/L2/device.hex");
    let device = fairplay::ClientDevice::read(&device, &text("ask.hex")).unwrap();
    let certificate = std::fs::read(root.join("app_cert.der")).unwrap();
    let ask = fairplay::Ask {
        certificate: &keys::fairplay::ApplicationCertificate::parse(&certificate).unwrap(),
        asset_id: kid.as_bytes(),
        framing: dialect::fairplay::Framing::Octets,
        persist: false,
        playback: Some(dialect::fairplay::Playback::start(now(), &mut SystemEntropy)),
        streaming: dialect::fairplay::Streaming::Device,
    };
    device.ask(&ask, &mut SystemEntropy).1
}

fn now() -> model::Timestamp {
    server::clock::Clock::System.now()
}

#[test]
fn licenses_and_refusals_of_playready_and_fairplay_are_explained() {
    let made = tempfile::tempdir().unwrap();
    let roots = ["own", "foreign"].map(|name| made.path().join(name));
    let world = World::with(|data| {
        for root in &roots {
            done(strongroom(data).args(["credentials", "make-test-root"]).arg(root));
        }
        for system in ["playready", "fairplay"] {
            let mut import = strongroom(data);
            done(import.args(["credentials", "import", system]).arg(roots[0].join(system)));
        }
    });
    let service = roots[0].join("playready");
    let playready = |root: &Path| {
        playready_challenge(&root.join("playready"), &service, &[SOUND, PICTURE, LARGE])
    };
    let fairplay = |root: &Path| fairplay_challenge(&root.join("fairplay"), PICTURE);
    type Challenge<'a> = &'a dyn Fn(&Path) -> Vec<u8>;
    let table: [(&str, Challenge<'_>, &str, &str, Value, Value, &str); 2] = [
        (
            "playready",
            &playready,
            "L3",
            "L3, attested as SL150, which opens AUDIO, SD",
            json!([SOUND, PICTURE]),
            json!([LARGE]),
            "unknown_root",
        ),
        (
            "fairplay",
            &fairplay,
            "L2",
            "L2, attested without a tier, which opens AUDIO, SD, HD",
            json!([PICTURE]),
            json!([]),
            "unknown_certificate",
        ),
    ];
    for (system, challenge, level, proved, given, withheld, reason) in table {
        let url = world.license_url_of(system);
        let foreign = world.service.ask("POST", &url, &[], &challenge(&roots[1]));
        let license = world.service.ask("POST", &url, &[], &challenge(&roots[0]));
        assert_eq!(license.status, 200, "{}", String::from_utf8_lossy(&license.body));
        let (explained, text) = world.explain(&license);
        let request = &explained["request"];
        assert_eq!((&request["outcome"], &request["level"]), (&json!("allowed"), &json!(level)));
        assert_eq!(request["dialect"], system);
        assert_eq!((&request["keys_given"], &request["keys_withheld"]), (&given, &withheld));
        assert_eq!(result(&explained, "security_level"), ("passed", proved));
        assert_eq!(request["rules"].as_array().unwrap().len(), 13);
        assert!(text.contains(proved), "{text}");

        assert_eq!(foreign.status, 403, "{}", String::from_utf8_lossy(&foreign.body));
        let said = String::from_utf8_lossy(&foreign.body).into_owned();
        assert!(said.contains("challenge_refused") && !said.contains(reason), "{said}");
        let (explained, _) = world.explain(&foreign);
        let request = &explained["request"];
        let told = [&request["code"], &request["reason"], &request["decided_by"]];
        assert_eq!(
            told.map(|of| of.as_str()),
            [Some("challenge_refused"), Some(reason), Some("security_level")]
        );
        assert_eq!((&request["outcome"], &request["dialect"]), (&json!("refused"), &json!(system)));
    }
    nothing_secret_is_kept(&world, &roots[0]);
}

/// The credentials that answered are neither in rows nor in the log, and a search that finds
/// nothing knows them: in the log where one is planted, however it is written.
fn nothing_secret_is_kept(world: &World, root: &Path) {
    let log = world.data.with_file_name("serve.log");
    let search = |path: &Path| {
        strongroom(&world.data).arg("audit-leaks").arg(&world.data).arg(path).output().unwrap()
    };
    let clean = search(&log);
    assert_eq!(clean.status.code(), Some(0), "{}", said(&clean));
    let text = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let secret = text("fairplay/ask.hex");
    let digits: Vec<char> = secret.trim().chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    let raw: Vec<u8> = digits.chunks(2).map(byte).collect();
    let der = |name: &str| {
        let pem = text(name);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
    };
    let planted = world.data.with_file_name("planted.log");
    for (what, bytes) in [
        ("ASk in hex", secret.into_bytes()),
        ("ASk", raw),
        ("the WMRM key", der("playready/wmrm_private.pem")),
        ("the signing key", der("playready/signing_private.pem")),
        ("the application's key", der("fairplay/app_private.pem")),
        ("its PEM", text("fairplay/app_private.pem").into_bytes()),
        ("the WMRM key's PEM", text("playready/wmrm_private.pem").into_bytes()),
    ] {
        let log = std::fs::read(&log).unwrap();
        std::fs::write(&planted, [&*log, b" key=", &*bytes, b"\n"].concat()).unwrap();
        let found = search(&planted);
        assert_eq!(found.status.code(), Some(1), "{what}: {}", said(&found));
        assert!(said(&found).contains("planted.log"), "{what}: {}", said(&found));
    }
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
    // Its row is written behind its answer.
    world.explain(&first_refused);
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
