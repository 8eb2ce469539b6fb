//! `play`: the reference player. It finds the package, ferries opaque messages between its CDM's
//! process and the license server, plays the best renditions whose keys are usable, and says
//! which frames came out.

mod cdm_client;
mod choice;
pub mod decoder;
mod place;
mod summary;
mod web;

use super::cdm_process::Level;
use super::{Failure, Place as Settings, runtime};
use crate::screen::{Answer, count_bar};
use anyhow::{Context as _, anyhow};
use cdm::protocol::KeyState;
use cdm::{MAX_INIT_BYTES, MAX_SEGMENT_BYTES, SessionId, Track};
use cdm_client::{CdmProcess, DeviceFiles, Outgoing};
use clap::{Args, ValueEnum};
use decoder::Decoder;
use indicatif::ProgressBar;
use media::manifest::listing::{Listed, MediaParts, Part, parse_mpd, subsegments};
use model::{ContentId, Scheme};
use place::Place;
use std::path::{Path, PathBuf};
use store::remote::{UNAVAILABLE, ViewerSettings};
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
    /// The DRM system; Widevine needs --device.
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// A test root's folder with `devices/LEVEL`, or one device's folder in it.
    #[arg(long, value_name = "DIR")]
    device: Option<PathBuf>,
    /// Where a device without a certificate asks for one, once; it is kept in the folder.
    #[arg(long, value_name = "URL", requires = "device")]
    provisioning_url: Option<String>,
    /// The device's security level.
    #[arg(long, value_enum, default_value = "L3")]
    level: Level,
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
    /// W3C Clear Key.
    Clearkey,
}

impl Dialect {
    const fn name(self) -> &'static str {
        match self {
            Self::Widevine => "widevine",
            Self::Clearkey => "clearkey",
        }
    }
}

fn parse_scheme(text: &str) -> Result<Scheme, &'static str> {
    Scheme::parse(text).ok_or("expected cbcs or cenc")
}

/// Plays to the end.
pub fn run(arguments: &Arguments, _: &Settings, answer: Answer) -> Result<(), Failure> {
    let (dialect, device) = device(arguments).map_err(Failure::Environment)?;
    let authority = arguments.authority.as_deref().map(authority).transpose();
    let settings = ViewerSettings {
        authority: authority.map_err(Failure::Environment)?,
        allow_http: arguments.allow_http,
    };
    let web = Web::new(settings, runtime()?)?;
    let player = Player { arguments, dialect, device, web };
    let played = match (&arguments.server, &arguments.account, &arguments.content) {
        (Some(server), Some(account), Some(content)) => {
            let server = server.trim_end_matches('/');
            let viewer = Viewer { server, account, content };
            let playback = player.web.start(&viewer, dialect, arguments.level, arguments.scheme)?;
            let place = Place::url(playback.manifest.clone());
            let played = player.play(&place, &playback.license);
            player.web.end(server, &playback);
            played
        }
        _ => {
            let place = Place::parse(arguments.package.as_deref().unwrap_or_default());
            let url = arguments.license_url.clone().unwrap_or_default();
            player.play(&place, &LicenseServer { url, later: None })
        }
    }?;
    if let Some(file) = &arguments.frames {
        let about = || file.display().to_string();
        std::fs::write(file, played.frames()).with_context(about).map_err(Failure::Environment)?;
    }
    answer.print(&played, Summary::to_string);
    Ok(())
}

