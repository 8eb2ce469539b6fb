//! Load on one address: requests in a closed loop or at a constant arrival rate.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// A server under load.
#[derive(Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// How to speak TLS to it.
    pub tls: TlsConnector,
}

/// Names and values of headers.
pub type Headers = Arc<[(&'static str, String)]>;

/// One request.
pub struct Shot {
    /// GET or POST.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers of its own, the body's type among them.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// What came back.
#[derive(Default)]
pub struct Outcome {
    /// Seconds from when the request was due to its whole answer, of the 200s.
    pub latencies_s: Vec<f64>,
    /// Answers with another status, by status.
    pub refused: Vec<StatusCode>,
}

/// Shots that are still to be fired.
pub type Magazine = Arc<Mutex<VecDeque<Shot>>>;

/// When a connection fires its next shot.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As soon as the last one is answered.
    Closed,
    /// Every so often, whatever the server does: a late answer does not move the next arrival,
    /// and its lateness counts (no coordinated omission).
    Every(Duration),
}

/// Fires from `connections` keep-alive connections until `end` or until the magazine is empty.
pub async fn fire(
    target: &Target,
    magazine: &Magazine,
    connections: u32,
    pace: Pace,
    end: Instant,
) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let guns: Vec<_> = (0..connections)
        .map(|number| {
            let first = match pace {
                Pace::Closed => start,
                // Connections take turns, so that arrivals are even over all of them.
                Pace::Every(gap) => start + gap * number / connections,
            };
            tokio::spawn(one_connection(target.clone(), Arc::clone(magazine), pace, first, end))
        })
        .collect();
    let mut sum = Outcome::default();
    for gun in guns {
        let outcome = gun.await??;
        sum.latencies_s.extend(outcome.latencies_s);
        sum.refused.extend(outcome.refused);
    }
    Ok(sum)
}

async fn one_connection(
    target: Target,
    magazine: Magazine,
    pace: Pace,
    first: Instant,
    end: Instant,
) -> anyhow::Result<Outcome> {
    let mut connection = connect(&target).await?;
    let mut outcome = Outcome::default();
    let mut due = first;
    while due < end && Instant::now() < end {
        if matches!(pace, Pace::Every(_)) {
            tokio::time::sleep_until(due).await;
        } else {
            due = Instant::now();
        }
        let shot = magazine.lock().expect("no holder of the lock panics").pop_front();
        let Some(shot) = shot else { break };
        let status = send(&mut connection, &target.address, shot).await?;
        if status == StatusCode::OK {
            outcome.latencies_s.push(due.elapsed().as_secs_f64());
        } else {
            outcome.refused.push(status);
        }
        if let Pace::Every(gap) = pace {
            due += gap;
        }
    }
    Ok(outcome)
}

/// Opens one connection.
pub async fn connect(target: &Target) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(&target.address).await.context("connecting")?;
    socket.set_nodelay(true)?;
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let socket = target.tls.connect(name, socket).await.context("TLS handshake")?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    connection: &mut SendRequest<Full<Bytes>>,
    host: &str,
    shot: Shot,
) -> anyhow::Result<StatusCode> {
    let mut request = Request::builder().method(shot.method).uri(shot.path).header("host", host);
    for (name, value) in shot.headers.iter() {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(shot.body))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}
