//! Packaging jobs on real files: what is visible when they end, and when they do not.

#[path = "../../../../media/tests/packager/clip/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the packager's own tests use the rest")]
#[expect(clippy::cast_possible_truncation, reason = "a made-up clip has small numbers")]
mod clip;

use super::*;
use crate::clock::Clock;
use crate::vault::{Job, OnProgress, PackagingError, Target, package_with};
use clip::{Shape, audio, file, video};
use media::package::{Layout, Progress};
use model::{ObjectPath, PackagedEvent, Scheme, TrackClass};
use std::fs;
use std::path::{Path, PathBuf};
use store::objects::Folder;

/// A house with a media folder and a source: SD and HD picture, two languages.
struct Works {
    house: House,
    vault: Arc<Vault>,
    objects: Folder,
    folder: PathBuf,
    clock: Clock,
}

impl Works {
    async fn new() -> Self {
        let house = House::new().await;
        let folder = house.folder.path().to_owned();
        let tracks = [
            video((640, 360), 8, 50),
            video((1280, 720), 8, 50),
            audio(b"eng", 8),
            audio(b"fra", 8),
        ];
        fs::write(folder.join("source.mp4"), file(&tracks, Shape::MoovFirst)).unwrap();
        let objects = Folder::open(&folder.join("media")).unwrap();
        let (vault, clock) = (Arc::new(house.vault()), Clock::fixed(NOW));
        Self { house, vault, objects, folder, clock }
    }

    fn job(&self, source: &str) -> Job {
        Job {
            content_id: film(),
            schemes: Scheme::ALL.to_vec(),
            layout: Layout::Segments,
            segment_s: 4,
            inputs: vec![self.folder.join(source).into()],
            thumbnails: None,
            has_trick_track: false,
            rotation: None,
            clear_lead_s: 0,
            descriptions: Vec::new(),
            ad_cues_ms: Vec::new(),
        }
    }

    /// A source whose last sample is not there.
    fn cut_source(&self) {
        let whole = fs::read(self.folder.join("source.mp4")).unwrap();
        fs::write(self.folder.join("cut.mp4"), &whole[..whole.len() - 1]).unwrap();
    }

    async fn publish(&self, source: &str) -> Result<PackagedEvent, PackagingError> {
        self.publish_with(source, quiet()).await
    }

    async fn publish_with(
        &self,
        source: &str,
        progress: OnProgress,
    ) -> Result<PackagedEvent, PackagingError> {
        let (job, clock) = (self.job(source), &self.clock);
        self.vault.package_and_publish(&self.objects, job, clock, progress).await
    }

    async fn state(&self) -> Option<TitleState> {
        self.house.store.title(&film()).await.unwrap().map(|title| title.state)
    }

    fn object(&self, path: &str) -> Option<u64> {
        let path = ObjectPath::parse(path).unwrap();
        self.objects.object(&film(), &path).unwrap().map(|object| object.size_bytes())
    }

    /// Names in a folder of this test.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join(folder)).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.retain(|name| name != ".guard");
        names.sort();
        names
    }
}

fn quiet() -> OnProgress {
    Box::new(|_| {})
}

#[tokio::test]
async fn a_job_makes_keys_and_a_published_package() {
    let works = Works::new().await;
    let event = works.publish("source.mp4").await.unwrap();
    assert_eq!((event.variants.len(), event.packaged_at), (8, NOW));
    assert_eq!(works.state().await, Some(TitleState::Published { package: event.package_id }));
    let told = works.house.store.outbox_pending(10).await.unwrap();
    assert_eq!(told.iter().map(|row| &row.event).collect::<Vec<_>>(), [&event]);
    for path in [&event.dash, &event.hls[0], &event.hls[1], &event.variants[0].playlist] {
        assert!(works.object(path).is_some_and(|size| size > 0), "{path}");
    }
    let rows = works.house.store.keys_of(&film()).await.unwrap();
    for variant in &event.variants {
        let row = rows.iter().find(|row| row.kid == variant.kid).expect("a row of the key");
        let used_for = (row.track_class, row.scheme);
        assert_eq!(used_for, (Some(variant.track_class), Some(variant.scheme)));
    }
    assert_eq!(rows.len(), 6, "audio, SD, HD under two schemes");
    assert!(works.names("media/.staging").is_empty());
}

#[tokio::test]
async fn a_title_packaged_again_keeps_its_keys() {
    let works = Works::new().await;
    let first = works.publish("source.mp4").await.unwrap();
    let second = works.publish("source.mp4").await.unwrap();
    assert_ne!(first.package_id, second.package_id);
    assert_eq!(works.state().await, Some(TitleState::Published { package: second.package_id }));
    let kids = |event: &PackagedEvent| event.variants.iter().map(|v| v.kid).collect::<Vec<_>>();
    assert_eq!(kids(&first), kids(&second));
}

