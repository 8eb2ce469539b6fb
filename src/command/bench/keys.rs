//! `bench keys`: what the key hierarchy costs. Each figure is the median of its runs; CPU is that
//! of this whole process, because a token works in a thread of its own.

use super::exchange::{self, Exchange};
use crate::command::{Failure, Place, block_on};
use crate::measure::{median, process_cpu_s};
use crate::screen::{Answer, spinner};
use anyhow::{Context as _, ensure};
use clap::Args;
use keys::kms::{FileKms, Kms, Sealing};
use keys::{ContentKey, Kek, KekContext, KeyContext, SystemEntropy};
use model::{CategoryName, ContentId, KekVersion, KeyId, Timestamp};
use serde::Serialize;
use server::Home;
use server::clock::Clock;
use server::entropy::EntropySource;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// Arguments of `bench keys`.
#[derive(Args)]
pub struct Arguments {
    /// Content keys that are wrapped anew.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keys: u32,
    /// Questions of an encoder by SPEKE, for keys that are there and for new ones each.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    questions: u32,
    /// Runs of each measurement but the questions; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Where the store is made. On a disk, waiting for it shows in `per_s`.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    work: PathBuf,
}

/// One line of the report.
#[derive(Serialize)]
struct Row {
    what: String,
    per_s: f64,
    /// CPU microseconds of each.
    cpu_us: f64,
    /// `cpu_us` as a multiple of opening one content key under an opened KEK.
    times_open: f64,
}

/// The report.
#[derive(Serialize)]
struct Report {
    runs: u32,
    rows: Vec<Row>,
    exchange: Exchange,
}

/// Operations in a run that stays within this process.
const OPERATIONS: u32 = 20_000;
/// Operations in a run against a back end that may be far away.
const CALLS: u32 = 500;

/// Measures and prints the report.
pub fn run(arguments: &Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let report = block_on(async {
        let work = arguments.work.join(format!("strongroom-bench-{}", std::process::id()));
        let report = measure(arguments, place, &work).await;
        let _left_for_the_system = std::fs::remove_dir_all(&work);
        report.map_err(Failure::Environment)
    })?;
    answer.print(&report, table);
    Ok(())
}

async fn measure(arguments: &Arguments, place: &Place, work: &Path) -> anyhow::Result<Report> {
    std::fs::create_dir_all(work)?;
    let step = spinner("content keys under an opened KEK");
    let mut rows =
        vec![median_of(arguments.runs, "content key, open", OPERATIONS, open_content_keys).await?];
    step.set_message("KEKs at their back ends");
    for (name, kms) in back_ends(place).await? {
        let what = format!("KEK, open: {name}");
        let count = if name == "file" { OPERATIONS } else { CALLS };
        let calls = || open_keks(kms.as_ref(), count);
        rows.push(median_of(arguments.runs, &what, count, calls).await?);
    }
    step.set_message("rewrap");
    rows.push(rewrap(arguments, work).await?);
    step.set_message("questions by SPEKE");
    let exchange = exchange::measure(arguments.questions, work).await?;
    step.finish_and_clear();
    let open = rows.first().context("there is a first row")?.cpu_us;
    for row in &mut rows {
        row.times_open = row.cpu_us / open;
    }
    Ok(Report { runs: arguments.runs, rows, exchange })
}

/// A file, and what the settings name beside it: a token, say.
async fn back_ends(place: &Place) -> anyhow::Result<Vec<(&'static str, std::sync::Arc<dyn Kms>)>> {
    let bytes = FileKms::create(Sealing::Permissions, Clock::System.now(), &mut SystemEntropy);
    let file: std::sync::Arc<dyn Kms> =
        std::sync::Arc::new(FileKms::open(&bytes, Sealing::Permissions)?);
    let mut found = vec![(file.name(), file)];
    let config = place.config().map_err(Failure::into_error)?;
    if config.keys.backend != server::config::keys::Backend::File {
        let entropy = EntropySource::system();
        let kms = server::vault::open_root_key(&config, &Clock::System, &entropy).await?;
        found.push((kms.name(), kms));
    }
    Ok(found)
}

/// Runs `work`, which does `count` operations and says whether all went well, some times.
async fn median_of<F>(
    runs: u32,
    what: &str,
    count: u32,
    work: impl Fn() -> F,
) -> anyhow::Result<Row>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let (mut wall, mut cpu) = (vec![], vec![]);
    for _ in 0..runs {
        let (cpu_before, start) = (process_cpu_s(), Instant::now());
        work().await?;
        wall.push(start.elapsed().as_secs_f64());
        cpu.push(process_cpu_s() - cpu_before);
    }
    Ok(row(what, count, wall, cpu))
}

