//! `bench rotation`: a live event whose keys change, and a crowd that watches it in virtual time
//! (R122 to R124). The service is real, from the token call to the audit row; only its clock and
//! its viewers are not.

mod channel;
mod crowd;
mod event;
mod figures;
mod players;
mod publish;
mod report;
mod show;

use crate::command::{Failure, Place, block_on};
use crate::screen::{Answer, count_bar};
use anyhow::ensure;
use channel::Channel;
use clap::Args;
use crowd::{Crowd, Shape};
use figures::Figures;
use keys::SystemEntropy;
use model::{RotationRight, Timestamp, TrackClass, TrackClasses};
use players::{Players, Spoken};
use publish::publish;
use report::{Arithmetic, Report, Run, table};
use server::Home;
use server::clock::Clock;
use server::entropy::EntropySource;
use show::{Cpu, Show};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;

/// Arguments of `bench rotation`.
#[derive(Args)]
pub struct Arguments {
    /// Viewers.
    #[arg(long, default_value_t = 50_000)]
    viewers: u32,
    /// Key periods of the event.
    #[arg(long, default_value = "120")]
    periods: NonZeroU32,
    /// Seconds of a key period.
    #[arg(long, default_value = "60")]
    period_s: NonZeroU32,
    /// Key periods of a batch; as many as the horizon has, or half of all where there is none.
    #[arg(long)]
    batch: Option<NonZeroU32>,
    /// Seconds within which everybody joins.
    #[arg(long, default_value = "300")]
    ramp_s: NonZeroU32,
    /// How far ahead licenses carry keys: seconds, or `event` for all of them. May come repeatedly.
    #[arg(long = "horizon", value_name = "SECONDS|event", value_parser = read_horizon,
          default_values = ["event", "600"])]
    horizons: Vec<Horizon>,
    /// What the players speak.
    #[arg(long, value_enum, default_value = "widevine")]
    dialect: Spoken,
    /// Track classes, each with keys of its own.
    #[arg(long, value_delimiter = ',', value_parser = read_class, default_value = "AUDIO,SD")]
    classes: Vec<TrackClass>,
    /// Viewers of the arithmetic.
    #[arg(long, default_value_t = 500_000)]
    of: u32,
    /// Viewers who ask again after so many seconds whatever the server says: to see the figures miss.
    #[arg(long, hide = true)]
    deaf_s: Option<NonZeroU32>,
}

/// How far ahead licenses carry keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Horizon {
    WholeEvent,
    Seconds(NonZeroU32),
}

fn read_horizon(text: &str) -> Result<Horizon, String> {
    if text == "event" {
        return Ok(Horizon::WholeEvent);
    }
    text.parse().map(Horizon::Seconds).map_err(|_| "`event`, or seconds from 1 up".to_owned())
}

fn read_class(text: &str) -> Result<TrackClass, String> {
    TrackClass::parse(text).ok_or_else(|| "AUDIO, SD, HD or UHD".to_owned())
}

impl std::fmt::Display for Horizon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WholeEvent => f.write_str("the whole event"),
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
        }
    }
}

/// Measures and prints the report.
pub fn run(arguments: &Arguments, answer: Answer) -> Result<(), Failure> {
    let report = block_on(async {
        let work = std::env::temp_dir().join(format!("strongroom-bench-{}", std::process::id()));
        let report = measure(arguments, &work).await;
        let _left_for_the_system = std::fs::remove_dir_all(&work);
        report.map_err(Failure::Environment)
    })?;
    answer.print(&report, table);
    let missed = |run: &Run| Some(format!("{}: {}", run.horizon, run.missed.join(", ")));
    let missed: Vec<String> =
        report.runs.iter().filter(|run| !run.missed.is_empty()).filter_map(missed).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(anyhow::anyhow!("not as promised: {}", missed.join("; "))))
}