#[tokio::test]
async fn a_damaged_source_leaves_nothing() {
    let works = Works::new().await;
    works.cut_source();
    fs::write(works.folder.join("empty.mp4"), b"").unwrap();
    fs::write(works.folder.join("text.mp4"), b"this is no film").unwrap();
    for source in ["cut.mp4", "empty.mp4", "text.mp4", "none.mp4", "."] {
        let error = works.publish(source).await.expect_err(source);
        assert!(error.to_string().contains(source), "{error}");
        assert!(!matches!(works.state().await, Some(TitleState::Published { .. })), "{source}");
    }
    assert!(works.object("manifest.mpd").is_none());
    assert_eq!(works.names("media"), [".staging"]);
    assert!(works.names("media/.staging").is_empty());
    assert!(works.house.store.outbox_pending(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_job_takes_nothing_from_viewers() {
    let works = Works::new().await;
    let event = works.publish("source.mp4").await.unwrap();
    let before = works.object("manifest.mpd");
    works.cut_source();
    assert!(works.publish("cut.mp4").await.is_err());
    assert_eq!(works.state().await, Some(TitleState::Published { package: event.package_id }));
    assert_eq!(works.object("manifest.mpd"), before);
    assert_eq!(works.house.store.outbox_pending(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_dies_in_the_middle_shows_nothing() {
    let works = Works::new().await;
    let dies = |progress| assert!(!matches!(progress, Progress::Packaged { .. }), "killed");
    let ended = works.publish_with("source.mp4", Box::new(dies)).await;
    assert!(matches!(ended, Err(PackagingError::Thread)));
    assert_eq!(works.state().await, Some(TitleState::PackageFailed));
    assert_eq!(works.names("media"), [".staging"]);
    assert!(works.publish("source.mp4").await.is_ok(), "and the next one works");
    assert!(works.names("media/.staging").is_empty());
}

#[tokio::test]
async fn without_keys_there_is_no_package() {
    let works = Works::new().await;
    works.house.kms.set(Mood::Away);
    let refused = works.publish("source.mp4").await;
    assert!(matches!(refused, Err(PackagingError::Keys(_))));
    assert_eq!(works.names("media"), [".staging"]);
}

#[tokio::test]
async fn a_folder_is_filled_under_the_vaults_keys_and_published_to_nobody() {
    let works = Works::new().await;
    let out = works.folder.join("out");
    let (job, clock) = (works.job("source.mp4"), &works.clock);
    let event =
        works.vault.package_to(Target::Folder(out.clone()), job, clock, quiet()).await.unwrap();
    let document = fs::read(out.join("package.json")).unwrap();
    assert_eq!(serde_json::from_slice::<PackagedEvent>(&document).unwrap(), event);
    assert_eq!(works.house.store.keys_of(&film()).await.unwrap().len(), 6);
    assert_eq!(works.state().await, Some(TitleState::Draft));
    assert!(works.house.store.outbox_pending(10).await.unwrap().is_empty());
}

/// One SD key under both schemes, one for sound.
fn given() -> keys::PackagingKeys {
    let keys = key_file(&[(kid(1), 1, r#","label":"SD""#), (kid(2), 2, r#","label":"AUDIO""#)]);
    keys::PackagingKeys::new(keys.into_iter().map(|key| key.key).collect())
}

async fn package_given(works: &Works, out: &Path) -> Result<PackagedEvent, PackagingError> {
    let source = works.folder.join("sd.mp4");
    fs::write(&source, file(&[video((640, 360), 4, 50), audio(b"eng", 4)], Shape::MoovLast))
        .unwrap();
    package_with(
        given(),
        Target::Folder(out.to_owned()),
        works.job("sd.mp4"),
        &works.clock,
        quiet(),
    )
    .await
}

#[tokio::test]
async fn given_keys_need_no_vault() {
    let works = Works::new().await;
    let event = package_given(&works, &works.folder.join("out")).await.unwrap();
    for variant in &event.variants {
        let expected = if variant.track_class == TrackClass::Sd { kid(1) } else { kid(2) };
        assert_eq!(variant.kid, expected);
    }
    assert!(works.house.store.keys_of(&film()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_folder_with_anything_else_in_it_is_refused_and_kept() {
    let works = Works::new().await;
    let out = works.folder.join("photos");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("cat.jpg"), b"a cat").unwrap();
    let refused = package_given(&works, &out).await;
    assert!(matches!(refused, Err(PackagingError::Target { .. })));
    assert_eq!(works.names("photos"), ["cat.jpg"]);

    let missing = works.folder.join("missing");
    let job = works.job("source.mp4");
    let refused =
        package_with(given(), Target::Folder(missing.clone()), job, &works.clock, quiet()).await;
    assert!(matches!(refused, Err(PackagingError::Package(_))), "no HD key");
    assert!(!missing.exists() && works.names(".").iter().all(|name| !name.contains("missing")));
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let works = Works::new().await;
    let seen = Arc::new(std::sync::Mutex::new((0, 0)));
    let told = Arc::clone(&seen);
    let progress: OnProgress = Box::new(move |progress| {
        let (total, done) = &mut *told.lock().unwrap();
        match progress {
            Progress::Begins { total: all } => *total = all,
            Progress::Packaged { bytes } => *done += bytes,
            Progress::VerificationBegins | Progress::VerificationEnds => {}
        }
    });
    works.publish_with("source.mp4", progress).await.unwrap();
    let (total, done) = *seen.lock().unwrap();
    assert!(total > 0);
    assert_eq!(total, done);
}
