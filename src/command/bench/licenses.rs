//! `bench licenses`: what a license costs the running service, whole path: TLS keep-alive, token,
//! single use, lease, grant, key, answer, audit.

use super::load::{Magazine, Outcome, Pace, Shot, connect, fire};
use super::served::{Row, Served};
use crate::command::{Failure, Place, block_on};
use crate::measure::cpu_so_far;
use crate::screen::{Answer, spinner};
use clap::Args;
use model::{ContentId, Dialect, PlanName};
use serde::Serialize;
use server::Home;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

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
        Row::of(all, cpu_s, wall_s)
    }

    /// Fresh single-use license URLs.
    async fn mint(&self, count: usize) -> anyhow::Result<Magazine> {
        let title = ContentId::parse(TITLE)?;
        let body = format!(r#"{{"kids":["{}"],"type":"temporary"}}"#, KID_BASE64URL);
        let headers = Arc::from([("content-type", "application/json".to_owned())]);
        let token = self.home.mint_playback_token("bench", &title, None).await?;
        let shots = (0..count).map(|_| {
            let mut token = token.clone();
            token.id = self.home.entropy.with(model::TokenId::random);
            let url = self.home.license_url(&token, Dialect::ClearKey);
            let path = url.find("/license/").and_then(|at| url.get(at..)).unwrap_or_default();
            Shot { path: path.to_owned(), headers: Arc::clone(&headers), body: body.clone() }
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

/// Makes a home with one account and one title, and starts a service on it.
async fn prepare(work: &Path) -> anyhow::Result<(Home, Served)> {
    let data = work.join("data");
    let place = Place { config: None, data: Some(data.clone()) };
    let home = place.home().await.map_err(|failure| failure.into_error())?;
    home.add_account("bench", &PlanName::parse("standard")?, "only for this bench").await?;
    home.vault.import_keys(keys::key_file::parse(KEY_FILE)?, home.clock.now()).await?;

    let served = Served::start(work, &data)?;
    Ok((home, served))
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
            what, row.answered, row.refused, row.per_s, row.cpu_us, row.p50_ms, row.p99_ms
        );
    }
    text + &format!("a new TLS connection: {:.0} us of CPU\n", report.handshake_cpu_us)
}
