//! The flow of one packaging job: sources → keys → package → published title.
//!
//! Killed at any moment it leaves the old package or the new one, never half of one.

use super::Vault;
use super::bucket_output::BucketOutput;
use super::folder_output::FolderOutput;
use super::key_service::KeyServiceError;
use super::source::Source;
use super::thumbnails::{self, ThumbnailError, Thumbnails};
use crate::clock::Clock;
use keys::{PackagingKeys, SystemEntropy};
use media::NamedInput;
use media::live::CutFault;
use media::package::channel::StateError;
use media::package::{
    Layout, Output, PackageError, Plan, Probe, Progress, RotationPlan, TrackDescription,
    key_periods_of, package, probe,
};
use model::{ContentId, PackageId, PackagedEvent, Scheme, Title, TitlePolicy, TitleState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use store::objects::Folder;
use store::remote::{Address, Client, RemotePackage};
use store::{OutFolder, Spool, StoreError};

/// What is to be packaged.
#[derive(Clone, Debug)]
pub struct Job {
    /// The title.
    pub content_id: ContentId,
    /// One scheme or both.
    pub schemes: Vec<Scheme>,
    /// How the media lies in files.
    pub layout: Layout,
    /// Shortest segment, seconds.
    pub segment_s: u32,
    /// The clear sources.
    pub inputs: Vec<Source>,
    /// Thumbnails, where they are wanted.
    pub thumbnails: Option<Thumbnails>,
    /// Whether the key frames of the smallest rendition become a track for fast play.
    pub has_trick_track: bool,
    /// Seconds from the start that are left clear, as far as whole segments go.
    pub clear_lead_s: u32,
    /// What is said of the sound and the subtitles of the sources.
    pub descriptions: Vec<TrackDescription>,
    /// Where advertisements may stand, milliseconds from the begin.
    pub ad_cues_ms: Vec<u64>,
    /// How its keys change, where they do.
    pub rotation: Option<RotationPlan>,
}

/// Where a package goes that the service does not publish.
#[derive(Clone, Debug)]
pub enum Target {
    /// A folder, which may hold an older package.
    Folder(PathBuf),
    /// An empty prefix of a bucket.
    Bucket {
        /// What reaches it.
        client: Client,
        /// The prefix.
        address: Address,
        /// Where files are until they are complete.
        spool: Spool,
    },
}

/// Told of a job's progress, on the thread that works.
pub type OnProgress = Box<dyn FnMut(Progress) + Send>;

/// Why a job made no package. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PackagingError {
    /// A source cannot be opened.
    #[error("cannot open {name}: {cause}")]
    Open {
        /// The source, as the user named it.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The sources, the request or the output are refused.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The thumbnails cannot be made.
    #[error(transparent)]
    Thumbnails(#[from] ThumbnailError),
    /// The keys are not to be had.
    #[error(transparent)]
    Keys(#[from] KeyServiceError),
    /// The place of the package.
    #[error("{place}: {what}")]
    Target {
        /// The folder or the prefix.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A live stream cannot be cut into segments.
    #[error("{name}: {what}")]
    Cut {
        /// The stream, as the user named it.
        name: String,
        /// Why.
        what: CutFault,
    },
    /// A live stream ended before its first segment.
    #[error("{name}: it ended before a segment was whole")]
    NoSegment {
        /// The stream, as the user named it.
        name: String,
    },
    /// A live channel that cannot go on from where it was.
    #[error(transparent)]
    State(#[from] StateError),
    /// The working thread ended.
    #[error("the packaging thread ended early")]
    Thread,
}

impl Vault {
    /// Packages a title under keys of the key service and publishes it.
    ///
    /// A title that is not in the catalog enters it with the default policy. One that viewers
    /// have keeps its state and its package until the new one takes its place.
    ///
    /// Errors: [`PackagingError`].
    pub async fn package_and_publish(
        self: &Arc<Self>,
        objects: &Folder,
        job: Job,
        clock: &Clock,
        progress: OnProgress,
    ) -> Result<PackagedEvent, PackagingError> {
        // 1 Sources and keys. Damaged sources end here, before the catalog is touched.
        let (title, keys) = self.title_and_keys(&job, clock).await?;
        // 2 The catalog says that the title is being packaged.
        self.move_title(&title, TitleState::Packaging { attempt: 1 }).await?;
        // 3 A package out of sight; shown when it is whole, verified and on the disk.
        let plan = plan(&job, PackageId::random(&mut SystemEntropy), clock);
        let objects = objects.clone();
        let written = blocking(move || write_and_show(&objects, &job, &plan, &keys, progress));
        let event = match written.await {
            Ok(event) => event,
            Err(error) => {
                alert(&title.content_id, &error);
                self.move_title(&title, TitleState::PackageFailed).await?;
                return Err(error);
            }
        };
        // 4 Title state and event, both or neither.
        let state = TitleState::Published { package: event.package_id };
        self.store.publish_package(&state, &event, clock.now()).await?;
        tracing::info!(content_id = %title.content_id, package_id = %event.package_id, "published");
        Ok(event)
    }

    /// Packages a title under keys of the key service to another place, and publishes nothing.
    ///
    /// Errors: [`PackagingError`].
    pub async fn package_to(
        self: &Arc<Self>,
        target: Target,
        job: Job,
        clock: &Clock,
        progress: OnProgress,
    ) -> Result<PackagedEvent, PackagingError> {
        let (_, keys) = self.title_and_keys(&job, clock).await?;
        package_with(keys, target, job, clock, progress).await
    }

    /// Probes the sources, then finds or makes the title and one key for each class and scheme;
    /// where keys rotate, also one for each period.
    async fn title_and_keys(
        &self,
        job: &Job,
        clock: &Clock,
    ) -> Result<(Title, PackagingKeys), PackagingError> {
        let probed = job.clone();
        let probe = blocking(move || with_inputs(&probed, |inputs| Ok(probe(inputs)?))).await?;
        let policy = TitlePolicy::default();
        let title = self.title_or(&job.content_id, TitleState::Draft, policy).await?;
        let Probe { tracks, .. } = probe;
        let classes = tracks.iter().map(|track| track.class).collect();
        let now = clock.now();
        let rotation = job.rotation.map(|planned| {
            let length_ms = tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
            key_periods_of(planned.of, length_ms).map_err(PackageError::from)
        });
        let periods = rotation.transpose()?;
        let mut keys = self.keys.packaging_keys(&title, classes, &job.schemes, now).await?;
        if let Some(periods) = periods {
            let schemes = &job.schemes;
            let of_periods = self.keys.period_keys(&title, classes, schemes, periods, None, now);
            keys.extend(of_periods.await?);
        }
        Ok((title, keys))
    }

    /// Says in the catalog how far a job is, unless viewers have the title meanwhile. A job
    /// that an operator starts is one attempt; a queue will count more (R172).
    async fn move_title(&self, title: &Title, state: TitleState) -> Result<(), StoreError> {
        if title.state.is_licensed() {
            return Ok(());
        }
        self.store.set_title_state(&title.content_id, &state).await.map(drop)
    }
}

pub(super) fn alert(content_id: &ContentId, error: &PackagingError) {
    tracing::error!(alert = "packaging_failed", %content_id, %error, "a packaging job failed");
    metrics::counter!("strongroom_alerts_total", "alert" => "packaging_failed").increment(1);
}

/// Packages under given keys to another place: for tests and for moving in. Needs no home.
///
/// Errors: [`PackagingError`].
pub async fn package_with(
    keys: PackagingKeys,
    target: Target,
    job: Job,
    clock: &Clock,
    progress: OnProgress,
) -> Result<PackagedEvent, PackagingError> {
    let plan = plan(&job, PackageId::random(&mut SystemEntropy), clock);
    blocking(move || match target {
        Target::Folder(folder) => {
            let failed = |cause| target_error(folder.display().to_string(), &cause);
            let out = OutFolder::stage(&folder).map_err(failed)?;
            let event = write(&job, &plan, &keys, &mut FolderOutput::new(out.path()), progress)?;
            out.publish().map_err(failed)?;
            Ok(event)
        }
        Target::Bucket { client, address, spool } => {
            let failed = |cause: io::Error| target_error(address.to_string(), &cause);
            let package =
                RemotePackage::stage(&client, &address).map_err(|error| failed(error.into()))?;
            let mut out = BucketOutput::new(package, spool);
            let event = write(&job, &plan, &keys, &mut out, progress)?;
            out.publish().map_err(failed)?;
            Ok(event)
        }
    })
    .await
}

/// Makes the package in the store's staging area and puts it in its place.
fn write_and_show(
    objects: &Folder,
    job: &Job,
    plan: &Plan,
    keys: &PackagingKeys,
    progress: OnProgress,
) -> Result<PackagedEvent, PackagingError> {
    // What killed jobs left behind; what cannot be removed is in nobody's way.
    if let Err(error) = objects.sweep() {
        tracing::warn!(%error, "the media folder could not be swept");
    }
    let failed = |cause| target_error(job.content_id.to_string(), &cause);
    let staging = objects.stage(&plan.content_id, plan.package_id).map_err(failed)?;
    let event = write(job, plan, keys, &mut FolderOutput::new(staging.path()), progress)?;
    staging.publish().map_err(failed)?;
    Ok(event)
}

fn plan(job: &Job, package_id: PackageId, clock: &Clock) -> Plan {
    Plan {
        content_id: job.content_id.clone(),
        package_id,
        schemes: job.schemes.clone(),
        layout: job.layout,
        segment_s: job.segment_s,
        packager: concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned(),
        now: clock.now(),
        images: None,
        has_trick_track: job.has_trick_track,
        clear_lead_s: job.clear_lead_s,
        descriptions: job.descriptions.clone(),
        ad_cues_ms: job.ad_cues_ms.clone(),
        rotation: job.rotation,
    }
}

fn write(
    job: &Job,
    plan: &Plan,
    keys: &PackagingKeys,
    out: &mut dyn Output,
    mut progress: OnProgress,
) -> Result<PackagedEvent, PackagingError> {
    if job.clear_lead_s > 0 {
        let seconds = job.clear_lead_s;
        tracing::warn!(content_id = %job.content_id, seconds, "a clear lead: the first seconds of this title are not encrypted");
    }
    with_inputs(job, |inputs| {
        let mut plan = plan.clone();
        if let Some(wanted) = &job.thumbnails {
            plan.images = Some(thumbnails::make(wanted, &probe(inputs)?, &job.inputs)?);
        }
        Ok(package(inputs, &plan, keys, out, &mut SystemEntropy, &mut progress)?)
    })
}

fn with_inputs<T>(
    job: &Job,
    work: impl FnOnce(&mut [NamedInput<'_>]) -> Result<T, PackagingError>,
) -> Result<T, PackagingError> {
    let open = |source: &Source| {
        source.open().map_err(|cause| PackagingError::Open { name: source.name(), cause })
    };
    let mut files = job.inputs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut inputs: Vec<_> = files
        .iter_mut()
        .zip(&job.inputs)
        .map(|(input, source)| NamedInput { name: source.name(), input: &mut **input })
        .collect();
    work(&mut inputs)
}

pub(super) fn target_error(place: String, cause: &io::Error) -> PackagingError {
    let what = match cause.kind() {
        io::ErrorKind::AlreadyExists => {
            "is there and is no package; name another folder".to_owned()
        }
        io::ErrorKind::WouldBlock => "another job is writing there".to_owned(),
        _ => cause.to_string(),
    };
    PackagingError::Target { place, what }
}

/// CPU and disk leave the reactor.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackagingError> + Send + 'static,
) -> Result<T, PackagingError> {
    tokio::task::spawn_blocking(work).await.map_err(|_ended| PackagingError::Thread)?
}
