//! A CDN dies while a title plays: the reference player takes the next one, and asks the service for
//! nothing anew (R076).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{done, said, strongroom};
use clip::clip;
use frames::decoded;
use serde_json::Value;
use service::Service;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A CDN before an edge, that answers so many requests and is gone then.
struct MortalCdn {
    url: String,
    answered: Arc<AtomicUsize>,
}

impl MortalCdn {
    fn start(edge: &str, lives: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let edge = edge.strip_prefix("http://").unwrap().to_owned();
        let answered = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answered);
        std::thread::spawn(move || {
            while counted.load(Ordering::SeqCst) < lives {
                let Ok((viewer, _)) = listener.accept() else { return };
                pass_on(viewer, &edge);
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, answered }
    }
}

/// Passes one request on, and its answer back; then the connection ends.
fn pass_on(mut viewer: TcpStream, edge: &str) {
    viewer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(viewer.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    // Closed by the edge, so that the end of its answer is the end of the connection.
    let head = String::from_utf8(head).unwrap().replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut upstream = TcpStream::connect(edge).unwrap();
    upstream.write_all(head.as_bytes()).unwrap();
    let _copied = std::io::copy(&mut upstream, &mut viewer);
}

#[test]
fn a_title_plays_on_when_its_cdn_dies() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(source) = clip(folder.path(), "320x180", 6, "-g 25") else { return };
    let package = ["package", "--content", "film", "--layout", "segments"];
    done(strongroom(&data).args(package).args(["--segment-seconds", "1"]).arg(&source));
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: Value = serde_json::from_str(&account).unwrap();
    let edge = Service::start_role("edge", &mut strongroom(&data), &folder.path().join("edge.log"));
    let mortal = MortalCdn::start(&edge.url, 4);
    let config = folder.path().join("strongroom.toml");
    // Nearly everybody is led to the one that will die.
    let cdns = format!(
        "[[cdn]]\nname = \"mortal\"\nweight = 1000000\nbase_url = \"{}/v/\"\n\
         [[cdn]]\nname = \"steady\"\nweight = 1\nbase_url = \"{}/v/\"\n",
        mortal.url, edge.url,
    );
    std::fs::write(&config, cdns).unwrap();
    let log = folder.path().join("serve.log");
    let whole = Service::start(strongroom(&data).arg("--config").arg(&config), &log);

    let frames = folder.path().join("frames");
    let mut play = strongroom(folder.path());
    play.args(["--json", "play", "--server", &whole.url, "--account", "viewer"]);
    play.args(["--password-stdin", "--content", "film", "--dialect", "clearkey", "--frames"]);
    play.arg(&frames).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut play = play.spawn().unwrap();
    let password = account["password"].as_str().unwrap();
    play.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = play.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let expected = decoded("video", &source, "0:v") + &decoded("audio", &source, "0:a");
    assert!(std::fs::read_to_string(&frames).unwrap() == expected, "other frames");
    assert_eq!(mortal.answered.load(Ordering::SeqCst), 4, "it was used until it died");

    // What an operator takes out is last for the next session.
    let cdn = |arguments: &[&str]| {
        done(strongroom(&data).arg("--config").arg(&config).args(["--json", "cdn"]).args(arguments))
    };
    assert_eq!(cdn(&["drain", "mortal"]).trim(), r#"{"drained":["mortal"]}"#);
    let bearer = whole.sign_in("viewer", password);
    let call = "/api/v1/playback/film/authorization";
    let json = "Content-Type: application/json";
    let order = || -> Vec<String> {
        let answer = whole.ask("POST", call, &[&bearer, json], b"{}").json();
        let cdns = answer["cdns"].as_array().unwrap().clone();
        cdns.iter().map(|cdn| cdn["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(order(), ["steady", "mortal"]);
    assert_eq!(cdn(&["undrain", "mortal"]).trim(), r#"{"drained":[]}"#);
    assert_eq!(order(), ["mortal", "steady"]);
    let unknown = strongroom(&data).args(["cdn", "drain", "nobody"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
}
