//! Break-glass: keys leave only when two operators approve exactly that, for the one offline
//! certificate, once, and with an alert and an audit row before them.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

#[path = "support/binary.rs"]
mod binary;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use binary::{done, said, strongroom};
use dialect::cpix::{Document, Filters, KeyValue};
use keys::RecipientKey;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use zeroize::Zeroizing;

const KID: &str = "0000000000000000000000000000000a";
const KEY: [u8; 16] = *b"not a real title";

/// A data folder, the operators' keys, and the settings that name them.
struct House {
    folder: tempfile::TempDir,
}

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/cpix/certificates").join(name);
    let text = std::fs::read_to_string(path).expect("the vector is there");
    STANDARD.decode(text.trim()).expect("base64")
}

impl House {
    fn new() -> Self {
        let house = Self { folder: tempfile::tempdir().expect("a folder") };
        house.write("offline.der", &vector("rsa3072.cert.b64"));
        house.write("other.der", &vector("rsa2048.cert.b64"));
        let mut operators = vec![];
        for name in ["ada", "bob", "eve"] {
            let out = house.path(name);
            let line =
                done(house.command().args(["--json", "keys", "operator", name, "--out"]).arg(out));
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            // The third one is nobody.
            operators
                .extend(line["operator"].as_str().filter(|_| name != "eve").map(str::to_owned));
        }
        let settings = format!(
            "[keys.break_glass]\ncertificate = {:?}\noperators = {operators:?}\n",
            house.path("offline.der")
        );
        house.write("strongroom.toml", settings.as_bytes());
        let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = serde_json::json!([{"kid": KID, "key": hex, "content_id": "film"}]);
        house.write("keys.json", keys.to_string().as_bytes());
        done(house.command().args(["keys", "import"]).arg(house.path("keys.json")));
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("the folder is ours");
    }

    fn command(&self) -> Command {
        strongroom(&self.path("data"))
    }

    /// The file with a fresh approval.
    fn approve(&self, operator: &str, key: &str, content: &str, certificate: &str) -> PathBuf {
        let mut command = self.command();
        command.args(["keys", "approve", "--operator", operator, "--content", content]);
        command.arg("--key").arg(self.path(key)).arg("--certificate").arg(self.path(certificate));
        let text = done(&mut command);
        let number = std::fs::read_dir(self.folder.path()).expect("ours").count();
        let name = format!("approval-{number}");
        self.write(&name, text.as_bytes());
        self.path(&name)
    }

    fn export(&self, approvals: &[&PathBuf]) -> Output {
        let mut command = self.command();
        command.arg("--config").arg(self.path("strongroom.toml"));
        command.args(["keys", "export", "--break-glass", "--content", "film", "--out"]);
        command.arg(self.path("out.xml"));
        for approval in approvals {
            command.arg("--approval").arg(approval);
        }
        command.output().expect("the binary runs")
    }

    #[track_caller]
    fn assert_refused(&self, approvals: &[&PathBuf], says: &str) {
        let refused = self.export(approvals);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(says), "{says}: {}", said(&refused));
        assert!(said(&refused).contains("alert=\"break_glass\""), "{}", said(&refused));
        assert!(!self.path("out.xml").exists(), "{says}");
    }
}

#[test]
fn two_operators_let_keys_leave_once_for_the_offline_certificate() {
    let house = House::new();
    let (ada, bob) = (
        house.approve("ada", "ada", "film", "offline.der"),
        house.approve("bob", "bob", "film", "offline.der"),
    );
    house.write("out.xml", b"something else");
    let taken = house.export(&[&ada, &bob]);
    assert_eq!(taken.status.code(), Some(2), "{}", said(&taken));
    assert_eq!(std::fs::read(house.path("out.xml")).expect("kept"), b"something else");
    std::fs::remove_file(house.path("out.xml")).expect("ours");
    let exported = house.export(&[&ada, &bob]);
    assert!(exported.status.success(), "{}", said(&exported));
    assert!(said(&exported).contains("alert=\"break_glass\""), "{}", said(&exported));
    let text = std::fs::read(house.path("out.xml")).expect("the document is there");
    let clear = STANDARD.encode(KEY);
    assert!(!String::from_utf8_lossy(&text).contains(&clear), "nothing in the clear");
    let own = RecipientKey::parse(&Zeroizing::new(vector("rsa3072.key.b64"))).expect("a key");
    let opened = Document::parse(&text).expect("CPIX").open(&own).expect("the recipient's");
    let entry = &opened.parts().keys[0];
    assert_eq!(entry.kid.to_string(), KID);
    let KeyValue::Clear(key) = &entry.value else { panic!("not opened") };
    #[expect(clippy::disallowed_methods, reason = "the test compares it with what went in")]
    let key = *key.reveal();
    assert_eq!(key, KEY);
    let stranger = RecipientKey::parse(&Zeroizing::new(vector("rsa2048.key.b64"))).expect("a key");
    assert!(Document::parse(&text).expect("CPIX").open(&stranger).is_err());
    std::fs::remove_file(house.path("out.xml")).expect("ours");
    house.assert_refused(&[&ada, &bob], "used before");
    let carol = house.approve("ada", "ada", "film", "offline.der");
    house.assert_refused(&[&carol, &bob], "used before");
    assert!(done(house.command().args(["keys", "verify-audit"])).contains("chain whole"));
}

