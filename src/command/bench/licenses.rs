//! `bench licenses`: what a license costs the running service, whole path: TLS keep-alive, token,
//! entitlement, single use, grant, key, answer, audit; with `--slots` a viewer's lease too.

use super::challenges::{Players, Spoken};
use super::load::{Magazine, Outcome, Pace, Shot, connect, fire};
use super::served::{Row, Served};
use crate::command::{Failure, Place, block_on};
use crate::measure::cpu_so_far;
use crate::measure::median;
use crate::screen::{Answer, spinner};
use clap::Args;
use hyper::Method;
use hyper::body::Bytes;
use model::{ContentId, DecisionId, DeviceId, KeyId, PlanName, PlaybackSessionId, TokenId};
use playback::PlaybackToken;
use playback::lease::BROWSER_BEAT_S;
use serde::Serialize;
use server::Home;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::StartStream;
use tokio::time::Instant;

/// Arguments of `bench licenses`.
#[derive(Args)]
pub struct Arguments {
    /// What the players speak.
    #[arg(long, value_enum, default_value = "clearkey")]
    dialect: Spoken,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measurements, of which the medians are shown.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Licenses as viewers get them: each renews the lease of a stream's slot.
    #[arg(long)]
    slots: bool,
}

/// The report: medians of the runs.
#[derive(Serialize)]
struct Report {
    dialect: Spoken,
    slots: bool,
    connections: u32,
    runs: u32,
    /// As fast as the service answers.
    closed: Row,
    /// At half of that, at a constant rate whatever the service does.
    half: Row,
    /// Requests that ask for nothing, `GET /healthz`, as fast as the service answers.
    empty: Row,
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
    let step = spinner("keys and players");
    let (home, players) = prepare(arguments.dialect, work).await?;
    let served = Served::start(work, &work.join(DATA))?;
    let bench = Bench { arguments, home, players, served };
    let most = f64::from(arguments.dialect.most_per_s());
    let (mut closed, mut half, mut empty, mut handshakes) = (vec![], vec![], vec![], vec![]);
    for run in 1..=arguments.runs.max(1) {
        step.set_message(format!("run {run}: closed loop"));
        closed.push(bench.round(Pace::Closed, most).await?);
        step.set_message(format!("run {run}: constant rate at half of it"));
        let rate = median(closed.iter().map(|row| row.per_s).collect()) / 2.0;
        let gap = Duration::from_secs_f64(f64::from(arguments.connections) / rate);
        half.push(bench.round(Pace::Every(gap), rate).await?);
        step.set_message(format!("run {run}: empty requests and new connections"));
        empty.push(bench.empty().await?);
        handshakes.push(bench.handshakes().await?);
    }
    step.finish_and_clear();
    Ok(Report {
        dialect: arguments.dialect,
        slots: arguments.slots,
        connections: arguments.connections,
        runs: arguments.runs.max(1),
        closed: Row::median_of(&closed),
        half: Row::median_of(&half),
        empty: Row::median_of(&empty),
        handshake_cpu_us: median(handshakes),
    })
}

/// A service under test and the home that mints tokens for it.
struct Bench<'a> {
    arguments: &'a Arguments,
    home: Home,
    players: Players,
    served: Served,
}

