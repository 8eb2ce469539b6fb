//! The audit chain: what is written stays written, and what is changed is found.

use crate::home::*;
use model::{DecisionId, KeyId, PlaybackSessionId};
use proptest::prelude::{ProptestConfig, any, proptest};
use store::{AUDIT_BATCH_MAX, AUDIT_TEXT_MAX, AuditEntry, AuditVerdict, FirstBadRow, StoreError};

/// Entries of every shape: all optional parts there, some, none.
pub fn entries(count: usize) -> Vec<AuditEntry> {
    (0..count)
        .map(|at| {
            let bytes = u128::try_from(at).unwrap().to_be_bytes();
            AuditEntry {
                at: NOW.plus_s(at as u64),
                actor: format!("account:{at}"),
                action: "license.issued".to_owned(),
                content_id: (at % 2 == 0).then(|| content("film-1")),
                kid: (at % 3 == 0).then(|| KeyId::from_bytes(bytes)),
                session: (at % 5 == 0).then(|| PlaybackSessionId::from_bytes(bytes)),
                decision: (at % 7 == 0).then(|| DecisionId::from_bytes(bytes)),
                detail: "ä".repeat(at % 9),
            }
        })
        .collect()
}

async fn verdict(home: &Home) -> AuditVerdict {
    home.open().await.verify_audit().await.unwrap()
}

pub async fn entries_in_batches_of_every_size_form_one_chain(home: &Home) {
    let store = home.open().await;
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Whole { rows: 0 });
    let mut rows = 0;
    for size in [0, 1, 2, 31, 32, 33, 64, 65, AUDIT_BATCH_MAX] {
        store.append_audit(&entries(size)).await.unwrap();
        rows += size as u64;
        assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Whole { rows });
    }
    assert_eq!(verdict(home).await, AuditVerdict::Whole { rows });
}

