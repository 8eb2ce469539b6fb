//! The running key service as foreign encoders, hostile ones and our own packager meet it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/peers.rs"]
mod peers;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/service.rs"]
mod service;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/web_server.rs"]
mod web_server;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use binary::{done, said, strongroom};
use clip::clip;
use dialect::cpix::SystemId;
use model::KeyId;
use peers::Peers;
use serde_json::{Value, json};
use service::Service;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use web_server::{Manner, WebServer};

/// The processor time of one refusal.
const CPU: Duration = Duration::from_millis(50);
/// What one refusal may take beside what the service holds at rest.
const MEMORY_KIB: u64 = 16 * 1024;

const PATH: &str = "/speke/v2.0/copyProtection";
const VERSION: &str = "X-Speke-Version: 2.0";

fn token(data: &Path, arguments: &[&str]) -> String {
    let text = done(strongroom(data).arg("admin-token").args(arguments));
    text.trim().to_owned()
}

fn bearer(data: &Path) -> String {
    format!("Authorization: Bearer {}", token(data, &["--scope", "speke,cpix"]))
}

fn kid(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// A question that is well asked, with room for something else behind its head.
fn question(head: &str, extra: &str) -> String {
    let kid = kid(1);
    format!(
        r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="film" version="2.3" {head}>{extra}<ContentKeyList><ContentKey kid="{kid}" commonEncryptionScheme="cenc"/></ContentKeyList><DRMSystemList><DRMSystem kid="{kid}" systemId="{}"><PSSH/></DRMSystem></DRMSystemList><ContentKeyUsageRuleList><ContentKeyUsageRule kid="{kid}" intendedTrackType="SD"><VideoFilter/></ContentKeyUsageRule></ContentKeyUsageRuleList></CPIX>"#,
        SystemId::WIDEVINE
    )
}

fn recipient(key: &str) -> String {
    format!(
        r#"<DeliveryDataList><DeliveryData><DeliveryKey><X509Data xmlns="http://www.w3.org/2000/09/xmldsig#">{key}</X509Data></DeliveryKey></DeliveryData></DeliveryDataList>"#
    )
}

fn certificate(name: &str) -> String {
    let path = format!("vectors/cpix/certificates/{name}.cert.b64");
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Each hostile document by its name; `canary` is where a fetch would be seen.
fn hostile(canary: &str) -> Vec<(&'static str, String)> {
    let whole = question("", "");
    let declared = |declaration: &str, text: &str| {
        format!(
            "<!DOCTYPE CPIX [{declaration}]>{}",
            whole.replacen("\"film\"", &format!("\"{text}\""), 1)
        )
    };
    let laughs = (1..10).fold("<!ENTITY l0 \"lol\">".to_owned(), |all, n| {
        let inner = format!("&l{};", n - 1).repeat(10);
        format!("{all}<!ENTITY l{n} \"{inner}\">")
    });
    let mut attributes = String::new();
    let mut prefixes = String::new();
    for n in 0..100_000 {
        attributes += &format!(" a{n}=''");
        prefixes += &format!(" xmlns:a{n}='u'");
    }
    let periods: String =
        (0..5000).map(|n| format!(r#"<ContentKeyPeriod id="p{n}" index="{n}"/>"#)).collect();
    let periods = whole.replacen(
        "<ContentKeyUsageRuleList>",
        &format!("<ContentKeyPeriodList>{periods}</ContentKeyPeriodList><ContentKeyUsageRuleList>"),
        1,
    );
    let retrieval = format!(
        r#"<DeliveryDataList><DeliveryData><DeliveryKey><RetrievalMethod xmlns="http://www.w3.org/2000/09/xmldsig#" URI="{canary}/key"/></DeliveryKey></DeliveryData></DeliveryDataList>"#
    );
    let of = |name: &str| {
        recipient(&format!("<X509Certificate>{}</X509Certificate>", certificate(name)))
    };
    let secret = |mac: &str| {
        let value = STANDARD.encode([7; 48]);
        let secret = format!(
            r#"<Data><p:Secret xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><p:EncryptedValue><e:EncryptionMethod xmlns:e="http://www.w3.org/2001/04/xmlenc#" Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/><e:CipherData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherValue>{value}</e:CipherValue></e:CipherData></p:EncryptedValue><p:ValueMAC>{mac}</p:ValueMAC></p:Secret></Data>"#
        );
        whole.replacen("\"cenc\"/>", &format!("\"cenc\">{secret}</ContentKey>"), 1)
    };
    vec![
        ("XXE", declared(&format!("<!ENTITY x SYSTEM \"{canary}/x\">"), "&x;")),
        ("XXE of a file", declared("<!ENTITY x SYSTEM \"file:///etc/passwd\">", "&x;")),
        ("external document type", format!("<!DOCTYPE CPIX SYSTEM \"{canary}/d\">{whole}")),
        ("billion laughs", declared(&laughs, "&l9;")),
        ("RetrievalMethod", question("", &retrieval)),
        ("100 000 attributes", question(&attributes, "")),
        ("100 000 prefixes", question(&prefixes, "")),
        ("5 000 periods", periods),
        ("deep nesting", "<a>".repeat(400_000)),
        (
            "wide nesting",
            format!("{}{}", question("", "").trim_end_matches("</CPIX>"), "<a/>".repeat(400_000)),
        ),
        (
            "a table of elements",
            format!(
                "{}{}",
                question("", "").trim_end_matches("</CPIX>"),
                format!("<b>{}</b>", "<a/>".repeat(8000)).repeat(50)
            ),
        ),
        ("a wrong MAC", secret(&STANDARD.encode([9; 64]))),
        ("RSA-1024", question("", &of("rsa1024"))),
        ("SHA-1", question("", &of("sha1"))),
        ("expired", question("", &of("expired"))),
        ("no certificate", question("", &recipient("<X509Certificate>AAAA</X509Certificate>"))),
    ]
}

/// What is said to a question of so many bytes before one of them is sent.
fn declared(service: &Service, bearer: &str, length: usize) -> String {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n{VERSION}\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a running process has used and uses.
struct Gauge(u32);

impl Gauge {
    fn cpu(&self) -> Duration {
        let pid = nix::unistd::Pid::from_raw(self.0.try_into().unwrap());
        let clock = nix::time::clock_getcpuclockid(pid).unwrap();
        Duration::from(nix::time::clock_gettime(clock).unwrap())
    }

    /// Sets the peak back to what is used now, where the system lets us.
    fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").unwrap();
    }

    fn kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[test]
fn hostile_documents_are_refused_cheaply_and_nothing_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let bearer = bearer(&data);
    let start = || Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let address = format!("http://{}", canary.local_addr().unwrap());
    let ask = |service: &Service, body: &str| {
        service.ask("POST", PATH, &[&bearer, VERSION], body.as_bytes()).status
    };
    for (name, document) in hostile(&address) {
        // A service of its own, so that memory which an earlier one left behind hides nothing.
        let service = start();
        // The first question opens connections and threads that stay.
        assert_eq!(ask(&service, &question("", "")), 200);
        let gauge = Gauge(service.child.id());
        gauge.forget_peak();
        let at_rest = gauge.kib("VmRSS");
        let cost = || {
            let before = gauge.cpu();
            let status = ask(&service, &document);
            assert!(matches!(status, 413 | 422), "{name}: {status}");
            gauge.cpu().saturating_sub(before)
        };
        let first = cost();
        let memory = gauge.kib("VmHWM").saturating_sub(at_rest);
        // The least of three: a machine that is busy with others disturbs one, not all.
        let cpu = first.min(cost()).min(cost());
        println!("{name}: {cpu:?}, {memory} KiB");
        assert!(cpu <= CPU, "{name}: {cpu:?}");
        assert!(memory <= MEMORY_KIB, "{name}: {memory} KiB");
    }
    let service = start();
    assert!(declared(&service, &bearer, 32 << 20).starts_with("HTTP/1.1 413"));
    // A schema location is no harm: it is not looked at, and the question is answered.
    let located = format!(
        r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:dashif:org:cpix {address}/cpix.xsd""#
    );
    assert_eq!(ask(&service, &question(&located, "")), 200);
    let seen = canary.accept();
    assert!(seen.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "a fetch");
}

#[test]
fn two_processes_on_one_database_make_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let bearer = bearer(&data);
    let services: Vec<_> = ["one", "two"]
        .iter()
        .map(|name| {
            Service::start(&mut strongroom(&data), &folder.path().join(format!("{name}.log")))
        })
        .collect();
    for round in 0..4 {
        let text = question("", "").replace(&kid(1), &kid(100 + round));
        let answers: BTreeSet<Vec<u8>> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..50)
                .map(|n| {
                    let (service, text, bearer) = (&services[n % 2], &text, &bearer);
                    scope.spawn(move || {
                        let answer = service.ask("POST", PATH, &[bearer, VERSION], text.as_bytes());
                        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                        answer.body
                    })
                })
                .collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(answers.len(), 1, "50 equal answers");
    }
    drop(services);
    let rows = done(strongroom(&data).args(["--json", "keys", "list", "--content", "film"]));
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows["keys"].as_array().unwrap().len(), 4, "a row for each KID");
    done(strongroom(&data).args(["keys", "verify-audit"]));
}

/// `package` of the title by a key service.
fn package(data: &Path, input: &Path, out: &Path, arguments: &[&str]) -> Command {
    let mut command = strongroom(data);
    command.args(["--json", "package", "--content", "film", "--layout", "single-file"]);
    command.args(["--scheme", "dual", "--out"]).arg(out).args(arguments).arg(input);
    command
}

#[test]
fn our_own_packager_asks_like_a_foreign_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let [data, foreign] = ["data", "foreign"].map(|name| folder.path().join(name));
    let Some(clip) = clip(folder.path(), "640x360", 4, "") else { return };
    let token_file = folder.path().join("token");
    fs::write(&token_file, token(&data, &["--scope", "speke,cpix", "--content", "film"])).unwrap();
    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let token_file = token_file.to_str().unwrap();
    let mut seen = BTreeSet::new();
    for (dialect, delivery, path) in [
        ("speke-v2", "rsa-3072", PATH),
        ("speke-v2.1", "rsa-2048", PATH),
        ("cpix", "clear", "/cpix"),
        ("cpix-2.4", "rsa-2048", "/cpix"),
    ] {
        let out = folder.path().join(dialect);
        let url = format!("{}{path}", service.url);
        let asks = [
            "--key-service",
            &url,
            "--key-service-token-file",
            token_file,
            "--key-service-dialect",
            dialect,
            "--key-service-delivery",
            delivery,
        ];
        // The packager's own data folder is another one: it has nothing of the vault's.
        let event = done(&mut package(&foreign, &clip, &out, &asks));
        let event: Value = serde_json::from_str(&event).unwrap();
        let variants = event["variants"].as_array().unwrap();
        let kids: BTreeSet<_> =
            variants.iter().map(|v| v["kid"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kids.len(), 4, "audio and SD, each in two schemes");
        for kid in &kids {
            let row = done(strongroom(&data).args(["--json", "keys", "show", kid]));
            assert!(row.contains("\"film\""), "{row}");
            assert!(seen.insert(kid.clone()), "each run has keys of its own");
        }
        inspect_agrees(&foreign, &out, variants);
    }
    assert!(!foreign.exists(), "no key was kept by the packager");
    drop(service);
    played_by_licenses(&data, &folder.path().join("speke-v2"), &clip, folder.path());
}

/// The files name the KIDs that the key service was asked for.
fn inspect_agrees(data: &Path, out: &Path, variants: &[Value]) {
    for variant in variants {
        let (scheme, name) =
            (variant["scheme"].as_str().unwrap(), variant["name"].as_str().unwrap());
        let file = out.join(scheme).join(format!("{name}.mp4"));
        let report = done(strongroom(data).args(["--json", "inspect"]).arg(&file));
        assert!(report.contains(variant["kid"].as_str().unwrap()), "{report}");
    }
}

/// Publishes the package, buys its licenses, and decrypts it by their keys with ffmpeg.
fn played_by_licenses(data: &Path, package: &Path, clip: &Path, folder: &Path) {
    let Some(peers) = Peers::find() else { return };
    done(strongroom(data).args(["title", "add", "film"]));
    done(strongroom(data).args(["title", "publish"]).arg(package));
    done(strongroom(data).args(["account", "add", "viewer"]));
    let service = Service::start(&mut strongroom(data), &folder.join("licenses.log"));
    let event: Value =
        serde_json::from_slice(&fs::read(package.join("package.json")).unwrap()).unwrap();
    for variant in event["variants"].as_array().unwrap() {
        let url = done(strongroom(data).args([
            "license-url",
            "--content",
            "film",
            "--account",
            "viewer",
            "--dialect",
            "clearkey",
        ]));
        let kid = KeyId::parse(variant["kid"].as_str().unwrap()).unwrap();
        let challenge = json!({"kids": [kid.to_base64url()], "type": "temporary"}).to_string();
        let license = service.ask("POST", url.trim(), &[], challenge.as_bytes());
        assert_eq!(license.status, 200, "{}", String::from_utf8_lossy(&license.body));
        let key = URL_SAFE_NO_PAD.decode(license.json()["keys"][0]["k"].as_str().unwrap()).unwrap();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let (scheme, name) =
            (variant["scheme"].as_str().unwrap(), variant["name"].as_str().unwrap());
        let file = package.join(scheme).join(format!("{name}.mp4"));
        let stream = if variant["track_class"] == "AUDIO" { "0:a:0" } else { "0:v:0" };
        let source = peers.coded_samples(clip, stream, &[]);
        let opened = peers.coded_samples(&file, "0:0", &["-decryption_key", &key]);
        assert_eq!(opened, source, "{scheme} {name}");
    }
}

#[test]
fn a_packager_without_its_keys_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "160x90", 2, "") else { return };
    let out = folder.path().join("out");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let other = file("other", &token(&data, &["--scope", "speke", "--content", "other"]));
    let cpix = file("cpix", &token(&data, &["--scope", "cpix"]));
    let speke = file("speke", &token(&data, &["--scope", "speke"]));
    let (empty, text) = (file("empty", "\n"), file("text", "a token\nof two lines"));
    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let url = format!("{}{PATH}", service.url);
    let try_by = |url: &str, token: &str| -> Output {
        let asks = ["--key-service", url, "--key-service-token-file", token];
        package(&data, &clip, &out, &asks).output().unwrap()
    };
    for (token, code, words) in [
        (other.as_str(), 1, "content_not_allowed"),
        (&cpix, 1, "scope_not_allowed"),
        (&empty, 2, "there is no token"),
        (&text, 2, "the token has characters"),
        ("/nowhere", 2, "No such file"),
    ] {
        let output = try_by(&url, token);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert!(!out.exists());
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let huge = WebServer::start(vec![b'x'; 5 << 20], Manner::Good);
    let elsewhere = WebServer::start(b"<CPIX/>".to_vec(), Manner::Good);
    let moved = WebServer::start(vec![], Manner::Says(307));
    let fails = WebServer::start(vec![], Manner::Says(503));
    for (url, code, words) in [
        ("http://keys.example/cpix", 2, "keys travel by https"),
        ("keys.example/cpix", 2, "expected a URL"),
        (&format!("http://{closed}/"), 2, "cannot be asked"),
        (&huge.url("/"), 1, "too long"),
        (&elsewhere.url("/"), 1, "the key service's answer"),
        (&moved.url("/"), 1, "307"),
        (&fails.url("/"), 2, "503"),
        (&service.url, 1, "405"),
    ] {
        let output = try_by(url, &speke);
        assert_eq!(output.status.code(), Some(code), "{url}: {}", said(&output));
        assert!(said(&output).contains(words), "{url}: {}", said(&output));
        assert!(!out.exists());
    }
    assert_eq!(fails.requests(), 3, "asked again");
    assert_eq!(moved.requests(), 1, "and not elsewhere");
}

