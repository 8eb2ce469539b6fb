//! The service on a real socket: its address, slow callers, cut-off callers.

use server::Config;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// A running service and its address.
async fn serving() -> (tempfile::TempDir, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { data: folder.path().to_owned(), ..Config::default() };
    config.listen.address = "127.0.0.1:0".parse().unwrap();
    let (ready, url) = oneshot::channel();
    let url_file = config.url_file();
    tokio::spawn(async move {
        server::serve(&config, |url| ready.send(url.to_owned()).unwrap()).await.unwrap();
    });
    let url = url.await.unwrap();
    assert_eq!(std::fs::read_to_string(url_file).unwrap(), format!("{url}\n"));
    (folder, url.strip_prefix("http://").unwrap().parse().unwrap())
}

/// Sends `text` and reads until the service closes or `patience` is over.
async fn say(address: SocketAddr, text: &str, patience: Duration) -> Option<String> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![];
    timeout(patience, socket.read_to_end(&mut answer)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_listens_and_outlives_bad_callers() {
    let (_folder, address) = serving().await;
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let alive = async || say(address, health, Duration::from_secs(5)).await.unwrap();
    assert!(alive().await.starts_with("HTTP/1.1 200"));
    // Headers that never end are given up after five seconds, without holding up others.
    let begin = Instant::now();
    let slow = tokio::spawn(async move {
        say(address, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", Duration::from_secs(20)).await
    });
    // So are bodies, after ten.
    let half = tokio::spawn(async move {
        let head = "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                    Content-Length: 10\r\nConnection: close\r\n\r\n{";
        say(address, head, Duration::from_secs(20)).await
    });
    for junk in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /license/clearkey HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        "POST /license/clearkey HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\
         Connection: close\r\n\r\n",
    ] {
        let answer = say(address, junk, Duration::from_secs(5)).await.unwrap_or_default();
        assert!(!answer.contains(" 200 ") && !answer.contains(" 500 "), "{junk:?}: {answer}");
    }
    assert!(alive().await.starts_with("HTTP/1.1 200"));
    assert!(slow.await.unwrap().is_some(), "the slow caller is still connected");
    assert!(begin.elapsed() < Duration::from_secs(15));
    let half = half.await.unwrap().expect("the half body is answered");
    assert!(half.starts_with("HTTP/1.1 408") && half.contains("body_timeout"), "{half}");
    assert!(alive().await.starts_with("HTTP/1.1 200"));
}

/// No proxy in front is asked for its protocol (PROXY, versions 1 and 2): who sends its line is
/// not understood, whatever address it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_proxy_protocol_is_no_request() {
    let (_folder, address) = serving().await;
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for line in [
        "PROXY TCP4 203.0.113.9 127.0.0.1 40000 80\r\n",
        "PROXY TCP6 2001:db8::1 ::1 40000 80\r\n",
        "PROXY UNKNOWN\r\n",
        "\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{0c}",
    ] {
        let answer = say(address, &format!("{line}{request}"), Duration::from_secs(5)).await;
        let answer = answer.unwrap_or_default();
        assert!(!answer.contains(" 200 "), "{line:?} {answer}");
    }
    let answer = say(address, request, Duration::from_secs(5)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