pub async fn parallel_batches_form_one_chain(home: &Home) {
    let (first, second) = (home.open().await, home.open().await);
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = if number % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(async move { store.append_audit(&entries(number + 1)).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(first.verify_audit().await.unwrap(), AuditVerdict::Whole { rows: 210 });
}

pub async fn entries_beyond_the_limits_are_refused(home: &Home) {
    let store = home.open().await;
    let mut long = entries(2);
    long[1].detail = "x".repeat(AUDIT_TEXT_MAX + 1);
    let mut nul = entries(2);
    nul[1].detail = "a\0".to_owned();
    for refused in [entries(AUDIT_BATCH_MAX + 1), long, nul] {
        let refused = store.append_audit(&refused).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Whole { rows: 0 });
}

pub async fn the_database_refuses_to_change_a_row(home: &Home) {
    home.open().await.append_audit(&entries(3)).await.unwrap();
    let mut refused = vec![
        "UPDATE audit SET detail = 'x' WHERE seq = 2".to_owned(),
        "UPDATE audit SET detail = detail".to_owned(),
        "DELETE FROM audit WHERE seq = 3".to_owned(),
        "DELETE FROM audit".to_owned(),
        "DELETE FROM audit_head".to_owned(),
        "UPDATE audit_head SET seq = 1".to_owned(),
        "UPDATE audit_head SET hash = hash".to_owned(),
    ];
    if home.url.starts_with("sqlite") {
        let hash = home.bytes(1, 32);
        refused.push(format!(
            "INSERT OR REPLACE INTO audit (seq, at, actor, action, detail, hash) \
             VALUES (2, 1, 'a', 'b', 'c', {hash})"
        ));
    } else {
        refused.push("TRUNCATE audit".to_owned());
        refused.push("TRUNCATE audit_head".to_owned());
    }
    for sql in refused {
        assert!(home.tamper(&sql).await.is_err(), "{sql}");
    }
    assert_eq!(verdict(home).await, AuditVerdict::Whole { rows: 3 });
}

pub async fn every_change_of_a_row_is_found(home: &Home) {
    let store = home.open().await;
    store.append_audit(&entries(40)).await.unwrap();
    home.disarm().await;
    let (id, hash) = (home.bytes(0xEE, 16), home.bytes(0xEE, 32));
    for change in [
        "at = at + 1".to_owned(),
        "at = -1".to_owned(),
        "actor = action, action = actor".to_owned(),
        "action = 'license.refused'".to_owned(),
        "actor = actor || 'x'".to_owned(),
        "content_id = NULL".to_owned(),
        "content_id = ''".to_owned(),
        "content_id = 'film-2'".to_owned(),
        "kid = NULL".to_owned(),
        format!("kid = {id}"),
        "session = kid, kid = NULL".to_owned(),
        format!("session = {id}"),
        format!("decision = {id}"),
        "detail = detail || ' '".to_owned(),
        format!("hash = {hash}"),
    ] {
        // Row 19 has a title and a KID, and neither session nor decision.
        let sql = format!(
            "CREATE TABLE kept AS SELECT * FROM audit WHERE seq = 19;
             UPDATE audit SET {change} WHERE seq = 19;"
        );
        home.tamper(&sql).await.unwrap();
        let found = store.verify_audit().await.unwrap();
        assert_eq!(found, AuditVerdict::Broken(FirstBadRow::Changed(19)), "{change}");
        home.tamper(
            "DELETE FROM audit WHERE seq = 19;
             INSERT INTO audit SELECT * FROM kept; DROP TABLE kept;",
        )
        .await
        .unwrap();
        assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Whole { rows: 40 });
    }
}

pub async fn removed_rows_are_found(home: &Home) {
    let store = home.open().await;
    store.append_audit(&entries(10)).await.unwrap();
    home.disarm().await;
    for (sql, first) in [
        ("DELETE FROM audit WHERE seq = 10", 10),
        ("DELETE FROM audit WHERE seq = 7", 7),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit", 1),
    ] {
        home.tamper(sql).await.unwrap();
        let found = store.verify_audit().await.unwrap();
        assert_eq!(found, AuditVerdict::Broken(FirstBadRow::Missing(first)), "{sql}");
    }
    home.tamper("DELETE FROM audit_head").await.unwrap();
    assert!(matches!(store.verify_audit().await, Err(StoreError::Missing)));
    assert!(matches!(store.append_audit(&entries(1)).await, Err(StoreError::Missing)));
}

pub async fn reordered_rows_are_found(home: &Home) {
    let store = home.open().await;
    store.append_audit(&entries(10)).await.unwrap();
    home.disarm().await;
    // Rows 4 and 5 change places, hashes and all.
    let swap = "UPDATE audit SET seq = 100 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5;
                UPDATE audit SET seq = 5 WHERE seq = 100;";
    home.tamper(swap).await.unwrap();
    let found = store.verify_audit().await.unwrap();
    assert_eq!(found, AuditVerdict::Broken(FirstBadRow::Changed(4)));
    home.tamper(swap).await.unwrap();
    // Row 6 is taken out and the later ones close up.
    home.tamper("DELETE FROM audit WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = 10;")
        .await
        .unwrap();
    let found = store.verify_audit().await.unwrap();
    assert_eq!(found, AuditVerdict::Broken(FirstBadRow::Changed(6)));
}

pub async fn a_foreign_row_is_found(home: &Home) {
    let store = home.open().await;
    store.append_audit(&entries(2)).await.unwrap();
    let hash = home.bytes(1, 32);
    home.tamper(&format!(
        "INSERT INTO audit (seq, at, actor, action, detail, hash) VALUES (3, 1, 'a', 'b', 'c', {hash})"
    ))
    .await
    .unwrap();
    let found = store.verify_audit().await.unwrap();
    assert_eq!(found, AuditVerdict::Broken(FirstBadRow::Foreign(3)));
    // Nothing is appended over it either.
    assert!(matches!(store.append_audit(&entries(1)).await, Err(StoreError::Conflict)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_single_change_is_found_at_its_row(
        count in 1_usize..50, row in any::<proptest::sample::Index>(), column in 0_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seq = row.index(count) as u64 + 1;
        let (expected, found) = runtime.block_on(async {
            let home = Home::sqlite();
            let store = home.open().await;
            store.append_audit(&entries(count)).await.unwrap();
            home.disarm().await;
            let bytes = |size| home.bytes(0xEE, size);
            let (change, expected) = match column {
                0 => ("at = at + 1".to_owned(), FirstBadRow::Changed(seq)),
                1 => ("actor = actor || ' '".to_owned(), FirstBadRow::Changed(seq)),
                2 => ("action = 'x'".to_owned(), FirstBadRow::Changed(seq)),
                3 => ("content_id = 'other'".to_owned(), FirstBadRow::Changed(seq)),
                4 => (format!("kid = {}", bytes(16)), FirstBadRow::Changed(seq)),
                5 => (format!("session = {}", bytes(16)), FirstBadRow::Changed(seq)),
                6 => (format!("decision = {}", bytes(16)), FirstBadRow::Changed(seq)),
                7 => (format!("hash = {}", bytes(32)), FirstBadRow::Changed(seq)),
                _ => ("seq = 1000".to_owned(), FirstBadRow::Missing(seq)),
            };
            home.tamper(&format!("UPDATE audit SET {change} WHERE seq = {seq}")).await.unwrap();
            (expected, store.verify_audit().await.unwrap())
        });
        assert_eq!(found, AuditVerdict::Broken(expected));
    }
}
