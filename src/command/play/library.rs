//! The library: titles that were downloaded, as ciphertext, beside the sealed licenses that only
//! this device's CDM opens; and which playbacks' use still has to be told.
//!
//! Shape: `licenses`, the CDM's own; `titles/ID/title.json` and its files, each written aside and
//! renamed; `uses/NAME.json`; `lock`, which one player holds at a time. Killed at any moment, a
//! title says of itself how far it came.

use crate::command::cdm_process::keeping::{take, write_whole};
use anyhow::{Context as _, bail};
use cdm::KeptId;
use media::manifest::listing::{Listed, MediaParts, Part, Segment};
use model::{ContentId, Scheme};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest description of a title, bytes.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 20;
/// Most titles, and most uses, that one library has.
const MAX_TITLES: usize = 10_000;
/// How long a player that was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// The file that says what a title is.
const DESCRIPTION: &str = "title.json";

/// A library that this process has for itself.
pub struct Library {
    folder: PathBuf,
    _lock: File,
}

/// How far a title has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its license is asked for, and its files are fetched.
    Downloading,
    /// It plays.
    Whole,
    /// Its license went back, and its service has not heard of it.
    GivenBack,
}

/// A title of the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// Its name at its service.
    pub content: ContentId,
    /// How far it has come.
    pub state: State,
    /// Its service: scheme, host and port.
    pub origin: String,
    /// The DRM system, by the name that the command line has.
    pub dialect: String,
    /// The device's level, likewise.
    pub level: String,
    /// The device's folder, as it was named.
    pub device: PathBuf,
    /// How it is encrypted.
    pub scheme: Option<Scheme>,
    /// Its licenses, by the CDM's names.
    pub licenses: Vec<KeptId>,
    /// Whether the last of them has come.
    pub is_licensed: bool,
    /// Its renditions as the service lists them, with every segment.
    pub sources: Vec<Listed>,
}

/// A playback whose use must be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Its record, by the CDM's name.
    pub kept: KeptId,
    /// Its service.
    pub origin: String,
}

/// One file of a title, and where it comes from.
pub struct Wanted<'a> {
    /// Where it comes from.
    pub source: &'a Part,
    /// Where it lies.
    pub file: PathBuf,
    /// Whether it starts a rendition.
    pub is_init: bool,
}

impl Library {
    /// Opens a library, and makes it where there is none.
    ///
    /// Errors: where another process has it.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let about = || folder.display().to_string();
        for inner in ["titles", "uses"] {
            fs::create_dir_all(folder.join(inner)).with_context(about)?;
        }
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(folder.join("lock"));
        let lock = lock.with_context(about)?;
        if take(&lock, PATIENCE).with_context(about)? {
            return Ok(Self { folder: folder.to_owned(), _lock: lock });
        }
        bail!("{}: another player has this library open", folder.display())
    }

    /// Where the CDM keeps its licenses.
    pub fn licenses(&self) -> PathBuf {
        self.folder.join("licenses")
    }

    fn folder_of(&self, content: &ContentId) -> PathBuf {
        self.folder.join("titles").join(content.as_str())
    }

    /// Where a title's files are.
    pub fn files_of(&self, content: &ContentId) -> PathBuf {
        self.folder_of(content).join("files")
    }

    /// A title; `None` where it is not in the library.
    pub fn title(&self, content: &ContentId) -> anyhow::Result<Option<Title>> {
        read(&self.folder_of(content).join(DESCRIPTION))
    }

    /// All titles, by name.
    pub fn titles(&self) -> anyhow::Result<Vec<Title>> {
        let mut found = vec![];
        for folder in entries(&self.folder.join("titles"))? {
            found.extend(read(&folder.join(DESCRIPTION))?);
        }
        found
            .sort_by(|one: &Title, other: &Title| one.content.as_str().cmp(other.content.as_str()));
        Ok(found)
    }

    /// Writes down how far a title has come.
    pub fn save(&self, title: &Title) -> anyhow::Result<()> {
        let folder = self.folder_of(&title.content);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        write_whole(&folder.join(DESCRIPTION), &serde_json::to_vec(title)?)
    }

    /// Removes a title's files; it stays in the library.
    pub fn empty(&self, content: &ContentId) -> anyhow::Result<()> {
        remove_folder(&self.files_of(content))
    }

    /// Removes a title. Its description goes last: what is killed on the way is removed again.
    pub fn remove(&self, content: &ContentId) -> anyhow::Result<()> {
        self.empty(content)?;
        remove_folder(&self.folder_of(content))
    }

    /// The playbacks whose use must be told.
    pub fn uses(&self) -> anyhow::Result<Vec<Use>> {
        let mut found = vec![];
        for file in entries(&self.folder.join("uses"))? {
            if file.extension().is_some_and(|extension| extension == "json") {
                found.extend(read(&file)?);
            }
        }
        Ok(found)
    }

    /// Writes down that a use must be told.
    pub fn save_use(&self, told: &Use) -> anyhow::Result<()> {
        write_whole(&self.use_file(told.kept), &serde_json::to_vec(told)?)
    }

    /// It was told.
    pub fn remove_use(&self, kept: KeptId) -> anyhow::Result<()> {
        let file = self.use_file(kept);
        fs::remove_file(&file).with_context(|| file.display().to_string())
    }

    fn use_file(&self, kept: KeptId) -> PathBuf {
        self.folder.join("uses").join(format!("{kept}.json"))
    }

    /// Every file of a title, in the order in which it is fetched.
    pub fn wanted<'a>(&self, title: &'a Title) -> Vec<Wanted<'a>> {
        let files = self.files_of(&title.content);
        let mut wanted = vec![];
        for (source, own) in title.sources.iter().zip(local(&title.sources)) {
            let of = |source, own: &Part, is_init| Wanted {
                source,
                file: files.join(&own.path),
                is_init,
            };
            wanted.push(of(&source.init, &own.init, true));
            if let (MediaParts::Segments(from), MediaParts::Segments(to)) =
                (&source.media, &own.media)
            {
                let parts = from.iter().zip(to);
                wanted.extend(parts.map(|(from, to)| of(&from.part, &to.part, false)));
            }
        }
        wanted
    }
}

/// The same renditions, with the places of their files in the library.
pub fn local(sources: &[Listed]) -> Vec<Listed> {
    let part = |path: String| Part { path, span: None };
    let of = |(number, source): (usize, &Listed)| {
        let segments: &[Segment] = match &source.media {
            MediaParts::Segments(segments) => segments,
            MediaParts::Indexed(_) => &[],
        };
        let own = |(at, segment): (usize, &Segment)| Segment {
            part: part(format!("{number}/{}.m4s", at + 1)),
            ..segment.clone()
        };
        Listed {
            init: part(format!("{number}/init.mp4")),
            media: MediaParts::Segments(segments.iter().enumerate().map(own).collect()),
            ..source.clone()
        }
    };
    sources.iter().enumerate().map(of).collect()
}

/// What a folder holds.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let about = || folder.display().to_string();
    let mut found = vec![];
    for entry in fs::read_dir(folder).with_context(about)? {
        anyhow::ensure!(found.len() < MAX_TITLES, "{}: too much is in it", folder.display());
        found.push(entry.with_context(about)?.path());
    }
    Ok(found)
}

fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| folder.display().to_string()),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let about = || path.display().to_string();
    let size = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.with_context(about)?.len(),
    };
    anyhow::ensure!(size <= MAX_DESCRIPTION_BYTES, "{}: too large", path.display());
    let bytes = fs::read(path).with_context(about)?;
    serde_json::from_slice(&bytes).with_context(about).map(Some)
}
