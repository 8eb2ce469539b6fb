//! Independent packages decide on signed URLs (R131): botocore signs as CloudFront's customers do
//! and `cryptography` checks as CloudFront does, Akamai's own package makes the same token, and
//! python-cwt reads our Common Access Tokens and makes some for our edge.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests may panic")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/python_peer.rs"]
#[expect(dead_code, reason = "other tests need one folder")]
mod python_peer;

use binary::{done, said, strongroom};
use edge::PassRefused;
use edge::cdn::SharedSecret;
use edge::cdn::cat::{Asked, CatKey, CatVerifier, TrustedIssuer};
use keys::{P256PrivateKey, RsaPrivateKey};
use model::{ContentId, PlaybackSessionId, Timestamp};
use python_peer::PythonPeer;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const SECRET: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const NOW_S: u64 = 1_790_000_000;
const SESSION: &str = "05050505050505050505050505050505";
const OTHER_SESSION: &str = "06060606060606060606060606060606";

/// A data folder with the titles `film` and `other`, and a key and a CDN of each kind.
struct House {
    folder: tempfile::TempDir,
    peer: PythonPeer,
}

impl House {
    fn furnished() -> Option<Self> {
        let packages = [("cdn", "cwt"), ("cdn", "akamai"), ("moto", "botocore")];
        let house = Self {
            peer: PythonPeer::find_in(&packages, "cdn_peer.py")?,
            folder: tempfile::tempdir().unwrap(),
        };
        let (_, rsa) = RsaPrivateKey::generate();
        house.put("rsa.pem", &RsaPrivateKey::pem_of(&rsa));
        let (private, p256) = P256PrivateKey::generate();
        house.put("ec.pem", &P256PrivateKey::pem_of(&p256));
        house.put("ec.pub", &private.public_key().to_pem());
        house.put("secret.hex", SECRET);
        let cat = "signing = \"cat\"\nissuer = \"tv\"\nkey_id = \"1\"";
        house.put(
            "settings.toml",
            &[
                house.cdn("cloudfront", "rsa.pem", "signing = \"cloudfront\"\nkey_id = \"K2J\""),
                house.cdn(
                    "bound",
                    "rsa.pem",
                    "signing = \"cloudfront\"\nkey_id = \"K2J\"\nbind_address = true",
                ),
                house.cdn("akamai", "secret.hex", "signing = \"akamai\"\nparameter = \"hdnea\""),
                house.cdn("mac", "secret.hex", &format!("{cat}\nalgorithm = \"HS256\"")),
                house.cdn("ec", "ec.pem", &format!("{cat}\nalgorithm = \"ES256\"")),
                house.cdn(
                    "country",
                    "ec.pem",
                    &format!("{cat}\nalgorithm = \"ES256\"\nbind_country = true"),
                ),
                house.cdn("cookie", "secret.hex", "signing = \"akamai\"\ncarrier = \"cookie\""),
            ]
            .concat(),
        );
        for title in ["film", "other"] {
            done(strongroom(&house.data()).args(["title", "add", title]));
        }
        Some(house)
    }

    fn cdn(&self, name: &str, key: &str, more: &str) -> String {
        let key = self.file(key);
        format!(
            "[[cdn]]\nname = \"{name}\"\nbase_url = \"https://{name}.example/v/\"\n\
             key_file = {key:?}\n{more}\n"
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.file("data")
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, line: &[&str]) -> std::process::Command {
        let mut command = strongroom(&self.data());
        command.arg("--config").arg(self.file("settings.toml"));
        command.args(["--json", "cdn", "sign"]).args(line);
        command
    }

    fn sign(&self, cdn: &str, more: &[&str]) -> Value {
        let line = ["--cdn", cdn, "--content", "film", "--seconds", "60", "--session", SESSION];
        serde_json::from_str(&done(&mut self.command(&[&line, more].concat()))).unwrap()
    }

    #[track_caller]
    fn refused(&self, line: &[&str], part: &str) {
        let output = self.command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(part), "{}", said(&output));
    }

