//! `bench package`: what packaging costs, as CPU time and as ratios to copying the same file.

use crate::command::Failure;
use crate::measure::{Cost, cost_of, median};
use crate::screen::{Answer, spinner};
use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Arguments of `bench package`.
#[derive(Args)]
pub struct Arguments {
    /// Clip to package (H.264 and AAC in MP4); made by ffmpeg when absent.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Size of the clip that is made, MB.
    #[arg(long, default_value_t = 1000, conflicts_with = "input")]
    megabytes: u32,
    /// Runs of each program; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where to work. Memory-backed, so that the disk does not count.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    work: PathBuf,
}

/// One row of the report.
#[derive(Serialize)]
struct Row {
    what: &'static str,
    /// CPU seconds without the verification, which is counted apart.
    cpu_s: f64,
    /// CPU seconds of the verification.
    verify_cpu_s: f64,
    peak_mib: f64,
    /// `cpu_s` as a multiple of `cp`.
    times_cp: f64,
    /// `verify_cpu_s` as a multiple of `cp`.
    verify_times_cp: f64,
}

/// The report.
#[derive(Serialize)]
struct Report {
    input_bytes: u64,
    runs: usize,
    rows: Vec<Row>,
}

/// A program to measure: its name in the report, and its command line.
struct Contender {
    what: &'static str,
    program: OsString,
    arguments: Vec<OsString>,
}

/// Measures and prints the report.
pub fn run(arguments: &Arguments, answer: Answer) -> Result<(), Failure> {
    if arguments.runs == 0 {
        return Err(Failure::environment(anyhow::anyhow!("--runs must be at least 1")));
    }
    let work = arguments.work.join(format!("strongroom-bench-{}", std::process::id()));
    std::fs::create_dir_all(&work).map_err(Failure::environment)?;
    let report = measure(arguments, &work);
    let _left_for_the_system = std::fs::remove_dir_all(&work);
    answer.print(&report.map_err(Failure::Environment)?, table);
    Ok(())
}

fn measure(arguments: &Arguments, work: &Path) -> anyhow::Result<Report> {
    let input = match &arguments.input {
        Some(input) => input.clone(),
        None => make_clip(work, arguments.megabytes)?,
    };
    let contenders = contenders(&input, work)?;
    let mut costs: Vec<Vec<(Cost, f64)>> = contenders.iter().map(|_| Vec::new()).collect();
    let step = spinner("measuring");
    for round in 1..=arguments.runs {
        // Programs take turns, so that a busy minute hits all of them.
        for (contender, costs) in contenders.iter().zip(&mut costs) {
            step.set_message(format!("run {round} of {}: {}", arguments.runs, contender.what));
            costs.push(run_once(contender, work)?);
        }
    }
    step.finish_and_clear();
    Ok(Report {
        input_bytes: std::fs::metadata(&input)?.len(),
        runs: arguments.runs,
        rows: rows(&contenders, &costs),
    })
}

/// Runs one contender on an empty output folder: its cost, and the verification's share of it.
fn run_once(contender: &Contender, work: &Path) -> anyhow::Result<(Cost, f64)> {
    let out = work.join("out");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let (cost, said) = cost_of(&contender.program, &contender.arguments)?;
    let verify_cpu_s = serde_json::from_slice::<serde_json::Value>(&said)
        .ok()
        .and_then(|answer| answer.get("verify_cpu_s")?.as_f64())
        .unwrap_or(0.0);
    Ok((cost, verify_cpu_s))
}

fn rows(contenders: &[Contender], costs: &[Vec<(Cost, f64)>]) -> Vec<Row> {
    let middle = |runs: &[(Cost, f64)], of: &dyn Fn(&(Cost, f64)) -> f64| {
        median(runs.iter().map(of).collect())
    };
    let own_cpu = |run: &(Cost, f64)| run.0.cpu_s - run.1;
    let cp_s = costs.first().map_or(f64::NAN, |runs| middle(runs, &own_cpu));
    contenders
        .iter()
        .zip(costs)
        .map(|(contender, runs)| {
            let (cpu_s, verify_cpu_s) = (middle(runs, &own_cpu), middle(runs, &|run| run.1));
            Row {
                what: contender.what,
                cpu_s,
                verify_cpu_s,
                peak_mib: middle(runs, &|run| run.0.peak_mib),
                times_cp: cpu_s / cp_s,
                verify_times_cp: verify_cpu_s / cp_s,
            }
        })
        .collect()
}

