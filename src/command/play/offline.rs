//! Titles for a time without network (`--offline`): downloaded as ciphertext with a license that
//! the CDM keeps, played with no request at all until its term, and given back.

mod rotation;

use super::cdm_client::{CdmProcess, Kept, Outgoing};
use super::library::{Library, State, Title, Wanted, local};
use super::licenses::{Licenses, is_no};
use super::place::Place;
use super::web::{LicenseServer, Playback, Viewer};
use super::{Listing, Played, Player, choice, tell, timeline};
use crate::command::cdm_process::keeping::write_whole;
use crate::command::{Failure, Place as Settings};
use crate::screen::{Answer, count_bar};
use anyhow::{Context as _, anyhow};
use cdm::protocol::KeyState;
use cdm::{KeyStatus, MAX_INIT_BYTES, MAX_SEGMENT_BYTES, Origin, SessionId, SessionType};
use clap::ValueEnum as _;
use media::manifest::listing::{Listed, MediaParts};
use model::{ContentId, Scheme};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// What of `play`'s arguments is about what outlives it.
#[derive(clap::Args, Clone)]
pub struct Keeping {
    /// With --server: download the title and a license that is kept. Without: play what was
    /// downloaded, with no network at all.
    #[arg(long)]
    pub offline: bool,
    /// Give the license back and remove the files; with --server the service hears of it.
    #[arg(long, requires_all = ["offline", "content"], conflicts_with = "list")]
    forget: bool,
    /// What was downloaded.
    #[arg(long, requires = "offline", conflicts_with_all = ["content", "server"])]
    list: bool,
    /// Where downloads and sealed licenses lie; in the data folder where nothing is said.
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Keep when the title was played until the service has heard of it, and none of its keys.
    #[arg(long, requires = "server", conflicts_with = "offline")]
    pub usage_record: bool,
    /// For tests: a file that says the CDM's time, seconds since 1970.
    #[arg(long, value_name = "FILE", hide = true)]
    pub clock_file: Option<PathBuf>,
}

/// What became of a title.
#[derive(Serialize)]
struct Done {
    content: ContentId,
    state: State,
    /// Files that were fetched, and that were there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Files>,
}

#[derive(Clone, Copy, Serialize)]
struct Files {
    fetched: usize,
    present: usize,
}

/// The library that the command line names.
pub fn library(arguments: &super::Arguments, settings: &Settings) -> Result<Library, Failure> {
    let folder = match &arguments.keeping.library {
        Some(folder) => folder.clone(),
        None => settings.config()?.data.join("library"),
    };
    let folder = std::path::absolute(folder).map_err(Failure::environment)?;
    Library::open(&folder).map_err(Failure::Environment)
}

/// A service's origin: its URL without a path.
pub fn origin(server: &str) -> Result<Origin, Failure> {
    let host = server.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let origin = Origin::parse(&host);
    origin.ok_or_else(|| Failure::Environment(anyhow!("{server} is no address of a service")))
}

/// Does what the command line asks for.
pub fn run(
    arguments: &super::Arguments,
    settings: &Settings,
    answer: Answer,
) -> Result<(), Failure> {
    let library = library(arguments, settings)?;
    if arguments.keeping.list {
        let titles = library.titles().map_err(Failure::Environment)?;
        return list(&library, &titles, answer);
    }
    let content = arguments.content.as_ref();
    let content = content.context("--offline needs --content ID, or --list");
    let content = content.map_err(Failure::Environment)?;
    let found = library.title(content).map_err(Failure::Environment)?;
    let viewer = match (&arguments.server, &arguments.account) {
        (Some(server), Some(account)) => {
            Some(Viewer { server: server.trim_end_matches('/'), account, content })
        }
        _ => None,
    };
    match (found, viewer, arguments.keeping.forget) {
        (found, Some(viewer), false) => {
            let arguments = as_before(arguments, found.as_ref())?;
            Desk { player: Player::new(&arguments)?, library }.download(found, &viewer, answer)
        }
        (None, ..) => Err(Failure::Refused(anyhow!(
            "{content} is not in the library: download it with --server"
        ))),
        (Some(title), None, false) => {
            let arguments = as_before(arguments, Some(&title))?;
            let desk = Desk { player: Player::new(&arguments)?, library };
            tell(&arguments, desk.play(&title)?, answer)
        }
        (Some(title), viewer, true) => {
            let arguments = as_before(arguments, Some(&title))?;
            let desk = Desk { player: Player::new(&arguments)?, library };
            desk.forget(title, viewer.as_ref(), answer)
        }
    }
}