fn row(what: &str, count: u32, wall_s: Vec<f64>, cpu_s: Vec<f64>) -> Row {
    let count = f64::from(count);
    Row {
        what: what.to_owned(),
        per_s: count / median(wall_s),
        cpu_us: median(cpu_s) * 1.0e6 / count,
        times_open: f64::NAN,
    }
}

async fn open_content_keys() -> anyhow::Result<()> {
    let (category, content_id) = (CategoryName::parse("bench")?, ContentId::parse("bench")?);
    let context = KeyContext {
        tenant: "bench",
        category: &category,
        content_id: &content_id,
        kid: KeyId::from_bytes([1; 16]),
        scheme: None,
        track_class: None,
        period: None,
        kek_version: KekVersion(1),
        first_kek_version: KekVersion(1),
        iv: None,
        created: Timestamp(0),
    };
    let kek = Kek::generate(&mut SystemEntropy);
    let key = ContentKey::generate(&mut SystemEntropy);
    let wrapped = kek.wrap(&key, &context, &mut SystemEntropy);
    for _ in 0..OPERATIONS {
        std::hint::black_box(kek.unwrap(&wrapped, &context)?);
    }
    Ok(())
}

async fn open_keks(kms: &dyn Kms, count: u32) -> anyhow::Result<()> {
    let category = CategoryName::parse("bench")?;
    let context = KekContext { tenant: "bench", category: &category, version: KekVersion(1) };
    let wrapped = kms.wrap(&Kek::generate(&mut SystemEntropy), &context).await?;
    for _ in 0..count {
        #[expect(clippy::disallowed_methods, reason = "the KEK was made for this measurement")]
        let opening = kms.unwrap(&wrapped, &context);
        std::hint::black_box(opening.await?);
    }
    Ok(())
}

/// Content keys on the embedded store, from one KEK version to the next.
async fn rewrap(arguments: &Arguments, work: &Path) -> anyhow::Result<Row> {
    /// Keys of one key file.
    const PORTION: u32 = 4000;
    let config = server::Config { data: work.join("data"), ..server::Config::default() };
    let home = Home::open(&config).await?;
    for first in (0..arguments.keys).step_by(PORTION as usize) {
        let last = arguments.keys.min(first.saturating_add(PORTION));
        let keys: Vec<_> = (first..last)
            .map(|number| {
                let (kid, title) = (format!("{number:032x}"), format!("bench-{}", number / 4));
                serde_json::json!({
                    "kid": kid, "content_id": title,
                    // Keys that protect nothing, each another one.
                    "key": format!("{number:08x}{}", "5a".repeat(12)),
                })
            })
            .collect();
        let file = keys::key_file::parse(serde_json::Value::from(keys).to_string().as_bytes())?;
        home.vault.import_keys(file, home.clock.now()).await?;
    }
    let category = CategoryName::parse("default")?;
    let (mut wall, mut cpu) = (vec![], vec![]);
    for _ in 0..arguments.runs {
        home.vault.rotate(&category, home.clock.now()).await?;
        let (cpu_before, start) = (process_cpu_s(), Instant::now());
        let report = home.vault.rewrap(None, None, &home.clock, |_, _| {}).await?;
        wall.push(start.elapsed().as_secs_f64());
        cpu.push(process_cpu_s() - cpu_before);
        ensure!(report.moved == u64::from(arguments.keys), "moved {} keys", report.moved);
    }
    Ok(row("content key, rewrap (SQLite)", arguments.keys, wall, cpu))
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "median of {} runs\n{:<30} {:>12} {:>10} {:>10}\n",
        report.runs, "", "per s", "CPU us", "x open"
    );
    for row in &report.rows {
        text += &format!(
            "{:<30} {:>12.0} {:>10.2} {:>10.1}\n",
            row.what, row.per_s, row.cpu_us, row.times_open
        );
    }
    text += &format!(
        "SPEKE 2.0 over TLS, two keys a question\n{:<30} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        "", "answers", "refused", "per s", "CPU us", "p50 ms", "p99 ms"
    );
    for (what, row) in
        [("keys that are there", &report.exchange.known), ("new keys", &report.exchange.new)]
    {
        text += &format!(
            "{:<30} {:>9} {:>8} {:>8.0} {:>8.1} {:>8.2} {:>8.2}\n",
            what, row.answered, row.refused, row.per_s, row.cpu_us, row.p50_ms, row.p99_ms
        );
    }
    text
}
