//! Policies by the command line and in the licenses of the running service (R110 to R119).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/rows.rs"]
#[expect(dead_code, reason = "other tests look at columns")]
mod rows;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests sign in")]
mod service;

use binary::{done, said, strongroom};
use serde_json::{Value, json};
use service::Service;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KIDS: [(&str, &str); 4] = [
    ("0000000000000000000000000000000a", "AUDIO"),
    ("0000000000000000000000000000000b", "SD"),
    ("0000000000000000000000000000000c", "HD"),
    ("0000000000000000000000000000000d", "UHD"),
];

/// A data folder with the title `film`, a key of each class.
fn home(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    done(strongroom(&data).args(["account", "add", "viewer"]));
    let key = |(kid, label): (&str, &str)| json!({"kid": kid, "key": kid.replace('0', "d"), "content_id": "film", "label": label});
    let file = folder.join("keys.json");
    std::fs::write(&file, Value::from(KIDS.map(key).to_vec()).to_string()).expect("ours");
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    data
}

fn set(data: &Path, name: &str, document: &str) -> Command {
    let file = data.join(format!("{name}.toml"));
    std::fs::write(&file, document).expect("the folder is ours");
    let mut command = strongroom(data);
    command.args(["policy", "set", name, "--file"]).arg(file);
    command
}

fn answer(data: &Path, line: &[&str]) -> Value {
    serde_json::from_str(&done(strongroom(data).arg("--json").args(line))).expect("JSON")
}

/// Runs a command that must fail; its exit code and what it said.
#[track_caller]
fn refused(command: &mut Command, code: i32, part: &str) {
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{}", said(&output));
    assert!(said(&output).contains(part), "{}", said(&output));
}

/// The classes whose keys a ClearKey license of the service carries.
fn licensed(data: &Path, service: &Service) -> Vec<&'static str> {
    let line = ["license-url", "--content", "film", "--account", "viewer", "--dialect", "clearkey"];
    let url = done(strongroom(data).args(line));
    let base64 = |kid: &str| model::KeyId::parse(kid).expect("a KID").to_base64url();
    let kids: Vec<String> = KIDS.iter().map(|(kid, _)| base64(kid)).collect();
    let challenge = json!({"kids": kids, "type": "temporary"});
    let answer = service.ask("POST", url.trim(), &[], challenge.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    let license = answer.json();
    let carried: Vec<&Value> =
        license["keys"].as_array().expect("keys").iter().map(|key| &key["kid"]).collect();
    let is_carried = |kid: &&str| carried.contains(&&Value::from(base64(kid)));
    KIDS.iter().filter(|(kid, _)| is_carried(kid)).map(|(_, class)| *class).collect()
}

