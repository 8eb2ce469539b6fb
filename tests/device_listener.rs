//! The listener of boxes: mutual TLS under the platform's device root, and nothing of the browsers'
//! (R071).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "../crates/playback/tests/device_key/mod.rs"]
mod device_key;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/service.rs"]
mod service;

use binary::{done, strongroom};
use device_key::DeviceKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use service::Service;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A box's chain and key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn of_box(authority: &Issuer) -> Identity {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "a box");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (certificate.der().clone(), private)
}

/// A service with both listeners.
struct House {
    folder: tempfile::TempDir,
    server: Issuer,
    boxes: Issuer,
    _service: Service,
}

/// An answer: status and body.
type Answer = Result<(u16, Value), String>;

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, boxes) = (authority("server authority"), authority("device root"));
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(names).unwrap().signed_by(&key, &server).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (chain, private) =
            (write("chain.pem", &own.pem()), write("key.pem", &key.serialize_pem()));
        let root = write("device-root.pem", &boxes.pem());
        let settings = write(
            "strongroom.toml",
            &format!(
                "[listen]\ntls_certificate = \"{chain}\"\ntls_private_key = \"{private}\"\n\
                 device = \"127.0.0.1:0\"\ndevice_ca = \"{root}\"\n"
            ),
        );
        let data = folder.path().join("data");
        let mut add = strongroom(&data);
        add.args(["account", "add", "ada", "--password-stdin"]);
        with_input(&mut add, "correct horse battery staple\n");
        let mut serve = strongroom(&data);
        serve.env("STRONGROOM_CONFIG", settings);
        let service = Service::start(&mut serve, &folder.path().join("serve.log"));
        Self { folder, server, boxes, _service: service }
    }

    fn address(&self, of: &str) -> String {
        let url = fs::read_to_string(self.folder.path().join("data/run").join(of)).unwrap();
        url.trim().strip_prefix("https://").unwrap().to_owned()
    }

    /// Asks over TLS; why there was no answer, where there was none.
    fn ask(
        &self,
        of: &str,
        identity: Option<&Identity>,
        line: &str,
        headers: &[String],
        body: &str,
    ) -> Answer {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(self.address(of)).unwrap();
        let mut stream = StreamOwned::new(tls, socket);
        let mut head = format!("{line} HTTP/1.0\r\nHost: localhost\r\n");
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += &format!("{header}\r\n");
        }
        let mut answer = String::new();
        let talked = stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .and_then(|()| stream.read_to_string(&mut answer).map(drop));
        match answer.split(' ').nth(1).and_then(|status| status.parse().ok()) {
            None => Err(talked.map_or_else(|error| error.to_string(), |()| "closed".to_owned())),
            Some(status) => {
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                Ok((status, serde_json::from_str(body).unwrap_or_default()))
            }
        }
    }

    fn browser(&self, line: &str, headers: &[String], body: &str) -> (u16, Value) {
        self.ask("url", None, line, headers, body).unwrap()
    }
}

fn with_input(command: &mut Command, text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    command.stdin(fs::File::open(file.path()).unwrap());
    done(command);
}

fn proof(key: &DeviceKey, method: &str, path: &str, id: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the running service has the system's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let url = format!("https://localhost{path}");
    format!("DPoP: {}", key.proof(method, &url, now.as_secs(), id))
}

