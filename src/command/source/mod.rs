//! Where media comes from: a file, standard input, a web server, S3; as it is, or out of a
//! container that is not MP4.

mod container;
mod ffmpeg;
mod live;
mod location;
mod remux;

pub use container::Container;
pub use ffmpeg::{Ffmpeg, Job, Reading, VideoStream, blame_ffmpeg, in_search_path};
pub use live::LiveInput;
pub use location::Location;

use super::{Failure, Place};
use anyhow::{Context as _, anyhow};
use media::package::probe;
use media::{Input, NamedInput};
use server::vault::{Patience, Source};
use std::fs::File;
use std::io::{self, Seek as _};
use std::sync::Arc;
use store::Spool;
use store::remote::{Client, RemoteError, RemoteObject};
use tokio::runtime::Handle;

/// How much shorter than declared the media may be: what `media` grants an MP4 file.
const SLACK_MS: u64 = 1000;

/// Opens locations.
pub struct Sources {
    client: Client,
    spool: Spool,
    patience: Patience,
}

impl Sources {
    /// Opens by the settings of `place`; traffic runs on `runtime`.
    pub fn new(place: &Place, runtime: Handle) -> Result<Self, Failure> {
        let config = place.config()?;
        let client = Client::new(config.remote(), runtime);
        Ok(Self { client, spool: config.spool(), patience: config.patience() })
    }

    /// What reaches other places.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Where temporary files are made.
    pub const fn spool(&self) -> &Spool {
        &self.spool
    }

    /// How long another program may make no progress.
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// Finds a source; standard input is read to its end.
    ///
    /// Errors: what cannot be found or read is the fault of our surroundings.
    pub fn find(&self, location: &Location) -> Result<Source, Failure> {
        match location {
            Location::File(path) => Ok(Source::File(path.clone())),
            Location::StandardInput => {
                let mut input = io::stdin().lock();
                self.keep(location.to_string(), |file| io::copy(&mut input, file))
            }
            Location::Remote(address) => RemoteObject::open(&self.client, address)
                .map(Source::Remote)
                .with_context(|| format!("cannot open {address}"))
                .map_err(Failure::Environment),
        }
    }

    /// Finds sources that the packager can read: anything but MP4 is put into MP4 first.
    pub fn packageable(&self, locations: &[Location]) -> Result<Vec<Source>, Failure> {
        let pipes = locations.iter().filter(|location| matches!(location, Location::StandardInput));
        if pipes.count() > 1 {
            let twice = anyhow!("standard input (-) can be read once");
            return Err(Failure::Environment(twice));
        }
        locations.iter().map(|location| self.as_mp4(self.find(location)?)).collect()
    }

    fn as_mp4(&self, source: Source) -> Result<Source, Failure> {
        match Container::of(&mut *open(&source)?) {
            // The packager itself says what is wrong with it.
            Some(Container::Mp4) | None => Ok(source),
            Some(container) => remux::remux(&source, container, self),
        }
    }

    /// The source as a file that another program can read: one that is elsewhere is fetched.
    pub fn local(&self, source: &Source) -> Result<File, Failure> {
        source.local(&self.spool).map_err(|error| blame_io(source.name(), error))
    }

    /// Whether what ffmpeg made is as long as its source declares; how long it is.
    pub fn check_length(&self, made: &Source, declared_ms: u64) -> Result<u64, Failure> {
        let (name, mut input) = (made.name(), open(made)?);
        let named = NamedInput { name: name.clone(), input: &mut *input };
        let probe = probe(&mut [named]).map_err(Failure::refused)?;
        let found_ms = probe.tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
        if declared_ms > found_ms.saturating_add(SLACK_MS) {
            return Err(Failure::Refused(anyhow!(
                "{name}: it declares {declared_ms} ms and holds {found_ms} ms: the file is cut \
                 off or damaged"
            )));
        }
        Ok(found_ms)
    }

    /// Fills a nameless file.
    fn keep(
        &self,
        name: String,
        fill: impl FnOnce(&mut File) -> io::Result<u64>,
    ) -> Result<Source, Failure> {
        let filled = self.spool.file().and_then(|mut file| {
            fill(&mut file).map_err(|error| self.spool.explain(error))?;
            file.rewind()?;
            Ok(Arc::new(file))
        });
        match filled {
            Ok(file) => Ok(Source::Spooled { name, file }),
            Err(error) => Err(blame_io(name, error)),
        }
    }
}

/// Bytes that a place does not give are a refusal; the rest is our surroundings.
pub fn blame_io(name: String, error: io::Error) -> Failure {
    let is_remote = error.get_ref().is_some_and(|cause| cause.is::<RemoteError>());
    let error = anyhow::Error::new(error).context(name);
    if is_remote { Failure::Refused(error) } else { Failure::Environment(error) }
}

/// Opens a source for reading.
pub fn open(source: &Source) -> Result<Box<dyn Input>, Failure> {
    let about = || format!("cannot open {}", source.name());
    source.open().with_context(about).map_err(Failure::Environment)
}