/// The classes that a dry run gives.
fn tested(data: &Path, what: &[&str], device: &str) -> Vec<String> {
    let answer = answer(data, &[&["policy", "test"], what, &["--as-device", device]].concat());
    let classes = answer["classes"].as_array().expect("classes").iter();
    let given = classes.filter(|class| class["given"] == true);
    given.map(|class| class["class"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_changed_policy_decides_the_next_license_and_the_dry_run_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let log = folder.path().join("serve.log");
    let service = Service::start(&mut strongroom(&data), &log);
    let look = |expected: &[&str]| {
        assert_eq!(licensed(&data, &service), expected);
        assert_eq!(tested(&data, &["--content", "film"], "clearkey"), expected);
    };
    look(&["AUDIO", "SD", "HD", "UHD"]);
    // Imported titles are open to ClearKey by their own word; output rules are not overridden.
    done(&mut set(&data, "mine", "license_s = 60\n[outputs.UHD]\nhdcp = \"2.2\""));
    done(strongroom(&data).args(["policy", "assign", "mine", "--content", "film"]));
    look(&["AUDIO", "SD", "HD"]);
    done(&mut set(&data, "mine", "license_s = 60\n[outputs.SD]\nanalog = \"refused\""));
    look(&["AUDIO", "HD", "UHD"]);
    done(&mut set(&data, "mine", "license_s = 60\ncapture_protected = true"));
    look(&[]);
    let floor = "license_s = 60\n[levels]\nL1 = \"UHD\"\nL2 = \"HD\"\nL3 = \"none\"";
    done(&mut set(&data, "mine", floor));
    look(&[]);
    done(strongroom(&data).args(["policy", "assign", "studio-strict", "--content", "film"]));
    look(&[]);
    done(strongroom(&data).args(["policy", "assign", "standard", "--content", "film"]));
    look(&["AUDIO", "SD", "HD", "UHD"]);
    // The title's own word goes with a `title add` that does not say it again.
    done(strongroom(&data).args(["title", "add", "film"]));
    look(&["AUDIO", "SD"]);
    // A title whose policy is gone gets no license at all.
    assert_eq!(rows::change(&data, "UPDATE titles SET policy_name = 'gone'"), 1);
    let line = ["license-url", "--content", "film", "--account", "viewer", "--dialect", "clearkey"];
    refused(strongroom(&data).args(line), 1, "does not read back");
}

#[test]
fn the_dry_run_says_what_each_level_gets_under_which_terms() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    for (device, expected) in [
        ("L1", &["AUDIO", "SD", "HD", "UHD"][..]),
        ("L2", &["AUDIO", "SD", "HD"]),
        ("L3", &["AUDIO", "SD"]),
        ("clearkey", &["AUDIO", "SD"]),
    ] {
        assert_eq!(tested(&data, &["standard"], device), expected, "{device}");
    }
    for (device, expected) in [
        ("L1", &["AUDIO", "SD", "HD", "UHD"][..]),
        ("L2", &["AUDIO", "SD"]),
        ("L3", &["AUDIO", "SD"]),
        ("clearkey", &[]),
    ] {
        assert_eq!(tested(&data, &["studio-strict"], device), expected, "{device}");
    }
    let strict = answer(&data, &["policy", "test", "studio-strict", "--as-device", "L1"]);
    let terms = json!({"robustness": "hardware-decoding", "hdcp": "2.2", "analog": "refused",
        "track_class": "UHD"});
    assert_eq!(strict["classes"][3]["terms"], terms);
    let license = &strict["license"];
    assert_eq!((&license["license_s"], &license["can_renew"]), (&json!(3600), &json!(true)));
    let why = answer(&data, &["policy", "test", "standard", "--as-device", "L3"]);
    assert_eq!(why["classes"][2]["withheld_by"], "levels");

    let offline = ["policy", "test", "standard", "--as-device", "L1", "--offline"];
    let refusal = answer(&data, &offline);
    assert_eq!(
        (&refusal["answer"], &refusal["classes"]),
        (&json!("offline_not_allowed"), &json!([]))
    );
    let rule = "license_s = 60\n[offline]\nallowed = true\nlicense_s = 604800";
    done(&mut set(&data, "kept", rule));
    let kept = answer(&data, &["policy", "test", "kept", "--as-device", "L1", "--offline"]);
    let license = &kept["license"];
    assert_eq!((&license["license_s"], &license["can_persist"]), (&json!(604_800), &json!(true)));

    let title = answer(&data, &["policy", "test", "--content", "film", "--as-device", "L2"]);
    let keys = title["keys"].as_array().expect("keys");
    let given: Vec<_> = keys.iter().filter(|key| key["given"] == true).collect();
    assert_eq!((keys.len(), given.len()), (4, 3));
    let text = done(strongroom(&data).args(["policy", "test", "standard", "--as-device", "L2"]));
    assert!(text.contains("UHD    withheld  levels: "), "{text}");
}

/// Keys of periods are told by how far ahead they are given, and not one by one.
#[test]
fn the_dry_run_of_a_title_whose_keys_change_says_its_horizon() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let film = ["policy", "test", "--content", "film", "--as-device", "L1"];
    assert_eq!(answer(&data, &film)["rotation"], Value::Null);
    let key = |kid: u8, period: u32| {
        json!({"content_id": "film", "kid": format!("{kid:032x}"), "key": format!("{kid:032x}"),
            "label": "SD", "scheme": "cbcs", "period": period})
    };
    let file = folder.path().join("periods.json");
    let keys = json!([key(0xe0, 0), key(0xe1, 1)]).to_string();
    std::fs::write(&file, keys).expect("a key file");
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    let outcome = answer(&data, &film);
    assert_eq!(outcome["rotation"], json!({"live": false}));
    assert_eq!(outcome["license_s"], 86_400);
    assert_eq!(outcome["keys"].as_array().map(Vec::len), Some(4), "those of its tracks");
    let text = done(strongroom(&data).args(film));
    assert!(text.contains("  periods  all that are asked for\n"), "{text}");
    publish_live(&data);
    let outcome = answer(&data, &film);
    assert_eq!(outcome["rotation"], json!({"live": true, "horizon_s": 600}));
    assert_eq!(
        (&outcome["license_s"], &outcome["license"]["license_s"]),
        (&json!(600), &json!(600))
    );
    let text = done(strongroom(&data).args(film));
    assert!(text.contains("  periods  those of the next 600 s\n"), "{text}");
    done(&mut set(&data, "whole", "license_s = 86400\n[rotation]\nwhole_event = true\n"));
    done(strongroom(&data).args(["policy", "assign", "whole", "--content", "film"]));
    let outcome = answer(&data, &film);
    assert_eq!(outcome["rotation"], json!({"live": true}));
    assert_eq!(outcome["license_s"], 86_400);
}

