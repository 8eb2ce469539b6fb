//! `bench licenses`: what a license costs the running service, whole path: TLS keep-alive, token,
//! single use, lease, grant, key, answer, audit.

use super::load::{Magazine, Outcome, Pace, Shot, Target, connect, fire};
use crate::command::{Failure, Place, block_on};
use crate::measure::{cpu_so_far, median};
use crate::screen::{Answer, spinner};
use anyhow::{Context as _, ensure};
use clap::Args;
use model::{ContentId, Dialect, PlanName};
use serde::Serialize;
use server::Home;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Arguments of `bench licenses`.
#[derive(Args)]
pub struct Arguments {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: u32,
}

/// The report.
#[derive(Serialize)]
struct Report {
    connections: u32,
    /// As fast as the service answers.
    closed: Row,
    /// At half of that, at a constant rate whatever the service does.
    half: Row,
    /// CPU microseconds of the service for a new TLS connection.
    handshake_cpu_us: f64,
}

/// One measurement.
#[derive(Serialize)]
struct Row {
    licenses: usize,
    refused: usize,
    per_s: f64,
    /// CPU microseconds of the service a license.
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Connections that are opened to measure one.
const HANDSHAKES: u32 = 500;

/// Measures and prints the report.
pub fn run(arguments: &Arguments, answer: Answer) -> Result<(), Failure> {
    let report = block_on(async {
        let work = std::env::temp_dir().join(format!("strongroom-bench-{}", std::process::id()));
        let report = measure(arguments, &work).await;
        let _left_for_the_system = std::fs::remove_dir_all(&work);
        report.map_err(Failure::Environment)
    })?;
    answer.print(&report, table);
    Ok(())
}

async fn measure(arguments: &Arguments, work: &Path) -> anyhow::Result<Report> {
    std::fs::create_dir_all(work)?;
    let (home, served) = prepare(work).await?;
    let bench = Bench { arguments, home, served };
    let step = spinner("closed loop");
    let closed = bench.round(Pace::Closed, 1.0e6).await?;
    step.set_message("constant rate at half of it");
    let rate = closed.per_s / 2.0;
    let gap = Duration::from_secs_f64(f64::from(arguments.connections) / rate);
    let half = bench.round(Pace::Every(gap), rate).await?;
    step.set_message("new connections");
    let handshake_cpu_us = bench.handshakes().await?;
    step.finish_and_clear();
    Ok(Report { connections: arguments.connections, closed, half, handshake_cpu_us })
}

/// A service under test and the home that mints tokens for it.
struct Bench<'a> {
    arguments: &'a Arguments,
    home: Home,
    served: Served,
}

impl Bench<'_> {
    async fn round(&self, pace: Pace, rate: f64) -> anyhow::Result<Row> {
        /// Tokens live 30 s, so they are minted in portions that are fired at once.
        const PORTION_S: u64 = 5;
        /// The fastest service that portions are made for.
        const MAX_RATE: f64 = 40_000.0;
        let (mut all, mut cpu_s, mut wall_s) = (Outcome::default(), 0.0, 0.0);
        for _ in 0..self.arguments.seconds.div_ceil(PORTION_S) {
            let shots = rate.min(MAX_RATE) * PORTION_S as f64 * 1.05;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded above"
            )]
            let magazine = self.mint(shots as usize).await?;
            let (cpu, start) = (cpu_so_far(self.served.pid())?, Instant::now());
            let end = start + Duration::from_secs(PORTION_S);
            let (target, count) = (&self.served.target, self.arguments.connections);
            let outcome = fire(target, &magazine, count, pace, end).await?;
            cpu_s += cpu_so_far(self.served.pid())? - cpu;
            wall_s += start.elapsed().as_secs_f64();
            all.latencies_s.extend(outcome.latencies_s);
            all.refused.extend(outcome.refused);
        }
        ensure!(!all.latencies_s.is_empty(), "no license was issued: {:?}", all.refused.first());
        let issued = all.latencies_s.len();
        let p99 = percentile(&mut all.latencies_s, 0.99);
        Ok(Row {
            licenses: issued,
            refused: all.refused.len(),
            per_s: issued as f64 / wall_s,
            cpu_us: cpu_s * 1.0e6 / issued as f64,
            p50_ms: median(all.latencies_s) * 1000.0,
            p99_ms: p99 * 1000.0,
        })
    }

    /// Fresh single-use license URLs.
    async fn mint(&self, count: usize) -> anyhow::Result<Magazine> {
        let title = ContentId::parse(TITLE)?;
        let body = format!(r#"{{"kids":["{}"],"type":"temporary"}}"#, KID_BASE64URL);
        let token = self.home.mint_playback_token("bench", &title, None).await?;
        let shots = (0..count).map(|_| {
            let mut token = token.clone();
            token.id = self.home.entropy.with(model::TokenId::random);
            let url = self.home.license_url(&token, Dialect::ClearKey);
            let path = url.find("/license/").and_then(|at| url.get(at..)).unwrap_or_default();
            Shot { path: path.to_owned(), body: body.clone() }
        });
        Ok(Arc::new(std::sync::Mutex::new(shots.collect())))
    }

    async fn handshakes(&self) -> anyhow::Result<f64> {
        let before = cpu_so_far(self.served.pid())?;
        for _ in 0..HANDSHAKES {
            connect(&self.served.target).await?;
        }
        Ok((cpu_so_far(self.served.pid())? - before) * 1.0e6 / f64::from(HANDSHAKES))
    }
}

const TITLE: &str = "bench";
const KID_BASE64URL: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
/// A key that protects nothing.
const KEY_FILE: &[u8] = br#"[{"content_id": "bench", "kid": "00000000000000000000000000000001",
    "key": "000102030405060708090a0b0c0d0e0f"}]"#;

/// A service in a process of its own.
struct Served {
    child: Child,
    target: Target,
}

impl Served {
    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Makes a home with one account and one title, and starts a service on it.
async fn prepare(work: &Path) -> anyhow::Result<(Home, Served)> {
    let data = work.join("data");
    let place = Place { config: None, data: Some(data.clone()) };
    let home = place.home().await.map_err(|failure| failure.into_error())?;
    home.add_account("bench", &PlanName::parse("standard")?, "only for this bench").await?;
    home.vault.import_keys(keys::key_file::parse(KEY_FILE)?, home.clock.now()).await?;

    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (chain, private) = (work.join("tls.pem"), work.join("tls.key"));
    std::fs::write(&chain, certified.cert.pem())?;
    std::fs::write(&private, certified.signing_key.serialize_pem())?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .env("STRONGROOM_LISTEN_TLS_CERTIFICATE", &chain)
        .env("STRONGROOM_LISTEN_TLS_PRIVATE_KEY", &private)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on https://").context("not ready")?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let target = Target { address: address.to_owned(), tls: TlsConnector::from(Arc::new(tls)) };
    Ok((home, Served { child, target }))
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "ClearKey over TLS, {} keep-alive connections, embedded stores\n{:<28} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        report.connections, "", "licenses", "refused", "per s", "CPU us", "p50 ms", "p99 ms"
    );
    for (what, row) in
        [("closed loop", &report.closed), ("constant rate, half of it", &report.half)]
    {
        text += &format!(
            "{:<28} {:>9} {:>8} {:>8.0} {:>8.1} {:>8.2} {:>8.2}\n",
            what, row.licenses, row.refused, row.per_s, row.cpu_us, row.p50_ms, row.p99_ms
        );
    }
    text + &format!("a new TLS connection: {:.0} us of CPU\n", report.handshake_cpu_us)
}
