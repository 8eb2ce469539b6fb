//! The real binary, run and asked as an operator and a player would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The binary on a data folder, with nothing of the caller's environment in its settings.
pub fn strongroom(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_remove("STRONGROOM_CONFIG").env_remove("STRONGROOM_LOG");
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed; its standard output.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("answers are UTF-8")
}

/// Standard error and output of a run, for assertions.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stderr[..], &output.stdout[..]].concat()).into_owned()
}

/// A clip of moving test card and tone; `None`, said loudly, where ffmpeg is missing.
///
/// In CI a missing ffmpeg is a failure.
pub fn clip(folder: &Path, size: &str, seconds: u32, options: &str) -> Option<PathBuf> {
    let path = folder.join(format!("clip-{size}-{seconds}.mp4"));
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25:duration={seconds}"))
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:duration={seconds}")])
        .args("-c:v libx264 -preset ultrafast -g 50 -sc_threshold 0 -pix_fmt yuv420p".split(' '))
        .args("-c:a aac -b:a 96k".split(' '))
        .args(options.split_whitespace())
        .arg(&path)
        .status();
    match run {
        Ok(status) => assert!(status.success(), "ffmpeg made no clip"),
        Err(_) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: ffmpeg is not installed, nothing to package");
            return None;
        }
        Err(error) => panic!("CI needs ffmpeg: {error}"),
    }
    Some(path)
}

/// A running service; ends with the value.
pub struct Service {
    child: Child,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its log, at debug level.
    pub log: PathBuf,
}

impl Service {
    /// Starts `serve` on a free port and waits until it says that it is ready.
    pub fn start(data: &Path, log: PathBuf) -> Self {
        let errors = std::fs::File::create(&log).expect("the log can be created");
        let mut child = strongroom(data)
            .args(["serve", "--listen", "127.0.0.1:0"])
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
            panic!("not ready: {line}\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        Self { child, url, log }
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