/// Notes `film` as a live event, as its packager does.
fn publish_live(data: &Path) {
    let number = |n| std::num::NonZeroU32::new(n).expect("not 0");
    let package = model::PackageId::from_bytes([7; 16]);
    let event = model::PackagedEvent {
        event: model::PackagedEvent::EVENT.to_owned(),
        version: model::PackagedEvent::VERSION,
        content_id: model::ContentId::parse("film").expect("an id"),
        package_id: package,
        schemes: vec![model::Scheme::Cbcs],
        variants: vec![],
        texts: vec![],
        images: vec![],
        dash: "manifest.mpd".to_owned(),
        hls: vec![],
        live: true,
        rotation: Some(model::Rotation { period_s: number(60), batch_periods: number(10) }),
        duration_ms: 0,
        size_bytes: 0,
        packager: "test".to_owned(),
        packaged_at: model::Timestamp(0),
    };
    let url = format!("sqlite://{}", data.join("strongroom.db").display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = store::Store::open(&url).await.expect("the rows");
        let state = model::TitleState::Published { package };
        store.publish_package(&state, &event, model::Timestamp(1)).await.expect("published");
    });
}

/// FairPlay says no output rule beyond HDCP 2.2, and decrypts no `cenc`.
#[test]
fn the_dry_run_says_which_keys_fairplay_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let counter = "0000000000000000000000000000000e";
    let key = json!([{"kid": counter, "key": counter.replace('0', "d"), "content_id": "film",
        "label": "SD", "scheme": "cenc"}]);
    let file = folder.path().join("counter.json");
    std::fs::write(&file, key.to_string()).expect("ours");
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    let own = "license_s = 60\n[outputs.SD]\nhdcp = \"2.2\"\n[outputs.HD]\nhdcp = ";
    for hdcp in ["2.3", "no-digital-output"] {
        done(&mut set(&data, "own", &format!("{own}\"{hdcp}\"")));
        done(strongroom(&data).args(["policy", "assign", "own", "--content", "film"]));
        let line = ["policy", "test", "--content", "film", "--as-device", "L2", "--dialect"];
        let test = |dialect| answer(&data, &[&line[..], &[dialect]].concat());
        let fairplay = test("fairplay");
        let [sound, sd, hd] = [0, 1, 2].map(|at| &fairplay["classes"][at]);
        assert_eq!((&sound["given"], &sound["only_with"]), (&json!(true), &Value::Null));
        assert_eq!((&sd["given"], &sd["only_with"]), (&json!(true), &json!("hdcp_type_1")));
        let refused = json!({"class": "HD", "given": false, "withheld_by": "outputs_unsupported"});
        assert_eq!(hd, &refused);
        assert_eq!(fairplay["classes"][3]["withheld_by"], "levels");
        let given = |answer: &Value| {
            let keys = answer["keys"].as_array().expect("keys").clone();
            let mut given: Vec<_> = keys.iter().filter(|key| key["given"] == true).collect();
            given.sort_by_key(|key| key["kid"].to_string());
            given.iter().map(|key| key["kid"].as_str().expect("a KID").to_owned()).collect()
        };
        let [sound, sd, hd, _] = KIDS.map(|(kid, _)| kid.to_owned());
        let of_fairplay: Vec<String> = given(&fairplay);
        assert_eq!(of_fairplay, [sound.clone(), sd.clone()]);
        for dialect in ["widevine", "playready"] {
            let other: Vec<String> = given(&test(dialect));
            let all = [sound.clone(), sd.clone(), hd.clone(), counter.to_owned()];
            assert_eq!(other, all, "{dialect}");
        }
        let text = done(strongroom(&data).args(line).arg("fairplay"));
        let hd = "HD     refused   outputs_unsupported: fairplay cannot say these outputs";
        assert!(text.contains(hd) && text.contains("devices that enforce hdcp_type_1"), "{text}");
    }
}

