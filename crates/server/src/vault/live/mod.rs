//! The flow of a live channel: a stream → keys → segments → manifests, until it ends.
//!
//! 1 take the channel: one packager has it
//! 2 read what it was, or begin it
//! 3 the keys of its tracks
//! 4 note the start, before anything is encrypted
//! 5 for each segment: its keys; its files, whole and on the disk; the note that it is there;
//!   the manifests; then remove what nobody plays any more
//! 6 as soon as players can join: show the package, and publish the title
//! 7 at the end of the stream: close the event
//!
//! Killed at any moment it is begun again and goes on: what was listed stays, and no number and
//! no IV is given twice. Any failure ends it, and what is there plays on.

mod channel_keys;
mod output;
mod place;
mod run;

use super::packaging::PackagingError;
use super::{Vault, packaging};
use crate::clock::Clock;
use channel_keys::ChannelKeys;
use keys::PackagingKeys;
use media::package::channel::ChannelSettings;
use model::{ContentId, PackageId, Timestamp, TitlePolicy, TitleState};
use place::LivePlace;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use store::objects::Folder;
use tokio::runtime::Handle;

/// A channel that is to run.
pub struct LiveJob {
    /// What it is begun with.
    pub settings: ChannelSettings,
    /// The stream, as the user named it.
    pub source: String,
    /// Its bytes as they come; its end is the end of the event. Bounded: whoever reads waits
    /// while the disk is slow.
    pub bytes: Receiver<io::Result<Vec<u8>>>,
    /// Set from outside: the event ends here.
    pub stop: Arc<AtomicBool>,
    /// Told after each segment.
    pub progress: Box<dyn FnMut(&LiveStatus) + Send>,
}

/// How a channel is.
#[derive(Clone, Debug, Serialize)]
pub struct LiveStatus {
    /// The title.
    pub content_id: ContentId,
    /// The package of it.
    pub package_id: PackageId,
    /// When the event began.
    pub event_begins: Timestamp,
    /// Number of the last segment.
    pub last_number: u64,
    /// Segments of this run.
    pub segments: u64,
    /// Segments that can be played.
    pub listed: usize,
    /// How far the end of the last one is behind now, milliseconds.
    pub delay_ms: u64,
    /// Whether the event has ended.
    pub is_over: bool,
}

impl Vault {
    /// Runs a channel under keys of the key service, and publishes its title as soon as
    /// players can join. Returns when the event has ended.
    ///
    /// Errors: [`PackagingError`]; the channel can be begun again and goes on.
    pub async fn live(
        self: &Arc<Self>,
        objects: &Folder,
        job: LiveJob,
        clock: &Clock,
    ) -> Result<LiveStatus, PackagingError> {
        let place = LivePlace::Store(objects.clone());
        self.run_live(place, true, job, clock).await
    }

    /// The same to another folder, published by nobody.
    pub async fn live_to(
        self: &Arc<Self>,
        folder: std::path::PathBuf,
        job: LiveJob,
        clock: &Clock,
    ) -> Result<LiveStatus, PackagingError> {
        self.run_live(LivePlace::Folder(folder), false, job, clock).await
    }

    async fn run_live(
        self: &Arc<Self>,
        place: LivePlace,
        is_published: bool,
        job: LiveJob,
        clock: &Clock,
    ) -> Result<LiveStatus, PackagingError> {
        let content_id = job.settings.content_id.clone();
        let policy = TitlePolicy::default();
        let title = self.title_or(&content_id, TitleState::Draft, policy).await?;
        let service = channel_keys::Service {
            vault: Arc::clone(self),
            title,
            runtime: Handle::current(),
            clock: clock.clone(),
        };
        let keys = PackagingKeys::default();
        let keys =
            ChannelKeys::Service { service: Box::new(service), is_published, keys, batch: None };
        run(place, keys, job, clock).await
    }
}

/// Runs a channel under given keys in a folder: for tests and for moving in. Needs no home.
///
/// Errors: [`PackagingError`].
pub async fn live_with(
    keys: PackagingKeys,
    folder: std::path::PathBuf,
    job: LiveJob,
    clock: &Clock,
) -> Result<LiveStatus, PackagingError> {
    run(LivePlace::Folder(folder), ChannelKeys::Given(keys), job, clock).await
}

async fn run(
    place: LivePlace,
    keys: ChannelKeys,
    job: LiveJob,
    clock: &Clock,
) -> Result<LiveStatus, PackagingError> {
    let (content_id, clock) = (job.settings.content_id.clone(), clock.clone());
    let done = packaging::blocking(move || run::run(&place, keys, job, &clock)).await;
    if let Err(error) = &done {
        packaging::alert(&content_id, error);
    }
    done
}
