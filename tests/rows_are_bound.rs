//! Storage is not trusted (R035): whoever swaps two ciphertexts, or changes what a row of a key
//! says about itself, gets no license but an alert. The columns are asked of the database, so
//! that a new one without a decision fails here.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests sign in")]
mod service;

use binary::{done, strongroom};
use rows::{change, columns};
use service::{Answer, Service};
use std::path::{Path, PathBuf};

const SOUND: &str = "00000000000000000000000000000001";
const PICTURE: &str = "00000000000000000000000000000002";
const OTHER: &str = "00000000000000000000000000000003";
const NEW_NAME: &str = "00000000000000000000000000000009";

/// What a change of a column must come to.
enum Fate {
    /// 500 `key_integrity` and an alert, when the row of [`SOUND`] has this value.
    Integrity(&'static str),
    /// The same, when a row (by its KID) gets a value and then a key (by its KID) is asked for.
    IntegrityOf(&'static str, &'static str, &'static str),
    /// Not bound, and why that opens nothing.
    Unbound(&'static str),
}

/// Each column of `content_keys`.
const CONTENT_KEYS: &[(&str, Fate)] = &[
    ("kid", Fate::IntegrityOf(SOUND, "x'00000000000000000000000000000009'", NEW_NAME)),
    ("content_id", Fate::IntegrityOf(OTHER, "'film'", OTHER)),
    ("track_class", Fate::Integrity("'SD'")),
    ("scheme", Fate::Integrity("'cenc'")),
    ("category", Fate::Integrity("'sport'")),
    ("kek_version", Fate::Integrity("2")),
    ("first_kek_version", Fate::Integrity("2")),
    ("wrapped", Fate::Integrity("CAST(x'01' || zeroblob(44) AS BLOB)")),
    ("iv", Fate::Integrity("zeroblob(16)")),
    ("fingerprint", Fate::Integrity("zeroblob(32)")),
    (
        "state",
        Fate::Unbound(
            "it must change while the root key is away, and whoever writes it can put back the \
             whole row of yesterday, which no seal prevents; the audit keeps every mark",
        ),
    ),
    ("created_at", Fate::Integrity("created_at + 1")),
    ("period", Fate::Integrity("1")),
    // Of no account without a period.
    ("period_begins", Fate::Integrity("1, period = 1, period_ends = 2")),
    ("period_ends", Fate::Integrity("2, period = 1, period_begins = 1")),
];

/// Each column of `keks`: the new value of version 1 of `default`.
const KEKS: &[(&str, Fate)] = &[
    // Moved to another name, it is missing under its own.
    ("category", Fate::Integrity("'elsewhere'")),
    ("version", Fate::Integrity("77")),
    ("wrapped", Fate::Integrity("(SELECT wrapped FROM keks WHERE category = 'sport')")),
    ("state", Fate::Unbound("as that of content_keys")),
    ("created_at", Fate::Unbound("it is shown to the operator and decides nothing")),
];

struct House {
    _folder: tempfile::TempDir,
    data: PathBuf,
    log: PathBuf,
}

impl House {
    /// Two titles with keys under KEK 1, a third in another category, and KEK 2.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, log) = (folder.path().join("data"), folder.path().join("serve.log"));
        done(strongroom(&data).args(["account", "add", "viewer"]));
        done(strongroom(&data).args(["title", "add", "sport", "--category", "sport"]));
        let key = |kid: &str, title: &str, label: &str| {
            let key = kid.replace('0', "a");
            serde_json::json!({"kid": kid, "key": key, "content_id": title, "label": label})
        };
        let keys = serde_json::json!([
            key(SOUND, "film", "AUDIO"),
            key(PICTURE, "film", "SD"),
            key(OTHER, "other", "AUDIO"),
            key("00000000000000000000000000000004", "sport", "AUDIO"),
        ]);
        let file = folder.path().join("keys.json");
        std::fs::write(&file, keys.to_string()).expect("the folder can be written");
        done(strongroom(&data).args(["keys", "import"]).arg(&file));
        done(strongroom(&data).args(["keys", "rotate", "default"]));
        let house = Self { _folder: folder, data, log };
        house.keep();
        house
    }

    fn kept(&self) -> PathBuf {
        self.data.with_extension("kept")
    }

    fn keep(&self) {
        change(&self.data, "PRAGMA wal_checkpoint(TRUNCATE)");
        std::fs::copy(self.data.join("strongroom.db"), self.kept()).expect("copied");
    }

    fn serve(&self) -> Service {
        let mut by_command_only = strongroom(&self.data);
        by_command_only.env("STRONGROOM_KEYS_REWRAP_KEYS_PER_S", "0");
        Service::start(&mut by_command_only, &self.log)
    }

    /// Puts everything back as it was; no service may run.
    fn restore(&self) {
        for end in ["-wal", "-shm"] {
            let _none = std::fs::remove_file(self.data.join(format!("strongroom.db{end}")));
        }
        std::fs::copy(self.kept(), self.data.join("strongroom.db")).expect("copied");
    }

    fn ask(&self, service: &Service, kid: &str) -> Answer {
        Self::ask_at(&mint(&self.data), service, kid)
    }

    fn ask_at(url: &str, service: &Service, kid: &str) -> Answer {
        let kid = model::KeyId::parse(kid).expect("a key id").to_base64url();
        let challenge = serde_json::json!({"kids": [kid], "type": "temporary"}).to_string();
        service.ask("POST", url, &[], challenge.as_bytes())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log is there")
    }
}

fn mint(data: &Path) -> String {
    let mut command = strongroom(data);
    command.args(["license-url", "--content", "film", "--account", "viewer"]);
    done(command.args(["--dialect", "clearkey"])).trim().to_owned()
}

#[track_caller]
fn assert_code(answer: &Answer, status: u16, code: &str, what: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{what}: {body}");
    assert_eq!(answer.json()["code"], code, "{what}");
}

/// Every column of the table has a decision, and no decision is for a column that is gone.
fn assert_decided(data: &Path, table: &str, fates: &[(&str, Fate)]) {
    let mut found = columns(data, table);
    let mut decided: Vec<String> = fates.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort();
    decided.sort();
    assert_eq!(found, decided, "decide what a change of each column of {table} comes to");
}

/// Changes one column of one row and asks for the license.
fn check(house: &House, table: &str, column: &str, fate: &Fate) {
    let (kid, value, asked) = match fate {
        Fate::Integrity(value) => (SOUND, *value, SOUND),
        Fate::IntegrityOf(kid, value, asked) => (*kid, *value, *asked),
        Fate::Unbound(why) => return assert!(!why.is_empty()),
    };
    let row = match table {
        "keks" => "category = 'default' AND version = 1".to_owned(),
        _ => format!("kid = x'{kid}'"),
    };
    house.restore();
    let changed =
        change(&house.data, &format!("UPDATE {table} SET {column} = {value} WHERE {row}"));
    assert_eq!(changed, 1, "{table}.{column}");
    let service = house.serve();
    let answer = house.ask(&service, asked);
    assert_code(&answer, 500, "key_integrity", &format!("{table}.{column}"));
    let alert = "alert=\"key_integrity\"";
    assert!(house.log().contains(alert), "{table}.{column}: {}", house.log());
}

#[test]
fn a_changed_column_gives_no_license_and_an_alert() {
    let house = House::new();
    assert_decided(&house.data, "content_keys", CONTENT_KEYS);
    assert_decided(&house.data, "keks", KEKS);
    let untouched = house.serve();
    assert_eq!(house.ask(&untouched, SOUND).status, 200, "{}", house.log());
    drop(untouched);
    for (column, fate) in CONTENT_KEYS {
        check(&house, "content_keys", column, fate);
    }
    for (column, fate) in KEKS {
        check(&house, "keks", column, fate);
    }
    house.restore();
    let untouched = house.serve();
    assert_eq!(house.ask(&untouched, SOUND).status, 200, "{}", house.log());
}

#[test]
fn two_swapped_ciphertexts_give_no_license() {
    let house = House::new();
    let wrapped = |kid: &str| format!("(SELECT wrapped FROM content_keys WHERE kid = x'{kid}')");
    let kek = |category: &str, version: u32| {
        format!("(SELECT wrapped FROM keks WHERE category = '{category}' AND version = {version})")
    };
    let swaps = [
        // Within the title, with another title, with another category.
        ("content_keys", format!("kid = x'{SOUND}'"), wrapped(PICTURE)),
        ("content_keys", format!("kid = x'{SOUND}'"), wrapped(OTHER)),
        ("content_keys", format!("kid = x'{SOUND}'"), wrapped("00000000000000000000000000000004")),
        ("keks", "category = 'default' AND version = 1".to_owned(), kek("default", 2)),
        ("keks", "category = 'default' AND version = 1".to_owned(), kek("sport", 1)),
    ];
    for (table, row, from) in swaps {
        house.restore();
        let changed =
            change(&house.data, &format!("UPDATE {table} SET wrapped = {from} WHERE {row}"));
        assert_eq!(changed, 1);
        let service = house.serve();
        let answer = house.ask(&service, SOUND);
        assert_code(&answer, 500, "key_integrity", &from);
        assert!(house.log().contains("alert=\"key_integrity\""), "{from}: {}", house.log());
    }
}

#[test]
fn a_row_that_no_row_may_be_gives_no_license_and_an_alert() {
    let house = House::new();
    for (column, value) in [("track_class", "'NONE'"), ("scheme", "'clear'"), ("state", "'fine'")] {
        house.restore();
        let service = house.serve();
        // As long as the row is whole, so that the request comes to the vault.
        let url = mint(&house.data);
        let sql = format!("UPDATE content_keys SET {column} = {value} WHERE kid = x'{SOUND}'");
        assert_eq!(change(&house.data, &sql), 1);
        let answer = House::ask_at(&url, &service, SOUND);
        assert_code(&answer, 500, "key_integrity", column);
        assert!(house.log().contains("alert=\"key_integrity\""), "{column}: {}", house.log());
    }
}