/// Someone between packager and key service, who changes what passes.
struct Meddler {
    listener: TcpListener,
}

type Change = fn(String) -> String;

impl Meddler {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}{PATH}", self.listener.local_addr().unwrap())
    }

    /// Passes one question and its answer on, and tells both.
    fn meddle(
        &self,
        service: &Service,
        bearer: &str,
        question: Change,
        answer: Change,
    ) -> [String; 2] {
        let (mut socket, _) = self.listener.accept().unwrap();
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        let body = loop {
            let read = socket.read(&mut piece).unwrap();
            text.extend(&piece[..read]);
            let whole = String::from_utf8(text.clone()).unwrap();
            let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                break body.to_owned();
            }
        };
        let asked = question(body);
        let reply = service.ask("POST", PATH, &[bearer, VERSION], asked.as_bytes());
        let reply_body = answer(String::from_utf8(reply.body).unwrap());
        let head = format!(
            "HTTP/1.1 {} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            reply.status,
            reply_body.len()
        );
        socket.write_all(&[head.as_bytes(), reply_body.as_bytes()].concat()).unwrap();
        [asked, reply_body]
    }
}

fn same(text: String) -> String {
    text
}

/// Cuts a text's part from `from` to `to`, both included, and puts another one in its place.
fn replaced(text: &str, from: &str, to: &str, other: &str) -> String {
    let start = text.find(from).unwrap();
    let end = start + text[start..].find(to).unwrap() + to.len();
    [&text[..start], other, &text[end..]].concat()
}