/// `cp` first: every ratio is against it.
fn contenders(input: &Path, work: &Path) -> anyhow::Result<Vec<Contender>> {
    let out = work.join("out");
    let key_file = work.join("keys.json");
    std::fs::write(&key_file, BENCH_KEYS)?;
    let own = std::env::current_exe()?.into_os_string();
    let strongroom = |what, scheme: &str| Contender {
        what,
        program: own.clone(),
        arguments: ["--json", "package", "--content", "bench", "--scheme", scheme, "--keys"]
            .map(OsString::from)
            .into_iter()
            .chain([key_file.clone().into(), "--out".into(), out.clone().into()])
            .chain([input.as_os_str().to_owned()])
            .collect(),
    };
    let mut all = vec![
        Contender {
            what: "cp",
            program: "cp".into(),
            arguments: vec![input.into(), work.join("copy.mp4").into()],
        },
        strongroom("strongroom cbcs", "cbcs"),
        strongroom("strongroom cenc", "cenc"),
        strongroom("strongroom dual", "dual"),
    ];
    if let Some(packager) = shaka_packager() {
        for (what, scheme) in [("shaka cbcs", "cbcs"), ("shaka cenc", "cenc")] {
            all.push(Contender {
                what,
                program: packager.clone().into(),
                arguments: shaka_arguments(input, &out, scheme),
            });
        }
    }
    Ok(all)
}

/// Two keys that protect nothing: the benchmark's input is made or given, its output deleted.
const BENCH_KEYS: &str = r#"[
  {"content_id": "bench", "kid": "00000000000000000000000000000001",
   "key": "000102030405060708090a0b0c0d0e0f", "scheme": "cbcs"},
  {"content_id": "bench", "kid": "00000000000000000000000000000002",
   "key": "101112131415161718191a1b1c1d1e1f", "scheme": "cenc"}
]"#;

fn shaka_packager() -> Option<PathBuf> {
    let folders = std::env::var_os("STRONGROOM_PEERS").into_iter().map(PathBuf::from);
    folders
        .chain([PathBuf::from("target/peers")])
        .map(|folder| folder.join("packager"))
        .find(|path| path.is_file())
}

fn shaka_arguments(input: &Path, out: &Path, scheme: &str) -> Vec<OsString> {
    let stream = |kind: &str| {
        let [input, out] = [input, out].map(|path| path.display().to_string());
        let media = format!("{out}/{kind}/$Number$.m4s");
        format!(
            "in={input},stream={kind},init_segment={out}/{kind}/init.mp4,segment_template={media}"
        )
    };
    let keys =
        "label=:key_id=00000000000000000000000000000001:key=000102030405060708090a0b0c0d0e0f";
    [
        stream("video"),
        stream("audio"),
        format!("--protection_scheme={scheme}"),
        "--enable_raw_key_encryption".to_owned(),
        format!("--keys={keys}"),
        "--clear_lead=0".to_owned(),
        "--segment_duration=4".to_owned(),
        format!("--mpd_output={}/manifest.mpd", out.display()),
        "--quiet".to_owned(),
    ]
    .map(OsString::from)
    .into()
}

/// Makes a clip of about `megabytes`: ten seconds of noise over a test card at 20 Mbit/s,
/// repeated by copying.
fn make_clip(work: &Path, megabytes: u32) -> anyhow::Result<PathBuf> {
    /// What ten seconds at the rates below come to.
    const MB_PER_LOOP: u32 = 25;
    let (loop_file, clip) = (work.join("loop.mp4"), work.join("input.mp4"));
    let step = spinner("making the clip (ffmpeg)");
    let source = "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=12:allf=t";
    ffmpeg(
        ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=frequency=440:duration=10"]
            .into_iter()
            .chain("-c:v libx264 -preset ultrafast -g 100 -sc_threshold 0 -b:v 20M".split(' '))
            .chain("-pix_fmt yuv420p -c:a aac -b:a 128k".split(' ')),
        &loop_file,
    )?;
    let repeats = (megabytes / MB_PER_LOOP).saturating_sub(1).to_string();
    let source = loop_file.to_str().context("the work folder's name is not UTF-8")?;
    ffmpeg(["-stream_loop", &repeats, "-i", source, "-c", "copy"], &clip)?;
    std::fs::remove_file(&loop_file)?;
    step.finish_and_clear();
    Ok(clip)
}

fn ffmpeg<'a>(arguments: impl IntoIterator<Item = &'a str>, out: &Path) -> anyhow::Result<()> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .arg::<&OsStr>(out.as_ref())
        .stdout(Stdio::null())
        .output()
        .context("ffmpeg makes the clip; install it or give --input")?;
    if !run.status.success() {
        bail!("ffmpeg: {}", String::from_utf8_lossy(&run.stderr).trim_end());
    }
    Ok(())
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "input {} bytes, median of {} runs\n{:<18} {:>8} {:>8} {:>10} {:>12} {:>9}\n",
        report.input_bytes, report.runs, "", "CPU s", "x cp", "verify s", "verify x cp", "peak MiB"
    );
    for row in &report.rows {
        text += &format!(
            "{:<18} {:>8.3} {:>8.2} {:>10.3} {:>12.2} {:>9.1}\n",
            row.what, row.cpu_s, row.times_cp, row.verify_cpu_s, row.verify_times_cp, row.peak_mib
        );
    }
    text
}
