//! The vault's own listener: TLS, client certificates, and nothing of the viewers' (RFC 8446).

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
#[path = "support/mutual_tls.rs"]
mod mutual_tls;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/service.rs"]
mod service;

use binary::{done, said, strongroom};
use clip::clip;
use mutual_tls::{Identity, Issuer, authority, client, server_pems};
use service::Service;
use std::fs;
use std::path::Path;

/// A key service behind TLS, and who it trusts.
struct House {
    folder: tempfile::TempDir,
    server: Issuer,
    clients: Issuer,
}

impl House {
    fn new() -> Self {
        let (server, clients) = (authority("server authority"), authority("client authority"));
        let house = Self { folder: tempfile::tempdir().unwrap(), server, clients };
        let (chain, private) = server_pems(&house.server);
        house.write("chain.pem", &chain);
        house.write("key.pem", &private);
        house.write("clients.pem", &house.clients.pem());
        house.write("server-ca.pem", &house.server.pem());
        let path = |name: &str| house.path(name).display().to_string();
        house.write(
            "strongroom.toml",
            &format!(
                r#"[vault]
address = "127.0.0.1:0"
tls_certificate = "{}"
tls_private_key = "{}"
client_ca = "{}"
clients = [
    {{ subject = "CN=encoder-1", scopes = ["speke"], content = ["film"] }},
    {{ subject = "CN=encoder-2", scopes = ["cpix"], content = ["*"] }},
]
"#,
                path("chain.pem"),
                path("key.pem"),
                path("clients.pem")
            ),
        );
        house
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The vault's own address, which the running service wrote down.
    fn vault(&self) -> String {
        let url = fs::read_to_string(self.path("data/run/vault-url")).unwrap();
        url.trim().strip_prefix("https://").unwrap().to_owned()
    }

    /// Asks over TLS; the status, or why there was no answer.
    fn ask(&self, identity: Option<&Identity>, head: &str, body: &str) -> Result<u16, String> {
        let length = body.len();
        let request = format!("{head}Host: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        let (status, _) = mutual_tls::ask(&self.vault(), &self.server, identity, &request)?;
        Ok(status)
    }
}

const SPEKE: &str = "POST /speke/v2.0/copyProtection HTTP/1.0\r\nX-Speke-Version: 2.0\r\n";

fn question(content: &str) -> String {
    let kid = "00000000-0000-4000-8000-000000000001";
    format!(
        r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="{content}" version="2.3"><ContentKeyList><ContentKey kid="{kid}" commonEncryptionScheme="cenc"/></ContentKeyList><DRMSystemList><DRMSystem kid="{kid}" systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><PSSH/></DRMSystem></DRMSystemList><ContentKeyUsageRuleList><ContentKeyUsageRule kid="{kid}" intendedTrackType="SD"><VideoFilter/></ContentKeyUsageRule></ContentKeyUsageRuleList></CPIX>"#
    )
}

fn start(house: &House) -> Service {
    let data = house.path("data");
    let log = house.path("serve.log");
    Service::start(strongroom(&data).env("STRONGROOM_CONFIG", house.path("strongroom.toml")), &log)
}

#[test]
fn a_client_is_known_by_its_certificate() {
    let house = House::new();
    let service = start(&house);
    let known = client(&house.clients, "encoder-1");
    let asks =
        |identity: Option<&Identity>, content: &str| house.ask(identity, SPEKE, &question(content));
    assert_eq!(asks(Some(&known), "film"), Ok(200));
    assert_eq!(asks(Some(&known), "other"), Ok(403));
    assert_eq!(asks(None, "film"), Ok(401));
    let of_cpix = client(&house.clients, "encoder-2");
    assert_eq!(asks(Some(&of_cpix), "film"), Ok(403), "its scope is another one");
    let cpix = "POST /cpix HTTP/1.0\r\n";
    assert_eq!(house.ask(Some(&of_cpix), cpix, &question("film")), Ok(200));
    for stranger in ["encoder-3", "encoder-1 ", "ENCODER-1", "CN=encoder-1"] {
        let stranger = client(&house.clients, stranger);
        assert_eq!(asks(Some(&stranger), "film"), Ok(401));
    }
    let forged = client(&authority("client authority"), "encoder-1");
    assert!(asks(Some(&forged), "film").is_err(), "the handshake ends");
    // A token that is refused is not made good by a certificate.
    let both = format!("{SPEKE}Authorization: Bearer a.b.c\r\n");
    assert_eq!(house.ask(Some(&known), &both, &question("film")), Ok(401));
    // Viewers and the vault do not meet.
    assert_eq!(service.ask("POST", "/cpix", &[], b"").status, 404);
    assert_eq!(house.ask(Some(&known), "GET /api/v1/titles HTTP/1.0\r\n", ""), Ok(404));
    assert_eq!(house.ask(None, "GET /speke/v1.0/heartbeat HTTP/1.0\r\n", ""), Ok(200));
}

#[test]
fn the_packager_asks_over_tls_whom_it_trusts() {
    let house = House::new();
    let data = house.path("data");
    let Some(clip) = clip(house.folder.path(), "160x90", 2, "") else { return };
    let token = done(strongroom(&data).args(["admin-token", "--scope", "speke", "--hours", "1"]));
    house.write("token", &token);
    let _service = start(&house);
    let url = format!("https://{}/speke/v2.0/copyProtection", house.vault());
    let package = |out: &Path, trusts: &[&str]| {
        let mut command = strongroom(&house.path("foreign"));
        command.args(["package", "--content", "film", "--out"]).arg(out);
        command.args(["--key-service", &url, "--key-service-token-file"]).arg(house.path("token"));
        command.args(trusts).arg(&clip).output().unwrap()
    };
    let out = house.path("out");
    let distrusted = package(&out, &[]);
    assert_eq!(distrusted.status.code(), Some(2), "{}", said(&distrusted));
    assert!(!out.exists());
    let authority = house.path("server-ca.pem").display().to_string();
    let packaged = package(&out, &["--key-service-ca", &authority]);
    assert!(packaged.status.success(), "{}", said(&packaged));
    assert!(out.join("manifest.mpd").exists());
}