impl Bench<'_> {
    async fn round(&self, pace: Pace, rate: f64) -> anyhow::Result<Row> {
        /// Tokens live 30 s, so they are minted in portions that are fired at once.
        const PORTION_S: u64 = 5;
        let (mut all, mut cpu_s, mut wall_s) = (Outcome::default(), 0.0, 0.0);
        let mut left_s = self.arguments.seconds.max(1);
        while left_s > 0 {
            let portion_s = left_s.min(PORTION_S);
            left_s -= portion_s;
            let shots = rate * portion_s as f64 * 1.05;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most what a dialect makes in five seconds"
            )]
            let magazine = self.mint(shots as usize).await?;
            let (outcome, cpu, wall) = self.fire(&magazine, pace, portion_s).await?;
            (cpu_s, wall_s) = (cpu_s + cpu, wall_s + wall);
            all.latencies_s.extend(outcome.latencies_s);
            all.refused.extend(outcome.refused);
        }
        Row::of(all, cpu_s, wall_s)
    }

    /// What came back, the service's CPU seconds and the seconds on the wall.
    async fn fire(
        &self,
        magazine: &Magazine,
        pace: Pace,
        seconds: u64,
    ) -> anyhow::Result<(Outcome, f64, f64)> {
        let (cpu, start) = (cpu_so_far(self.served.pid())?, Instant::now());
        let end = start + Duration::from_secs(seconds);
        let (target, count) = (&self.served.target, self.arguments.connections);
        let outcome = fire(target, magazine, count, pace, end).await?;
        let cpu_s = cpu_so_far(self.served.pid())? - cpu;
        Ok((outcome, cpu_s, start.elapsed().as_secs_f64()))
    }

    /// Requests that ask for nothing: what TLS, HTTP and the loopback cost by themselves.
    async fn empty(&self) -> anyhow::Result<Row> {
        /// More than a service answers in the time.
        const MOST: usize = 100_000;
        const SECONDS: u64 = 2;
        let shot = || Shot {
            method: Method::GET,
            path: "/healthz".to_owned(),
            headers: Arc::default(),
            body: Bytes::new(),
        };
        let magazine = Arc::new(Mutex::new((0..MOST).map(|_| shot()).collect()));
        let (outcome, cpu_s, wall_s) = self.fire(&magazine, Pace::Closed, SECONDS).await?;
        Row::of(outcome, cpu_s, wall_s)
    }

    /// Challenges, each with a fresh single-use license URL.
    async fn mint(&self, count: usize) -> anyhow::Result<Magazine> {
        let challenges = self.players.challenges(count, self.home.clock.now())?;
        let headers = Arc::from([("content-type", self.players.media_type().to_owned())]);
        let tokens = self.tokens().await?;
        let shots = challenges.into_iter().zip(tokens.iter().cycle()).map(|(body, token)| {
            let token =
                PlaybackToken { id: self.home.entropy.with(TokenId::random), ..token.clone() };
            let url = self.home.license_url(&token, self.players.dialect());
            let path = url.find("/license/").and_then(|at| url.get(at..)).unwrap_or_default();
            Shot {
                method: Method::POST,
                path: path.to_owned(),
                headers: Arc::clone(&headers),
                body,
            }
        });
        Ok(Arc::new(Mutex::new(shots.collect())))
    }

    /// Tokens that differ in their sessions: with `--slots` one that holds a slot for each
    /// connection, otherwise one that an operator mints.
    async fn tokens(&self) -> anyhow::Result<Vec<PlaybackToken>> {
        let title = ContentId::parse(TITLE)?;
        let mut token = self.home.mint_playback_token(ACCOUNT, &title, None).await?;
        if !self.arguments.slots {
            return Ok(vec![token]);
        }
        let mut tokens = vec![];
        for number in 0..self.arguments.connections.min(MAX_STREAMS) {
            let mut device = [0; 16];
            device[..4].copy_from_slice(&number.to_be_bytes());
            token.device = DeviceId::from_bytes(device);
            token.holds_slot = true;
            let start = StartStream {
                session: self.home.entropy.with(PlaybackSessionId::random),
                account: token.account,
                device: token.device,
                content_id: title.clone(),
                max_streams: MAX_STREAMS,
                decision: self.home.entropy.with(DecisionId::random),
                interval_s: BROWSER_BEAT_S,
                is_anew: true,
                now: self.home.clock.now(),
            };
            let reserved = self.home.store.start_stream(&start).await?;
            token.session = reserved.map_err(|full| anyhow::anyhow!("{full:?}"))?;
            tokens.push(token.clone());
        }
        Ok(tokens)
    }

    async fn handshakes(&self) -> anyhow::Result<f64> {
        let before = cpu_so_far(self.served.pid())?;
        for _ in 0..HANDSHAKES {
            connect(&self.served.target).await?;
        }
        Ok((cpu_so_far(self.served.pid())? - before) * 1.0e6 / f64::from(HANDSHAKES))
    }
}

const DATA: &str = "data";
const ACCOUNT: &str = "bench";
const TITLE: &str = "bench";
/// Streams that the account may have at once.
const MAX_STREAMS: u32 = 256;
const KID: KeyId = KeyId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// A key that protects nothing.
const KEY_FILE: &[u8] = br#"[{"content_id": "bench", "kid": "00000000000000000000000000000001",
    "key": "000102030405060708090a0b0c0d0e0f", "label": "SD"}]"#;

/// Makes a home with one account and one title, and players it knows.
async fn prepare(spoken: Spoken, work: &Path) -> anyhow::Result<(Home, Players)> {
    let place = Place { config: None, data: Some(work.join(DATA)) };
    let home = place.home().await.map_err(Failure::into_error)?;
    home.add_account(ACCOUNT, &PlanName::parse("standard")?, "only for this bench").await?;
    home.vault.import_keys(keys::key_file::parse(KEY_FILE)?, home.clock.now()).await?;
    let players = Players::of(spoken, KID, &home, work).await?;
    Ok((home, players))
}

fn table(report: &Report) -> String {
    let slots = if report.slots { ", each with its lease" } else { "" };
    let mut text = format!(
        "{}{slots}, over TLS, {} keep-alive connections, embedded stores, medians of {} runs\n\
         {:<28} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        report.dialect.title(),
        report.connections,
        report.runs,
        "",
        "licenses",
        "refused",
        "per s",
        "CPU us",
        "p50 ms",
        "p99 ms"
    );
    let rows = [
        ("closed loop", &report.closed),
        ("constant rate, half of it", &report.half),
        ("GET /healthz, closed loop", &report.empty),
    ];
    for (what, row) in rows {
        text += &format!(
            "{:<28} {:>9} {:>8} {:>8.0} {:>8.1} {:>8.2} {:>8.2}\n",
            what, row.answered, row.refused, row.per_s, row.cpu_us, row.p50_ms, row.p99_ms
        );
    }
    text + &format!("a new TLS connection: {:.0} us of CPU\n", report.handshake_cpu_us)
}
