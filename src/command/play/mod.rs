//! `play`: the reference player. It finds the package, ferries opaque messages between its CDM's
//! process and the license server, plays the best renditions whose keys are usable, and says
//! which frames came out.

mod cdm_client;
mod choice;
pub mod decoder;
mod device;
mod place;
mod summary;
mod web;

use super::cdm_process::Level;
use super::{Failure, Place as Settings, runtime};
use crate::screen::{Answer, count_bar};
use anyhow::{Context as _, anyhow};
use cdm::protocol::KeyState;
use cdm::{MAX_INIT_BYTES, MAX_SEGMENT_BYTES, MessageKind, SessionId, Track};
use cdm_client::{CdmProcess, Outgoing};
use clap::{Args, ValueEnum};
use decoder::Decoder;
use indicatif::ProgressBar;
use media::manifest::listing::{Listed, MediaParts, Part, subsegments};
use model::{ContentId, Scheme};
use place::Place;
use std::path::{Path, PathBuf};
use store::remote::{UNAVAILABLE, ViewerError, ViewerSettings};
use summary::{Played, Summary};
use web::{LicenseServer, Viewer, Web};

/// Messages that one session exchanges at its start: the certificate, the license, and no more.
const MAX_MESSAGES: usize = 4;
/// Longest index of a single file, bytes.
const MAX_INDEX_BYTES: usize = 1 << 20;
/// Longest certificate of an authority, bytes.
const MAX_AUTHORITY_BYTES: u64 = 1 << 20;

