//! `package`: clear video in, an encrypted and verified package out.

use super::{Failure, Place, block_on};
use crate::measure::thread_cpu_s;
use crate::screen::{Answer, byte_bar};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use keys::PackagingKeys;
use media::package::{Layout, Progress};
use model::{ContentId, PackagedEvent, Scheme};
use server::Home;
use server::clock::Clock;
use server::vault::{Job, OnProgress, PackagingError, package_with};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Arguments of `package`.
#[derive(Args)]
pub struct Arguments {
    /// The title's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[arg(long, value_name = "ID")]
    content: String,
    /// Write the package to this folder; absent: to the store of `--data`, and publish it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Protection scheme; `dual` writes both from one reading.
    #[arg(long, value_enum, default_value_t = Schemes::Cbcs)]
    scheme: Schemes,
    /// How the media lies in files.
    #[arg(long, value_enum, default_value_t = Files::Segments)]
    layout: Files,
    /// Shortest segment; it ends at the next key frame.
    #[arg(long, value_name = "N", default_value_t = 4)]
    segment_seconds: u32,
    /// Raw keys (JSON list) instead of those of the key service; for tests and for moving in.
    #[arg(long, value_name = "FILE", requires = "out")]
    keys: Option<PathBuf>,
    /// Renditions and sound tracks: MP4 files with H.264 or HEVC, and AAC.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
}

/// Schemes of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Schemes {
    /// AES-CBC in a 1:9 pattern: every current device.
    Cbcs,
    /// AES-CTR: older devices.
    Cenc,
    /// Both, as two sets of files.
    Dual,
}

/// Layouts of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Files {
    /// A file for each segment.
    Segments,
    /// One file for each track, read by byte ranges.
    SingleFile,
}

/// Packages, and prints the package's own document with what its verification cost.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let content_id =
        ContentId::parse(&arguments.content).context("--content").map_err(Failure::Environment)?;
    let job = Job {
        content_id,
        schemes: match arguments.scheme {
            Schemes::Cbcs => vec![Scheme::Cbcs],
            Schemes::Cenc => vec![Scheme::Cenc],
            Schemes::Dual => Scheme::ALL.to_vec(),
        },
        layout: match arguments.layout {
            Files::Segments => Layout::Segments,
            Files::SingleFile => Layout::SingleFile,
        },
        segment_s: arguments.segment_seconds,
        inputs: arguments.inputs,
    };
    let meter = Meter::default();
    let progress = meter.on_progress("packaging");
    let event = block_on(async {
        let made = match (arguments.out, arguments.keys) {
            (Some(folder), Some(file)) => {
                let keys = read_keys(&file, &job.content_id)?;
                package_with(keys, folder, job, &Clock::System, progress).await
            }
            (Some(folder), None) => {
                let home = place.home().await?;
                home.vault.package_to_folder(folder, job, &home.clock, progress).await
            }
            (None, _) => publish(&place.home().await?, job, progress).await,
        };
        made.map_err(blame)
    })?;
    print(&event, meter.verify_cpu_s(), answer);
    Ok(())
}

/// Packages a title into a home's store and publishes it.
pub async fn package_title(home: &Home, job: Job) -> Result<PackagedEvent, Failure> {
    let progress = Meter::default().on_progress(job.content_id.as_str());
    publish(home, job, progress).await.map_err(blame)
}

async fn publish(
    home: &Home,
    job: Job,
    progress: OnProgress,
) -> Result<PackagedEvent, PackagingError> {
    home.vault.package_and_publish(&home.objects, job, &home.clock, progress).await
}

/// What the sources are to blame for is a refusal; the rest is our surroundings.
fn blame(error: PackagingError) -> Failure {
    match error {
        PackagingError::Package(_) | PackagingError::Keys(_) => Failure::refused(error),
        PackagingError::Open { .. }
        | PackagingError::Target { .. }
        | PackagingError::Store(_)
        | PackagingError::Thread => Failure::environment(error),
    }
}

/// The keys of one title out of a key file.
fn read_keys(file: &Path, content_id: &ContentId) -> Result<PackagingKeys, Failure> {
    let about = || file.display().to_string();
    let text = std::fs::read(file).with_context(about).map_err(Failure::Environment)?;
    let keys = keys::key_file::parse(&text).with_context(about).map_err(Failure::Refused)?;
    let own = keys.into_iter().filter(|key| key.content_id == *content_id).map(|key| key.key);
    Ok(PackagingKeys::new(own.collect()))
}

/// A progress bar, and the CPU time of the verification, which is counted apart.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<f64>>);

impl Meter {
    fn on_progress(&self, what: &str) -> OnProgress {
        let (what, verified) = (what.to_owned(), Arc::clone(&self.0));
        let (mut bar, mut began) = (None, 0.0);
        Box::new(move |progress| match progress {
            Progress::Begins { total } => bar = Some(byte_bar(&what, total)),
            Progress::Packaged { bytes } => bar.iter().for_each(|bar| bar.inc(bytes)),
            Progress::VerificationBegins => began = thread_cpu_s(),
            Progress::VerificationEnds => {
                *verified.lock().unwrap_or_else(PoisonError::into_inner) += thread_cpu_s() - began;
            }
        })
    }

    fn verify_cpu_s(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(event: &PackagedEvent, verify_cpu_s: f64, answer: Answer) {
    let mut document = serde_json::json!(event);
    if let Some(document) = document.as_object_mut() {
        document.insert("verify_cpu_s".to_owned(), verify_cpu_s.into());
    }
    answer.print(&document, |_| {
        let mut text = format!(
            "{}: {:.1} s, {} bytes, every sample decrypted again and compared\n",
            event.content_id,
            event.duration_ms as f64 / 1000.0,
            event.size_bytes
        );
        for variant in &event.variants {
            text += &format!(
                "  {} {:<14} {:<5} {:<12} kid {}\n",
                variant.scheme, variant.name, variant.track_class, variant.codecs, variant.kid
            );
        }
        text
    });
}
