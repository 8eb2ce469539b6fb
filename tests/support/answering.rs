//! A web server whose answers a test decides.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// One answer.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header lines, without their ends.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A body.
    pub fn ok(body: Vec<u8>) -> Self {
        Self { status: 200, headers: vec![], body }
    }

    /// A status with a header line or two, and nothing else.
    pub fn status(status: u16, headers: &[&str]) -> Self {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Self { status, headers, body: vec![] }
    }
}

type Answer = dyn Fn(&str, &[u8]) -> Reply + Send + Sync;

/// Serves until the test's process ends; the answer is a function of path and body. Its URL,
/// without a slash at the end.
pub fn serve(answer: impl Fn(&str, &[u8]) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer: Arc<Answer> = Arc::new(answer);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || converse(&socket, &*answer));
        }
    });
    format!("http://127.0.0.1:{port}")
}

fn converse(socket: &TcpStream, answer: &Answer) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(socket), socket);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        for number in 0.. {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let line = line.trim().to_owned();
            if number == 0 {
                path = line.split(' ').nth(1)?.to_owned();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let Reply { status, headers, body } = answer(&path, &body);
        let mut head = format!("HTTP/1.1 {status} said\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        writer.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).ok()?;
    }
}