/// Arguments of `play`.
#[derive(Args)]
pub struct Arguments {
    /// The package: a folder, or a URL; of itself or of its manifest.
    #[arg(required_unless_present = "server", conflicts_with = "server", value_name = "URL")]
    package: Option<String>,
    /// Where the CDM's messages go.
    #[arg(long, value_name = "URL", required_unless_present = "server", conflicts_with = "server")]
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
    #[arg(long, value_name = "ID", requires = "server", value_parser = ContentId::parse)]
    content: Option<ContentId>,
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
pub fn run(arguments: &Arguments, _: &Settings, answer: Answer) -> Result<(), Failure> {
    let chosen = device::choose(arguments).map_err(Failure::Environment)?;
    let authority = arguments.authority.as_deref().map(authority).transpose();
    let settings = ViewerSettings {
        authority: authority.map_err(Failure::Environment)?,
        allow_http: arguments.allow_http,
    };
    let web = Web::new(settings, runtime()?)?;
    let dialect = chosen.dialect;
    let player = Player { arguments, chosen, web };
    let played = match (&arguments.server, &arguments.account, &arguments.content) {
        (Some(server), Some(account), Some(content)) => {
            let server = server.trim_end_matches('/');
            let viewer = Viewer { server, account, content };
            let playback =
                player.web.start(&viewer, dialect, player.chosen.level, arguments.scheme)?;
            let place = Place::url(playback.manifest.clone());
            let played = player.play(&place, &playback.license);
            player.web.end(server, &playback);
            played
        }
        _ => {
            let place = Place::parse(arguments.package.as_deref().unwrap_or_default(), dialect);
            let url = arguments.license_url.clone().unwrap_or_default();
            player.play(&place, &LicenseServer { url, later: None, dialect })
        }
    }?;
    if let Some(file) = &arguments.frames {
        let about = || file.display().to_string();
        std::fs::write(file, played.frames()).with_context(about).map_err(Failure::Environment)?;
    }
    answer.print(&played, Summary::to_string);
    Ok(())
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

/// The licenses that are held: one, or one for each key where the system has it so.
#[derive(Default)]
struct Licenses {
    sessions: Vec<SessionId>,
    keys: Vec<KeyState>,
}

impl Player<'_> {
    /// 1 read the manifest, 2 fetch each rendition's initialization segment, 3 get the license,
    /// 4 choose by its keys, 5 fetch, decrypt, decode.
    fn play(&self, place: &Place, server: &LicenseServer) -> Result<Summary, Failure> {
        let dialect = self.chosen.dialect;
        let listed = place.renditions(&self.web, dialect.system())?;
        let (scheme, listed) =
            choice::of_scheme(listed, self.arguments.scheme).map_err(Failure::Refused)?;
        let init_data = self.init_data(place, &listed)?;
        let (level, files) = (self.chosen.level, self.chosen.files.as_ref());
        let mut cdm = CdmProcess::start(dialect, level, files).map_err(Failure::Environment)?;
        self.register(&mut cdm)?;
        let licenses = self.licenses(&mut cdm, server, &init_data)?;
        let chosen = choice::best(&listed, &licenses.keys);
        if chosen.is_empty() {
            return Err(Failure::Refused(anyhow!(
                "This device may not play this title: its license opens none of the renditions"
            )));
        }
        let mut tracks = vec![];
        for (number, one) in (0_u32..).zip(chosen) {
            let sessions = &licenses.sessions;
            let mut stage = Stage { player: self, place, cdm: &mut cdm, server, sessions };
            tracks.push(stage.play(number, one)?);
        }
        let kids = choice::kids(&listed);
        Ok(Summary::new((dialect, level, scheme), &kids, &licenses.keys, tracks))
    }

    /// Fetches the certificate that a CDM asks for; one that has its own asks for none.
    fn register(&self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        let Some(url) = &self.arguments.provisioning_url else { return Ok(()) };
        let Some(question) = cdm.provision().map_err(Failure::Refused)? else { return Ok(()) };
        let answer = self.web.provision(url, &question)?;
        cdm.provisioned(&answer).context(UNAVAILABLE).map_err(Failure::Refused)
    }

    /// The initialization data of each session: that of all renditions, each box once; for
    /// FairPlay the URI of each key.
    fn init_data(&self, place: &Place, listed: &[Listed]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut found: Vec<Vec<u8>> = vec![];
        for one in listed {
            let data = if self.chosen.dialect == Dialect::Fairplay {
                one.key_uri.clone().unwrap_or_default().into_bytes()
            } else {
                let init = place.read(&self.web, &one.init, MAX_INIT_BYTES)?;
                let track = Track::parse(&init).with_context(|| one.id.clone());
                track.map_err(Failure::Refused)?.init_data
            };
            if !found.contains(&data) {
                found.push(data);
            }
        }
        Ok(if self.chosen.dialect == Dialect::Fairplay { found } else { vec![found.concat()] })
    }

    /// Gets every license. One of several that the server refuses is a key that is withheld; of
    /// all of them, the first refusal is the answer.
    fn licenses(
        &self,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
        init_data: &[Vec<u8>],
    ) -> Result<Licenses, Failure> {
        let (mut held, mut no) = (Licenses::default(), None);
        for data in init_data {
            match self.license(cdm, server, data) {
                Ok((session, keys)) => {
                    held.sessions.push(session);
                    held.keys.extend(keys);
                }
                Err(failure) if is_no(&failure) => no = no.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        match no {
            Some(no) if held.sessions.is_empty() => Err(no),
            _ => Ok(held),
        }
    }

    /// Opens a session and carries its messages until it has its license.
    fn license(
        &self,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
        init_data: &[u8],
    ) -> Result<(SessionId, Vec<KeyState>), Failure> {
        let (session, mut message) = cdm.request(init_data).map_err(Failure::Refused)?;
        for _ in 0..MAX_MESSAGES {
            let (keys, next) = self.carry(cdm, session, server, &message)?;
            match next {
                // The license is held, whether its server hears of it or not.
                Some(told) if told.kind == MessageKind::LicenseAcknowledgement => {
                    if let Err(failure) = self.carry(cdm, session, server, &told) {
                        let error = failure.into_error();
                        tracing::warn!(%error, "the license was not acknowledged");
                    }
                    return Ok((session, keys));
                }
                Some(next) => message = next,
                None => return Ok((session, keys)),
            }
        }
        Err(Failure::Refused(anyhow!("the CDM asks without an end").context(UNAVAILABLE)))
    }

    /// One message there, its answer back; an answer that the CDM refuses is no license.
    fn carry(
        &self,
        cdm: &mut CdmProcess,
        session: SessionId,
        server: &LicenseServer,
        message: &Outgoing,
    ) -> Result<(Vec<KeyState>, Option<Outgoing>), Failure> {
        tracing::debug!(kind = ?message.kind, bytes = message.body.len(), "to the license server");
        let answer = self.web.license(server, message)?;
        cdm.update(session, &answer).context(UNAVAILABLE).map_err(Failure::Refused)
    }
}

/// Whether a server said no, in its own words.
fn is_no(failure: &Failure) -> bool {
    let Failure::Refused(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(ViewerError::Refused { .. }))
}

/// A track on its way.
struct Stage<'a> {
    player: &'a Player<'a>,
    place: &'a Place,
    cdm: &'a mut CdmProcess,
    server: &'a LicenseServer,
    sessions: &'a [SessionId],
}

impl Stage<'_> {
    fn play(&mut self, number: u32, one: &Listed) -> Result<Played, Failure> {
        let (place, web) = (self.place, &self.player.web);
        let init = place.read(web, &one.init, MAX_INIT_BYTES)?;
        let (protection, clear) = self.cdm.load(number, &init).map_err(Failure::Refused)?;
        if protection.map(|found| (found.scheme, found.kid)) != one.protection {
            let error = anyhow!("{}: the segment's key is not the manifest's", one.id);
            return Err(Failure::Refused(error));
        }
        let parts = self.parts(one)?;
        let mut decoder = match self.player.chosen.level {
            Level::L1 => None,
            Level::L2 | Level::L3 => Some(Decoder::start().map_err(Failure::Environment)?),
        };
        decode(&mut decoder, &clear)?;
        let bar = count_bar("play", u64::try_from(parts.len()).unwrap_or(0));
        let done = self.segments(number, &parts, &mut decoder, &bar);
        bar.finish_and_clear();
        done?;
        let inside = self.cdm.finish(number).map_err(Failure::Refused)?;
        let outside = decoder.map(Decoder::finish).transpose().map_err(Failure::Refused)?;
        Ok(Played::new(one, parts.len(), outside.unwrap_or(inside)))
    }

    fn segments(
        &mut self,
        number: u32,
        parts: &[Part],
        decoder: &mut Option<Decoder>,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        for part in parts {
            let segment = self.place.read(&self.player.web, part, MAX_SEGMENT_BYTES)?;
            let clear = self.cdm.decrypt(number, &segment).map_err(Failure::Refused)?;
            decode(decoder, &clear)?;
            self.renew()?;
            bar.inc(1);
        }
        Ok(())
    }

    /// Asks for more time when a license says so. A no is not the end: that is the license's.
    fn renew(&mut self) -> Result<(), Failure> {
        for session in self.sessions {
            let due = self.cdm.renewal(*session).map_err(Failure::Refused)?;
            let Some(message) = due else { continue };
            let carried = self.player.carry(self.cdm, *session, self.server, &message);
            if let Err(failure) = carried {
                tracing::warn!(error = %failure.into_error(), "the license was not renewed");
            }
        }
        Ok(())
    }

    fn parts(&self, one: &Listed) -> Result<Vec<Part>, Failure> {
        match &one.media {
            MediaParts::Segments(parts) => Ok(parts.clone()),
            MediaParts::Indexed(index) => {
                let bytes = self.place.read(&self.player.web, index, MAX_INDEX_BYTES)?;
                let parts = subsegments(index, &bytes).with_context(|| one.id.clone());
                parts.map_err(Failure::Refused)
            }
        }
    }
}

fn decode(decoder: &mut Option<Decoder>, clear: &[u8]) -> Result<(), Failure> {
    match decoder {
        Some(decoder) => decoder.write(clear).map_err(Failure::Refused),
        None => Ok(()),
    }
}
