//! `package`: clear video in, an encrypted and verified package out.

mod arguments;
mod description;
mod key_service;
mod ladder;
mod live;
mod meter;
mod rotation;

pub use arguments::Arguments;

use super::source::{Sources, blame_io};
use super::{Failure, Place, runtime};
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use arguments::Pictures;
use keys::PackagingKeys;
use media::package::TrackDescription;
use meter::Meter;
use model::{ContentId, PackagedEvent, TrackClasses};
use server::Home;
use server::clock::Clock;
use server::vault::{
    Job, OnProgress, PackagingError, Source, Target, ThumbnailError, Thumbnails, package_with,
};
use std::path::Path;

/// Packages, and prints the package's own document with what its verification cost.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let content_id =
        ContentId::parse(&arguments.content).context("--content").map_err(Failure::Environment)?;
    if arguments.clear_lead > 0 && !place.config()?.allows_clear_lead() {
        return Err(Failure::Environment(anyhow!(
            "--clear-lead: in production nothing of a title is left clear, unless \
             packaging.allow_clear_lead_in_production = true says that you know"
        )));
    }
    if arguments.live {
        return live::run(arguments, content_id, place, answer);
    }
    let runtime = runtime()?;
    let sources = Sources::new(place, runtime.handle().clone())?;
    let descriptions = descriptions(&arguments)?;
    let job = Job {
        content_id,
        schemes: arguments.scheme.list(),
        layout: arguments.layout.layout(),
        segment_s: arguments.segment_seconds,
        inputs: inputs(&arguments, &sources)?,
        has_trick_track: arguments.trick_play,
        rotation: arguments.rotation.plan(),
        clear_lead_s: arguments.clear_lead,
        descriptions,
        ad_cues_ms: arguments.ad_cue.clone(),
        thumbnails: arguments.thumbnails.and_then(Pictures::wanted).map(|wanted| Thumbnails {
            wanted,
            spool: sources.spool().clone(),
            patience: sources.patience(),
        }),
    };
    let key_service = arguments.key_service.open()?;
    let wanted = match key_service {
        Some(_) => key_service::probed(&job.inputs)?,
        None => (TrackClasses::NONE, 0),
    };
    let meter = Meter::default();
    let progress = meter.on_progress("packaging");
    let target = arguments.out.map(|out| target(out, &sources));
    let event = runtime.block_on(async {
        let given = match (arguments.keys, key_service) {
            (Some(file), _) => Some(read_keys(&file, &job.content_id)?),
            (None, Some(key_service)) => Some(key_service.keys(&job, wanted).await?),
            (None, None) => None,
        };
        let made = match (target, given) {
            (Some(target), Some(keys)) => {
                package_with(keys, target, job, &Clock::System, progress).await
            }
            (Some(target), None) => {
                let home = place.home().await?;
                home.vault.package_to(target, job, &home.clock, progress).await
            }
            (None, _) => publish(&place.home().await?, job, progress).await,
        };
        made.map_err(blame)
    })?;
    print(&event, meter.verify_cpu_s(), answer);
    Ok(())
}

fn descriptions(arguments: &Arguments) -> Result<Vec<TrackDescription>, Failure> {
    let inputs: Vec<_> = arguments.inputs.iter().map(|one| one.text.clone()).collect();
    let said = arguments.describe.iter().map(|text| description::parse(text, &inputs));
    said.collect::<Result<_, _>>()
        .map_err(|what| Failure::Environment(anyhow!("--describe: {what}")))
}

/// What the packager reads: the sources, or the ladder that is made of the one source.
fn inputs(arguments: &Arguments, sources: &Sources) -> Result<Vec<Source>, Failure> {
    let locations: Vec<_> = arguments.inputs.iter().map(|one| one.location.clone()).collect();
    let Some(ladder) = &arguments.ladder else { return sources.packageable(&locations) };
    let [mezzanine] = &locations[..] else {
        return Err(Failure::Environment(anyhow!("--ladder takes one input, the mezzanine")));
    };
    let (codec, segment_s) = (arguments.ladder_codec, arguments.segment_seconds);
    let source = sources.find(mezzanine)?;
    ladder::encode(&source, ladder, codec, segment_s, sources).map(|made| vec![made])
}

fn target(place: arguments::Place, sources: &Sources) -> Target {
    match place {
        arguments::Place::Folder(folder) => Target::Folder(folder),
        arguments::Place::Bucket(address) => Target::Bucket {
            client: sources.client().clone(),
            address,
            spool: sources.spool().clone(),
        },
    }
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
        PackagingError::Thumbnails(ThumbnailError::Source { name, cause }) => blame_io(name, cause),
        PackagingError::Package(_)
        | PackagingError::Cut { .. }
        | PackagingError::NoSegment { .. }
        | PackagingError::State(_)
        | PackagingError::Keys(_)
        | PackagingError::Thumbnails(
            ThumbnailError::Refused(_) | ThumbnailError::Failed(_) | ThumbnailError::Pictures(_),
        ) => Failure::refused(error),
        PackagingError::Thumbnails(ThumbnailError::NoFfmpeg | ThumbnailError::Run(_))
        | PackagingError::Open { .. }
        | PackagingError::Target { .. }
        | PackagingError::Store(_)
        | PackagingError::Thread => Failure::environment(error),
    }
}

/// The keys of one title out of a key file.
fn read_keys(file: &Path, content_id: &ContentId) -> Result<PackagingKeys, Failure> {
    let about = || file.display().to_string();
    tracing::warn!("keys out of a file: for tests and for moving in; a key service keeps them");
    let text = std::fs::read(file).with_context(about).map_err(Failure::Environment)?;
    let keys = keys::key_file::parse(&text).with_context(about).map_err(Failure::Refused)?;
    let own = keys.into_iter().filter(|key| key.content_id == *content_id).map(|key| key.key);
    Ok(PackagingKeys::new(own.collect()))
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
        for track in &event.texts {
            let language = track.language.as_deref().unwrap_or("und");
            text += &format!(
                "  text {:<14} {language:<5} {:<14} in the clear\n",
                track.name, track.codecs
            );
        }
        text
    });
}