/// The DRM system, and for Widevine the device's files.
fn device(arguments: &Arguments) -> anyhow::Result<(Dialect, Option<DeviceFiles>)> {
    let absent = if arguments.device.is_some() { Dialect::Widevine } else { Dialect::Clearkey };
    let dialect = arguments.dialect.unwrap_or(absent);
    let Some(folder) = arguments.device.as_ref().filter(|_| dialect == Dialect::Widevine) else {
        anyhow::ensure!(dialect == Dialect::Clearkey, "Widevine needs a device: --device DIR");
        anyhow::ensure!(
            arguments.level == Level::L3,
            "Clear Key attests no device: it has level L3 and no other"
        );
        return Ok((dialect, None));
    };
    let registers = arguments.provisioning_url.is_some();
    let own = folder.join("devices").join(arguments.level.name());
    let profile = [own.clone(), folder.clone()]
        .into_iter()
        .find(|profile| profile.join("certificate.bin").is_file())
        .or_else(|| registers.then_some(own))
        .with_context(|| format!("{}: no device of this level", folder.display()))?;
    let root = profile
        .ancestors()
        .take(3)
        .flat_map(|folder| ["root_public.der", "root_cert.bin"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
        .with_context(|| {
            format!("{}: neither root_public.der nor root_cert.bin", folder.display())
        })?;
    Ok((dialect, Some(DeviceFiles { profile, root, registers })))
}

fn authority(file: &Path) -> anyhow::Result<Vec<u8>> {
    let about = || file.display().to_string();
    let size = std::fs::metadata(file).with_context(about)?.len();
    anyhow::ensure!(size <= MAX_AUTHORITY_BYTES, "{}: too large", file.display());
    std::fs::read(file).with_context(about)
}

struct Player<'a> {
    arguments: &'a Arguments,
    dialect: Dialect,
    device: Option<DeviceFiles>,
    web: Web,
}

/// A license that is held.
struct License {
    session: SessionId,
    keys: Vec<KeyState>,
}

impl Player<'_> {
    /// 1 read the manifest, 2 fetch each rendition's initialization segment, 3 get the license,
    /// 4 choose by its keys, 5 fetch, decrypt, decode.
    fn play(&self, place: &Place, server: &LicenseServer) -> Result<Summary, Failure> {
        let manifest = place.manifest(&self.web)?;
        let listed = parse_mpd(&manifest).context("the manifest").map_err(Failure::Refused)?;
        let (scheme, listed) =
            choice::of_scheme(listed, self.arguments.scheme).map_err(Failure::Refused)?;
        let init_data = self.init_data(place, &listed)?;
        let mut cdm = CdmProcess::start(self.arguments.level, self.device.as_ref())
            .map_err(Failure::Environment)?;
        self.register(&mut cdm)?;
        let license = self.license(&mut cdm, server, &init_data)?;
        let chosen = choice::best(&listed, &license.keys);
        if chosen.is_empty() {
            return Err(Failure::Refused(anyhow!(
                "This device may not play this title: its license opens none of the renditions"
            )));
        }
        let mut tracks = vec![];
        for (number, one) in (0_u32..).zip(chosen) {
            let mut stage =
                Stage { player: self, place, cdm: &mut cdm, server, session: license.session };
            tracks.push(stage.play(number, one)?);
        }
        let (level, kids) = (self.arguments.level, choice::kids(&listed));
        Ok(Summary::new(self.dialect, level, scheme, &kids, &license.keys, tracks))
    }

    /// Fetches the certificate that a CDM asks for; one that has its own asks for none.
    fn register(&self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        let Some(url) = &self.arguments.provisioning_url else { return Ok(()) };
        let Some(question) = cdm.provision().map_err(Failure::Refused)? else { return Ok(()) };
        let answer = self.web.provision(url, &question)?;
        cdm.provisioned(&answer).context(UNAVAILABLE).map_err(Failure::Refused)
    }

    /// The initialization data of all renditions: what starts a DRM system, each box once.
    fn init_data(&self, place: &Place, listed: &[Listed]) -> Result<Vec<u8>, Failure> {
        let mut found: Vec<Vec<u8>> = vec![];
        for one in listed {
            let init = place.read(&self.web, &one.init, MAX_INIT_BYTES)?;
            let track = Track::parse(&init).with_context(|| one.id.clone());
            let data = track.map_err(Failure::Refused)?.init_data;
            if !found.contains(&data) {
                found.push(data);
            }
        }
        Ok(found.concat())
    }

    /// Opens a session and carries its messages until it has its license.
    fn license(
        &self,
        cdm: &mut CdmProcess,
        server: &LicenseServer,
        init_data: &[u8],
    ) -> Result<License, Failure> {
        let (session, mut message) = cdm.request(init_data).map_err(Failure::Refused)?;
        for _ in 0..MAX_MESSAGES {
            let (keys, next) = self.carry(cdm, session, server, &message)?;
            match next {
                Some(next) => message = next,
                None => return Ok(License { session, keys }),
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

/// A track on its way.
struct Stage<'a> {
    player: &'a Player<'a>,
    place: &'a Place,
    cdm: &'a mut CdmProcess,
    server: &'a LicenseServer,
    session: SessionId,
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
        let mut decoder = match self.player.arguments.level {
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

    /// Asks for more time when the license says so. A no is not the end: that is the license's.
    fn renew(&mut self) -> Result<(), Failure> {
        let due = self.cdm.renewal(self.session).map_err(Failure::Refused)?;
        if let Some(message) = due {
            let carried = self.player.carry(self.cdm, self.session, self.server, &message);
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
