//! Keys move to a new KEK while licenses are asked for and the command that moves them is
//! killed: no request fails, no key is lost, the old KEK retires.
//!
//! 2000 keys; 20 000 with `STRONGROOM_LONG=1`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests sign in")]
mod service;

use binary::{done, strongroom};
use model::{CategoryName, ContentId, Dialect, KekState, KekVersion, KeyId, TokenId, WrappedKey};
use server::{Config, Home};
use service::Service;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, MissedTickBehavior};

/// License requests a second.
const RATE: u32 = 200;
/// Keys of one title: the license request asks for one of them.
const KEYS_PER_TITLE: usize = 4;
/// The class that a player without a secure device gets, and three more.
const LABELS: [&str; KEYS_PER_TITLE] = ["SD", "AUDIO", "HD", "UHD"];

fn keys() -> usize {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 20_000 } else { 2000 }
}

fn kid(number: usize) -> KeyId {
    KeyId::from_bytes((1 + number as u128).to_be_bytes())
}

fn title(number: usize) -> ContentId {
    ContentId::parse(&format!("title-{number}")).unwrap()
}

fn category() -> CategoryName {
    CategoryName::parse("default").unwrap()
}

/// Takes all keys over from key files.
fn import(data: &Path, file: &Path, count: usize) {
    /// Keys of one file.
    const PORTION: usize = 4000;
    for first in (0..count).step_by(PORTION) {
        import_portion(data, file, first..count.min(first + PORTION));
    }
}

fn import_portion(data: &Path, file: &Path, numbers: Range<usize>) {
    let keys: Vec<_> = numbers
        .map(|number| {
            serde_json::json!({
                "kid": kid(number),
                "key": format!("{:032x}", (number as u128 + 1) * 0x9e37_79b9_7f4a_7c15_f39c),
                "content_id": title(number / KEYS_PER_TITLE),
                "label": LABELS[number % KEYS_PER_TITLE],
            })
        })
        .collect();
    std::fs::write(file, serde_json::Value::from(keys).to_string()).unwrap();
    done(strongroom(data).args(["keys", "import"]).arg(file));
}

/// Every row, by KID.
async fn rows(home: &Home, titles: usize) -> BTreeMap<KeyId, WrappedKey> {
    let mut found = BTreeMap::new();
    for number in 0..titles {
        for row in home.store.keys_of(&title(number)).await.unwrap() {
            found.insert(row.kid, row);
        }
    }
    found
}

/// What the viewers saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failed: AtomicUsize,
    is_over: AtomicBool,
}