/// The first letters of the element's base64 text become others.
fn damaged(text: String, element: &str) -> String {
    let open = format!("<{element}>");
    let at = text.find(&open).unwrap() + open.len();
    let letter = if &text[at..=at] == "A" { "B" } else { "A" };
    [&text[..at], letter, &text[at + 1..]].concat()
}

#[test]
fn an_answer_that_was_meddled_with_is_not_packaged_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "160x90", 2, "") else { return };
    let bearer = bearer(&data);
    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let cases: [(&str, Change, Change); 6] = [
        ("the MAC of the content key is wrong", same, |t| damaged(t, "pskc:ValueMAC")),
        (
            "not encrypted for this recipient",
            |t| {
                let other = format!("Certificate>{}</", certificate("rsa2048").trim());
                replaced(&t, "Certificate>", "</", &other)
            },
            same,
        ),
        (
            "keys are in the clear",
            |t| replaced(&t, "<cpix:DeliveryDataList>", "</cpix:DeliveryDataList>", ""),
            same,
        ),
        ("another content id", |t| t.replace("\"film\"", "\"film2\""), same),
        ("other key ids", same, |_| question("", "")),
        ("another scheme", same, |t| t.replace("\"cbcs\"", "\"cenc\"")),
    ];
    for (words, question, answer) in cases {
        let meddler = Meddler::new();
        let url = meddler.url();
        let out = folder.path().join("out");
        let asks =
            ["--key-service", &url, "--key-service-delivery", "rsa-2048", "--scheme", "cbcs"];
        let mut command = strongroom(&data);
        command.args(["package", "--content", "film", "--out"]).arg(&out).args(asks).arg(&clip);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| meddler.meddle(&service, &bearer, question, answer));
            command.output().unwrap()
        });
        assert_eq!(output.status.code(), Some(1), "{words}: {}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert!(!out.exists(), "{words}");
    }
}