/// The command line, with the device that downloaded the title where it names none.
fn as_before(
    arguments: &super::Arguments,
    title: Option<&Title>,
) -> Result<super::Arguments, Failure> {
    let mut arguments = arguments.clone();
    let Some(title) = title else { return Ok(arguments) };
    let known = |text: String| Failure::Environment(anyhow!("the title's description: {text}"));
    let dialect = super::Dialect::from_str(&title.dialect, false).map_err(known)?;
    let level = super::Level::from_str(&title.level, false).map_err(known)?;
    arguments.dialect.get_or_insert(dialect);
    arguments.level.get_or_insert(level);
    arguments.device.get_or_insert_with(|| title.device.clone());
    arguments.scheme = arguments.scheme.or(title.scheme);
    Ok(arguments)
}

/// A player and its library.
struct Desk<'a> {
    player: Player<'a>,
    library: Library,
}

impl Desk<'_> {
    fn kept(&self, origin: Origin) -> Kept {
        Kept { store: self.library.licenses(), origin }
    }

    /// The CDM, for a title's service.
    fn cdm(&self, title: &Title) -> Result<CdmProcess, Failure> {
        self.player.cdm(Some(&self.kept(origin(&title.origin)?)))
    }

    /// 1 what the service lists, 2 a license that is kept, 3 the files of the best renditions.
    fn download(
        &self,
        found: Option<Title>,
        viewer: &Viewer<'_>,
        answer: Answer,
    ) -> Result<(), Failure> {
        let origin = origin(viewer.server)?;
        if self.player.chosen.files.is_none() {
            return Err(Failure::Environment(anyhow!(
                "Clear Key attests no device, and nothing can be kept for none: choose another \
                 --dialect, and a --device"
            )));
        }
        if let Some(title) = found.as_ref().filter(|title| title.origin != origin.as_str()) {
            return Err(Failure::Refused(anyhow!(
                "{} is in the library from another service, {}: --forget it first",
                title.content,
                title.origin
            )));
        }
        let done = self.player.visit(viewer, |playback| {
            let place = Place::url(playback.manifest.clone());
            let listed = rotation::kept(&self.player, &place, self.player.listed(&place)?)?;
            let mut cdm = self.player.cdm(Some(&self.kept(origin.clone())))?;
            let mut title = self.title(found, viewer, &origin, listed.scheme)?;
            let licenses = self.license(&mut cdm, &mut title, playback, &listed)?;
            let sources = self.sources(&place, &listed, &licenses)?;
            if title.sources != sources {
                self.library.empty(&title.content).map_err(Failure::Environment)?;
                title.sources = sources;
            }
            title.state = State::Downloading;
            self.library.save(&title).map_err(Failure::Environment)?;
            let files = self.fetch(&place, &title)?;
            if listed.rotates {
                rotation::check(&self.library, &title, licenses.keys())?;
            }
            title.state = State::Whole;
            self.library.save(&title).map_err(Failure::Environment)?;
            Ok(Done { content: title.content, state: title.state, files: Some(files) })
        })?;
        answer.print(&done, |done| format!("{} is in the library", done.content));
        Ok(())
    }

    /// The title as it was left, or a new one.
    fn title(
        &self,
        found: Option<Title>,
        viewer: &Viewer<'_>,
        origin: &Origin,
        scheme: Scheme,
    ) -> Result<Title, Failure> {
        let device = self.player.arguments.device.clone().unwrap_or_default();
        let device = std::path::absolute(device).map_err(Failure::environment)?;
        let is_licensed = found.as_ref().is_some_and(|title| title.is_licensed);
        let (licenses, sources) =
            found.map_or_else(Default::default, |title| (title.licenses, title.sources));
        Ok(Title {
            content: viewer.content.clone(),
            state: State::Downloading,
            origin: origin.as_str().to_owned(),
            dialect: self.player.chosen.dialect.name().to_owned(),
            level: self.player.chosen.level.name().to_owned(),
            device,
            scheme: Some(scheme),
            licenses,
            is_licensed,
            sources,
        })
    }

    /// The licenses that the title has, where they are good; else new ones.
    fn license<'b>(
        &'b self,
        cdm: &mut CdmProcess,
        title: &mut Title,
        playback: &'b Playback,
        listed: &Listing,
    ) -> Result<Licenses<'b>, Failure> {
        let mut held = self.licenses(Some(&playback.license));
        let mut returning = vec![];
        for kept in &title.licenses {
            // What was asked for and never came is not kept.
            let Ok(restored) = cdm.restore(*kept) else { continue };
            held.hold(restored.session, Some(*kept), restored.keys);
            returning.push((restored.session, restored.message));
        }
        if title.is_licensed && !choice::best(&listed.renditions, held.keys()).is_empty() {
            return Ok(held);
        }
        // What is over, or opens nothing of it any more, goes back before more is asked for.
        for (session, message) in returning {
            self.give_back(cdm, session, message, Some(&playback.license))?;
        }
        title.licenses.clear();
        title.is_licensed = false;
        let mut held = self.licenses(Some(&playback.license));
        self.ask(cdm, title, &mut held, &listed.init_data)?;
        Ok(held)
    }

    /// No licenses yet, of this server or of nobody.
    fn licenses<'b>(&'b self, server: Option<&'b LicenseServer>) -> Licenses<'b> {
        Licenses::new(&self.player, server, None, false)
    }

    /// Asks for licenses. Each is written down before its answer comes, so that none is kept that
    /// no title names.
    fn ask(
        &self,
        cdm: &mut CdmProcess,
        title: &mut Title,
        held: &mut Licenses<'_>,
        init_data: &[Vec<u8>],
    ) -> Result<(), Failure> {
        let mut no = None;
        let is_new = !self.library.files_of(&title.content).exists();
        for data in init_data {
            let kind = SessionType::PersistentLicense;
            let (session, kept, message) = cdm.request(kind, data).map_err(Failure::Refused)?;
            title.licenses.extend(kept);
            self.library.save(title).map_err(Failure::Environment)?;
            match held.converse(cdm, session, message, false) {
                Ok(keys) => held.hold(session, kept, keys),
                Err(failure) if is_no(&failure) => no = no.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        match no {
            Some(no) if held.keys().is_empty() => {
                if is_new {
                    self.library.remove(&title.content).map_err(Failure::Environment)?;
                }
                Err(no)
            }
            _ => {
                title.is_licensed = true;
                Ok(())
            }
        }
    }

    /// The best renditions that the licenses open, with every segment named.
    fn sources(
        &self,
        place: &Place,
        listed: &Listing,
        licenses: &Licenses<'_>,
    ) -> Result<Vec<Listed>, Failure> {
        let chosen = choice::best(&listed.renditions, licenses.keys());
        if chosen.is_empty() {
            return Err(Failure::Refused(anyhow!(
                "This device may not play this title: its license opens none of the renditions"
            )));
        }
        let resolved = chosen.into_iter().map(|one| {
            let steps = timeline::steps(place, &self.player.web, 0, one)?;
            let segments = steps.into_iter().map(|step| step.segment).collect();
            Ok(Listed { media: MediaParts::Segments(segments), ..one.clone() })
        });
        resolved.collect()
    }

    /// Fetches the files that are not there. Each is written whole, so that a download that was
    /// killed goes on where it was.
    fn fetch(&self, place: &Place, title: &Title) -> Result<Files, Failure> {
        let wanted = self.library.wanted(title);
        let bar = count_bar("download", u64::try_from(wanted.len()).unwrap_or(0));
        let mut files = Files { fetched: 0, present: 0 };
        for Wanted { source, file, is_init } in wanted {
            if file.is_file() {
                files.present += 1;
            } else {
                let most = if is_init { MAX_INIT_BYTES } else { MAX_SEGMENT_BYTES };
                let bytes = place.read(&self.player.web, source, most)?;
                let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
                folder.map_err(Failure::environment)?;
                write_whole(&file, &bytes).map_err(Failure::Environment)?;
                files.fetched += 1;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(files)
    }

    /// Plays without a request.
    fn play(&self, title: &Title) -> Result<Played, Failure> {
        self.check(title)?;
        let mut cdm = self.cdm(title)?;
        let (mut licenses, mut why) = (self.licenses(None), None);
        for kept in &title.licenses {
            match cdm.restore(*kept) {
                Ok(restored) => licenses.hold(restored.session, Some(*kept), restored.keys),
                // A key that was withheld has no license.
                Err(error) => why = Some(error),
            }
        }
        if licenses.keys().is_empty() {
            let content = &title.content;
            let why = why.unwrap_or_else(|| anyhow!("the title's description names none"));
            return Err(Failure::Refused(why.context(format!(
                "no license of {content} is kept for this service: download it again with --server"
            ))));
        }
        in_term(&title.content, licenses.keys())?;
        let folder = self.library.files_of(&title.content);
        let place = Place::Folder { folder, manifest: String::new() };
        let scheme = title.scheme.context("the title's description names no scheme");
        let scheme = scheme.map_err(Failure::Environment)?;
        let renditions = local(&title.sources);
        let listed = Listing { scheme, renditions, rotates: false, init_data: vec![] };
        let played = self.player.tracks(&mut cdm, &mut licenses, &place, &listed);
        if !matches!(played, Ok((_, None))) {
            // The term may end while it plays.
            in_term(&title.content, &licenses.statuses(&mut cdm)?)?;
        }
        played
    }

    /// Whether everything is there.
    fn check(&self, title: &Title) -> Result<(), Failure> {
        let content = &title.content;
        let refused = |error| Err(Failure::Refused(error));
        let missing = self.library.wanted(title).iter().filter(|one| !one.file.is_file()).count();
        match title.state {
            State::GivenBack => refused(anyhow!(
                "the license of {content} was given back: download it again with --server"
            )),
            State::Downloading => refused(anyhow!(
                "the download of {content} is not complete ({missing} files are missing): finish \
                 it with --server"
            )),
            State::Whole if missing > 0 => refused(anyhow!(
                "{missing} files of {content} are missing: fetch them with --server"
            )),
            State::Whole => Ok(()),
        }
    }

    /// Gives the licenses back, tells the service where it can, removes the files.
    fn forget(
        &self,
        mut title: Title,
        viewer: Option<&Viewer<'_>>,
        answer: Answer,
    ) -> Result<(), Failure> {
        // From here on it does not play, wherever this is killed.
        title.state = State::GivenBack;
        self.library.save(&title).map_err(Failure::Environment)?;
        let mut cdm = self.cdm(&title)?;
        let is_known = match viewer {
            None => self.give_all_back(&mut cdm, &title, None)?,
            // The playback by which it came is over; what goes back goes in one of today.
            Some(viewer) => self.player.visit(viewer, |playback| {
                if self.player.chosen.dialect == super::Dialect::Widevine {
                    return self.give_all_back(&mut cdm, &title, Some(&playback.license));
                }
                self.give_all_back(&mut cdm, &title, None)?;
                let told = self.player.web.forget(viewer, playback);
                if let Err(failure) = &told {
                    let error = failure.error();
                    tracing::warn!(%error, "the service has not heard that the title is gone");
                }
                Ok(told.is_ok())
            })?,
        };
        self.library.empty(&title.content).map_err(Failure::Environment)?;
        if is_known {
            self.library.remove(&title.content).map_err(Failure::Environment)?;
        }
        let done = Done { content: title.content, state: title.state, files: None };
        answer.print(&done, |done| {
            let content = &done.content;
            if is_known {
                return format!("{content} was given back");
            }
            format!(
                "{content} was given back; its service has not heard of it, and still counts it: \
                 repeat this with --server"
            )
        });
        Ok(())
    }

    /// Whether the service knows of every license.
    fn give_all_back(
        &self,
        cdm: &mut CdmProcess,
        title: &Title,
        server: Option<&LicenseServer>,
    ) -> Result<bool, Failure> {
        let records = cdm.list().map_err(Failure::Refused)?;
        let mut is_known = true;
        for kept in &title.licenses {
            if !records.iter().any(|record| record.id == *kept) {
                continue;
            }
            let restored = cdm.restore(*kept).map_err(Failure::Refused)?;
            is_known &= self.give_back(cdm, restored.session, restored.message, server)?;
        }
        Ok(is_known)
    }

    /// Gives one license back; whether its service knows. `waiting` is the message of one that
    /// was given back before.
    fn give_back(
        &self,
        cdm: &mut CdmProcess,
        session: SessionId,
        waiting: Option<Outgoing>,
        server: Option<&LicenseServer>,
    ) -> Result<bool, Failure> {
        let message = match waiting {
            Some(message) => Some(message),
            None => cdm.release(session).map_err(Failure::Refused)?,
        };
        let (Some(message), Some(server)) = (message, server) else { return Ok(false) };
        let told = self.player.carry(cdm, session, server, &message, true);
        if let Err(failure) = &told {
            let error = failure.error();
            tracing::warn!(%error, "the service did not take the license back");
        }
        Ok(told.is_ok())
    }
}

/// Whether one of the keys may still be used.
fn in_term(content: &ContentId, keys: &[KeyState]) -> Result<(), Failure> {
    if keys.iter().all(|key| key.status == KeyStatus::Expired) {
        return Err(Failure::Refused(anyhow!(
            "the term of {content} is over: its license plays no more. Download it again with \
             --server, where you may"
        )));
    }
    Ok(())
}

/// One title of the list.
#[derive(Serialize)]
struct Row<'a> {
    content: &'a ContentId,
    state: State,
    origin: &'a str,
    dialect: &'a str,
    level: &'a str,
    files: usize,
    missing: usize,
    bytes: u64,
}

fn list(library: &Library, titles: &[Title], answer: Answer) -> Result<(), Failure> {
    let row = |title: &'_ Title| {
        let wanted = library.wanted(title);
        let sizes: Vec<u64> = wanted
            .iter()
            .filter_map(|one| fs::metadata(&one.file).ok())
            .map(|found| found.len())
            .collect();
        (wanted.len(), wanted.len().saturating_sub(sizes.len()), sizes.iter().sum())
    };
    let rows: Vec<Row<'_>> = titles
        .iter()
        .map(|title| {
            let (files, missing, bytes) = row(title);
            let Title { content, state, origin, dialect, level, .. } = title;
            Row { content, state: *state, origin, dialect, level, files, missing, bytes }
        })
        .collect();
    answer.print(&rows, |rows| {
        let line = |row: &Row<'_>| {
            let Row { content, state, origin, missing, bytes, .. } = row;
            let state = match (state, missing) {
                (State::Whole, 0) => "plays offline".to_owned(),
                (State::GivenBack, _) => "given back; its service has not heard of it".to_owned(),
                (_, missing) => format!("{missing} files are missing"),
            };
            format!("{content}  {state}  {bytes} bytes  {origin}\n")
        };
        if rows.is_empty() {
            "the library is empty".to_owned()
        } else {
            rows.iter().map(line).collect()
        }
    });
    Ok(())
}
