//! `play`: the reference player. It finds the package, ferries opaque messages between its CDM's
//! process and the license server, plays the best renditions whose keys are usable, and says
//! which frames came out. A title that goes on is followed at its edge, and keys that change are
//! asked for before they are needed.

mod cdm_client;
mod choice;
pub mod decoder;
mod device;
mod library;
mod licenses;
mod offline;
mod place;
mod run;
mod stage;
mod summary;
mod timeline;
mod uses;
mod web;

use super::cdm_process::Level;
use super::{Failure, Place as Settings, runtime};
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use cdm::{MAX_INIT_BYTES, Track};
use cdm_client::{CdmProcess, Kept};
use clap::{Args, ValueEnum};
use licenses::{Licenses, kids_of};
use media::manifest::listing::Listed;
use model::{ContentId, Scheme};
use place::Place;
use run::Run;
use std::path::{Path, PathBuf};
use store::remote::{UNAVAILABLE, ViewerSettings};
use summary::Summary;
use uses::Uses;
use web::{LicenseServer, Playback, Viewer, Web};

/// Longest certificate of an authority, bytes.
const MAX_AUTHORITY_BYTES: u64 = 1 << 20;

/// Arguments of `play`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// The package: a folder, or a URL; of itself or of its manifest.
    #[arg(required_unless_present_any = ["server", "offline"], value_name = "URL")]
    #[arg(conflicts_with_all = ["server", "offline"])]
    package: Option<String>,
    /// Where the CDM's messages go.
    #[arg(long, value_name = "URL", required_unless_present_any = ["server", "offline"])]
    #[arg(conflicts_with_all = ["server", "offline"])]
    license_url: Option<String>,
    /// Sign in at this service and play from it.
    #[arg(long, value_name = "URL", requires_all = ["account", "content", "password_stdin"])]
    server: Option<String>,
    /// Who signs in.
    #[arg(long, value_name = "NAME", requires = "server")]
    account: Option<String>,
    /// Read the password from standard input.
    #[arg(long, requires = "server")]
    password_stdin: bool,
    /// The title.
    #[arg(long, value_name = "ID", conflicts_with = "package", value_parser = ContentId::parse)]
    content: Option<ContentId>,
    #[command(flatten)]
    keeping: offline::Keeping,
    /// The DRM system; all but Clear Key need --device. FairPlay plays HLS in cbcs.
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// A test root's folder of the system with `devices/LEVEL`, or one device's folder in it.
    #[arg(long, value_name = "DIR")]
    device: Option<PathBuf>,
    /// Where a device without a certificate asks for one, once; it is kept in the folder.
    #[arg(long, value_name = "URL", requires = "device")]
    provisioning_url: Option<String>,
    /// The device's security level; L3 where nothing is said, and for FairPlay L2.
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// The protection scheme, where a package has both.
    #[arg(long, value_parser = parse_scheme)]
    scheme: Option<Scheme>,
    /// Write a line for each decoded frame: medium, number, bytes, MD5.
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// End when so much has played; a title that goes on else plays to its end.
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// A certificate authority beside the system's (PEM).
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Let passwords and licenses travel to other machines by plain HTTP.
    #[arg(long)]
    allow_http: bool,
}

/// The DRM system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Widevine.
    Widevine,
    /// PlayReady.
    Playready,
    /// FairPlay.
    Fairplay,
    /// W3C Clear Key.
    Clearkey,
}

impl Dialect {
    /// As everything else calls it.
    pub const fn system(self) -> model::Dialect {
        match self {
            Self::Widevine => model::Dialect::Widevine,
            Self::Playready => model::Dialect::PlayReady,
            Self::Fairplay => model::Dialect::FairPlay,
            Self::Clearkey => model::Dialect::ClearKey,
        }
    }

    /// As the command line and the token call have it.
    pub const fn name(self) -> &'static str {
        self.system().name()
    }
}

fn parse_scheme(text: &str) -> Result<Scheme, &'static str> {
    Scheme::parse(text).ok_or("expected cbcs or cenc")
}

