//! The running service, asked as a player would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running service; ends with the value.
pub struct Service {
    /// The process.
    pub child: Child,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Service {
    /// Starts `serve` of this binary on a free port, logging at debug level, and waits until it
    /// says that it is ready.
    pub fn start(binary: &mut Command, log: &Path) -> Self {
        Self::start_role("all", binary, log)
    }

    /// Starts one role.
    pub fn start_role(role: &str, binary: &mut Command, log: &Path) -> Self {
        Self::start_at("127.0.0.1:0", role, binary, log)
    }

    /// Starts one role at an address, as one does that is started again.
    pub fn start_at(address: &str, role: &str, binary: &mut Command, log: &Path) -> Self {
        let errors = std::fs::File::create(log).expect("the log can be created");
        // Tests ask under one sign-in what many viewers ask, unless the limits are their matter.
        let is_limits =
            |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"STRONGROOM_LIMITS_");
        if !binary.get_envs().any(|(name, _)| is_limits(name)) {
            binary.env("STRONGROOM_LIMITS_SESSION_REQUESTS", "0");
        }
        let mut child = binary
            .args(["serve", "--role", role, "--listen", address])
            .env("STRONGROOM_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("standard output is piped");
        BufReader::new(out).read_line(&mut line).expect("the service speaks UTF-8");
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| {
            panic!("not ready: {line}\n{}", std::fs::read_to_string(log).unwrap_or_default())
        });
        Self { child, url }
    }

    /// Asks the service; `path` begins with a slash, or is a whole URL of it.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let path = path.strip_prefix(self.url.as_str()).unwrap_or(path);
        let address = self.url.strip_prefix("http://").expect("plain HTTP in tests");
        let mut socket = TcpStream::connect(address).expect("the service listens");
        // HTTP/1.0, so that the answer ends with the connection and is never chunked.
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
        head += &format!("Content-Length: {}\r\n", body.len());
        for header in headers {
            head += header;
            head += "\r\n";
        }
        socket.write_all(&[head.as_bytes(), b"\r\n", body].concat()).expect("the request goes out");
        let mut whole = vec![];
        socket.read_to_end(&mut whole).expect("the answer comes in");
        Answer::parse(&whole)
    }

    /// Signs in; the value of an `Authorization` header.
    pub fn sign_in(&self, name: &str, password: &str) -> String {
        let body = serde_json::json!({"name": name, "password": password}).to_string();
        let json = "Content-Type: application/json";
        let answer = self.ask("POST", "/api/v1/sessions", &[json], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        format!("Authorization: Bearer {}", answer.json()["token"].as_str().expect("a token"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One HTTP answer.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(whole: &[u8]) -> Self {
        let end = whole.windows(4).position(|at| at == b"\r\n\r\n").expect("a whole HTTP answer");
        let head = String::from_utf8_lossy(&whole[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Self { status, head, body: whole[end + 4..].to_vec() }
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}
