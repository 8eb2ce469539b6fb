//! Several processes on one database, and a process that is killed.

use crate::audit::entries;
use crate::home::*;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use store::{AuditVerdict, Store, StoreError};

pub const CHILD_URL: &str = "STORE_TEST_URL";

/// This test program again, as a process that runs one of its own tests on the same database.
pub fn child(test: &str, home: &Home) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--quiet"]).env(CHILD_URL, &home.url);
    command
}

pub async fn stores_opened_at_once_agree_on_the_tables(home: &Home) {
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let url = home.url.clone();
            tokio::spawn(async move { Store::open(&url).await.unwrap() })
        })
        .collect();
    for store in opened {
        store.await.unwrap().ping().await.unwrap();
    }
}

/// Not a promise of its own: the other process of the test below.
#[tokio::test]
async fn child_that_adds_titles() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let store = Store::open(&url).await.unwrap();
    for number in 0..50 {
        store.put_title(&title(&format!("child-{number:02}"))).await.unwrap();
        store.append_audit(&entries(3)).await.unwrap();
    }
}

pub async fn a_second_process_reads_and_writes_meanwhile(home: &Home) {
    let store = home.open().await;
    let mut second = child("processes::child_that_adds_titles", home).spawn().unwrap();
    let mut rounds = 0;
    let status = loop {
        store.put_title(&title("ours")).await.unwrap();
        store.append_audit(&entries(2)).await.unwrap();
        rounds += 1;
        if let Some(status) = second.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success());
    assert_eq!(store.titles(100, None).await.unwrap().len(), 51);
    let whole = AuditVerdict::Whole { rows: 50 * 3 + rounds * 2 };
    assert_eq!(store.verify_audit().await.unwrap(), whole);
}

/// Not a promise of its own: the victim of the test below.
#[tokio::test]
async fn child_that_audits_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let store = Store::open(&url).await.unwrap();
    loop {
        store.append_audit(&entries(7)).await.unwrap();
        println!("\nacknowledged");
    }
}

pub async fn an_acknowledged_audit_batch_survives_kill_9(home: &Home) {
    let mut victim = child("processes::child_that_audits_until_it_is_killed", home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    for line in lines.map_while(Result::ok).filter(|line| line == "acknowledged") {
        acknowledged += u64::from(!line.is_empty());
        if acknowledged == 20 {
            // SIGKILL; what the pipe still holds was acknowledged too.
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    assert!(acknowledged >= 20);
    let verdict = home.open().await.verify_audit().await.unwrap();
    let AuditVerdict::Whole { rows } = verdict else { panic!("{verdict:?}") };
    assert!(rows >= acknowledged * 7, "{rows} rows, {acknowledged} batches acknowledged");
    assert_eq!(rows % 7, 0, "half a batch");
}

pub async fn a_database_of_a_newer_version_is_refused(home: &Home) {
    drop(home.open().await);
    let hash = home.bytes(1, 32);
    let newer = format!("INSERT INTO migrations (name, sha256) VALUES ('audit/9999_x', {hash})");
    home.tamper(&newer).await.unwrap();
    let opened = Store::open(&home.url).await;
    assert!(matches!(opened, Err(StoreError::Setup(_))));
    home.tamper("DELETE FROM migrations WHERE name = 'audit/9999_x'").await.unwrap();
    home.open().await.ping().await.unwrap();
    let edited = format!("UPDATE migrations SET sha256 = {hash} WHERE name = 'audit/0001_first'");
    home.tamper(&edited).await.unwrap();
    assert!(matches!(Store::open(&home.url).await, Err(StoreError::Setup(_))));
}