#[test]
fn a_title_with_many_keys_leaves_in_several_documents_that_say_their_periods() {
    const PERIODS: u32 = 700;
    let house = House::new();
    let keys: Vec<_> = (0..PERIODS)
        .flat_map(|period| ["AUDIO", "SD"].map(|class| (period, class)))
        .zip(1_u32..)
        .map(|((period, class), n)| {
            let (kid, key) = (format!("{n:032x}"), format!("{:032x}", u64::from(n) << 32));
            serde_json::json!({"kid": kid, "key": key, "content_id": "film", "scheme": "cenc",
                "label": class, "period": period})
        })
        .filter(|key| key["kid"] != KID)
        .collect();
    house.write("more.json", serde_json::json!(keys).to_string().as_bytes());
    done(house.command().args(["keys", "import"]).arg(house.path("more.json")));
    let both = ["ada", "bob"].map(|name| house.approve(name, name, "film", "offline.der"));
    // No approval is used up for a document that has no place.
    house.write("out-2.xml", b"something else");
    let taken = house.export(&[&both[0], &both[1]]);
    assert_eq!(taken.status.code(), Some(2), "{}", said(&taken));
    std::fs::remove_file(house.path("out-2.xml")).expect("ours");
    let exported = house.export(&[&both[0], &both[1]]);
    assert!(exported.status.success(), "{}", said(&exported));
    assert!(!house.path("out-3.xml").exists());
    let own = RecipientKey::parse(&Zeroizing::new(vector("rsa3072.key.b64"))).expect("a key");
    let mut found = vec![];
    for name in ["out.xml", "out-2.xml"] {
        let text = std::fs::read(house.path(name)).expect("the document is there");
        let document = Document::parse(&text).expect("CPIX").open(&own).expect("the recipient's");
        let parts = document.into_parts();
        assert!(parts.keys.len() <= 1024);
        for entry in &parts.keys {
            let KeyValue::Clear(_) = &entry.value else { panic!("not opened") };
            let rule = parts.rules.iter().find(|rule| rule.kid == entry.kid);
            let Some(rule) = rule else {
                assert_eq!(entry.kid.to_string(), KID, "it is for all tracks at all times");
                continue;
            };
            let Filters::Known(filters) = &rule.filters else { panic!("not understood") };
            let [id] = &filters.periods[..] else { panic!("one period") };
            let period = parts.periods.iter().find(|period| period.id.as_ref() == Some(id));
            let period = period.and_then(|period| period.index).expect("the period is listed");
            let class = rule.track_type.as_ref().map(|text| text.as_str().to_owned());
            found.push((entry.kid.to_string(), class.expect("a class"), period));
        }
    }
    let text = |key: &serde_json::Value, field| key[field].as_str().unwrap_or_default().to_owned();
    let period =
        |key: &serde_json::Value| key["period"].as_u64().and_then(|n| u32::try_from(n).ok());
    let expected = keys
        .iter()
        .map(|key| (text(key, "kid"), text(key, "label"), period(key).unwrap_or(u32::MAX)));
    assert_eq!(found, expected.collect::<Vec<_>>(), "in the order of their periods");
}

#[test]
fn anything_less_is_refused_with_an_alert() {
    let house = House::new();
    let ada = house.approve("ada", "ada", "film", "offline.der");
    let again = house.approve("ada", "ada", "film", "offline.der");
    let bob = house.approve("bob", "bob", "film", "offline.der");
    house.assert_refused(&[&ada], "2 approvals");
    house.assert_refused(&[&ada, &again], "same operator");
    house.assert_refused(&[&ada, &ada], "same operator");
    let eve = house.approve("eve", "eve", "film", "offline.der");
    house.assert_refused(&[&ada, &eve], "not in the settings");
    let forged = house.approve("bob", "eve", "film", "offline.der");
    house.assert_refused(&[&ada, &forged], "signature");
    let title = house.approve("bob", "bob", "other", "offline.der");
    house.assert_refused(&[&ada, &title], "another title");
    let certificate = house.approve("bob", "bob", "film", "other.der");
    house.assert_refused(&[&ada, &certificate], "another certificate");
    house.write("text", b"yes, do it");
    house.assert_refused(&[&ada, &house.path("text")], "not an approval");
    // A weak, a foreign or an expired certificate in the settings.
    for bad in ["ec.cert.b64", "expired.cert.b64", "rsa1024.cert.b64", "sha1.cert.b64"] {
        house.write("offline.der", &vector(bad));
        let both = ["ada", "bob"].map(|name| house.approve(name, name, "film", "offline.der"));
        house.assert_refused(&[&both[0], &both[1]], "certificate");
    }
    house.write("offline.der", &vector("rsa3072.cert.b64"));
    // Nothing of that used up what is good.
    assert!(house.export(&[&ada, &bob]).status.success());
    // Without the settings there is no export at all, and without the flag no command.
    let line = ["keys", "export", "--break-glass", "--content", "film", "--out", "x", "--approval"];
    let refused = house.command().args(line).arg(&ada).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("nothing is exported"), "{}", said(&refused));
    let mute = house.command().args(["keys", "export", "--content", "film"]).output();
    assert_eq!(mute.expect("runs").status.code(), Some(2));
}
