//! `package --live`: a stream in real time in, a channel out.

use super::super::source::{LiveInput, Sources};
use super::super::{Failure, Place, runtime};
use super::arguments::{self, Arguments, Files};
use super::{blame, read_keys};
use crate::screen::{Answer, spinner};
use anyhow::anyhow;
use media::package::channel::ChannelSettings;
use model::ContentId;
use server::clock::Clock;
use server::vault::{LiveJob, LiveStatus, live_with};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the channel until its stream ends or somebody ends it (SIGTERM, Ctrl-C), which both close
/// the event.
pub(super) fn run(
    arguments: Arguments,
    content_id: ContentId,
    place: &Place,
    answer: Answer,
) -> Result<(), Failure> {
    check(&arguments)?;
    let [written] = &arguments.inputs[..] else {
        return Err(wrong("--live takes one input: - (standard input), a pipe or a file"));
    };
    let folder = match arguments.out.clone() {
        None => None,
        Some(arguments::Place::Folder(folder)) => Some(folder),
        Some(arguments::Place::Bucket(_)) => {
            return Err(wrong("--live writes to a folder or to the store of --data"));
        }
    };
    let settings = ChannelSettings {
        content_id,
        schemes: arguments.scheme.list(),
        segment_s: arguments.segment_seconds,
        window_s: arguments.window,
        rotation: arguments.live_rotation(),
    };
    settings.check().map_err(Failure::environment)?;
    let runtime = runtime()?;
    let sources = Sources::new(place, runtime.handle().clone())?;
    let input = LiveInput::open(&written.location, &sources)?;
    let stop = Arc::new(AtomicBool::new(false));
    let source = written.location.to_string();
    let bytes = input.read();
    let job = LiveJob { settings, source, bytes, stop: Arc::clone(&stop), progress: progress() };
    let status = runtime.block_on(async {
        listen(stop).map_err(Failure::environment)?;
        run_job(job, arguments.keys, folder, place).await
    })?;
    print(&status, answer);
    Ok(())
}

async fn run_job(
    job: LiveJob,
    keys: Option<PathBuf>,
    folder: Option<PathBuf>,
    place: &Place,
) -> Result<LiveStatus, Failure> {
    let done = match (keys, folder) {
        (Some(file), Some(folder)) => {
            let keys = read_keys(&file, &job.settings.content_id)?;
            live_with(keys, folder, job, &Clock::System).await
        }
        (_, Some(folder)) => {
            let home = place.home().await?;
            home.vault.live_to(folder, job, &home.clock).await
        }
        (_, None) => {
            let home = place.home().await?;
            home.vault.live(&home.objects, job, &home.clock).await
        }
    };
    done.map_err(blame)
}

/// What has no meaning for a channel.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    let senseless = [
        (arguments.layout == Files::SingleFile, "--layout single-file"),
        (arguments.ladder.is_some(), "--ladder"),
        (arguments.clear_lead > 0, "--clear-lead"),
        (arguments.trick_play, "--trick-play"),
        (arguments.thumbnails.is_some(), "--thumbnails"),
        (!arguments.ad_cue.is_empty(), "--ad-cue"),
        (!arguments.describe.is_empty(), "--describe"),
        (arguments.key_service.is_named(), "--key-service"),
        (arguments.rotation.is_by_manifests(), "--rotate-signal periods"),
    ];
    match senseless.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(wrong(&format!("{what} is not for a live channel"))),
        None => Ok(()),
    }
}

fn wrong(what: &str) -> Failure {
    Failure::Environment(anyhow!("{what}"))
}

/// Sets the flag at the first wish to end.
fn listen(stop: Arc<AtomicBool>) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// One line on a terminal.
fn progress() -> Box<dyn FnMut(&LiveStatus) + Send> {
    let line = spinner("waits for the stream");
    Box::new(move |status| {
        line.set_message(format!(
            "{}: {} segments, {} to be played, {:.1} s behind the stream",
            status.content_id,
            status.last_number,
            status.listed,
            status.delay_ms as f64 / 1000.0
        ));
        if status.is_over {
            line.finish_and_clear();
        }
    })
}

fn print(status: &LiveStatus, answer: Answer) {
    answer.print(status, |status| {
        format!(
            "{}: the event has ended with segment {}; {} of this run, each sample decrypted again \
             and compared\n",
            status.content_id, status.last_number, status.segments
        )
    });
}
