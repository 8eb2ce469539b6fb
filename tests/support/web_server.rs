//! A web server for sources, as good or as bad as a test wants it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a server treats those who ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Ranges and entity tags.
    Good,
    /// Ranges; neither tags nor times of change.
    Plain,
    /// Everything is sent, whatever was asked.
    IgnoresRanges,
    /// Behind so many bytes sent, the file is another one of the same length.
    ChangesAfter(usize),
    /// As above, and the server looks at no condition.
    ChangesSilentlyAfter(usize),
    /// Behind so many bytes sent, bodies end early.
    CutsAfter(usize),
    /// The first answer to every second request is 503.
    Stumbles,
    /// Always this status.
    Says(u16),
}

/// A running server; it ends with the test's process.
pub struct WebServer {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl WebServer {
    /// Serves one file at every path.
    pub fn start(file: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        thread::spawn(move || {
            let state = Arc::new((file, Mutex::new(0)));
            for socket in listener.incoming().map_while(Result::ok) {
                let (state, counted) = (Arc::clone(&state), Arc::clone(&counted));
                thread::spawn(move || serve(&socket, &state, manner, &counted));
            }
        });
        Self { port, requests }
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(
    socket: &TcpStream,
    (file, sent): &(Vec<u8>, Mutex<usize>),
    manner: Manner,
    requests: &AtomicUsize,
) {
    let mut reader = BufReader::new(socket);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.by_ref().take(8192).read_line(&mut line) {
                Ok(read) if read > 2 => head.push(line.trim().to_ascii_lowercase()),
                Ok(2) => break,
                _ => return,
            }
        }
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
        let is_head = head[0].starts_with("head ");
        let so_far = *sent.lock().unwrap();
        let (answer, body) = answer(file, manner, &header, so_far, number);
        let body = if is_head { &[][..] } else { &body[..] };
        let mut socket = socket;
        let body_end = match manner {
            Manner::CutsAfter(limit) => body.len().min(limit.saturating_sub(so_far)),
            _ => body.len(),
        };
        if socket.write_all(&[answer.as_bytes(), &body[..body_end]].concat()).is_err() {
            return;
        }
        *sent.lock().unwrap() += body_end;
        if body_end < body.len() {
            return;
        }
    }
}

/// Status line with headers, and the body.
fn answer<'a>(
    file: &[u8],
    manner: Manner,
    header: &impl Fn(&str) -> Option<&'a str>,
    so_far: usize,
    number: usize,
) -> (String, Vec<u8>) {
    let empty =
        |status: u16| (format!("HTTP/1.1 {status} no\r\nContent-Length: 0\r\n\r\n"), vec![]);
    let is_changed = match manner {
        Manner::ChangesAfter(limit) | Manner::ChangesSilentlyAfter(limit) => so_far > limit,
        Manner::Says(status) => return empty(status),
        Manner::Stumbles if number % 2 == 1 => return empty(503),
        _ => false,
    };
    let tag = if is_changed { "\"two\"" } else { "\"one\"" };
    let looks = !matches!(manner, Manner::ChangesSilentlyAfter(_));
    if looks && header("if-match: ").is_some_and(|asked| asked != tag) {
        return empty(412);
    }
    let mut head = String::new();
    if manner != Manner::Plain {
        head += &format!("ETag: {tag}\r\n");
    }
    let range = header("range: bytes=").filter(|_| manner != Manner::IgnoresRanges);
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
        head = format!("HTTP/1.1 200 yes\r\n{head}Content-Length: {}\r\n\r\n", file.len());
        return (head, file.to_vec());
    };
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    if from >= file.len() {
        return empty(416);
    }
    let to = to.min(file.len() - 1);
    let body = file[from..=to].to_vec();
    head = format!(
        "HTTP/1.1 206 part\r\n{head}Content-Range: bytes {from}-{to}/{}\r\nContent-Length: {}\r\n\r\n",
        file.len(),
        body.len()
    );
    (head, body)
}