/// Asks for licenses at a constant rate until it is over, each time for another title.
async fn watch(home: Arc<Home>, service: Arc<Service>, titles: usize, seen: Arc<Seen>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let sample = home.mint_playback_token("viewer", &title(0), None).await.unwrap();
    let mut asked = vec![];
    for number in 0_usize.. {
        tick.tick().await;
        if seen.is_over.load(Ordering::SeqCst) {
            break;
        }
        let number = number.wrapping_mul(7919) % titles;
        let mut token = sample.clone();
        token.id = home.entropy.with(TokenId::random);
        token.content_id = title(number);
        let kids = (0..KEYS_PER_TITLE).map(|at| kid(number * KEYS_PER_TITLE + at));
        token.covers = playback::Covers::Kids(kids.collect());
        token.issued = home.clock.now();
        token.expires = home.config.license_url_ends(token.issued);
        let url = home.license_url(&token, Dialect::ClearKey);
        let wanted = kid(number * KEYS_PER_TITLE).to_base64url();
        let (service, seen) = (Arc::clone(&service), Arc::clone(&seen));
        asked.push(tokio::task::spawn_blocking(move || {
            let challenge = serde_json::json!({"kids": [wanted], "type": "temporary"}).to_string();
            let answer = service.ask("POST", &url, &[], challenge.as_bytes());
            let is_whole = answer.status == 200 && answer.json()["keys"][0]["kid"] == *wanted;
            let count = if is_whole { &seen.answered } else { &seen.failed };
            count.fetch_add(1, Ordering::SeqCst);
            if !is_whole {
                eprintln!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
        }));
    }
    for request in asked {
        request.await.unwrap();
    }
}

/// Runs `keys rewrap` until fewer than `left` keys wait, then kills it (SIGKILL).
async fn rewrap_killed(home: &Home, data: &Path, left: u64) {
    let mut command = strongroom(data);
    command.args(["keys", "rewrap"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    loop {
        let pending = home.store.count_keys_under(&category(), KekVersion(1)).await.unwrap();
        if pending < left {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let pending = home.store.count_keys_under(&category(), KekVersion(1)).await.unwrap();
    eprintln!("killed with {pending} keys to go");
    assert!(pending > 0, "there was something left to do");
}

#[test]
fn keys_move_under_load_and_kill_9_without_a_failed_license() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (count, titles) = (keys(), keys() / KEYS_PER_TITLE);
    done(strongroom(&data).args(["account", "add", "viewer"]));
    import(&data, &folder.path().join("keys.json"), count);
    let mut by_command_only = strongroom(&data);
    by_command_only.env("STRONGROOM_KEYS_REWRAP_KEYS_PER_S", "0");
    let service = Service::start(&mut by_command_only, &folder.path().join("serve.log"));
    Runtime::new().unwrap().block_on(async {
        let config = Config { data: data.clone(), ..Config::default() };
        let home = Arc::new(Home::open(&config).await.unwrap());
        let before = rows(&home, titles).await;
        assert_eq!(before.len(), count);
        let (service, seen) = (Arc::new(service), Arc::new(Seen::default()));
        let viewers = watch(Arc::clone(&home), service, titles, Arc::clone(&seen));
        let viewers = tokio::spawn(viewers);
        while seen.answered.load(Ordering::SeqCst) < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        done(strongroom(&data).args(["keys", "rotate", "default"]));
        for part in [3, 2] {
            rewrap_killed(&home, &data, (count as u64) * (part - 1) / part).await;
        }
        let last = done(strongroom(&data).args(["--json", "keys", "rewrap", "default"]));
        let took = start.elapsed();
        eprintln!("{}", last.trim());
        // The load goes on a little, over the retired version.
        let enough = seen.answered.load(Ordering::SeqCst) + RATE as usize;
        while seen.answered.load(Ordering::SeqCst) < enough {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        seen.is_over.store(true, Ordering::SeqCst);
        viewers.await.unwrap();
        let (answered, failed) =
            (seen.answered.load(Ordering::SeqCst), seen.failed.load(Ordering::SeqCst));
        eprintln!("{count} keys in {took:?}, {answered} licenses answered, {failed} failed");
        assert_eq!(failed, 0);

        let states: Vec<_> =
            home.store.keks().await.unwrap().into_iter().map(|kek| kek.state).collect();
        assert_eq!(states, [KekState::Retired, KekState::Active]);
        let after = rows(&home, titles).await;
        assert_eq!(after.len(), count);
        for (kid, row) in &after {
            assert_eq!((row.kek_version, row.first_kek_version), (KekVersion(2), KekVersion(1)));
            assert_eq!(row.fingerprint, before[kid].fingerprint);
        }
        // Opens every key and compares it with its fingerprint.
        assert_eq!(home.vault.every_content_key().await.unwrap().len(), count);
        let verdict = home.store.verify_audit().await.unwrap();
        assert!(matches!(verdict, store::AuditVerdict::Whole { .. }), "{verdict:?}");
    });
}

#[test]
fn a_killed_service_goes_on_moving_keys_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    import(&data, &folder.path().join("keys.json"), 600);
    done(strongroom(&data).args(["keys", "rotate", "default"]));
    let log = folder.path().join("serve.log");
    let config = Config { data: data.clone(), ..Config::default() };
    Runtime::new().unwrap().block_on(async {
        let home = Home::open(&config).await.unwrap();
        let pending =
            async || home.store.count_keys_under(&category(), KekVersion(1)).await.unwrap();
        // One batch, then a pause of two seconds.
        let mut slowly = strongroom(&data);
        slowly.env("STRONGROOM_KEYS_REWRAP_KEYS_PER_S", "100");
        let service = Service::start(&mut slowly, &log);
        while pending().await == 600 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(service);
        let left = pending().await;
        assert!(left > 0 && left < 600, "{left}");
        let service = Service::start(&mut strongroom(&data), &log);
        while home.store.kek(&category(), KekVersion(1)).await.unwrap().unwrap().state
            != KekState::Retired
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let metrics = service.ask("GET", "/metrics", &[], b"");
        let metrics = String::from_utf8(metrics.body).unwrap();
        let gauge = "strongroom_rewrap_pending{category=\"default\"} 0";
        assert!(metrics.contains(gauge), "{metrics}");
        assert_eq!(home.vault.every_content_key().await.unwrap().len(), 600);
    });
}