/// Plays to the end.
pub fn run(arguments: &Arguments, place: &Settings, answer: Answer) -> Result<(), Failure> {
    if arguments.keeping.offline {
        return offline::run(arguments, place, answer);
    }
    let player = Player::new(arguments)?;
    let dialect = player.chosen.dialect;
    let played = match (&arguments.server, &arguments.account, &arguments.content) {
        (Some(server), Some(account), Some(content)) => {
            let server = server.trim_end_matches('/');
            let uses = player.uses(place, server)?;
            player.visit(&Viewer { server, account, content }, |playback| {
                let place = Place::url(playback.manifest.clone());
                player.play(&place, &playback.license, uses.as_ref())
            })
        }
        _ => {
            let place = Place::parse(arguments.package.as_deref().unwrap_or_default(), dialect);
            let url = arguments.license_url.clone().unwrap_or_default();
            player.play(&place, &LicenseServer { url, later: None, dialect }, None)
        }
    }?;
    tell(arguments, played, answer)
}

/// Says what was played, and its frames where they are asked for.
fn tell(arguments: &Arguments, played: Played, answer: Answer) -> Result<(), Failure> {
    let (played, lost) = played;
    if let Some(file) = &arguments.frames {
        let about = || file.display().to_string();
        std::fs::write(file, played.frames()).with_context(about).map_err(Failure::Environment)?;
    }
    answer.print(&played, Summary::to_string);
    // What was played is said in any case; a picture that was lost is no success.
    lost.map_or(Ok(()), Err)
}

fn authority(file: &Path) -> anyhow::Result<Vec<u8>> {
    let about = || file.display().to_string();
    let size = std::fs::metadata(file).with_context(about)?.len();
    anyhow::ensure!(size <= MAX_AUTHORITY_BYTES, "{}: too large", file.display());
    std::fs::read(file).with_context(about)
}

struct Player<'a> {
    arguments: &'a Arguments,
    chosen: device::Chosen,
    web: Web,
}

/// What was played, and how the picture was lost, where it was.
type Played = (Summary, Option<Failure>);

/// What a title has, for one scheme.
struct Listing {
    scheme: Scheme,
    /// Those that are protected.
    renditions: Vec<Listed>,
    /// Whether its keys change.
    rotates: bool,
    /// The initialization data of each session.
    init_data: Vec<Vec<u8>>,
}