    fn ask(&self, line: &[&str]) -> String {
        let line: Vec<&OsStr> = line.iter().map(OsStr::new).collect();
        self.peer.run(&line).join("\n")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn expires_s(signed: &Value) -> u64 {
    signed["expires_at"].as_u64().unwrap() / 1000
}

#[test]
fn cloudfront_would_serve_what_is_signed_and_nothing_else() {
    let Some(house) = House::furnished() else { return };
    let rsa = house.file("rsa.pem");
    let signed = house.sign("cloudfront", &[]);
    let (url, end) = (text(&signed["url"]), expires_s(&signed));
    assert!(url.starts_with("https://cloudfront.example/v/film/manifest.mpd?Policy="), "{url}");
    let resource = "https://cloudfront.example/v/film/*";
    let theirs = house.ask(&["cloudfront-sign", path(&rsa), "K2J", resource, &end.to_string(), ""]);
    assert_eq!(text(&signed["query"]), theirs, "botocore signs the same bytes");
    let check = |url: &str, now: u64, address: &str| {
        house.ask(&["cloudfront-check", path(&rsa), url, &now.to_string(), address])
    };
    assert_eq!(check(url, end - 1, "192.0.2.1"), "yes");
    assert_eq!(check(url, end, "192.0.2.1"), "expired");
    assert_eq!(check(url, end + 1, "192.0.2.1"), "expired");
    let elsewhere = |from: &str, to: &str| check(&url.replace(from, to), end - 1, "192.0.2.1");
    assert_eq!(elsewhere("/v/film/", "/v/film/cbcs/video/"), "yes", "any object of the folder");
    assert_eq!(elsewhere("/v/film/", "/v/film2/"), "resource");
    assert_eq!(elsewhere("/v/film/", "/v/FILM/"), "resource");
    assert_eq!(elsewhere("/v/film/", "/v/other/"), "resource");
    assert_eq!(elsewhere("https:", "http:"), "resource");
    assert_eq!(elsewhere("Signature=", "Signature=A"), "signature");
    assert_eq!(elsewhere("Policy=ey", "Policy=fy"), "signature");
    assert_eq!(elsewhere("?Policy=", "?Policy=e30_&Policy="), "twice");

    let bound = house.sign("bound", &["--address", "192.0.2.7"]);
    let (url, end) = (text(&bound["url"]), expires_s(&bound));
    let resource = "https://bound.example/v/film/*";
    let line = ["cloudfront-sign", path(&rsa), "K2J", resource, &end.to_string(), "192.0.2.7"];
    assert_eq!(text(&bound["query"]), house.ask(&line));
    assert_eq!(check(url, end - 1, "192.0.2.7"), "yes");
    assert_eq!(check(url, end - 1, "192.0.2.8"), "address");
    for address in [&[][..], &["--address", "2001:db8::7"]] {
        let line = [&["--cdn", "bound", "--content", "film"], address].concat();
        house.refused(&line, "the viewer's address");
    }
}

#[test]
fn akamais_own_package_makes_the_same_token() {
    let Some(house) = House::furnished() else { return };
    let signed = house.sign("akamai", &[]);
    let (end, token) = (expires_s(&signed), text(&signed["query"]));
    let token = token.strip_prefix("hdnea=").unwrap();
    let start = token.strip_prefix("st=").and_then(|rest| rest.split_once('~')).unwrap().0;
    assert_eq!(end - start.parse::<u64>().unwrap(), 60 + 30);
    let line = |secret, acl, end: u64, session| {
        house.ask(&["akamai-sign", secret, acl, start, &end.to_string(), session])
    };
    assert_eq!(token, line(SECRET, "/v/film/*", end, SESSION));
    // What differs in one thing differs in its signature.
    let tag = |token: &str| token.split_once("~hmac=").unwrap().1.to_owned();
    let other_key = SECRET.replace("0a1b", "0a1c");
    for other in [
        line(&other_key, "/v/film/*", end, SESSION),
        line(SECRET, "/v/film2/*", end, SESSION),
        line(SECRET, "/v/*", end, SESSION),
        line(SECRET, "/v/film/*", end + 1, SESSION),
        line(SECRET, "/v/film/*", end, OTHER_SESSION),
    ] {
        assert_ne!(tag(&other), tag(token), "{other}");
    }
    let cookie = house.sign("cookie", &[]);
    assert_eq!(text(&cookie["url"]), "https://cookie.example/v/film/manifest.mpd");
    assert!(text(&cookie["cookies"][0]).starts_with("hdnts=st="), "{cookie}");
    assert_eq!(cookie["query"], Value::Null);
}

#[test]
fn python_cwt_reads_our_tokens() {
    let Some(house) = House::furnished() else { return };
    let public = house.file("ec.pub");
    for (cdn, algorithm, key) in [("mac", "HS256", SECRET), ("ec", "ES256", path(&public))] {
        let signed = house.sign(cdn, &[]);
        let (end, token) = (expires_s(&signed), text(&signed["query"]));
        let token = token.strip_prefix("CAT=").unwrap();
        let check = |key: &str, token: &str, now: u64| {
            house.ask(&["cat-check", algorithm, key, "1", token, &now.to_string()])
        };
        let claims: Value = serde_json::from_str(&check(key, token, end - 1)).unwrap();
        let expected = json!({"1": "tv", "4": end, "7": SESSION, "310": 1,
            "312": {"3": {"1": "/v/film/"}}, "313": ["GET", "HEAD"]});
        assert_eq!(claims, expected);
        let refused = |said: String| assert!(said.starts_with("refused: "), "{said}");
        refused(check(key, token, end + 2));
        refused(check(key, &token.replace(&token[60..64], "AAAA"), end - 1));
        refused(check(key, &format!("{}A", &token[..token.len() - 1]), end - 1));
        if cdn == "mac" {
            refused(check(&SECRET.replace("0a1b", "0a1c"), token, end - 1));
        }
    }
    let country = house.sign("country", &["--country", "de"]);
    let token = text(&country["query"]).strip_prefix("CAT=").unwrap();
    let now = expires_s(&country) - 1;
    let claims = house.ask(&["cat-check", "ES256", path(&public), "1", token, &now.to_string()]);
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(claims["316"], json!(["DE"]));
    house.refused(&["--cdn", "country", "--content", "film"], "country is not known");
    house.refused(&["--cdn", "another", "--content", "film"], "no [[cdn]] of this name");
    house.refused(&["--cdn", "mac", "--content", "none"], "no such title");
}

#[test]
fn our_edge_reads_the_tokens_of_python_cwt() {
    let Some(house) = House::furnished() else { return };
    let private =
        P256PrivateKey::parse_pem(&std::fs::read_to_string(house.file("ec.pem")).unwrap());
    let trusted = |key_id: &str, key| TrustedIssuer {
        issuer: "tv".to_owned(),
        key_id: key_id.to_owned(),
        key,
    };
    let verifier = CatVerifier::new(vec![
        trusted("m", CatKey::Hs256(SharedSecret::parse(SECRET).unwrap())),
        trusted("e", CatKey::Es256(private.unwrap().public_key().to_bytes())),
    ]);
    let (now, end) = (NOW_S.to_string(), NOW_S + 600);
    let film = ContentId::parse("film").unwrap();
    let open = |token: &str, path: &str, at_s: u64| {
        let now = Timestamp(at_s * 1000);
        let asked = Asked { path, content_id: &film, method: "GET", country: None, now };
        verifier.open(token, &asked).map(|pass| pass.session)
    };
    let claims = json!({"1": "tv", "4": end, "7": SESSION, "310": 1,
        "312": {"3": {"1": "/v/film/"}}, "313": ["GET"]})
    .to_string();
    let stranger = claims.replace("\"tv\"", "\"xy\"");
    let session = PlaybackSessionId::parse(SESSION).unwrap();
    let ec = house.file("ec.pem");
    for (algorithm, key, key_id) in [("HS256", SECRET, "m"), ("ES256", path(&ec), "e")] {
        for form in ["tagged", "bare"] {
            let token = house.ask(&["cat-sign", algorithm, key, key_id, &claims, form, &now]);
            assert_eq!(open(&token, "/v/film/1.m4s", end - 1), Ok(session), "{token}");
            assert_eq!(open(&token, "/v/film/1.m4s", end), Err(PassRefused::Expired));
            assert_eq!(open(&token, "/v/other/1.m4s", end - 1), Err(PassRefused::Invalid));
        }
        let other = if key_id == "m" { "e" } else { "m" };
        for (key_id, claims) in [(other, &claims), ("x", &claims), (key_id, &stranger)] {
            let token = house.ask(&["cat-sign", algorithm, key, key_id, claims, "tagged", &now]);
            assert_eq!(open(&token, "/v/film/1.m4s", end - 1), Err(PassRefused::Invalid));
        }
    }
}
