//! Keys of another service move in by a key file, and are licensed here at once.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
mod service;

use binary::{done, said, strongroom};
use service::Service;

const KID: &str = "6b1d4f2c8e0a4d3f9b7c5a1e2d3c4b5a";
const KEY: [u8; 16] = *b"not a real title";

fn key_file() -> String {
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!([{"content_id": "old-film", "kid": KID, "key": hex}]).to_string()
}

#[test]
fn an_imported_key_is_licensed_to_an_account_and_printed_by_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, key_file()).unwrap();
    let import = || done(strongroom(&data).args(["--json", "keys", "import"]).arg(&file));
    assert_eq!(import().trim(), r#"{"added":1,"known":0}"#);
    assert_eq!(import().trim(), r#"{"added":0,"known":1}"#, "a second import changes nothing");
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();

    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let bearer = service.sign_in("viewer", account["password"].as_str().unwrap());
    let titles = service.ask("GET", "/api/v1/titles", &[&bearer], b"").json();
    assert_eq!(titles["titles"][0]["state"], "external", "its media is elsewhere");
    let mint = || {
        let mut command = strongroom(&data);
        command.args(["license-url", "--content", "old-film", "--account", "viewer"]);
        done(command.args(["--dialect", "clearkey"])).trim().to_owned()
    };
    let url = mint();
    assert!(url.starts_with(&format!("{}/license/clearkey?token=", service.url)), "{url}");
    let kid = model::KeyId::parse(KID).unwrap().to_base64url();
    let challenge = serde_json::json!({"kids": [kid], "type": "temporary"}).to_string();
    let license = service.ask("POST", &url, &[], challenge.as_bytes());
    assert_eq!(license.status, 200, "{}", String::from_utf8_lossy(&license.body));
    assert!(license.head.contains("no-store"), "{}", license.head);
    let license = license.json();
    assert_eq!(license["keys"][0]["kid"], kid.as_str());
    let key = model::KeyId::from_bytes(KEY).to_base64url();
    assert_eq!(license["keys"][0]["k"], key.as_str(), "the very key that came in");

    let foreign = serde_json::json!({"kids": [kid, "AAAAAAAAAAAAAAAAAAAAAA"]}).to_string();
    let refused = service.ask("POST", &mint(), &[], foreign.as_bytes());
    assert_eq!((refused.status, &refused.json()["code"]), (403, &"kid_not_in_content".into()));
    assert!(!done(strongroom(&data).args(["--json", "keys", "list"])).contains(&key));
}

#[test]
fn key_files_that_contradict_a_row_or_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("keys.json");
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        strongroom(&data).args(["keys", "import"]).arg(&file).output().unwrap()
    };
    assert!(import(&key_file()).status.success());
    let same_kid = key_file().replace("6e", "6f");
    let same_key = key_file().replace(KID, &KID.replace("6b", "6c"));
    for text in ["", "{}", "[{}]", "[1]", "not json", &same_kid, &same_key] {
        let refused = import(text);
        assert_eq!(refused.status.code(), Some(1), "{text}: {}", said(&refused));
        assert!(!said(&refused).contains("6e6f7420"), "no key in the refusal");
    }
    let missing = strongroom(&data).args(["keys", "import", "/nowhere.json"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
}

#[test]
fn nobody_and_nothing_get_no_license_url() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    done(strongroom(&data).args(["account", "add", "viewer"]));
    let mint = |content: &str, account: &str| {
        let mut command = strongroom(&data);
        command.args(["license-url", "--dialect", "clearkey"]);
        command.args(["--content", content, "--account", account]).output().unwrap()
    };
    let no_title = mint("film", "viewer");
    assert_eq!(no_title.status.code(), Some(1));
    assert!(said(&no_title).contains("title_not_found"), "{}", said(&no_title));
    assert_eq!(mint("film", "nobody").status.code(), Some(1));
    assert_eq!(mint("../film", "viewer").status.code(), Some(2), "wrong use");
}