#[test]
fn policies_are_shown_as_they_can_be_set_and_refused_with_their_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let shown = done(strongroom(&data).args(["policy", "show", "studio-strict"]));
    let mut copy = strongroom(&data);
    let mut copy = copy
        .args(["policy", "set", "copy"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("runs");
    std::io::Write::write_all(&mut copy.stdin.take().expect("a pipe"), shown.as_bytes())
        .expect("it reads");
    assert!(copy.wait().expect("it ends").success());
    assert_eq!(done(strongroom(&data).args(["policy", "show", "copy"])), shown);
    let listed = answer(&data, &["policy", "list"]);
    let listed: Vec<_> = listed["policies"].as_array().expect("policies").iter().collect();
    let names: Vec<_> = listed.iter().map(|row| (&row["name"], &row["built_in"])).collect();
    let [standard, strict, mine] = ["standard", "studio-strict", "copy"].map(Value::from);
    assert_eq!(names, [(&standard, &json!(true)), (&strict, &json!(true)), (&mine, &json!(false))]);

    let run = |line: &str| {
        let mut command = strongroom(&data);
        command.args(line.split(' '));
        command
    };
    done(&mut run("title add other --policy copy"));
    for (line, code, part) in [
        ("policy remove standard", 1, "standard is built in"),
        ("policy remove copy", 1, "titles have the policy copy, other for one"),
        ("policy remove none", 1, "there is no policy named none"),
        ("policy show none", 1, "there is no policy named none"),
        ("policy test none --as-device L1", 1, "there is no policy named none"),
        ("policy test --as-device L1", 2, "required"),
        ("policy test copy --content film --as-device L1", 2, "cannot be used with"),
        ("policy test copy --as-device L4", 2, "invalid value"),
        ("policy test copy --as-device L1 --dialect clearkey", 2, "L1 speaks widevine"),
        ("policy assign copy --content none", 1, "there is no title none"),
        ("policy assign none --content film", 1, "there is no policy named none"),
        ("policy assign ../x --content film", 2, "the policy's name"),
        ("policy set copy --file /nowhere", 2, "/nowhere"),
        ("title add other --clearkey-max HD", 1, "the policy copy gives ClearKey no key"),
        ("title add new --policy none", 1, "there is no policy named none"),
    ] {
        refused(&mut run(line), code, part);
    }
    refused(&mut set(&data, "standard", "license_s = 60"), 1, "standard is built in");
    for (document, part) in [
        ("license_s = 0", "`license_s = 0`: invalid value"),
        ("license_s = 60\nhdcp = \"2.2\"", "line 2, `hdcp = \"2.2\"`: unknown field `hdcp`"),
        ("license_s = 60\nclearkey_max = \"SD\"\ncapture_protected = true", "clearkey_max: "),
    ] {
        refused(&mut set(&data, "copy", document), 1, part);
    }
    refused(&mut set(&data, "copy", &"#".repeat(100_000)), 1, "longer than 16 KiB");
    assert_eq!(done(strongroom(&data).args(["policy", "show", "copy"])), shown, "it stayed");
    assert_eq!(answer(&data, &["title", "list"])["titles"].as_array().map(Vec::len), Some(2));
    done(&mut run("title add other --policy standard"));
    done(&mut run("policy remove copy"));
}

#[test]
fn each_change_has_an_audit_row_before_it_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    done(&mut set(&data, "mine", "license_s = 60"));
    done(strongroom(&data).args(["title", "add", "other", "--policy", "mine"]));
    done(strongroom(&data).args(["policy", "assign", "standard", "--content", "other"]));
    done(strongroom(&data).args(["policy", "remove", "mine"]));
    refused(strongroom(&data).args(["policy", "remove", "mine"]), 1, "no policy");
    let sql = "SELECT actor, action, content_id, detail FROM audit \
         WHERE action LIKE 'policy.%' ORDER BY seq";
    let audit = rusqlite::Connection::open(data.join("strongroom-audit.db")).expect("it is there");
    let mut select = audit.prepare(sql).expect("the table is there");
    let line = |row: &rusqlite::Row<'_>| {
        let title: Option<String> = row.get(2)?;
        let detail: String = row.get(3)?;
        let detail = detail.split(" sha256").next().unwrap_or_default().to_owned();
        let (who, what): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("{who} {what} {} {detail}", title.unwrap_or_default()))
    };
    let rows = select.query_map([], line).expect("nothing is bound");
    let rows: Vec<String> = rows.collect::<Result<_, _>>().expect("a row reads");
    assert_eq!(
        rows,
        [
            "operator policy.set  policy mine",
            "operator policy.assigned other policy mine",
            "operator policy.assigned other policy standard",
            "operator policy.removed  policy mine",
        ]
    );
    done(strongroom(&data).args(["keys", "verify-audit"]));
}