/// R001, R002: the link, the log, the packager's folder and the package hold no key; what a
/// clear delivery says is found by the same search.
#[test]
fn a_tap_on_the_link_hears_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let [data, foreign] = ["data", "foreign"].map(|name| folder.path().join(name));
    let Some(clip) = clip(folder.path(), "160x90", 2, "") else { return };
    let bearer = bearer(&data);
    let log = folder.path().join("serve.log");
    let service = Service::start(&mut strongroom(&data), &log);
    for (delivery, code) in [("rsa-3072", 0), ("clear", 1)] {
        let heard = folder.path().join(format!("heard-{delivery}"));
        fs::create_dir(&heard).unwrap();
        let meddler = Meddler::new();
        let url = meddler.url();
        let out = heard.join("package");
        let mut command = strongroom(&foreign);
        command.env("STRONGROOM_LOG", "debug").args(["package", "--content", "film", "--out"]);
        command.arg(&out).args(["--key-service", &url, "--key-service-delivery", delivery]);
        command.arg(&clip);
        let (output, link) = std::thread::scope(|scope| {
            let tap = scope.spawn(|| meddler.meddle(&service, &bearer, same, same));
            (command.output().unwrap(), tap.join().unwrap())
        });
        assert!(output.status.success(), "{}", said(&output));
        fs::write(heard.join("link.txt"), link.concat()).unwrap();
        fs::write(heard.join("package.log"), said(&output)).unwrap();
        let mut search = strongroom(&data);
        let found = search.arg("audit-leaks").args([&heard, &log, &data]).output().unwrap();
        assert_eq!(found.status.code(), Some(code), "{delivery}: {}", said(&found));
    }
}
