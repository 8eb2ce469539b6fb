//! A proxy before a KMS that does to its answers what networks and servers do: the KMS behind it
//! is a real one or a stand-in; the faults are ours.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) enum Fault {
    /// Nothing: the answer passes.
    None,
    /// The connection is closed at once.
    Closed,
    /// The request is read and never answered.
    Hang,
    /// The answer comes after five seconds.
    Late,
    /// This status, with a page of a proxy.
    Status(u16),
    /// The first half of the answer, then a reset.
    Reset,
    /// The first half of the answer, then the end.
    Truncated,
    /// A page where JSON was to be.
    Garbage,
    /// Bytes that are no HTTP.
    Noise,
    /// JSON of another shape.
    OtherShape,
    /// A body without an end.
    Endless,
    /// The answer with another letter in its plaintext.
    OtherPlaintext,
}

/// Faults that no answer survives.
pub(in crate::kms) const DEADLY: [Fault; 15] = [
    Fault::Closed,
    Fault::Hang,
    Fault::Late,
    Fault::Status(301),
    Fault::Status(408),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Reset,
    Fault::Truncated,
    Fault::Garbage,
    Fault::Noise,
    Fault::OtherShape,
    Fault::Endless,
];

/// A running proxy; ends with its runtime.
pub(in crate::kms) struct FaultProxy {
    /// Where it listens.
    pub(in crate::kms) url: String,
    fault: Arc<Mutex<Fault>>,
}

impl FaultProxy {
    /// Puts a proxy before `upstream`, a host and port.
    pub(in crate::kms) async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fault = Arc::new(Mutex::new(Fault::None));
        let (now, upstream) = (Arc::clone(&fault), upstream.to_owned());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let fault = *now.lock().unwrap();
                let upstream = upstream.clone();
                // A client that goes away in the middle is what it tests.
                tokio::spawn(async move { serve(client, &upstream, fault).await });
            }
        });
        Self { url, fault }
    }

    /// What happens from now on.
    pub(in crate::kms) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

async fn serve(mut client: TcpStream, upstream: &str, fault: Fault) -> Option<()> {
    if fault == Fault::Closed {
        return None;
    }
    let request = read_message(&mut client).await?;
    let answer = match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Status(status) => {
            let body = "<html>the KMS is having a day off</html>";
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Fault\r\nLocation: http://127.0.0.1:1/\r\n");
            format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
                .into_bytes()
        }
        Fault::Garbage => with_body(b"<html>welcome to the hotel's network</html>"),
        Fault::Noise => b"\x16\x03\x01\x00\xa5\x00\r\n\r\n".to_vec(),
        Fault::OtherShape => with_body(br#"{"answer":[42]}"#),
        Fault::Endless => {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            client.write_all(head.as_bytes()).await.ok()?;
            loop {
                client.write_all(&[b' '; 4096]).await.ok()?;
            }
        }
        _ => ask(upstream, request).await?,
    };
    if fault == Fault::Late {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let answer = if fault == Fault::OtherPlaintext { other_plaintext(answer) } else { answer };
    let is_cut = matches!(fault, Fault::Reset | Fault::Truncated);
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let until = if is_cut { body + (answer.len() - body) / 2 } else { answer.len() };
    client.write_all(&answer[..until]).await.ok()?;
    if fault == Fault::Reset {
        client.set_zero_linger().ok()?;
    }
    Some(())
}

/// One request on a connection of its own.
async fn ask(upstream: &str, request: Vec<u8>) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await.ok()?;
    let line = request.windows(2).position(|end| end == b"\r\n")? + 2;
    let request = [&request[..line], b"Connection: close\r\n", &request[line..]].concat();
    server.write_all(&request).await.ok()?;
    let mut answer = vec![];
    server.read_to_end(&mut answer).await.ok()?;
    Some(answer)
}

/// An answer with this body, after which the connection ends.
pub(in crate::kms) fn with_body(body: &[u8]) -> Vec<u8> {
    with_status(200, body)
}

/// The same with any status.
pub(in crate::kms) fn with_status(status: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads one request: head and body.
pub(in crate::kms) async fn read_message(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![];
    loop {
        let mut part = [0; 4096];
        let read = client.read(&mut part).await.ok()?;
        if read == 0 {
            return None;
        }
        message.extend(&part[..read]);
        let Some(end) = message.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&message[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if message.len() >= end + 4 + length {
            return Some(message);
        }
    }
}

/// Changes the first letter of the JSON member `plaintext`.
fn other_plaintext(mut answer: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    if let Some(name) = text.find("\"plaintext\"") {
        let value = name + 11 + text[name + 11..].find('"').unwrap() + 1;
        answer[value] = if answer[value] == b'A' { b'B' } else { b'A' };
    }
    answer
}