/// No certificate, and one under another root of the same name, end the handshake.
fn strangers_are_refused(house: &House) {
    let forged = of_box(&authority("device root"));
    for stranger in [None, Some(&forged)] {
        let answer = house.ask("device-url", stranger, "GET /api/v1/time", &[], "");
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[test]
fn boxes_and_browsers_have_each_their_own() {
    let house = House::new();
    strangers_are_refused(&house);
    let identity = of_box(&house.boxes);
    let of_box_at = |line: &str, headers: &[String], body: &str| {
        house.ask("device-url", Some(&identity), line, headers, body)
    };
    assert_eq!(of_box_at("GET /api/v1/time", &[], "").unwrap().0, 200);
    // Nothing of the browsers'.
    let credentials =
        json!({"name": "ada", "password": "correct horse battery staple"}).to_string();
    for place in ["", "sign-in", "watch/film", "openapi.json", "metrics", "cpix"] {
        let line = format!("GET /{place}");
        assert_eq!(of_box_at(&line, &[], "").unwrap().0, 404, "{line}");
    }
    assert_eq!(of_box_at("POST /api/v1/sessions", &[], &credentials).unwrap().0, 404);
    let (status, signed_in) = house.browser("POST /api/v1/sessions", &[], &credentials);
    assert_eq!(status, 200);
    let token = signed_in["token"].as_str().unwrap();
    let cookie = vec![
        format!("Cookie: __Host-strongroom-session={token}"),
        "Sec-Fetch-Site: same-origin".to_owned(),
    ];
    assert_eq!(house.browser("GET /api/v1/me", &cookie, "").0, 200);
    assert_eq!(of_box_at("GET /api/v1/me", &cookie, "").unwrap().0, 401, "no cookie counts");
    // A box registers at its listener and nowhere else, and stays there.
    let (key, bearer) = (DeviceKey::new(), format!("Authorization: Bearer {token}"));
    let with = |method, path: &str, id| vec![bearer.clone(), proof(&key, method, path, id)];
    let path = "/api/v1/devices";
    let body = json!({"name": "box", "kind": "device"}).to_string();
    let line = format!("POST {path}");
    let (status, refused) = house.browser(&line, &with("POST", path, "1"), &body);
    assert_eq!((status, refused["code"].as_str()), (403, Some("other_listener")));
    let (status, box_) = of_box_at(&line, &with("POST", path, "2"), &body).unwrap();
    assert_eq!((status, box_["interval_s"].as_u64()), (201, Some(30)), "{box_}");
    let renew = format!("{path}/{}/renew", box_["device_id"].as_str().unwrap());
    let line = format!("POST {renew}");
    let (status, refused) = house.browser(&line, &with("POST", &renew, "3"), "");
    assert_eq!((status, refused["code"].as_str()), (403, Some("other_listener")));
    let (status, renewed) = of_box_at(&line, &with("POST", &renew, "4"), "").unwrap();
    assert_eq!(status, 200);
    // Its ticket plays there: what it hears is about the title, and at the other listener not.
    let path = "/api/v1/playback/token/film";
    let ticket = format!("X-Device-Ticket: {}", renewed["ticket"].as_str().unwrap());
    let play = |id, number: u32| {
        let mut headers = with("GET", path, id);
        headers.extend([ticket.clone(), format!("X-Device-Sequence: {number}")]);
        headers
    };
    let line = format!("GET {path}");
    let (status, answer) = of_box_at(&line, &play("5", 1), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (404, Some("title_not_found")));
    let (status, answer) = house.browser(&line, &play("6", 2), "");
    assert_eq!((status, answer["code"].as_str()), (403, Some("other_listener")));
    // A sign-in alone is no box.
    let (status, answer) = of_box_at(&line, std::slice::from_ref(&bearer), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (403, Some("device_not_registered")));
    // The operator sees it and takes it away.
    let data = house.folder.path().join("data");
    let list = || {
        let text = done(strongroom(&data).args(["--json", "device", "list", "--account", "ada"]));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(list()[0]["device_id"], box_["device_id"]);
    let id = box_["device_id"].as_str().unwrap();
    let remove = ["device", "remove", "--account", "ada", "--device", id];
    done(strongroom(&data).args(remove));
    assert_eq!(list(), json!([]));
    assert_eq!(strongroom(&data).args(remove).output().unwrap().status.code(), Some(1));
    let (status, answer) = of_box_at(&line, &play("7", 3), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (410, Some("device_inactive")));
}