async fn measure(arguments: &Arguments, work: &Path) -> anyhow::Result<Report> {
    ensure!(server::health::recorder().is_some(), "the service's own figures");
    let mut runs = vec![];
    for (horizon, number) in arguments.horizons.iter().zip(0..) {
        let folder = work.join(format!("{number}"));
        runs.push(watch(arguments, *horizon, &folder).await?);
        std::fs::remove_dir_all(&folder)?;
    }
    let classes: TrackClasses = arguments.classes.iter().copied().collect();
    Ok(Report {
        dialect: arguments.dialect,
        viewers: arguments.viewers,
        periods: arguments.periods.get(),
        period_s: arguments.period_s.get(),
        ramp_s: arguments.ramp_s.get(),
        keys_in_a_period: classes.iter().count(),
        runs,
    })
}

/// When every event begins: any moment does.
const BEGINS: Timestamp = Timestamp(1_800_000_000_000);

/// Simulates one event.
async fn watch(arguments: &Arguments, horizon: Horizon, work: &Path) -> anyhow::Result<Run> {
    let began = Instant::now();
    std::fs::create_dir_all(work)?;
    let place = Place { config: None, data: Some(work.join("data")) };
    let config = place.config().map_err(Failure::into_error)?;
    let clock = Clock::fixed(BEGINS);
    let home = Home::open_with(&config, clock, EntropySource::system()).await?;
    let players = Players::of(arguments.dialect, &home, work).await?;
    let event = publish(arguments, horizon, &home).await?;
    let event_s = arguments.periods.get().saturating_mul(arguments.period_s.get());
    let shape = Shape {
        viewers: arguments.viewers,
        event_s,
        ramp_s: arguments.ramp_s,
        period_s: arguments.period_s,
        classes: event.in_period(),
        keys: event.keys(),
        deaf_s: arguments.deaf_s,
    };
    let bar = count_bar("sign-ins", arguments.viewers.into());
    let (spoken, title) = (arguments.dialect, &event.content_id);
    let channel = Channel::open(home, spoken, title, shape.viewers, || bar.inc(1)).await?;
    bar.finish_and_clear();
    let (counted, audited) = (channel.counted().await?, channel.audited().await?);
    let mut show = Show {
        crowd: Crowd::new(shape, &mut SystemEntropy),
        channel: Arc::new(channel),
        players: Arc::new(players),
        event,
        spoken,
        cpu: Cpu::default(),
    };
    let bar = count_bar("seconds", event_s.into());
    for second in 0..event_s {
        show.second(second).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let figures = Figures::of(&show.crowd, &shape, reach_s(spoken, horizon, shape.period_s));
    let counted = show.channel.counted().await? - counted;
    let audit_rows = show.channel.audited().await? - audited;
    Ok(Run {
        horizon: horizon.to_string(),
        batch_periods: show.event.rotation.batch_periods.get(),
        arithmetic: Arithmetic::of(arguments, figures.a_viewer),
        license_cpu_us: show.cpu.licenses_s * 1.0e6 / counted.max(1) as f64,
        token_call_cpu_us: show.cpu.token_calls_s * 1.0e6 / f64::from(shape.viewers.max(1)),
        took_s: began.elapsed().as_secs_f64(),
        missed: missed(&figures, counted, audit_rows),
        figures,
        counted,
        audit_rows,
    })
}

/// What is not as promised; the service's own counts must say what the viewers do.
fn missed(figures: &Figures, counted: u64, audit_rows: u64) -> Vec<&'static str> {
    let mut missed = figures.missed();
    let licenses = figures.licenses.all();
    if counted != licenses || audit_rows != licenses {
        missed.push("the service's own counts");
    }
    missed
}

/// How far ahead licenses surely carry keys: without an end of their own, a period less.
fn reach_s(spoken: Spoken, horizon: Horizon, period_s: NonZeroU32) -> Option<u32> {
    let Horizon::Seconds(horizon_s) = horizon else { return None };
    let right = RotationRight { horizon_s, whole_event: false };
    let reach = match spoken.carries_end() {
        true => right,
        false => playback::rotation::without_end(&right, period_s),
    };
    Some(reach.horizon_s.get())
}