impl<'a> Player<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, Failure> {
        let chosen = device::choose(arguments).map_err(Failure::Environment)?;
        let authority = arguments.authority.as_deref().map(authority).transpose();
        let settings = ViewerSettings {
            authority: authority.map_err(Failure::Environment)?,
            allow_http: arguments.allow_http,
        };
        let web = Web::new(settings, runtime()?)?;
        Ok(Self { arguments, chosen, web })
    }

    /// Signs in, has a playback for as long as `during` takes, and gives it back.
    fn visit<T>(
        &self,
        viewer: &Viewer<'_>,
        during: impl FnOnce(&Playback) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (dialect, level) = (self.chosen.dialect, self.chosen.level);
        let playback = self.web.start(viewer, dialect, level, self.arguments.scheme)?;
        let done = during(&playback);
        self.web.end(viewer.server, &playback);
        done
    }

    /// Starts the CDM, registered where its device has to be.
    fn cdm(&self, kept: Option<&Kept>) -> Result<CdmProcess, Failure> {
        let Self { arguments, chosen: device::Chosen { dialect, level, files }, .. } = self;
        let clock = arguments.keeping.clock_file.as_deref();
        let cdm = CdmProcess::start(*dialect, *level, files.as_ref(), kept, clock);
        let mut cdm = cdm.map_err(Failure::Environment)?;
        self.register(&mut cdm)?;
        Ok(cdm)
    }

    /// 1 read the manifest, 2 fetch each rendition's initialization segment, 3 get the license,
    /// 4 choose by its keys, 5 fetch, decrypt, decode, and ask again as keys change.
    fn play(
        &self,
        place: &Place,
        server: &LicenseServer,
        uses: Option<&Uses>,
    ) -> Result<Played, Failure> {
        let listing = self.listed(place)?;
        let mut cdm = self.cdm(uses.map(Uses::kept))?;
        if let Some(uses) = uses {
            uses.tell_earlier(self, &mut cdm, server)?;
        }
        let mut licenses = Licenses::new(self, Some(server), uses, listing.rotates);
        let started = licenses.start(&mut cdm, listing.init_data.clone());
        let played = started.and_then(|()| self.tracks(&mut cdm, &mut licenses, place, &listing));
        licenses.tell(&mut cdm)?;
        played
    }

    /// The protected renditions of one scheme, and the initialization data of each session.
    fn listed(&self, place: &Place) -> Result<Listing, Failure> {
        let listed = place.renditions(&self.web, self.chosen.dialect.system())?;
        let (scheme, renditions) =
            choice::of_scheme(listed, self.arguments.scheme).map_err(Failure::Refused)?;
        let rotates = self.rotates(place, &renditions)?;
        let init_data = self.init_data(place, &renditions, rotates.as_deref())?;
        Ok(Listing { scheme, renditions, rotates: rotates.is_some(), init_data })
    }

    /// Plays the best renditions whose keys are usable.
    fn tracks(
        &self,
        cdm: &mut CdmProcess,
        licenses: &mut Licenses<'_>,
        place: &Place,
        listing: &Listing,
    ) -> Result<Played, Failure> {
        let chosen = choice::best(&listing.renditions, licenses.keys());
        if chosen.is_empty() {
            return Err(Failure::Refused(anyhow!(
                "This device may not play this title: its license opens none of the renditions"
            )));
        }
        let mut run = Run::new(self, place, cdm, licenses, &chosen)?;
        let (ended, lost) = run.play()?;
        let tracks = run.end()?;
        let kids = choice::kids(&listing.renditions);
        let how = (self.chosen.dialect, self.chosen.level, listing.scheme);
        Ok((Summary::new(how, &kids, licenses.keys(), tracks, ended), lost))
    }

    /// Fetches the certificate that a CDM asks for; one that has its own asks for none.
    fn register(&self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        let Some(url) = &self.arguments.provisioning_url else { return Ok(()) };
        let Some(question) = cdm.provision().map_err(Failure::Refused)? else { return Ok(()) };
        let answer = self.web.provision(url, &question)?;
        cdm.provisioned(&answer).context(UNAVAILABLE).map_err(Failure::Refused)
    }

    /// What the first segment has of initialization data, where keys change; none where they do
    /// not. FairPlay knows it from the playlists.
    fn rotates(&self, place: &Place, listed: &[Listed]) -> Result<Option<Vec<u8>>, Failure> {
        let is_told = listed.iter().any(|one| one.live.is_some() || !one.turns.is_empty());
        if self.chosen.dialect == Dialect::Fairplay {
            return Ok(is_told.then(Vec::new));
        }
        let Some(one) = listed.first() else { return Ok(None) };
        let first = self.first_step(place, one)?;
        // A first segment that is not to be had is missed when it is played.
        let read = |step: timeline::Step| {
            place.read(&self.web, &step.segment.part, cdm::MAX_SEGMENT_BYTES).ok()
        };
        let data = first.and_then(read).map(|bytes| cdm::segment::init_data(&bytes));
        let data = data.unwrap_or_default();
        Ok((is_told || !data.is_empty()).then_some(data))
    }

    /// The segment with which a rendition begins.
    fn first_step(&self, place: &Place, one: &Listed) -> Result<Option<timeline::Step>, Failure> {
        let steps = timeline::steps(place, &self.web, 0, one)?;
        let begin_ms = timeline::begin_ms(std::slice::from_ref(&steps), one.live);
        Ok(steps.into_iter().find(|step| timeline::end_ms(step) > begin_ms))
    }

    /// The initialization data of each session: that of all renditions, each box once, or that of
    /// the first fragments, where keys change and it names all of them; for FairPlay the URI of
    /// each key, of those that change the first ones.
    fn init_data(
        &self,
        place: &Place,
        listed: &[Listed],
        first: Option<&[u8]>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut found: Vec<Vec<u8>> = vec![];
        for one in listed {
            let changes = one.live.is_some() || !one.turns.is_empty();
            let first = if changes { self.first_step(place, one)? } else { None };
            let (init, uri) = first.map_or_else(
                || (one.init.clone(), one.key_uri.clone()),
                |step| (step.init, step.key_uri),
            );
            let data = if self.chosen.dialect == Dialect::Fairplay {
                uri.unwrap_or_default().into_bytes()
            } else {
                let init = place.read(&self.web, &init, MAX_INIT_BYTES)?;
                let track = Track::parse(&init).with_context(|| one.id.clone());
                track.map_err(Failure::Refused)?.init_data
            };
            if !found.contains(&data) {
                found.push(data);
            }
        }
        if self.chosen.dialect == Dialect::Fairplay {
            return Ok(found);
        }
        let (all, first) = (found.concat(), first.unwrap_or_default());
        let named = kids_of(first);
        let is_covered = !first.is_empty() && kids_of(&all).iter().all(|kid| named.contains(kid));
        Ok(vec![if is_covered { first.to_vec() } else { all }])
    }
}
